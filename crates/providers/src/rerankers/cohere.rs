//! Cohere's reranking.

use std::borrow::Cow;

use motet_core::rerank::{Ranked, RerankRequest, RerankResponse};
use motet_core::{Error, ErrorKind, Result, Usage};
use serde::Deserialize;
use serde::ser::{Serialize, Serializer};

use crate::dialect::fields::{self, Fields};
use crate::dialect::json::{Count, parse};
use crate::dialect::operations::Reranking;
use crate::dialect::{Answer, HttpRequest, Method, Origin, Profile};

pub(super) struct Cohere;

impl Reranking for Cohere {
    fn name(&self) -> &'static str {
        "cohere-rerank"
    }

    fn doc(&self) -> &'static str {
        "Cohere's reranking."
    }

    fn encode(&self, request: &RerankRequest, _profile: &Profile) -> Result<HttpRequest> {
        if request.documents.is_empty() {
            return Err(Error::new(ErrorKind::InvalidRequest, "there are no documents to rank")
                .with_hint("give at least one document"));
        }
        Ok(HttpRequest {
            method: Method::Post,
            path: Cow::Borrowed("/rerank"),
            headers: Vec::new(),
            body: fields::written(&Body(request))?.into(),
            warnings: Vec::new(),
        })
    }

    fn decode(&self, answer: &Answer<'_>, origin: &Origin) -> Result<RerankResponse> {
        let read: Read = parse(answer.body, "the answer")?;
        let Some(results) = read.results else {
            return Err(Error::new(ErrorKind::InvalidOutput, "the answer has no results"));
        };
        let results = results.into_iter();
        let results = results.map(|one| Ranked { index: one.index, score: one.relevance_score });
        let mut response = RerankResponse::new(origin.model.clone(), results.collect());
        // Searches are what is billed; tokens are told by some models only.
        let tokens = read.meta.and_then(|meta| meta.tokens);
        response.usage = tokens.and_then(|tokens| tokens.input_tokens.0).map(|input| Usage::new(input, 0));
        Ok(response)
    }
}

struct Body<'a>(&'a RerankRequest);

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.0;
        let mut fields = Fields::new(serializer.serialize_map(None)?, &request.extra);
        fields.put("model", request.model.model())?;
        fields.put("query", &request.query)?;
        fields.put("documents", &request.documents)?;
        fields.put_some("top_n", request.top_n)?;
        fields.end()
    }
}

#[derive(Deserialize)]
struct Read {
    #[serde(default)]
    results: Option<Vec<One>>,
    #[serde(default)]
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct One {
    index: usize,
    relevance_score: f64,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    tokens: Option<Tokens>,
}

#[derive(Deserialize)]
struct Tokens {
    #[serde(default)]
    input_tokens: Count,
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::rows;

    #[test]
    fn documents_are_sent_and_their_order_is_read() {
        let mut request = RerankRequest {
            model: "cohere:rerank-v3.5".parse().unwrap(),
            query: "q".into(),
            documents: vec!["a".into(), "b".into()],
            top_n: Some(1),
            extra: Map::new(),
        };
        request.extra.insert("max_tokens_per_doc".into(), json!(512));
        let sent = Cohere.encode(&request, &Profile::COMMON).unwrap();
        assert_eq!((sent.method, &*sent.path), (Method::Post, "/rerank"));
        let body: Value = serde_json::from_slice(&sent.body).unwrap();
        let expected = json!({
            "model": "rerank-v3.5", "query": "q", "documents": ["a", "b"], "top_n": 1, "max_tokens_per_doc": 512,
        });
        assert_eq!(body, expected);
        request.documents.clear();
        assert_eq!(Cohere.encode(&request, &Profile::COMMON).unwrap_err().kind(), ErrorKind::InvalidRequest);
        let origin = Origin::new(rows::find("cohere").unwrap(), request.model.clone());
        let read =
            |body: &str| Cohere.decode(&Answer { status: 200, headers: &[], body: body.as_bytes() }, &origin);
        let found = read(
            r#"{"id":"x","results":[{"index":1,"relevance_score":0.9},{"index":0,"relevance_score":0.1}],
                "meta":{"billed_units":{"search_units":1},"tokens":{"input_tokens":30}}}"#,
        )
        .unwrap();
        assert_eq!(found.results, [Ranked { index: 1, score: 0.9 }, Ranked { index: 0, score: 0.1 }]);
        assert_eq!(found.usage, Some(Usage::new(30, 0)));
        assert_eq!(read("{}").unwrap_err().kind(), ErrorKind::InvalidOutput);
    }
}
