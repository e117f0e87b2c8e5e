//! Reads the text of a `.env` file: names and values, nothing more.
//!
//! Opens no file, sets no variable, replaces no `$name`; its errors never repeat a line, for the line may hold a key.

use crate::error::{Error, ErrorKind, Result};

/// One variable of the file.
pub(super) struct Pair {
    /// Its name.
    pub name: String,
    /// Its value without quotes and escapes.
    pub value: String,
    /// The line on which it begins, from 1.
    pub line: usize,
}

/// Reads `NAME=value` and `export NAME=value` lines; `path` names the file in errors.
///
/// Without quotes a value ends before ` #` and loses the space around it. In double quotes `\n`, `\r`, `\t`, `\\`, `\"`
/// and `\$` are escapes, in single quotes `\\` and `\'`; quoted values may span lines.
pub(super) fn parse(path: &str, text: &str) -> Result<Vec<Pair>> {
    let mut scanner = Scanner { rest: text.trim_start_matches('\u{feff}'), line: 1 };
    let mut pairs = Vec::new();
    while scanner.skip_to_entry() {
        let line = scanner.line;
        let pair = scanner.entry().map_err(|what| {
            Error::new(ErrorKind::Configuration, what)
                .with_context("file", path)
                .with_context("line", line.to_string())
                .with_hint(
                    "write `NAME=value`, with quotes around a value that has spaces at its ends or a `#`",
                )
        })?;
        pairs.push(pair);
    }
    Ok(pairs)
}

struct Scanner<'a> {
    rest: &'a str,
    line: usize,
}

impl Scanner<'_> {
    /// Passes over empty lines and comments; false at the end of the text.
    fn skip_to_entry(&mut self) -> bool {
        loop {
            self.skip_while(char::is_whitespace);
            if !self.rest.starts_with('#') {
                return !self.rest.is_empty();
            }
            self.skip_while(|letter| letter != '\n');
        }
    }

    fn entry(&mut self) -> Result<Pair, &'static str> {
        let line = self.line;
        if let Some(after) = self.rest.strip_prefix("export").filter(|after| after.starts_with([' ', '\t'])) {
            self.rest = after;
            self.skip_blanks();
        }
        let name =
            self.take_while(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-'));
        self.skip_blanks();
        if name.is_empty() || name.starts_with(|letter: char| letter.is_ascii_digit()) {
            return Err("a line does not begin with the name of a variable");
        }
        self.rest = self.rest.strip_prefix('=').ok_or("there is no `=` after the name of a variable")?;
        self.skip_blanks();
        let value = match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote)?,
            _ => self.bare(),
        };
        Ok(Pair { name, value, line })
    }

    fn bare(&mut self) -> String {
        let line = self.take_while(|letter| letter != '\n');
        let mut before = ' ';
        let end = line.find(|letter: char| {
            let comment = letter == '#' && before.is_whitespace();
            before = letter;
            comment
        });
        line.get(..end.unwrap_or(line.len())).unwrap_or_default().trim().to_owned()
    }

    fn quoted(&mut self, quote: char) -> Result<String, &'static str> {
        self.bump();
        let mut value = String::new();
        loop {
            match self.bump().ok_or("a quoted value has no closing quote")? {
                letter if letter == quote => break,
                '\\' => {
                    let next = self.bump().ok_or("a quoted value has no closing quote")?;
                    match unescape(quote, next) {
                        Some(letter) => value.push(letter),
                        None => value.extend(['\\', next]),
                    }
                }
                letter => value.push(letter),
            }
        }
        let after = self.take_while(|letter| letter != '\n');
        let after = after.trim();
        if after.is_empty() || after.starts_with('#') {
            Ok(value)
        } else {
            Err("there is text after the closing quote of a value")
        }
    }

    fn skip_blanks(&mut self) {
        self.skip_while(|letter| matches!(letter, ' ' | '\t'));
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.rest.starts_with(&wanted) {
            self.bump();
        }
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while self.rest.starts_with(&wanted) {
            taken.extend(self.bump());
        }
        taken
    }

    fn bump(&mut self) -> Option<char> {
        let mut letters = self.rest.chars();
        let letter = letters.next()?;
        self.rest = letters.as_str();
        self.line += usize::from(letter == '\n');
        Some(letter)
    }
}

/// Gives what a backslash and this letter mean between such quotes; `None` when the backslash stands for itself.
fn unescape(quote: char, letter: char) -> Option<char> {
    match (quote, letter) {
        (_, '\\') => Some('\\'),
        (quote, letter) if quote == letter => Some(letter),
        ('"', 'n') => Some('\n'),
        ('"', 'r') => Some('\r'),
        ('"', 't') => Some('\t'),
        ('"', '$') => Some('$'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        parse(".env", text).unwrap().into_iter().map(|pair| (pair.name, pair.value)).collect()
    }

    #[test]
    fn every_form_of_a_value_is_read() {
        for (text, expected) in [
            ("A=1", "1"),
            ("A=1\r\n", "1"),
            ("\u{feff}A=1", "1"),
            ("  A = spaced out  ", "spaced out"),
            ("export A=1", "1"),
            ("A=", ""),
            ("A=#none", ""),
            ("A= # none", ""),
            ("A=x#y # comment", "x#y"),
            ("A=it's", "it's"),
            ("A=$HOME/${B}", "$HOME/${B}"),
            ("A=a=b==", "a=b=="),
            ("A=\" x # y \" # comment", " x # y "),
            (r#"A="a\n\t\r\\\"\$\w""#, "a\n\t\r\\\"$\\w"),
            (r"A='a\n\'\\'", r"a\n'\"),
            ("A=\"two\nlines\"", "two\nlines"),
            ("A=''", ""),
            ("A='Grüße'", "Grüße"),
        ] {
            assert_eq!(read(text), [("A".to_owned(), expected.to_owned())], "{text:?}");
        }
    }

    #[test]
    fn comments_and_empty_lines_are_passed_over_and_lines_are_counted() {
        let pairs = parse(".env", "# keys\n\nA='1\n2'\n  # more\nexport\tB.c-d=x\n#end").unwrap();
        let seen: Vec<_> = pairs.iter().map(|pair| (pair.name.as_str(), pair.line)).collect();
        assert_eq!(seen, [("A", 3), ("B.c-d", 6)]);
    }

    #[test]
    fn a_malformed_line_is_named_by_number_and_never_shown() {
        for (text, line, what) in [
            ("A=1\nsk-secret", 2, "there is no `=` after the name of a variable"),
            ("A=1\nexport A", 2, "there is no `=` after the name of a variable"),
            ("\n\n=sk-secret", 3, "a line does not begin with the name of a variable"),
            ("1A=sk-secret", 1, "a line does not begin with the name of a variable"),
            ("A=1\nB=\"sk-secret\nC=2\n", 2, "a quoted value has no closing quote"),
            ("B='sk-secret\\", 1, "a quoted value has no closing quote"),
            ("B='x' sk-secret", 1, "there is text after the closing quote of a value"),
        ] {
            let Err(error) = parse("dir/.env", text) else { panic!("{text:?} was accepted") };
            assert_eq!(error.to_string(), format!("{what} (file: dir/.env, line: {line})"));
            assert!(!format!("{error:?}").contains("sk-secret"));
        }
    }
}
