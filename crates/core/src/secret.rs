//! Values that must never be shown: API keys and the like.
//!
//! A [`Secret`] cannot be serialised and prints as a mask; only `expose` gives the text, at the place that sends it.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

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
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let secret = self.expose();
        if secret.is_empty() { text.to_owned() } else { text.replace(secret, "****") }
    }
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
}
