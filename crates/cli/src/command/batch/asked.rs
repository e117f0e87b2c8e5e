//! What a batch asks, in the form that is kept, so that `--resume ID` alone goes on with it.
//!
//! Reads no file but the schema.

use std::path::{Path, PathBuf};

use motet::{Error, ErrorKind, ModelId, Result, RunId, Runtime};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::What;
use crate::command::complete::read_json;

/// What is asked of which model about what.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// The input as it was written, for people.
    pub(super) named: String,
    /// The input, wherever the command is run.
    pub(super) input: PathBuf,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) patterns: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) prompt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) system: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<ModelId>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) vision: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) schema: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<usize>,
}

impl Asked {
    /// Takes the command line and the settings together.
    pub(super) fn new(input: &Path, what: &What, runtime: &Runtime) -> Result<Self> {
        let real = input.canonicalize().map_err(|error| {
            Error::new(ErrorKind::InvalidRequest, format!("`{}` cannot be found: {error}", input.display()))
                .with_hint("name a directory, or a `.jsonl` file with one request a line")
        })?;
        let What { patterns, prompt, system, model, vision, schema, limit } = what.clone();
        if real.is_dir() && prompt.as_deref().is_none_or(|prompt| prompt.trim().is_empty()) {
            return Err(Error::new(ErrorKind::InvalidRequest, "there is nothing to ask about the files")
                .with_hint("say what with `--prompt`, such as `--prompt \"Summarize this document\"`"));
        }
        if !real.is_dir() {
            let misplaced =
                [("--pattern", !patterns.is_empty()), ("--prompt", prompt.is_some()), ("--vision", vision)];
            if let Some((flag, _)) = misplaced.into_iter().find(|(_, given)| *given) {
                let message = format!("`{flag}` is for directories, and `{}` is a file", input.display());
                return Err(Error::new(ErrorKind::InvalidRequest, message)
                    .with_hint("name a directory; of a file of requests, each line says what it asks"));
            }
        }
        let model = match model {
            None if real.is_dir() => Some(runtime.default_model()?),
            None => runtime.settings().model.clone(),
            model => model,
        };
        let patterns = if patterns.is_empty() && real.is_dir() { vec!["*".to_owned()] } else { patterns };
        Ok(Self {
            named: input.display().to_string(),
            input: real,
            patterns,
            prompt,
            system,
            model,
            vision,
            schema: schema.as_deref().map(read_json).transpose()?,
            limit,
        })
    }

    /// Reads what an earlier batch asked.
    pub(super) fn stored(definition: Value, id: &RunId) -> Result<Self> {
        serde_json::from_value(definition).map_err(|error| {
            Error::new(ErrorKind::Conflict, format!("run `{id}` was not begun by `motet batch`"))
                .with_hint("name its input, prompt, and model again")
                .with_source(error)
        })
    }

    /// Gives the form that is kept.
    pub(super) fn description(&self) -> Result<Value> {
        serde_json::to_value(self).map_err(|error| {
            Error::new(ErrorKind::Internal, "what a batch asks cannot be written").with_source(error)
        })
    }
}
