//! Ollama's own embeddings.

use std::borrow::Cow;

use motet_core::{EmbedRequest, EmbedResponse, Error, ErrorKind, Result, Usage};
use serde::Deserialize;
use serde::ser::{Serialize, Serializer};

use crate::dialect::fields::{self, Fields};
use crate::dialect::json::{Count, Text, parse};
use crate::dialect::operations::Embedding;
use crate::dialect::{Answer, HttpRequest, Method, Origin, Profile};

pub(super) struct Ollama;

impl Embedding for Ollama {
    fn name(&self) -> &'static str {
        "ollama-embed"
    }

    fn doc(&self) -> &'static str {
        "Ollama's own embeddings."
    }

    /// The server sets no limit; this many keep an answer at a size that is read in one go.
    fn batch(&self, _model: &str) -> usize {
        256
    }

    fn encode(&self, request: &EmbedRequest, _profile: &Profile) -> Result<HttpRequest> {
        let mut warnings = Vec::new();
        if let Some(purpose) = request.purpose {
            warnings.push(format!("the server knows no purpose; `{}` was left out", purpose.as_str()));
        }
        Ok(HttpRequest {
            method: Method::Post,
            path: Cow::Borrowed("/api/embed"),
            headers: Vec::new(),
            body: fields::written(&Body(request))?.into(),
            warnings,
        })
    }

    fn decode(&self, answer: &Answer<'_>, origin: &Origin) -> Result<EmbedResponse> {
        let read: Read<'_> = parse(answer.body, "the answer")?;
        let Some(vectors) = read.embeddings.or(read.embedding.map(|one| vec![one])) else {
            return Err(Error::new(ErrorKind::InvalidOutput, "the answer has no vectors"));
        };
        let mut response = EmbedResponse::new(origin.model.clone(), vectors);
        response.served_model = read.model.and_then(Text::filled).map(Cow::into_owned);
        response.usage = read.prompt_eval_count.0.map(|input| Usage::new(input, 0));
        Ok(response)
    }
}

struct Body<'a>(&'a EmbedRequest);

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.0;
        let mut fields = Fields::new(serializer.serialize_map(None)?, &request.extra);
        fields.put("model", request.model.model())?;
        fields.put("input", &request.inputs)?;
        fields.put_some("dimensions", request.dimensions)?;
        // Without this the server cuts off the end of a text that does not fit and tells nobody.
        fields.put("truncate", &false)?;
        fields.end()
    }
}

#[derive(Deserialize)]
struct Read<'a> {
    #[serde(borrow, default)]
    model: Option<Text<'a>>,
    #[serde(default)]
    embeddings: Option<Vec<Vec<f32>>>,
    /// What the older endpoint gives, for one text.
    #[serde(default)]
    embedding: Option<Vec<f32>>,
    #[serde(default)]
    prompt_eval_count: Count,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::rows;

    #[test]
    fn a_request_names_model_texts_and_length() {
        let mut request = EmbedRequest::new("ollama:m".parse().unwrap(), vec!["a".into(), "b".into()]);
        request.dimensions = Some(64);
        request.purpose = Some(motet_core::embedding::EmbedPurpose::Query);
        request.extra = json!({"keep_alive": "5m", "truncate": true}).as_object().unwrap().clone();
        let sent = Ollama.encode(&request, &Profile::COMMON).unwrap();
        assert_eq!((sent.method, &*sent.path), (Method::Post, "/api/embed"));
        let body: Value = serde_json::from_slice(&sent.body).unwrap();
        let expected = json!({"model": "m", "input": ["a", "b"], "dimensions": 64, "keep_alive": "5m", "truncate": true});
        assert_eq!(body, expected);
        assert_eq!(sent.warnings, ["the server knows no purpose; `query` was left out"]);
        request.extra.clear();
        let body: Value =
            serde_json::from_slice(&Ollama.encode(&request, &Profile::COMMON).unwrap().body).unwrap();
        assert_eq!(body["truncate"], false);
    }

    #[test]
    fn answers_of_both_endpoints_are_read() {
        let origin = Origin::new(rows::find("ollama").unwrap(), "ollama:m".parse().unwrap());
        let read =
            |body: &str| Ollama.decode(&Answer { status: 200, headers: &[], body: body.as_bytes() }, &origin);
        let new =
            read(r#"{"model":"m:latest","embeddings":[[0.5,-1],[2,3]],"prompt_eval_count":7}"#).unwrap();
        assert_eq!(new.embeddings, [vec![0.5, -1.0], vec![2.0, 3.0]]);
        assert_eq!((new.served_model.as_deref(), new.usage), (Some("m:latest"), Some(Usage::new(7, 0))));
        let old = read(r#"{"embedding":[0.5]}"#).unwrap();
        assert_eq!((old.embeddings, old.usage), (vec![vec![0.5]], None));
        assert_eq!(read("{}").unwrap_err().kind(), ErrorKind::InvalidOutput);
    }
}
