//! Reads a cassette line by line, and says of a wrong line which one it is and why.

use serde::Deserialize;
use serde_json::Value;

use super::{Cassette, Header, Line, VERSION};
use crate::error::{Error, ErrorKind, Result};

/// Takes the lines of a cassette, one by one.
#[derive(Debug, Default)]
pub struct Reader {
    cassette: Option<Cassette>,
    lines: u64,
    ended: bool,
}

/// What every version has in its first line.
#[derive(Deserialize)]
struct Version {
    cassette: u32,
}

impl Reader {
    /// Reads a whole text.
    ///
    /// # Errors
    /// As [`line`](Self::line) and [`finish`](Self::finish).
    pub fn read(text: &str) -> Result<Cassette> {
        let mut reader = Self::default();
        text.lines().try_for_each(|line| reader.line(line))?;
        reader.finish()
    }

    /// Takes the next line.
    ///
    /// # Errors
    /// `InvalidRequest` with the line's number when it is wrong; `Unsupported` when a newer Motet wrote it.
    pub fn line(&mut self, line: &str) -> Result<()> {
        self.lines += 1;
        if line.trim().is_empty() {
            return Ok(());
        }
        match &mut self.cassette {
            None => self.cassette = Some(Cassette::new(header(line, self.lines)?)),
            Some(_) if self.ended => return Err(wrong(self.lines, "something follows the end")),
            Some(cassette) => {
                let line: Line = serde_json::from_str(line).map_err(|error| at(self.lines, &error))?;
                self.ended = matches!(line, Line::End { .. });
                cassette.add(line).map_err(|error| {
                    let hint = error.hint().unwrap_or_default().to_owned();
                    wrong(self.lines, error.message()).with_hint(hint)
                })?;
            }
        }
        Ok(())
    }

    /// Gives the cassette when all lines are taken.
    ///
    /// # Errors
    /// `InvalidRequest` when the last line is missing.
    pub fn finish(self) -> Result<Cassette> {
        match self.cassette {
            Some(cassette) if self.ended => Ok(cassette),
            Some(_) => Err(wrong(self.lines, "the cassette breaks off here; its end is missing")
                .with_hint("it was not written or copied to its end; export the run again")),
            None => Err(no_cassette(1, "it is empty")),
        }
    }
}

fn header(line: &str, number: u64) -> Result<Header> {
    let value: Value = serde_json::from_str(line)
        .map_err(|error| no_cassette(number, &format!("it is not JSON: {}", reason(&error))))?;
    let Version { cassette } = Version::deserialize(&value)
        .map_err(|_| no_cassette(number, "its first line has no field `cassette` with a version"))?;
    if cassette == 0 || cassette > VERSION {
        let message = format!(
            "line {number}: the cassette has version {cassette}, and this Motet reads up to {VERSION}"
        );
        return Err(Error::new(ErrorKind::Unsupported, message)
            .with_hint("read it with the version of Motet that wrote it, or a later one"));
    }
    Header::deserialize(value).map_err(|error| at(number, &error))
}

fn wrong(line: u64, message: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("line {line}: {message}"))
}

fn no_cassette(line: u64, message: &str) -> Error {
    wrong(line, &format!("this is no cassette: {message}")).with_hint("`motet log export RUN` writes one")
}

fn at(line: u64, error: &serde_json::Error) -> Error {
    wrong(line, &format!("it cannot be read: {}", reason(error)))
        .with_hint("the cassette is damaged; export the run again")
}

/// Gives what the parser found without its own count of lines, which are always one.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line 1 column ") {
        Some((reason, column)) => format!("{reason} at column {column}"),
        None => text,
    }
}
