//! Where in a schema something stands, for messages; costs nothing until it is shown.

use std::fmt;

/// A place in a schema: a name below another place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'p> {
    parent: Option<&'p Place<'p>>,
    name: &'p str,
    /// Number of names from the root to here.
    pub(super) depth: usize,
}

impl<'p> Place<'p> {
    /// The whole schema.
    pub(super) const ROOT: Place<'static> = Place { parent: None, name: "", depth: 0 };

    /// Gives a place below this one.
    pub(super) fn child(&'p self, name: &'p str) -> Place<'p> {
        Place { parent: Some(self), name, depth: self.depth + 1 }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.depth == 0 {
            return f.write_str("the root");
        }
        let mut names = Vec::with_capacity(self.depth);
        let mut here = Some(self);
        while let Some(place) = here.filter(|place| place.depth > 0) {
            names.push(place.name);
            here = place.parent;
        }
        names.iter().rev().try_for_each(|name| write!(f, "/{name}"))
    }
}
