//! Every dialect, as rows.

pub mod anthropic_messages;
pub mod bedrock_converse;
pub mod cohere_chat;
pub mod gemini_generate;
pub mod gemini_interactions;
pub mod ollama_chat;
pub mod openai_chat;
pub mod openai_responses;

use motet_core::{Error, ErrorKind, Result};

use crate::dialect::Dialect;

/// Every dialect, in the order shown to users.
pub const ALL: &[&dyn Dialect] = &[
    &openai_chat::OpenAiChat,
    &openai_responses::OpenAiResponses,
    &anthropic_messages::AnthropicMessages,
    &gemini_generate::GeminiGenerate,
    &gemini_interactions::GeminiInteractions,
    &bedrock_converse::BedrockConverse,
    &cohere_chat::CohereChat,
    &ollama_chat::OllamaChat,
];

/// Finds a dialect by its name.
///
/// # Errors
/// `Configuration` naming the dialects there are.
pub fn find(name: &str) -> Result<&'static dyn Dialect> {
    ALL.iter().find(|dialect| dialect.name() == name).copied().ok_or_else(|| {
        let names: Vec<String> = ALL.iter().map(|dialect| format!("`{}`", dialect.name())).collect();
        Error::new(ErrorKind::Configuration, format!("there is no dialect `{name}`"))
            .with_hint(format!("dialects are {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_is_one_file() {
        let mut files: Vec<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/dialects"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().replace('_', "-"))
            .collect();
        files.sort();
        let mut names: Vec<&str> = ALL.iter().map(|dialect| dialect.name()).collect();
        names.sort_unstable();
        assert_eq!(files, names);
        assert!(ALL.iter().all(|dialect| dialect.doc().ends_with('.')));
    }

    #[test]
    fn an_unknown_dialect_is_an_error_that_lists_the_known_ones() {
        let error = find("soap").err().unwrap();
        assert!(error.hint().unwrap().contains("`openai-chat`"));
    }
}
