//! Embeddings against a server on loopback, in a format made for these tests: a vector holds a text's length.

use std::borrow::Cow;

use serde_json::json;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::dialect::{Answer, HttpRequest, Method, Profile};
use crate::driver::tests::{KEY, config};
use crate::rows;

struct Lengths;

impl Embedding for Lengths {
    fn name(&self) -> &'static str {
        "lengths"
    }

    fn doc(&self) -> &'static str {
        "A format for tests."
    }

    fn batch(&self, _: &str) -> usize {
        2
    }

    fn encode(&self, request: &EmbedRequest, _: &Profile) -> Result<HttpRequest> {
        let warnings = vec!["the purpose is left out".to_owned()];
        let body = serde_json::to_vec(&request.inputs).unwrap().into();
        Ok(HttpRequest {
            method: Method::Post,
            path: Cow::Borrowed("/e"),
            headers: Vec::new(),
            body,
            warnings,
        })
    }

    fn decode(&self, answer: &Answer<'_>, origin: &Origin) -> Result<EmbedResponse> {
        let vectors: Vec<Vec<f32>> = serde_json::from_slice(answer.body)
            .map_err(|error| Error::new(ErrorKind::InvalidOutput, error.to_string()))?;
        let tokens = answer.header("x-tokens").map(|count| count.parse().unwrap());
        let mut response = EmbedResponse::new(origin.model.clone(), vectors);
        response.usage = tokens.map(|count| Usage::new(count, 0));
        response.served_model = Some("m-1".into());
        Ok(response)
    }
}

/// Answers every request with the lengths of its texts, and keeps silent about the usage of texts that say so.
async fn server() -> MockServer {
    let server = MockServer::start().await;
    let answer = |request: &Request| {
        let texts: Vec<String> = serde_json::from_slice(&request.body).unwrap();
        if texts.iter().any(|text| text == "refuse") {
            let body = json!({"error": {"message": "slow down"}});
            return ResponseTemplate::new(429).insert_header("retry-after", "2").set_body_json(body);
        }
        let kept = texts.iter().filter(|text| *text != "lose");
        let vectors: Vec<Vec<usize>> = kept.map(|text| vec![text.len(), 0]).collect();
        let answer = ResponseTemplate::new(200).insert_header("x-request-id", "q1").set_body_json(vectors);
        if texts.iter().any(|text| text == "silent") {
            answer
        } else {
            answer.insert_header("x-tokens", "10")
        }
    };
    Mock::given(wiremock::matchers::path("/v1/e")).respond_with(answer).mount(&server).await;
    server
}

async fn embed(server: &MockServer, texts: &[&str], dimensions: Option<u32>) -> Result<EmbedResponse> {
    let id: ModelId = "custom:m".parse().unwrap();
    let mut embedder = HttpEmbedder::new(
        rows::find("custom").unwrap(),
        id.clone(),
        &config(&server.address().to_string()),
        &Clients::default(),
    )?;
    embedder.format = &Lengths;
    let price = Price::new(1_000_000, 0);
    let texts = texts.iter().map(|text| (*text).to_owned()).collect();
    let request = EmbedRequest { dimensions, ..EmbedRequest::new(id, texts) };
    embedder.with_price(Some(price)).embed(&RunContext::new(), &request).await
}

#[tokio::test]
async fn many_texts_go_in_several_requests_and_come_back_in_order() {
    let server = server().await;
    let texts: Vec<String> = (1..=9).map(|length| "x".repeat(length)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let response = embed(&server, &texts, None).await.unwrap();
    let lengths: Vec<f32> = response.embeddings.iter().map(|vector| vector[0]).collect();
    assert_eq!(lengths, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    assert_eq!(response.usage, Some(Usage::new(50, 0)));
    assert_eq!(response.cost.unwrap().nanos(), 50_000);
    assert_eq!((response.served_model.as_deref(), response.request_id.as_deref()), (Some("m-1"), Some("q1")));
    assert_eq!(response.metadata["warnings"], json!(["the purpose is left out"]));
    let sent = server.received_requests().await.unwrap();
    assert_eq!(sent.len(), 5);
    assert!(sent.iter().all(|one| one.headers["authorization"] == format!("Bearer {KEY}").as_str()));
}

#[tokio::test]
async fn a_server_that_takes_fewer_texts_than_its_format_gets_fewer() {
    let server = server().await;
    let id: ModelId = "custom:m".parse().unwrap();
    let config = config(&server.address().to_string());
    let row = rows::find("custom").unwrap();
    let mut embedder = HttpEmbedder::new(row, id.clone(), &config, &Clients::default()).unwrap();
    (embedder.format, embedder.origin.profile.embed_batch) = (&Lengths, 1);
    let request = EmbedRequest::new(id, vec!["a".into(), "bb".into(), "ccc".into()]);
    let response = embedder.embed(&RunContext::new(), &request).await.unwrap();
    assert_eq!(response.embeddings.len(), 3);
    assert_eq!(server.received_requests().await.unwrap().len(), 3);
}

#[tokio::test]
async fn what_is_not_known_of_every_request_is_not_known_at_all() {
    let response = embed(&server().await, &["a", "b", "silent"], Some(2)).await.unwrap();
    assert_eq!((response.usage, response.cost), (None, None));
    assert_eq!(response.embeddings.len(), 3);
    assert_eq!(response.metadata["warnings"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_wrong_length_of_vectors_is_told() {
    let response = embed(&server().await, &["a"], Some(8)).await.unwrap();
    let told = &response.metadata["warnings"][1];
    assert_eq!(told, "the vectors have 2 numbers, although 8 were asked for");
}

#[tokio::test]
async fn every_failure_names_the_operation() {
    let server = server().await;
    for (texts, kind, message) in [
        (&["a", "b", "c", "refuse"][..], ErrorKind::RateLimit, "slow down"),
        (&["a", "lose"], ErrorKind::InvalidOutput, "1 vectors came for 2 texts"),
        (&[], ErrorKind::InvalidRequest, "there is no text to embed"),
    ] {
        let error = embed(&server, texts, None).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (kind, message));
        assert_eq!((error.operation(), error.model().unwrap().model()), (Some("embed"), "m"));
    }
}
