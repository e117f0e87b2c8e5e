//! `file/write`: writes a text to a file, whole or not at all.

use async_trait::async_trait;
use motet_core::RunContext;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::method::{Method, MethodCall, MethodOutcome, Parameter, ParameterKind};
use motet_core::tool::Effect;
use motet_providers::files;
use serde_json::{Map, Value, json};

/// Writes a text to a file below the workflow's directory.
pub struct FileWrite;

const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "path",
        kind: ParameterKind::String,
        required: true,
        doc: "file to write, relative to the workflow's directory; missing directories are made",
    },
    Parameter {
        name: "content",
        kind: ParameterKind::Any,
        required: true,
        doc: "what to write: a text as it is, anything else as indented JSON",
    },
];

#[async_trait]
impl Method for FileWrite {
    fn name(&self) -> &'static str {
        "file/write"
    }

    fn doc(&self) -> &'static str {
        "Writes a text to a file, whole or not at all"
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn result(&self) -> &str {
        "`path` as it was given, and `bytes`, the number written."
    }

    fn effect(&self) -> Effect {
        Effect::Idempotent
    }

    fn result_schema(&self, _params: &Map<String, Value>) -> Value {
        json!({
            "type": "object",
            "properties": {"path": {"type": "string"}, "bytes": {"type": "integer"}},
            "additionalProperties": false,
        })
    }

    async fn call(&self, _context: &RunContext, mut call: MethodCall) -> Result<MethodOutcome> {
        let Some(path) = call.params.get("path").and_then(Value::as_str).map(str::to_owned) else {
            return Err(Error::new(ErrorKind::InvalidRequest, "`path` must be a text"));
        };
        let text = match call.params.remove("content") {
            Some(Value::String(text)) => text,
            other => serde_json::to_string_pretty(&other.unwrap_or_default()).map_err(|error| {
                Error::new(ErrorKind::Internal, "the content cannot be written").with_source(error)
            })?,
        };
        let bytes = text.len();
        let scope = call.files;
        let file = path.clone();
        tokio::task::spawn_blocking(move || files::write_atomic(&scope, &file, text.as_bytes()))
            .await
            .map_err(|error| {
                Error::new(ErrorKind::Internal, "writing a file broke off").with_source(error)
            })??;
        Ok(json!({"path": path, "bytes": bytes}).into())
    }
}
