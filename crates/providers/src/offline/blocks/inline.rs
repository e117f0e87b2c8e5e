//! Takes inline Markdown away: emphasis, code, links, images, and escapes.

/// Longest text or address of a link, in bytes.
const LONGEST_LINK: usize = 1000;

/// Gives the text without inline markup and without double spaces.
pub(crate) fn plain(text: &str) -> String {
    let text = text.trim();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let after = rest.get(character.len_utf8()..).unwrap_or_default();
        let before = out.chars().next_back();
        rest = match character {
            '\\' if after.starts_with(|c: char| c.is_ascii_punctuation()) => {
                out.extend(after.chars().next());
                after.get(1..).unwrap_or_default()
            }
            '!' if after.starts_with('[') => after,
            '[' => match link(after) {
                Some((inner, beyond)) => {
                    out.push_str(&plain(inner));
                    beyond
                }
                None => {
                    out.push('[');
                    after
                }
            },
            '`' => after,
            '*' if !is_operator(before, after) => after,
            '_' if !(joins(before) && after.starts_with(char::is_alphanumeric)) => after,
            '<' if after.starts_with("http") || address_ends(after) => after,
            '>' if before.is_some_and(|c| !c.is_whitespace()) => after,
            c if c.is_whitespace() => {
                if before.is_some_and(|c| c != ' ') {
                    out.push(' ');
                }
                after
            }
            other => {
                out.push(other);
                after
            }
        };
    }
    out.truncate(out.trim_end().len());
    out
}

/// Reads `text](address)`; gives the text and what stands behind.
fn link(after: &str) -> Option<(&str, &str)> {
    let end = window(after).find("](")?;
    let (inner, beyond) = (after.get(..end)?, after.get(end + 2..)?);
    if inner.contains(['[', '\n']) {
        return None;
    }
    let close = window(beyond).find(')')?;
    Some((inner, beyond.get(close + 1..)?))
}

/// Gives the start of a text, so that a mark without its partner costs no search of all the rest.
fn window(text: &str) -> &str {
    let end = (0..=LONGEST_LINK.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

fn is_operator(before: Option<char>, after: &str) -> bool {
    before.is_none_or(char::is_whitespace) && after.starts_with(char::is_whitespace)
}

fn joins(before: Option<char>) -> bool {
    before.is_some_and(char::is_alphanumeric)
}

/// Tells whether a bracket opens a mail address.
fn address_ends(after: &str) -> bool {
    window(after).split_once('>').is_some_and(|(inner, _)| inner.contains('@') && !inner.contains(' '))
}
