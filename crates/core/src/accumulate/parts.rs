//! The parts of an answer by their places, in order.
//!
//! Most answers have one or two, which a sorted list holds in less memory than a map does.

use crate::message::Part;

/// Parts, sorted by their places.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts(Vec<(u32, Part)>);

impl Parts {
    fn find(&self, place: u32) -> Result<usize, usize> {
        // New parts mostly come at the end, and pieces for the last one.
        match self.0.last() {
            Some((last, _)) if *last == place => Ok(self.0.len() - 1),
            Some((last, _)) if *last > place => self.0.binary_search_by_key(&place, |(place, _)| *place),
            _ => Err(self.0.len()),
        }
    }

    /// Gives the part at a place, to be changed.
    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut Part> {
        let found = self.find(place).ok()?;
        self.0.get_mut(found).map(|(_, part)| part)
    }

    /// Gives the part at a place, to be changed; makes it where there is none.
    #[expect(clippy::indexing_slicing, reason = "the part was found or made on the lines above")]
    pub(super) fn get_or_insert_with(&mut self, place: u32, make: impl FnOnce() -> Part) -> &mut Part {
        let at = match self.find(place) {
            Ok(at) => at,
            Err(at) => {
                self.add(at, place, make());
                at
            }
        };
        &mut self.0[at].1
    }

    /// Sets the part at a place; gives the one that stood there before.
    pub(super) fn insert(&mut self, place: u32, part: Part) -> Option<Part> {
        match self.find(place) {
            Ok(at) => self.0.get_mut(at).map(|(_, there)| std::mem::replace(there, part)),
            Err(at) => {
                self.add(at, place, part);
                None
            }
        }
    }

    fn add(&mut self, at: usize, place: u32, part: Part) {
        if self.0.is_empty() {
            self.0.reserve_exact(1);
        }
        self.0.insert(at, (place, part));
    }

    /// Gives the parts in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Part> {
        self.0.iter().map(|(_, part)| part)
    }

    /// Gives the parts in order.
    pub(super) fn into_iter(self) -> impl Iterator<Item = Part> {
        self.0.into_iter().map(|(_, part)| part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_in_the_order_of_their_places_however_they_came() {
        let mut parts = Parts::default();
        for place in [5, 2, 9, 7, 0] {
            assert_eq!(parts.insert(place, Part::text(place.to_string())), None);
        }
        assert_eq!(parts.insert(7, Part::text("seven")), Some(Part::text("7")));
        assert_eq!(parts.get_or_insert_with(2, || Part::text("new")), &Part::text("2"));
        assert_eq!(parts.get_or_insert_with(3, || Part::text("new")), &Part::text("new"));
        assert!(parts.get_mut(4).is_none() && parts.get_mut(10).is_none());
        let texts: Vec<_> = parts.iter().filter_map(Part::as_text).collect();
        assert_eq!(texts, ["0", "2", "new", "5", "seven", "9"]);
        assert_eq!(parts.clone().into_iter().count(), 6);
    }
}
