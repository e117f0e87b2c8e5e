//! Lists, counts, and ranks against a server on loopback, in a format made for these tests.

use std::borrow::Cow;

use bytes::Bytes;
use motet_core::model_list::ModelPage;
use motet_core::rerank::Ranked;
use motet_core::{Message, Retry};
use serde_json::{Value, json};

use super::*;
use crate::dialect::operations::Listing;
use crate::dialect::{Answer, HttpRequest, Method, Profile};
use crate::driver::tests::server::{Reply, Server, json_answer};
use crate::driver::tests::{KEY, config};

/// A format in which every answer is one JSON value: a number, a list of numbers, or a page.
struct Plain;

fn wire(method: Method, path: String) -> HttpRequest {
    let body = if method == Method::Get { Bytes::new() } else { Bytes::from_static(b"{}") };
    HttpRequest { method, path: Cow::Owned(path), headers: Vec::new(), body, warnings: Vec::new() }
}

fn value(answer: &Answer<'_>) -> Result<Value> {
    serde_json::from_slice(answer.body).map_err(|error| {
        Error::new(ErrorKind::InvalidOutput, format!("{error} in {}", String::from_utf8_lossy(answer.body)))
    })
}

impl Listing for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn doc(&self) -> &'static str {
        "A format for tests."
    }

    fn encode(&self, page: Option<&str>) -> HttpRequest {
        wire(Method::Get, format!("/models?page={}", page.unwrap_or("first")))
    }

    fn decode(&self, answer: &Answer<'_>, _: &Origin) -> Result<ModelPage> {
        let value = value(answer)?;
        let names = value["names"].as_array().cloned().unwrap_or_default();
        let models =
            names.iter().filter_map(|name| Some(motet_core::model_list::ModelInfo::new(name.as_str()?)));
        Ok(ModelPage { models: models.collect(), next: value["next"].as_str().map(str::to_owned) })
    }
}

impl Counting for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn doc(&self) -> &'static str {
        "A format for tests."
    }

    fn encode(&self, request: &ChatRequest, _: &Profile) -> Result<HttpRequest> {
        Ok(wire(Method::Post, format!("/count/{}", request.messages.len())))
    }

    fn decode(&self, answer: &Answer<'_>, _: &Origin) -> Result<u64> {
        Ok(value(answer)?.as_u64().unwrap_or_default())
    }
}

impl Reranking for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn doc(&self) -> &'static str {
        "A format for tests."
    }

    fn encode(&self, _: &RerankRequest, _: &Profile) -> Result<HttpRequest> {
        Ok(wire(Method::Post, "/rerank".to_owned()))
    }

    fn decode(&self, answer: &Answer<'_>, origin: &Origin) -> Result<RerankResponse> {
        let places = value(answer)?;
        let ranked =
            |place: &Value| Some(Ranked { index: usize::try_from(place.as_u64()?).ok()?, score: 1.0 });
        let results = places.as_array().into_iter().flatten().filter_map(ranked).collect();
        Ok(RerankResponse::new(origin.model.clone(), results))
    }
}

async fn server(replies: &[Value]) -> Server {
    Server::start(replies.iter().map(|reply| Reply::keep(json_answer(200, "", reply))).collect()).await
}

fn operations(server: &Server) -> Operations {
    Operations::new(rows::find("custom").unwrap(), &config(&server.address), &Clients::default()).unwrap()
}

async fn list(server: &Server) -> Result<Vec<String>> {
    let operations = operations(server);
    let origin = Origin::of_provider(operations.connection.row)?;
    let models = operations.pages(&RunContext::new(), &Plain, &origin).await;
    Ok(models
        .map_err(|error| operations.named(error, &origin, "list_models"))?
        .into_iter()
        .map(|model| model.id)
        .collect())
}

#[tokio::test]
async fn a_list_is_followed_page_after_page() {
    let server = server(&[json!({"names": ["a", "b"], "next": "p2"}), json!({"names": ["c"]})]).await;
    assert_eq!(list(&server).await.unwrap(), ["a", "b", "c"]);
    let asked = server.requests();
    assert!(asked[0].starts_with("GET /v1/models?page=first HTTP/1.1\r\n"), "{}", asked[0]);
    assert!(asked[1].starts_with("GET /v1/models?page=p2 HTTP/1.1\r\n"), "{}", asked[1]);
    assert!(asked.iter().all(|one| one.contains(&format!("authorization: Bearer {KEY}\r\n"))));
    assert!(!asked[0].contains("content-type"), "a request without a body has no type: {}", asked[0]);
}

