//! JSON writes characters beyond U+FFFF as two escapes, `\ud83d\ude00`, which YAML does not know.
//!
//! The pairs of a JSON text are written as one YAML escape each, and remembered, so that places stay those of the file.

use std::borrow::Cow;

use super::Place;

/// A text for the YAML scanner, and where it is shorter than the file.
pub(super) struct Joined<'t> {
    pub(super) text: Cow<'t, str>,
    /// Places right after each joined pair, in the text as it is now.
    pairs: Vec<Place>,
}

/// How many characters shorter a joined pair is: twelve in JSON, ten in YAML.
const SHORTER: usize = 2;

impl Joined<'_> {
    /// Gives the place in the file.
    pub(super) fn in_file(&self, place: Place) -> Place {
        let before = self.pairs.partition_point(|pair| *pair <= place);
        let earlier_lines = self.pairs.partition_point(|pair| pair.line < place.line);
        Place { column: place.column + SHORTER * (before - earlier_lines), ..place }
    }
}

pub(super) fn join(text: &str) -> Joined<'_> {
    let is_json = text.trim_start().starts_with(['{', '[']);
    if !is_json || !text.contains("\\u") {
        return Joined { text: Cow::Borrowed(text), pairs: Vec::new() };
    }
    let (mut joined, mut pairs, mut place) = (String::with_capacity(text.len()), Vec::new(), Place::START);
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let mut length = character.len_utf8();
        let mut columns = 1;
        if character == '\\' {
            if let Some(code) = pair(rest) {
                joined.push_str(&format!("\\U{code:08X}"));
                rest = rest.get(12..).unwrap_or_default();
                place.column += 10;
                pairs.push(place);
                continue;
            }
            // The character after a backslash belongs to it, so that `\\ud83d` stays what it is.
            let escaped = rest.chars().nth(1).filter(|escaped| !matches!(escaped, '\n' | '\r'));
            length += escaped.map_or(0, char::len_utf8);
            columns += usize::from(escaped.is_some());
        }
        let (piece, after) = rest.split_at(length);
        joined.push_str(piece);
        rest = after;
        let breaks = character == '\n' || (character == '\r' && !rest.starts_with('\n'));
        place = if breaks {
            Place { line: place.line + 1, column: 1 }
        } else {
            Place { column: place.column + columns, ..place }
        };
    }
    Joined { text: Cow::Owned(joined), pairs }
}

/// Reads two escapes at the start of a text as one character.
fn pair(text: &str) -> Option<u32> {
    let high = unit(text.get(..6)?).filter(|unit| (0xd800..0xdc00).contains(unit))?;
    let low = unit(text.get(6..12)?).filter(|unit| (0xdc00..0xe000).contains(unit))?;
    Some(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))
}

fn unit(escape: &str) -> Option<u32> {
    let digits =
        escape.strip_prefix("\\u").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok()
}
