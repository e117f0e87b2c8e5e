//! Values that must never be shown: API keys and the like.
//!
//! A [`Secret`] cannot be serialised and prints as a mask; only `expose` gives the text, at the place that sends it.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

/// Bytes below which a secret is short: no service gives out keys of this length.
const SHORT: usize = 8;

/// A text that `Debug`, `Display`, logs, errors, and serialised settings never contain.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// Gives the text, for sending it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Gives a form for people: the last four characters of a long secret, nothing of a short one.
    #[must_use]
    pub fn masked(&self) -> String {
        let text = self.expose();
        let count = text.chars().count();
        if count < 16 {
            return "****".to_owned();
        }
        format!("****{}", text.chars().skip(count - 4).collect::<String>())
    }

    /// Replaces every occurrence of the secret in a text by a mask.
    ///
    /// A short one, such as the `x` that local servers are given, is only masked where it stands as a word of its own:
    /// inside other words it tells nothing, and masking it there would spoil the text.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let secret = self.expose();
        if secret.is_empty() {
            return text.to_owned();
        }
        if secret.len() >= SHORT {
            return text.replace(secret, "****");
        }
        let mut redacted = String::with_capacity(text.len());
        let mut rest = 0;
        for (start, found) in text.match_indices(secret) {
            let (before, after) = text.split_at(start);
            let after = after.strip_prefix(found).unwrap_or_default();
            if !before.ends_with(is_in_word) && !after.starts_with(is_in_word) {
                redacted.push_str(before.get(rest..).unwrap_or_default());
                redacted.push_str("****");
                rest = start + found.len();
            }
        }
        redacted.push_str(text.get(rest..).unwrap_or_default());
        redacted
    }
}

fn is_in_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '-'
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(****)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_shows_the_text() {
        let secret = Secret::new("sk-abcdefghijklmnop1234");
        assert_eq!(format!("{secret:?}"), "Secret(****)");
        assert_eq!(secret.masked(), "****1234");
        assert_eq!(Secret::new("short").masked(), "****");
        assert_eq!(secret.redact("bad key sk-abcdefghijklmnop1234!"), "bad key ****!");
    }

    #[test]
    fn a_short_secret_is_masked_as_a_word_and_spoils_no_other() {
        let masked = |secret: &str, text: &str| Secret::new(secret).redact(text);
        assert_eq!(masked("k", "check key `k`, k"), "check key `****`, ****");
        assert_eq!(
            masked("tok", r#"{"budget_tokens": 1, "a": "tok"}"#),
            r#"{"budget_tokens": 1, "a": "****"}"#
        );
        assert_eq!(masked("12345678", "x12345678x"), "x****x");
        assert_eq!(masked("é", "né é"), "né ****");
    }
}