#[tokio::test]
async fn a_list_without_an_end_is_an_error() {
    let same = server(&[json!({"next": "p"}), json!({"next": "p"})]).await;
    assert_eq!(list(&same).await.unwrap_err().message(), "a page of the list names itself as the next one");
    let pages: Vec<Value> = (0..250).map(|page| json!({"next": format!("p{page}")})).collect();
    let endless = server(&pages).await;
    assert_eq!(list(&endless).await.unwrap_err().message(), "the list has more than 200 pages");
}

#[tokio::test]
async fn a_refusal_names_the_operation_and_no_model() {
    let body = json!({"error": {"message": format!("bad {KEY}"), "code": "invalid_api_key"}});
    let headers = "x-request-id: q1\r\nx-ratelimit-remaining-requests: 3\r\n";
    let server = Server::start(vec![Reply::close(json_answer(401, headers, &body))]).await;
    let error = list(&server).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Authentication, "bad ****"));
    assert_eq!((error.operation(), error.model()), (Some("list_models"), None));
    assert_eq!(
        (error.provider(), error.request_id(), error.status()),
        (Some("custom"), Some("q1"), Some(401))
    );
    assert_eq!(error.limits().unwrap().requests.unwrap().remaining, Some(3));
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_shows_no_key() {
    let reply = format!("HTTP/1.1 200 X\r\nx-request-id: q2\r\ncontent-length: {}\r\n\r\n{KEY}", KEY.len());
    let server = Server::start(vec![Reply::close(reply)]).await;
    let error = list(&server).await.unwrap_err();
    assert_eq!((error.kind(), error.request_id()), (ErrorKind::InvalidOutput, Some("q2")));
    assert!(!format!("{error:?}").contains("abcdefgh"), "{error:?}");
    let broken =
        Server::start(vec![Reply::close("HTTP/1.1 200 X\r\ncontent-length: 90\r\n\r\n{".to_owned())]).await;
    let error = list(&broken).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Truncated, Retry::Backoff));
}

#[tokio::test]
async fn tokens_are_counted_and_documents_ranked() {
    let server = server(&[json!(17), json!([1, 0]), json!([2])]).await;
    let operations = operations(&server);
    let id: ModelId = "custom:m".parse().unwrap();
    let origin = operations.origin(&id).unwrap();
    let context = RunContext::new();
    let chat = ChatRequest::new(id.clone(), vec![Message::user("Hi")]);
    assert_eq!(operations.count(&context, &Plain, &origin, &chat).await.unwrap(), 17);
    let mut request = RerankRequest {
        model: id,
        query: "q".into(),
        documents: vec!["a".into(), "b".into()],
        top_n: None,
        extra: serde_json::Map::new(),
    };
    let ranked = operations.rank(&context, &Plain, &origin, &request).await.unwrap();
    assert_eq!(ranked.results.iter().map(|one| one.index).collect::<Vec<_>>(), [1, 0]);
    let error = operations.rank(&context, &Plain, &origin, &request).await.unwrap_err();
    assert_eq!(error.message(), "the answer ranks document 2 of 2, counted from 0");
    request.documents.clear();
    let error = operations.rank(&context, &Plain, &origin, &request).await.unwrap_err();
    assert_eq!((error.kind(), server.requests().len()), (ErrorKind::InvalidRequest, 3));
    assert!(server.requests()[0].contains("content-type: application/json\r\n"));
}

#[tokio::test]
async fn what_a_provider_cannot_do_is_told_before_anything_is_sent() {
    let server = server(&[]).await;
    let operations = operations(&server);
    let chat = ChatRequest::new("custom:m".parse().unwrap(), vec![Message::user("Hi")]);
    let error = operations.count_tokens(&RunContext::new(), &chat).await.unwrap_err();
    assert_eq!(error.message(), "provider `custom` cannot count tokens");
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Unsupported, Some("count_tokens")));
    let other = ChatRequest::new("openai:m".parse().unwrap(), Vec::new());
    let error = operations.count_tokens(&RunContext::new(), &other).await.unwrap_err();
    assert_eq!(error.message(), "a request for `openai:m` was given to provider `custom`");
    assert_eq!(server.requests().len(), 0);
}
