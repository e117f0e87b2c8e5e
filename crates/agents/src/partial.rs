//! Reads JSON while it arrives: gives the best value so far after every piece, and never fails.
//!
//! Checks nothing against a schema; the whole answer is checked by the machine.

mod reader;
mod stream;

use serde_json::Value;

use self::reader::Reader;
pub use self::stream::{StructuredStream, structured_stream};

/// A JSON text in the making.
///
/// What is given is always a beginning of the whole: texts may be shorter, arrays and objects may lack what comes later,
/// and a number, a word, or a key is there as soon as its end is known. JSON within a code fence, which models like to
/// write, is read too. Of a text that is not JSON, what came before the mistake stays.
///
/// ```
/// use motet_agents::PartialJson;
/// use serde_json::json;
///
/// let mut partial = PartialJson::default();
/// partial.push("{\"title\": \"The Se");
/// assert_eq!(partial.value(), Some(json!({"title": "The Se"})));
/// partial.push("a\", \"year\": 19");
/// assert_eq!(partial.value(), Some(json!({"title": "The Sea"})));
/// partial.push("78}");
/// assert_eq!(partial.value(), Some(json!({"title": "The Sea", "year": 1978})));
/// ```
#[derive(Debug, Clone, Default)]
pub struct PartialJson {
    place: Place,
    /// Text before the JSON, as long as it may hold a code fence.
    before: String,
    reader: Reader,
}

/// Where in the text the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    /// Before everything.
    #[default]
    Start,
    /// In words before a code fence.
    Words,
    /// In the line that begins a code fence.
    Fence,
    /// In the JSON.
    Json,
}

const FENCE: &str = "```";

impl PartialJson {
    /// Takes the next piece; gives whether the value changed by it.
    pub fn push(&mut self, piece: &str) -> bool {
        let before = self.reader.changes();
        for c in piece.chars() {
            self.take(c);
        }
        self.reader.changes() != before
    }

    /// Gives the value so far; `None` as long as there is none.
    #[must_use]
    pub fn value(&self) -> Option<Value> {
        self.reader.value()
    }

    /// Tells whether the value is whole: what follows does not change it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.reader.is_whole()
    }

    /// Says that nothing follows, which ends a number that stands alone; gives the value.
    #[must_use]
    pub fn finish(mut self) -> Option<Value> {
        if self.place == Place::Words && !self.before.contains(FENCE) {
            self.before.chars().for_each(|c| self.reader.take(c));
        }
        self.reader.take('\n');
        self.reader.value()
    }

    fn take(&mut self, c: char) {
        match self.place {
            Place::Start if c.is_whitespace() => {}
            Place::Start if matches!(c, '{' | '[' | '"') => {
                self.place = Place::Json;
                self.reader.take(c);
            }
            Place::Start => {
                self.place = Place::Words;
                self.before.push(c);
            }
            Place::Words => {
                self.before.push(c);
                if self.before.ends_with(FENCE) {
                    self.place = Place::Fence;
                }
            }
            // The language is named up to the end of the line, unless the JSON begins at once.
            Place::Fence if c == '\n' => self.place = Place::Json,
            Place::Fence if matches!(c, '{' | '[' | '"') => {
                self.place = Place::Json;
                self.reader.take(c);
            }
            Place::Fence => {}
            Place::Json => self.reader.take(c),
        }
    }
}

#[cfg(test)]
mod tests;
