//! Finds the references in the values of a file, with their places.

use crate::dag::reference::{Reference, Segment, Template};
use crate::dag::yaml::{Content, Node, Place};

use super::report::Report;

/// What to do about a `${` that is no reference.
pub(super) const ESCAPE: &str = "write `$${` for a plain `${`";

/// A reference, and where it stands.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) reference: Reference,
    pub(super) place: Place,
    pub(super) site: Site,
}

/// What a reference may see there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Site {
    /// A task's values; `for_each` gives them an item.
    Item,
    /// A task's values without an item.
    Task,
    /// The outputs of the run.
    Output,
}

/// Adds all references of a node, and reports those that are malformed.
pub(super) fn collect(node: &Node, site: Site, found: &mut Vec<Found>, report: &mut Report<'_>) {
    match &node.content {
        Content::String(text) if text.contains("${") => match Template::parse(text) {
            Ok(template) => {
                let references = template.references().cloned();
                found.extend(references.map(|reference| Found { reference, place: node.place, site }));
            }
            Err(malformed) => report.hint(node.place, malformed.message, ESCAPE),
        },
        Content::List(items) => items.iter().for_each(|item| collect(item, site, found, report)),
        Content::Map(fields) => fields.iter().for_each(|field| collect(&field.node, site, found, report)),
        _ => {}
    }
}

/// What a text becomes once its references are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Becomes {
    /// Whatever the one reference gives.
    Anything,
    /// A text, made of references and perhaps more.
    Text {
        /// Whether it is surely not empty.
        has_text: bool,
    },
    /// Itself: it has no reference, or none that can be read.
    Itself,
}

pub(super) fn becomes(text: &str) -> Becomes {
    if !text.contains("${") {
        return Becomes::Itself;
    }
    match Template::parse(text) {
        Ok(Template::Whole(_)) => Becomes::Anything,
        Ok(template @ Template::Mixed(_)) if template.references().next().is_none() => Becomes::Itself,
        Ok(Template::Mixed(segments)) => {
            Becomes::Text { has_text: segments.iter().any(|segment| matches!(segment, Segment::Text(_))) }
        }
        Err(_) => Becomes::Itself,
    }
}
