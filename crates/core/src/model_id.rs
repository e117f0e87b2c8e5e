//! Names of models: which provider, and which model there.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, ErrorKind};

/// A provider's name and its model's name, written `provider:model`; `provider/model` is read too.
///
/// The first `:` or `/` divides, so `openrouter:meta-llama/llama-3` and `ollama:llama3.2:latest` mean what they say.
///
/// ```
/// use motet_core::ModelId;
/// let id: ModelId = "ollama:llama3.2:latest".parse()?;
/// assert_eq!((id.provider(), id.model()), ("ollama", "llama3.2:latest"));
/// assert_eq!("openai/gpt-4o".parse::<ModelId>()?.to_string(), "openai:gpt-4o");
/// # Ok::<(), motet_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId {
    provider: Arc<str>,
    model: Arc<str>,
}

impl ModelId {
    /// Makes an id from its two parts.
    ///
    /// # Errors
    /// `Configuration` when a part is empty or the provider's name is not made of lower-case letters, digits, `-` and `_`.
    pub fn new(provider: impl Into<String>, model: impl Into<String>) -> Result<Self, Error> {
        let (provider, model) = (provider.into(), model.into());
        let named = !provider.is_empty()
            && provider
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        if !named || model.trim().is_empty() {
            return Err(malformed(&format!("{provider}:{model}")));
        }
        Ok(Self { provider: provider.into(), model: model.into() })
    }

    /// Gives the provider's name.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Gives the model's name as the provider knows it.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }
}

fn malformed(text: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("`{text}` is not a model id"))
        .with_hint("write it as `provider:model`, for example `openai:gpt-4o-mini` or `offline:extract`")
}

impl FromStr for ModelId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (provider, model) = text.split_once([':', '/']).ok_or_else(|| malformed(text))?;
        ModelId::new(provider, model).map_err(|_| malformed(text))
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.provider, self.model)
    }
}

impl Serialize for ModelId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ModelId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_separators_are_read_and_one_is_written() {
        for (text, provider, model) in [
            ("openai:gpt-4o", "openai", "gpt-4o"),
            ("openai/gpt-4o", "openai", "gpt-4o"),
            ("openrouter:meta/llama:free", "openrouter", "meta/llama:free"),
            ("scripted:./a/b.json", "scripted", "./a/b.json"),
        ] {
            let id: ModelId = text.parse().unwrap();
            assert_eq!((id.provider(), id.model()), (provider, model), "{text}");
            assert_eq!(id.to_string().parse::<ModelId>().unwrap(), id);
        }
    }

    #[test]
    fn a_text_without_both_parts_is_refused_with_an_example() {
        for text in ["", "gpt-4o", ":gpt", "openai:", "Open AI:x", "openai: "] {
            let error = text.parse::<ModelId>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{text}");
            assert!(error.hint().unwrap().contains("provider:model"));
        }
    }
}
