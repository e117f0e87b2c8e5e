//! Gemini's embeddings, many texts at once, and the answers of its relatives.
//!
//! The caller's own fields go into the request of each text, where a title and the like belong.

use std::borrow::Cow;

use motet_core::embedding::EmbedPurpose;
use motet_core::{EmbedRequest, EmbedResponse, Error, ErrorKind, Result, Usage};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::dialect::json::{Count, parse};
use crate::dialect::operations::Embedding;
use crate::dialect::{Answer, HttpRequest, Method, Origin, Profile, fields, refusal};
use crate::dialects::gemini_generate::{path, resource};

pub(super) struct Gemini;

impl Embedding for Gemini {
    fn name(&self) -> &'static str {
        "gemini-embed"
    }

    fn doc(&self) -> &'static str {
        "Gemini's embeddings."
    }

    fn batch(&self, _model: &str) -> usize {
        100
    }

    fn encode(&self, request: &EmbedRequest, profile: &Profile) -> Result<HttpRequest> {
        let model = request.model.model();
        let requests = request.inputs.iter().map(|text| {
            let mut fields = content_request(request, text, profile);
            fields.entry("model").or_insert_with(|| Value::from(resource(model)));
            fields
        });
        let requests: Vec<Map<String, Value>> = requests.collect();
        written(path(model, "batchEmbedContents"), &json!({"requests": requests}))
    }

    fn decode(&self, answer: &Answer<'_>, origin: &Origin) -> Result<EmbedResponse> {
        read(answer, origin)
    }
}

/// Makes the request of a body.
pub(super) fn written(path: String, body: &Value) -> Result<HttpRequest> {
    Ok(HttpRequest {
        method: Method::Post,
        path: Cow::Owned(path),
        headers: Vec::new(),
        body: fields::written(body)?.into(),
        warnings: Vec::new(),
    })
}

/// Writes the request of one text, the caller's own fields last.
pub(super) fn content_request(request: &EmbedRequest, text: &str, profile: &Profile) -> Map<String, Value> {
    let mut fields = Map::new();
    let shown = with_purpose(text, request.purpose, profile);
    fields.insert("content".to_owned(), json!({"parts": [{"text": shown}]}));
    if let Some(task) = task_type(request.purpose, profile) {
        fields.insert("taskType".to_owned(), Value::from(task));
    }
    if let Some(dimensions) = request.dimensions {
        fields.insert("outputDimensionality".to_owned(), Value::from(dimensions));
    }
    fields.extend(request.extra.clone());
    fields
}

/// Gives the word for a purpose, where the model takes it as a field.
pub(super) fn task_type(purpose: Option<EmbedPurpose>, profile: &Profile) -> Option<&'static str> {
    Some(match purpose.filter(|_| !profile.embed_purpose_in_text)? {
        EmbedPurpose::Query => "RETRIEVAL_QUERY",
        EmbedPurpose::Document => "RETRIEVAL_DOCUMENT",
        EmbedPurpose::Similarity => "SEMANTIC_SIMILARITY",
        EmbedPurpose::Classification => "CLASSIFICATION",
        EmbedPurpose::Clustering => "CLUSTERING",
        _ => return None,
    })
}

/// Puts the purpose before the text, where the model takes it so; by Google's guide "Embeddings", section on tasks.
pub(super) fn with_purpose<'a>(
    text: &'a str,
    purpose: Option<EmbedPurpose>,
    profile: &Profile,
) -> Cow<'a, str> {
    let task = match purpose.filter(|_| profile.embed_purpose_in_text) {
        Some(EmbedPurpose::Query) => "search result",
        Some(EmbedPurpose::Document) => return Cow::Owned(format!("title: none | text: {text}")),
        Some(EmbedPurpose::Similarity) => "sentence similarity",
        Some(EmbedPurpose::Classification) => "classification",
        Some(EmbedPurpose::Clustering) => "clustering",
        _ => return Cow::Borrowed(text),
    };
    Cow::Owned(format!("task: {task} | query: {text}"))
}

/// An answer in any of its three shapes: many vectors, one vector, or predictions.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(default)]
    embeddings: Option<Vec<Vector>>,
    #[serde(default)]
    embedding: Option<Vector>,
    #[serde(default)]
    predictions: Option<Vec<Prediction>>,
    #[serde(default)]
    usage_metadata: Option<UsageMetadata>,
    #[serde(default)]
    truncated: Option<bool>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Vector {
    #[serde(default)]
    values: Vec<f32>,
    #[serde(default)]
    statistics: Option<Statistics>,
}

#[derive(Deserialize)]
struct Prediction {
    embeddings: Vector,
}

#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    token_count: Count,
    #[serde(default)]
    truncated: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsageMetadata {
    #[serde(default)]
    prompt_token_count: Count,
}

