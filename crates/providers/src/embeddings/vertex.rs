//! Vertex AI's embeddings: newer models take one content, older ones a list of instances.
//!
//! Answers are read as Gemini's are.

use motet_core::{EmbedRequest, EmbedResponse, Result};
use serde_json::{Map, Value, json};

use super::gemini::{content_request, read, task_type, written};
use crate::dialect::operations::Embedding;
use crate::dialect::{Answer, HttpRequest, Origin, Profile};
use crate::dialects::gemini_generate::path;

pub(super) struct Vertex;

/// Models of the newer kind that are still asked in the older way, one text at a time.
const INSTANCES_OF_ONE: &[&str] = &["gemini-embedding-001"];

/// Beginning of the names of the newer kind.
const NEWER: &str = "gemini-";

/// Texts of one request to an older model, well below its 250, as all together may have 20,000 tokens.
const OLDER_BATCH: usize = 32;

impl Embedding for Vertex {
    fn name(&self) -> &'static str {
        "vertex-embed"
    }

    fn doc(&self) -> &'static str {
        "Vertex AI's embeddings."
    }

    fn batch(&self, model: &str) -> usize {
        if model.starts_with(NEWER) { 1 } else { OLDER_BATCH }
    }

    fn encode(&self, request: &EmbedRequest, profile: &Profile) -> Result<HttpRequest> {
        let model = request.model.model();
        if let [text] = request.inputs.as_slice()
            && model.starts_with(NEWER)
            && !INSTANCES_OF_ONE.contains(&model)
        {
            let body = Value::Object(content_request(request, text, profile));
            return written(path(model, "embedContent"), &body);
        }
        let task = task_type(request.purpose, profile);
        let instance = |text: &String| match task {
            Some(task) => json!({"content": text, "task_type": task}),
            None => json!({"content": text}),
        };
        let mut body = Map::new();
        body.insert("instances".to_owned(), request.inputs.iter().map(instance).collect());
        if let Some(dimensions) = request.dimensions {
            body.insert("parameters".to_owned(), json!({"outputDimensionality": dimensions}));
        }
        body.extend(request.extra.clone());
        written(path(model, "predict"), &Value::Object(body))
    }

    fn decode(&self, answer: &Answer<'_>, origin: &Origin) -> Result<EmbedResponse> {
        read(answer, origin)
    }
}

#[cfg(test)]
mod tests {
    use motet_core::embedding::EmbedPurpose;

    use super::*;
    use crate::rows;

    #[test]
    fn each_kind_of_model_is_asked_in_its_way() {
        for (model, batch, path, expected) in [
            (
                "text-embedding-005",
                32,
                "/models/text-embedding-005:predict",
                json!({
                    "instances": [{"content": "a", "task_type": "CLUSTERING"}],
                    "parameters": {"outputDimensionality": 64},
                }),
            ),
            (
                "gemini-embedding-001",
                1,
                "/models/gemini-embedding-001:predict",
                json!({
                    "instances": [{"content": "a", "task_type": "CLUSTERING"}],
                    "parameters": {"outputDimensionality": 64},
                }),
            ),
            (
                "gemini-embedding-2",
                1,
                "/models/gemini-embedding-2:embedContent",
                json!({
                    "content": {"parts": [{"text": "task: clustering | query: a"}]}, "outputDimensionality": 64,
                }),
            ),
        ] {
            let id = motet_core::ModelId::new("vertex", model).unwrap();
            let mut asked = EmbedRequest::new(id, vec!["a".into()]);
            asked.purpose = Some(EmbedPurpose::Clustering);
            asked.dimensions = Some(64);
            let profile = rows::find("vertex").unwrap().profile_of(model);
            let sent = Vertex.encode(&asked, &profile).unwrap();
            assert_eq!((Vertex.batch(model), &*sent.path), (batch, path));
            assert_eq!(serde_json::from_slice::<Value>(&sent.body).unwrap(), expected);
        }
    }
}
