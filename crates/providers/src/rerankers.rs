//! Every wire format of reranking, as rows.

mod cohere;

use motet_core::{Error, ErrorKind, Result};

use crate::dialect::operations::Reranking;

/// Every format of reranking, in the order shown to users.
pub const ALL: &[&dyn Reranking] = &[&cohere::Cohere];

/// Finds a format by its name.
///
/// # Errors
/// `Configuration` naming the formats there are.
pub fn find(name: &str) -> Result<&'static dyn Reranking> {
    ALL.iter().find(|format| format.name() == name).copied().ok_or_else(|| {
        let names: Vec<String> = ALL.iter().map(|format| format!("`{}`", format.name())).collect();
        Error::new(ErrorKind::Configuration, format!("there is no format of reranking `{name}`"))
            .with_hint(format!("formats are {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_one_file() {
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/rerankers")).unwrap();
        let files =
            files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|kind| kind == "rs"));
        assert_eq!(files.count(), ALL.len());
        assert!(ALL.iter().all(|format| format.doc().ends_with('.') && find(format.name()).is_ok()));
        assert!(find("soap").is_err());
    }
}
