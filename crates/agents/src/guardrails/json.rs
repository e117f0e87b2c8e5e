//! Strings and numbers within the text of a JSON document, so that each can be changed and the rest stays as it was.
//!
//! Works on the text and not on its value: a value forgets members that are there twice, and how things were written.

use std::ops::Range;

/// A string or number within a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    /// Its bytes, quotes included.
    pub(super) span: Range<usize>,
    /// What it says.
    pub(super) text: String,
}

/// Tells whether a text is an object or a list.
pub(super) fn is_document(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Gives the strings of a text that are no names of members, and its numbers where it is whole JSON.
pub(super) fn leaves(text: &str, with_numbers: bool) -> Vec<Leaf> {
    let bytes = text.as_bytes();
    let (mut leaves, mut at) = (Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let end = match byte {
            b'"' => string_end(bytes, at),
            b'-' | b'0'..=b'9' if with_numbers => number_end(bytes, at),
            _ => {
                at += 1;
                continue;
            }
        };
        let span = at..end;
        let written = text.get(span.clone()).unwrap_or_default();
        if *byte == b'"' {
            if !is_name(bytes, end) {
                leaves.push(Leaf { span, text: unescaped(written) });
            }
        } else {
            leaves.push(Leaf { span, text: written.to_owned() });
        }
        at = end;
    }
    leaves
}

/// Puts other texts in the place of leaves.
pub(super) fn replaced(text: &str, changes: &[(Range<usize>, String)]) -> String {
    let (mut whole, mut at) = (String::with_capacity(text.len()), 0);
    for (span, said) in changes {
        whole.push_str(text.get(at..span.start).unwrap_or_default());
        whole.push_str(&serde_json::Value::from(said.as_str()).to_string());
        at = span.end;
    }
    whole.push_str(text.get(at..).unwrap_or_default());
    whole
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn number_end(bytes: &[u8], start: usize) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    let length =
        rest.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    start + length.count()
}

fn is_name(bytes: &[u8], end: usize) -> bool {
    let rest = bytes.get(end..).unwrap_or_default();
    rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

fn unescaped(written: &str) -> String {
    serde_json::from_str(written).unwrap_or_else(|_| {
        let inner = written.strip_prefix('"').unwrap_or(written);
        // A string that broke off still says what its beginning says.
        let repaired = format!("\"{}\"", inner.strip_suffix('"').unwrap_or(inner));
        serde_json::from_str(&repaired).unwrap_or_else(|_| inner.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_read_unescaped_and_names_are_left_out() {
        let text = r#"{"a@b.c": "x\u0040y", "n": [1.5, "z\"q"], "b": "cut of"#;
        let said: Vec<_> = leaves(text, false).into_iter().map(|leaf| leaf.text).collect();
        assert_eq!(said, ["x@y", "z\"q", "cut of"]);
        let whole = r#"{"a": 12, "a": "twice", "b": -3e4}"#;
        assert!(is_document(whole) && !is_document(text));
        let said: Vec<_> = leaves(whole, true).into_iter().map(|leaf| leaf.text).collect();
        assert_eq!(said, ["12", "twice", "-3e4"]);
    }

    #[test]
    fn only_changed_leaves_are_written_anew() {
        let text = r#"{ "a" : "x" ,"b": "\u0041" }"#;
        let first = leaves(text, true).remove(0);
        assert_eq!(replaced(text, &[(first.span, "[\"]".to_owned())]), r#"{ "a" : "[\"]" ,"b": "\u0041" }"#);
    }
}