/// Reads an answer.
pub(super) fn read(answer: &Answer<'_>, origin: &Origin) -> Result<EmbedResponse> {
    let body: Body = parse(answer.body, "the answer")?;
    if let Some(error) = body.error.and_then(|error| refusal::of_value(error, origin)) {
        return Err(error);
    }
    let predicted = body.predictions.map(|list| list.into_iter().map(|one| one.embeddings).collect());
    let single = body.embedding.map(|one| vec![one]);
    let Some(vectors) = body.embeddings.or(predicted).or(single) else {
        return Err(Error::new(ErrorKind::InvalidOutput, "the answer has no embeddings"));
    };
    let statistics = || vectors.iter().filter_map(|vector| vector.statistics.as_ref());
    let counted = statistics().filter_map(|one| one.token_count.0).reduce(u64::saturating_add);
    let told = body.usage_metadata.and_then(|usage| usage.prompt_token_count.0).or(counted);
    let cut = body.truncated == Some(true) || statistics().any(|one| one.truncated == Some(true));
    let embeddings = vectors.into_iter().map(|vector| vector.values).collect();
    let mut response = EmbedResponse::new(origin.model.clone(), embeddings);
    response.usage = told.map(|input| Usage::new(input, 0));
    if cut {
        response.metadata.insert("truncated".to_owned(), Value::Bool(true));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    fn request(model: &str) -> EmbedRequest {
        EmbedRequest::new(model.parse().unwrap(), vec!["a".into(), "b".into()])
    }

    fn body(request: &EmbedRequest) -> Value {
        let profile = rows::find(request.model.provider()).unwrap().profile_of(request.model.model());
        let sent = Gemini.encode(request, &profile).unwrap();
        assert_eq!(sent.path, format!("/models/{}:batchEmbedContents", request.model.model()));
        serde_json::from_slice(&sent.body).unwrap()
    }

    #[test]
    fn every_text_is_a_request_of_its_own() {
        let mut asked = request("gemini:gemini-embedding-001");
        asked.dimensions = Some(768);
        asked.purpose = Some(EmbedPurpose::Query);
        asked.extra.insert("title".to_owned(), Value::from("t"));
        let of = |text: &str| {
            json!({
                "model": "models/gemini-embedding-001", "content": {"parts": [{"text": text}]},
                "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 768, "title": "t",
            })
        };
        assert_eq!(body(&asked), json!({"requests": [of("a"), of("b")]}));
    }

    #[test]
    fn a_model_that_takes_no_task_is_told_the_purpose_in_the_text() {
        for (purpose, expected) in [
            (None, "a"),
            (Some(EmbedPurpose::Query), "task: search result | query: a"),
            (Some(EmbedPurpose::Document), "title: none | text: a"),
            (Some(EmbedPurpose::Similarity), "task: sentence similarity | query: a"),
        ] {
            let asked = EmbedRequest { purpose, ..request("gemini:gemini-embedding-2") };
            let sent = &body(&asked)["requests"][0];
            assert_eq!(sent["content"]["parts"][0]["text"], expected);
            assert!(sent.get("taskType").is_none());
        }
    }

    #[test]
    fn every_shape_of_answer_is_read() {
        let model: motet_core::ModelId = "gemini:m".parse().unwrap();
        let origin = Origin::new(rows::find("gemini").unwrap(), model);
        let read = |body: &str| read(&Answer { status: 200, headers: &[], body: body.as_bytes() }, &origin);
        for (body, vectors, input, cut) in [
            (
                r#"{"embeddings":[{"values":[0.5,1]},{"values":[2]}]}"#,
                vec![vec![0.5, 1.0], vec![2.0]],
                None,
                false,
            ),
            (
                r#"{"embedding":{"values":[0.5]},"usageMetadata":{"promptTokenCount":3},"truncated":true}"#,
                vec![vec![0.5]],
                Some(3),
                true,
            ),
            (
                r#"{"predictions":[{"embeddings":{"values":[1],"statistics":{"token_count":4,"truncated":false}}},
                    {"embeddings":{"values":[2],"statistics":{"token_count":2.0,"truncated":true}}}]}"#,
                vec![vec![1.0], vec![2.0]],
                Some(6),
                true,
            ),
        ] {
            let read = read(body).unwrap();
            assert_eq!((read.embeddings, read.usage.map(|usage| usage.input)), (vectors, input));
            assert_eq!(read.metadata.contains_key("truncated"), cut);
        }
        assert_eq!(read("{}").unwrap_err().kind(), ErrorKind::InvalidOutput);
        let error = read(r#"{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}"#);
        assert_eq!(error.unwrap_err().kind(), ErrorKind::RateLimit);
    }
}
