//! Reranking as Cohere speaks it, and Jina, llama.cpp, and vLLM after it.

use std::borrow::Cow;

use motet_core::rerank::{Ranked, RerankRequest, RerankResponse};
use motet_core::{Error, ErrorKind, Result, Usage};
use serde::ser::{Serialize, Serializer};
use serde_json::Value;

use crate::dialect::fields::{self, Fields};
use crate::dialect::json::parse;
use crate::dialect::operations::Reranking;
use crate::dialect::{Answer, HttpRequest, Method, Origin, Profile, refusal};

pub(super) struct Cohere;

impl Reranking for Cohere {
    fn name(&self) -> &'static str {
        "cohere-rerank"
    }

    fn doc(&self) -> &'static str {
        "Reranking as Cohere, Jina, llama.cpp, and vLLM speak it."
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
        let mut body: Value = parse(answer.body, "the answer")?;
        if let Some(error) =
            body.get_mut("error").map(Value::take).and_then(|error| refusal::of_value(error, origin))
        {
            return Err(error);
        }
        let list = match &body {
            Value::Array(list) => Some(list),
            body => ["results", "data"].into_iter().find_map(|name| body.get(name)?.as_array()),
        };
        let ranked = list.and_then(|list| list.iter().map(ranked).collect::<Option<Vec<_>>>());
        let Some(results) = ranked else {
            return Err(Error::new(ErrorKind::InvalidOutput, "the answer has no ranking that can be read"));
        };
        let mut response = RerankResponse::new(origin.model.clone(), results);
        let counts = ["/usage/prompt_tokens", "/usage/total_tokens", "/meta/tokens/input_tokens"];
        let input = counts.into_iter().find_map(|place| body.pointer(place)?.as_u64());
        let searches = body.pointer("/meta/billed_units/search_units").and_then(Value::as_u64);
        if input.or(searches).is_some() {
            let mut usage = Usage::new(input.unwrap_or(0), 0);
            usage.searches = searches.unwrap_or(0);
            response.usage = Some(usage);
        }
        response.served_model = body.get("model").and_then(Value::as_str).map(str::to_owned);
        Ok(response)
    }
}

fn ranked(entry: &Value) -> Option<Ranked> {
    let score = entry.get("relevance_score").or_else(|| entry.get("score"))?.as_f64()?;
    Some(Ranked { index: usize::try_from(entry.get("index")?.as_u64()?).ok()?, score })
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rows;

    fn request(documents: &[&str]) -> RerankRequest {
        serde_json::from_value(json!({"model": "custom:r", "query": "q", "documents": documents})).unwrap()
    }

    fn read(body: &Value) -> Result<RerankResponse> {
        let origin = Origin::new(rows::find("custom").unwrap(), "custom:r".parse().unwrap());
        Cohere.decode(&Answer { status: 200, headers: &[], body: body.to_string().as_bytes() }, &origin)
    }

    #[test]
    fn a_request_holds_the_question_and_the_documents() {
        let mut asked = request(&["a", "b"]);
        asked.top_n = Some(1);
        asked.extra = json!({"return_documents": false}).as_object().unwrap().clone();
        let sent = Cohere.encode(&asked, &Profile::COMMON).unwrap();
        assert_eq!(&*sent.path, "/rerank");
        let expected = json!({"model": "r", "query": "q", "documents": ["a", "b"], "top_n": 1, "return_documents": false});
        assert_eq!(serde_json::from_slice::<Value>(&sent.body).unwrap(), expected);
        let error = Cohere.encode(&request(&[]), &Profile::COMMON).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    }

    #[test]
    fn rankings_are_read_under_all_their_names() {
        let expected = [Ranked { index: 1, score: 0.9 }, Ranked { index: 0, score: -4.5 }];
        for body in [
            json!({"results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": -4.5}]}),
            json!({"data": [{"index": 1, "score": 0.9, "document": {"text": "b"}}, {"index": 0, "score": -4.5}]}),
            json!([{"index": 1, "score": 0.9}, {"index": 0, "score": -4.5}]),
        ] {
            assert_eq!(read(&body).unwrap().results, expected, "{body}");
        }
        let beside = read(&json!({"model": "r-2", "results": [], "usage": {"total_tokens": 7}})).unwrap();
        assert_eq!((beside.served_model.as_deref(), beside.usage), (Some("r-2"), Some(Usage::new(7, 0))));
        for body in
            [json!({}), json!({"results": [{"index": 0}]}), json!({"results": [{"index": -1, "score": 1}]})]
        {
            assert_eq!(read(&body).unwrap_err().kind(), ErrorKind::InvalidOutput, "{body}");
        }
        let error = read(&json!({"error": {"message": "slow down", "code": 429}})).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimit);
    }

    #[test]
    fn tokens_that_stand_beside_what_is_billed_are_counted() {
        let found = read(&json!({
            "results": [{"index": 0, "relevance_score": 0.1}],
            "meta": {"billed_units": {"search_units": 1}, "tokens": {"input_tokens": 30}},
        }));
        let usage = found.unwrap().usage.unwrap();
        assert_eq!((usage.input, usage.output, usage.searches), (30, 0, 1));
        let billed = json!({"results": [], "meta": {"billed_units": {"search_units": 2}}});
        assert_eq!(read(&billed).unwrap().usage.unwrap().searches, 2);
        assert_eq!(read(&json!({})).unwrap_err().kind(), ErrorKind::InvalidOutput);
    }
}
