//! Reads texts into templates. Looks at each character once, and never at values.

use super::{Malformed, Reference, Segment, Step, Template};

/// How much of a malformed reference an error shows.
const SHOWN: usize = 40;

pub(super) fn template(text: &str) -> Result<Template, Malformed> {
    let mut segments = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        if let Some(after) = from.strip_prefix("$${") {
            plain.push_str("${");
            rest = after;
        } else if let Some(after) = from.strip_prefix("${") {
            let mut path = Path { from, rest: after };
            let reference = path.reference()?;
            if !plain.is_empty() {
                segments.push(Segment::Text(std::mem::take(&mut plain)));
            }
            segments.push(Segment::Reference(reference));
            rest = path.rest;
        } else {
            plain.push('$');
            rest = from.strip_prefix('$').unwrap_or_default();
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        segments.push(Segment::Text(plain));
    }
    match segments.as_slice() {
        [Segment::Reference(reference)] => Ok(Template::Whole(reference.clone())),
        _ => Ok(Template::Mixed(segments)),
    }
}

/// The inside of one `${…}`.
struct Path<'a> {
    /// The text from `${` on.
    from: &'a str,
    /// What is still to be read.
    rest: &'a str,
}

impl Path<'_> {
    fn reference(&mut self) -> Result<Reference, Malformed> {
        let inside = self.rest;
        let root = self.name()?;
        let mut path = Vec::new();
        loop {
            self.rest = self.rest.trim_start();
            if let Some(after) = self.rest.strip_prefix('}') {
                if root.is_empty() && path.is_empty() {
                    return Err(self.malformed("names nothing"));
                }
                let text = inside.get(..inside.len() - self.rest.len()).unwrap_or_default().trim().to_owned();
                self.rest = after;
                return Ok(Reference { text, root, path });
            }
            if root.is_empty() {
                return Err(self.malformed("names no task before its path"));
            }
            path.push(self.step()?);
        }
    }

    fn step(&mut self) -> Result<Step, Malformed> {
        if let Some(after) = self.rest.strip_prefix('.') {
            self.rest = after;
            let name = self.name()?;
            if name.is_empty() {
                return Err(self.malformed("has nothing after a `.`"));
            }
            return Ok(Step::Field(name));
        }
        if let Some(after) = self.rest.strip_prefix('[') {
            self.rest = after.trim_start();
            return self.bracket();
        }
        match self.rest.chars().next() {
            Some(other) => Err(self.malformed(&format!("has `{other}` where `.`, `[`, or `}}` is expected"))),
            None => Err(self.unclosed()),
        }
    }

    /// Reads a name up to the next character of the path, without the spaces around it.
    fn name(&mut self) -> Result<String, Malformed> {
        let Some(end) = self.rest.find(super::RESERVED_CHARACTERS) else { return Err(self.unclosed()) };
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        match rest.chars().next() {
            Some(found @ ('{' | '$' | '"' | ']')) => {
                Err(self.malformed(&format!("has `{found}` in a name; write such keys as `[\"…\"]`")))
            }
            _ if name.trim().contains(char::is_control) => Err(self.malformed("has a line break in a name")),
            _ => Ok(name.trim().to_owned()),
        }
    }

    fn bracket(&mut self) -> Result<Step, Malformed> {
        let quote = self.rest.chars().next().filter(|first| matches!(first, '"' | '\''));
        let step = match quote {
            Some(quote) => Step::Field(self.quoted(quote)?),
            None => {
                let Some(end) = self.rest.find([']', '}']) else { return Err(self.unclosed()) };
                let (inside, rest) = self.rest.split_at(end);
                self.rest = rest;
                match inside.trim() {
                    "*" => Step::Each,
                    digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                        Step::Index(
                            digits.parse().map_err(|_| self.malformed("has an index that is too large"))?,
                        )
                    }
                    other => {
                        let why =
                            format!("has `[{other}`; brackets hold an index from 0, `*`, or a key in quotes");
                        return Err(self.malformed(&why));
                    }
                }
            }
        };
        self.rest = self.rest.trim_start();
        let Some(after) = self.rest.strip_prefix(']') else {
            return Err(self.malformed("has a `[` without its `]`"));
        };
        self.rest = after;
        Ok(step)
    }

    /// Reads a key in quotes; a backslash takes the next character as it is.
    fn quoted(&mut self, quote: char) -> Result<String, Malformed> {
        let mut key = String::new();
        let mut characters = self.rest.chars();
        characters.next();
        while let Some(character) = characters.next() {
            match character {
                '\\' => key.extend(characters.next()),
                end if end == quote => {
                    self.rest = characters.as_str();
                    return Ok(key);
                }
                other => key.push(other),
            }
        }
        Err(self.malformed("has a key whose quote is not closed"))
    }

    fn unclosed(&self) -> Malformed {
        self.malformed("is not closed by `}`")
    }

    /// Says what is wrong with the reference, showing as much of it as was read.
    fn malformed(&self, why: &str) -> Malformed {
        let line = self.from.lines().next().unwrap_or_default();
        let end = line.find('}').map_or(line.len(), |end| end + 1);
        let shown: String = line.get(..end).unwrap_or(line).chars().take(SHOWN).collect();
        let dots = if shown.len() < end { "…" } else { "" };
        Malformed { message: format!("the reference `{shown}{dots}` {why}") }
    }
}
