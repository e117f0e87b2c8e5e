//! Every wire format of embeddings, as rows.

mod bedrock;
mod cohere;
mod gemini;
mod ollama;
mod openai;
mod vertex;

use motet_core::{Error, ErrorKind, Result};

use crate::dialect::operations::Embedding;

/// Every format of embeddings, in the order shown to users.
pub const ALL: &[&dyn Embedding] =
    &[&openai::OpenAi, &gemini::Gemini, &vertex::Vertex, &cohere::Cohere, &ollama::Ollama, &bedrock::Bedrock];

/// Finds a format by its name.
///
/// # Errors
/// `Configuration` naming the formats there are.
pub fn find(name: &str) -> Result<&'static dyn Embedding> {
    ALL.iter().find(|format| format.name() == name).copied().ok_or_else(|| {
        let names: Vec<String> = ALL.iter().map(|format| format!("`{}`", format.name())).collect();
        Error::new(ErrorKind::Configuration, format!("there is no format of embeddings `{name}`"))
            .with_hint(format!("formats are {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_one_file() {
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/embeddings")).unwrap();
        let files =
            files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|kind| kind == "rs"));
        assert_eq!(files.count(), ALL.len());
        assert!(ALL.iter().all(|format| format.doc().ends_with('.') && find(format.name()).is_ok()));
        assert!(find("soap").is_err());
    }
}
