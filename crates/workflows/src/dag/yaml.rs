//! Reads YAML 1.2, and JSON with it, into a tree in which every key and value knows its place.
//!
//! Plain scalars follow the core schema, so `no` and `on` are strings. Size, depth, and the number of values, those that
//! aliases repeat included, are bounded. Knows nothing of workflows, and opens no file.

mod build;
mod scalar;
mod surrogates;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;

use serde_json::{Map, Number, Value};

/// The largest text that is read: 8 MiB.
pub const MAX_BYTES: usize = 8 << 20;

/// How deeply lists and mappings may be nested.
pub const MAX_DEPTH: usize = 64;

/// How many values a text may hold, those that aliases repeat included.
pub const MAX_NODES: usize = 2_000_000;

/// How many bytes its strings and keys may have together, those that aliases repeat included.
pub const MAX_TEXT_BYTES: usize = 2 * MAX_BYTES;

/// How many faults are kept of a text that can be read in spite of them.
const MAX_FAULTS: usize = 1_000;

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

impl Place {
    /// The first character of a text.
    pub const START: Place = Place { line: 1, column: 1 };
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub content: Content,
    /// Where it starts.
    pub place: Place,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Nothing, `null`, or `~`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number from -2^63 to 2^64 - 1, or a finite fraction.
    Number(Number),
    /// A text.
    String(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping in the order written; each key once.
    Map(Vec<Field>),
}

/// One key of a mapping with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub place: Place,
    /// The value.
    pub node: Node,
}

impl Node {
    /// Gives the value as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(truth) => Value::Bool(*truth),
            Content::Number(number) => Value::Number(number.clone()),
            Content::String(text) => Value::String(text.clone()),
            Content::List(items) => items.iter().map(Node::to_json).collect(),
            Content::Map(fields) => {
                let fields = fields.iter().map(|field| (field.key.clone(), field.node.to_json()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }
}

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it is wrong.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Fault {
    fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), hint: None }
    }

    fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A text that could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its one value.
    pub root: Node,
    /// What is wrong with it all the same, such as a key that stands twice; the first thousand faults.
    pub faults: Vec<Fault>,
}

/// Reads a text of at most [`MAX_BYTES`] bytes; an empty one is null.
///
/// # Errors
/// The fault that makes it unreadable: it is too large, not UTF-8, not YAML, or too deeply nested.
pub fn parse_bytes(bytes: &[u8]) -> Result<Document, Fault> {
    let text = text::decode(bytes)?;
    build::document(&surrogates::join(text))
}
