//! What a server told beside the protocol, kept short for the errors that need it: its complaints on standard error, and
//! lines on standard output that are not the protocol.
//!
//! Shows no value of the server's environment and headers.

use std::sync::{Mutex, MutexGuard, PoisonError};

use motet_core::Secret;

/// Bytes kept of standard error, the last ones.
const KEPT: usize = 4096;
/// Characters of it that an error shows.
const SHOWN: usize = 600;
/// Bytes looked at of what is shown by its beginning.
const LOOKED_AT: usize = 64 << 10;
/// Characters shown of a line that is not the protocol.
const STRAY: usize = 120;
/// Values shorter than this are words such as `true`, which masking would tear out of every text.
const SHORTEST_SECRET: usize = 8;

/// What was told so far.
#[derive(Debug, Default)]
pub(crate) struct Told {
    secrets: Vec<Secret>,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    complaints: Vec<u8>,
    stray_lines: u64,
    first_stray: String,
    /// Why the connection was given up, where that was our choice.
    given_up: Option<String>,
}

impl Told {
    /// Keeps nothing yet; these values are masked in all that is shown.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a String>) -> Self {
        let secrets = secrets.into_iter().filter(|value| value.len() >= SHORTEST_SECRET);
        Self { secrets: secrets.map(Secret::new).collect(), heard: Mutex::default() }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a piece of standard error.
    pub(crate) fn complained(&self, piece: &[u8]) {
        let kept = &mut self.heard().complaints;
        kept.extend_from_slice(piece);
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
    }

    /// Takes a line of standard output that is not the protocol.
    pub(crate) fn strayed(&self, line: &[u8]) {
        let mut heard = self.heard();
        if heard.stray_lines == 0 {
            heard.first_stray = self.beginning(line, STRAY);
        }
        heard.stray_lines += 1;
    }

    /// Says why the connection is given up.
    pub(crate) fn give_up(&self, why: impl Into<String>) {
        self.heard().given_up = Some(why.into());
    }

    /// Gives the beginning of what a server says, masked before it is cut: half of a value would not be found any more.
    pub(crate) fn beginning(&self, said: &[u8], characters: usize) -> String {
        let said = String::from_utf8_lossy(said.get(..LOOKED_AT).unwrap_or(said));
        self.masked(said.trim()).chars().take(characters).collect()
    }

    /// Masks the values of the server's environment and headers in a text.
    pub(crate) fn masked(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| secret.redact(&text))
    }

    /// Gives what helps to understand a failure, to stand behind its message; empty where nothing was told.
    pub(crate) fn explanation(&self) -> String {
        let heard = self.heard();
        let mut text = String::new();
        if let Some(why) = &heard.given_up {
            text.push_str(&format!("; {why}"));
        }
        if heard.stray_lines > 0 {
            let (line, count) = (&heard.first_stray, heard.stray_lines);
            text.push_str(&format!("; on its standard output is what is not the protocol: `{line}`"));
            if count > 1 {
                text.push_str(&format!(", and {} more", count - 1));
            }
        }
        let complaints = String::from_utf8_lossy(&heard.complaints);
        let lines: Vec<&str> = complaints.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let joined = self.masked(&lines.join(" | "));
        if !joined.is_empty() {
            let skipped = joined.chars().count().saturating_sub(SHOWN);
            let end: String = joined.chars().skip(skipped).collect();
            text.push_str(&format!("; its standard error ends with: {end}"));
        }
        drop(heard);
        self.masked(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_kept_short_and_without_secrets() {
        let told = Told::new([&"hunter2-hunter2".to_owned(), &"true".to_owned()]);
        assert_eq!(told.explanation(), "");
        told.complained(&b"x".repeat(10_000));
        told.complained(b"\nbad key hunter2-hunter2, verbose is true\n");
        told.strayed("hello hunter2-hunter2".as_bytes());
        told.strayed(b"more");
        let long = "s".repeat(700);
        let cut = Told::new([&long]);
        cut.strayed(format!("the token is {long}").as_bytes());
        cut.complained(format!("refused {long}").as_bytes());
        assert!(!cut.explanation().contains("sss"), "{}", cut.explanation());
        let text = told.explanation();
        assert!(text.contains("bad key ****, verbose is true"), "{text}");
        assert!(text.contains("`hello ****`, and 1 more"), "{text}");
        assert!(text.len() < 900, "{}", text.len());
    }
}
