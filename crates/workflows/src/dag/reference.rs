//! References such as `${task.path}`: finding them in texts and replacing them by values.
//!
//! A text that is one reference and nothing else becomes the value with its JSON type. A reference inside a longer text
//! is written into it: texts as they are, numbers and booleans as JSON, null as nothing, lists and objects as compact
//! JSON. What was put in is never looked at again. `$${` stands for a plain `${`. Knows no file and no store: values come
//! from a [`Scope`].

mod nearest;
mod parse;
mod resolve;
#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::Value;

pub(crate) use nearest::{list_of, nearest};
pub use resolve::{Scope, TaskView, substitute};

/// Names that stand for something else than a task, so that no task may have them.
pub const RESERVED: [&str; 4] = ["inputs", "env", "item", "index"];

/// Characters that no task id may hold, because paths are made of them.
pub const RESERVED_CHARACTERS: [char; 7] = ['.', '[', ']', '{', '}', '$', '"'];

/// One reference: a root and the steps from there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    text: String,
    root: String,
    path: Vec<Step>,
}

impl Reference {
    /// Gives what the path starts from.
    #[must_use]
    pub fn root(&self) -> Root<'_> {
        match self.root.as_str() {
            "inputs" => Root::Inputs,
            "env" => Root::Env,
            "item" => Root::Item,
            "index" => Root::Index,
            task => Root::Task(task),
        }
    }

    /// Gives the steps from the root.
    #[must_use]
    pub fn path(&self) -> &[Step] {
        &self.path
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${{{}}}", self.text)
    }
}

/// What a reference starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Root<'a> {
    /// A task, by id or name.
    Task(&'a str),
    /// The values given to the run.
    Inputs,
    /// The environment variables that the workflow lists.
    Env,
    /// The item of `for_each`.
    Item,
    /// The place of the item, from 0.
    Index,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// A field of an object; a name of digits is also the index of a list.
    Field(String),
    /// An item of a list, counted from 0.
    Index(usize),
    /// Every item of a list: the rest of the path is followed in each.
    Each,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Field(name) if !is_plain(name) => {
                write!(f, "[\"{}\"]", name.replace('\\', "\\\\").replace('"', "\\\""))
            }
            Step::Field(name) => write!(f, ".{name}"),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Each => f.write_str("[*]"),
        }
    }
}

/// Tells whether a key can be written after a `.`.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.trim() == name
        && !name.contains(char::is_control)
        && !name.contains(RESERVED_CHARACTERS)
}

/// A text with its references found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Template {
    /// The text is one reference and nothing else.
    Whole(Reference),
    /// Anything else, plain texts included.
    Mixed(Vec<Segment>),
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Text as it is, escapes undone.
    Text(String),
    /// A reference.
    Reference(Reference),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong, with the piece of the text it is about.
    pub message: String,
}

impl Template {
    /// Finds the references of a text.
    ///
    /// # Errors
    /// The first reference that is not closed, empty, or has a malformed path.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        parse::template(text)
    }

    /// Gives its references in the order written.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        let (whole, segments) = match self {
            Template::Whole(reference) => (Some(reference), &[][..]),
            Template::Mixed(segments) => (None, segments.as_slice()),
        };
        whole.into_iter().chain(segments.iter().filter_map(|segment| match segment {
            Segment::Reference(reference) => Some(reference),
            Segment::Text(_) => None,
        }))
    }
}

/// Writes a text so that it stands for itself: every `${` becomes `$${`.
///
/// ```
/// use motet_workflows::dag::reference::{Segment, Template, escape};
/// let template = Template::parse(&escape("costs ${5}"))?;
/// assert_eq!(template, Template::Mixed(vec![Segment::Text("costs ${5}".to_owned())]));
/// # Ok::<(), motet_workflows::dag::reference::Malformed>(())
/// ```
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

/// Gives all references of a value, those of nested lists and objects included; keys are not looked at.
///
/// Texts that are no templates have none; [`read`](super::read) reports them.
#[must_use]
pub fn references(value: &Value) -> Vec<Reference> {
    let mut found = Vec::new();
    collect(value, &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<Reference>) {
    match value {
        Value::String(text) if text.contains("${") => {
            if let Ok(template) = Template::parse(text) {
                found.extend(template.references().cloned());
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, found)),
        _ => {}
    }
}
