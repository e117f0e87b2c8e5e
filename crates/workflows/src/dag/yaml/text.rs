//! From bytes to text: what is no UTF-8 text is refused with the place of the first bad byte.

use super::{Fault, MAX_BYTES, Place};

pub(super) fn decode(bytes: &[u8]) -> Result<&str, Fault> {
    if bytes.len() > MAX_BYTES {
        let message = format!(
            "the file has {} MiB, but at most {} MiB are read",
            bytes.len().div_ceil(1 << 20),
            MAX_BYTES >> 20
        );
        return Err(
            Fault::new(Place::START, message).with_hint("keep data in files of their own and name those")
        );
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Fault::new(Place::START, "the file is UTF-16, not UTF-8").with_hint("save it as UTF-8"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match text.find(|character: char| {
        character.is_ascii_control() && !matches!(character, '\t' | '\n' | '\r' | '\x7f')
    }) {
        None => Ok(text),
        Some(at) => Err(control_character(text, at)),
    }
}

fn not_utf8(bytes: &[u8], at: usize) -> Fault {
    let before = bytes.get(..at).and_then(|valid| std::str::from_utf8(valid).ok()).unwrap_or_default();
    let before = before.strip_prefix('\u{feff}').unwrap_or(before);
    let byte = bytes.get(at).copied().unwrap_or_default();
    Fault::new(end_of(before), format!("the byte 0x{byte:02x} is not UTF-8"))
        .with_hint("save the file as UTF-8")
}

fn control_character(text: &str, at: usize) -> Fault {
    let (before, from) = text.split_at(at);
    let code = from.chars().next().map_or(0, u32::from);
    Fault::new(end_of(before), format!("the control character U+{code:04X} is not allowed")).with_hint(
        "save the file as UTF-8 text; in double quotes such a character can be written as an escape",
    )
}

/// Gives the place right after a text: where the next character stands.
fn end_of(text: &str) -> Place {
    let mut place = Place::START;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let breaks = character == '\n' || (character == '\r' && characters.peek() != Some(&'\n'));
        place = if breaks {
            Place { line: place.line + 1, column: 1 }
        } else {
            Place { column: place.column + 1, ..place }
        };
    }
    place
}
