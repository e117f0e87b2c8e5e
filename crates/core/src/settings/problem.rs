//! What is wrong with a setting, before it is known where it stands.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// A message and what to do about it. It passes through other crates' errors as JSON, for those carry only a text.
#[derive(Serialize, Deserialize)]
pub(super) struct Problem {
    message: String,
    hint: Option<String>,
}

impl Problem {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Wraps it into the error of a deserializer.
    pub(super) fn carried<E: serde::de::Error>(self) -> E {
        E::custom(serde_json::to_string(&self).unwrap_or(self.message))
    }

    /// Finds it in the message of a deserializer's error; `None` when the error is the deserializer's own.
    pub(super) fn carried_by(message: &str) -> Option<Self> {
        serde_json::from_str(message).ok()
    }

    /// Makes the error, with the facts that tell where the problem is.
    pub(super) fn at(self, place: &[(&'static str, String)]) -> Error {
        let error = Error::new(ErrorKind::Configuration, self.message);
        let error =
            place.iter().fold(error, |error, (name, value)| error.with_context(*name, value.as_str()));
        match self.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}
