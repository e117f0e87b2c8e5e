//! The server as a client sees it: the same driver that asks real providers.

use std::time::Duration;

use motet_core::accumulate;
use motet_core::embedding::Embedder as _;
use motet_core::{
    ChatRequest, ChatResponse, Delivery, EmbedRequest, FinishReason, Message, Model as _, ModelId,
    RunContext, Secret, StreamEvent, Usage,
};

use super::*;
use crate::driver::{Clients, HttpEmbedder, HttpModel, Operations};
use crate::provider::{ProviderConfig, Timeouts};
use crate::rows;
use crate::simulated::{Chance, Fault, Quota};

fn id() -> ModelId {
    "custom:demo".parse().unwrap()
}

fn config(server: &Server, key: &str) -> ProviderConfig {
    ProviderConfig {
        base_url: Some(server.url()),
        api_key: Some(Secret::new(key)),
        ..ProviderConfig::default()
    }
}

/// A model that waits for nothing longer than half a second.
fn hasty(server: &Server) -> HttpModel {
    let soon = Some(Duration::from_millis(500));
    let timeouts = Timeouts { first_byte: soon, idle: soon, ..Timeouts::default() };
    let config = ProviderConfig { timeouts, ..config(server, "k") };
    HttpModel::new(rows::find("custom").unwrap(), id(), &config, &Clients::default()).unwrap()
}

/// Clients of one server.
struct Client {
    model: HttpModel,
    embedder: HttpEmbedder,
    operations: Operations,
}

fn client(server: &Server, key: &str) -> Client {
    let (row, config, clients) = (rows::find("custom").unwrap(), config(server, key), Clients::default());
    Client {
        model: HttpModel::new(row, id(), &config, &clients).unwrap(),
        embedder: HttpEmbedder::new(row, id(), &config, &clients).unwrap(),
        operations: Operations::new(row, &config, &clients).unwrap(),
    }
}

impl Client {
    async fn ask(&self, delivery: Delivery) -> Result<ChatResponse> {
        let mut request = ChatRequest::new(id(), vec![Message::user("Hello, world")]);
        request.max_tokens = Some(100);
        let stream = self.model.open(&RunContext::new(), &request, delivery).await?;
        accumulate::fold(id(), stream).await
    }

    async fn embed(&self, dimensions: Option<u32>) -> Vec<Vec<f32>> {
        let mut request = EmbedRequest::new(id(), vec!["one".into(), "two".into(), "one".into()]);
        request.dimensions = dimensions;
        self.embedder.embed(&RunContext::new(), &request).await.unwrap().embeddings
    }
}

async fn server(rules: Rules) -> Server {
    Server::start(rules, 0).await.unwrap()
}

const BOTH: [Delivery; 2] = [Delivery::Plain, Delivery::Streamed];

#[tokio::test]
async fn plain_and_streamed_answers_say_the_same() {
    let server = server(Rules { words: 3, ..Rules::new() }).await;
    let client = client(&server, "k");
    for delivery in BOTH {
        let response = client.ask(delivery).await.unwrap();
        assert_eq!(response.text(), "word0 word1 word2 ");
        assert_eq!((response.usage, response.finish_reason), (Some(Usage::new(3, 3)), FinishReason::Stop));
        assert_eq!(response.served_model.as_deref(), Some("demo"));
    }
    assert_eq!(server.counts()["k"].answered, 2);
    let long = client_of_words(200).await;
    assert_eq!((long.usage.unwrap().output, long.finish_reason), (100, FinishReason::Length));
}

async fn client_of_words(words: usize) -> ChatResponse {
    let server = server(Rules { words, ..Rules::new() }).await;
    client(&server, "k").ask(Delivery::Plain).await.unwrap()
}

#[tokio::test]
async fn vectors_are_the_same_as_numbers_and_as_bytes_and_have_the_length_asked_for() {
    let server = server(Rules::new()).await;
    let client = client(&server, "k");
    let vectors = client.embed(None).await;
    assert_eq!((vectors.len(), vectors[0].len()), (3, 16));
    assert!(vectors[0] == vectors[2] && vectors[0] != vectors[1]);
    let length: f32 = vectors[0].iter().map(|number| number * number).sum();
    assert!((length - 1.0).abs() < 1e-5);
    assert_eq!(client.embed(Some(64)).await[0].len(), 64);
    let body = |format: &str| serde_json::json!({"input": "one", "encoding_format": format});
    let numbers = answer::embeddings(&body("float"), &["one"])["data"][0]["embedding"].take();
    let bytes = answer::embeddings(&body("base64"), &["one"])["data"][0]["embedding"].take();
    let numbers: Vec<f32> = serde_json::from_value(numbers).unwrap();
    let encoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, bytes.as_str().unwrap());
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    assert_eq!((encoded.unwrap(), &numbers), (bytes, &vectors[0]));
}

#[tokio::test]
async fn models_are_listed_and_what_there_is_not_is_not_found() {
    let server = server(Rules::new()).await;
    let client = client(&server, "k");
    let models = client.operations.list_models(&RunContext::new()).await.unwrap();
    let names: Vec<&str> = models.iter().map(|model| model.id.as_str()).collect();
    assert_eq!(names, ["demo", "demo-embed"]);
    assert!(server.counts().is_empty(), "a list counts as no request");
}

#[tokio::test]
async fn a_key_over_its_quota_is_told_when_to_come_again_and_what_is_left() {
    let quota = Quota { requests_per_minute: 2, tokens_per_minute: crate::simulated::quota::UNLIMITED };
    let server = server(Rules { quota: Some(quota), ..Rules::new() }).await;
    let (one, two) = (client(&server, "one"), client(&server, "two"));
    one.ask(Delivery::Plain).await.unwrap();
    let request = ChatRequest::new(id(), vec![Message::user("Hello")]);
    let stream = one.model.open(&RunContext::new(), &request, Delivery::Plain).await.unwrap();
    let events: Vec<_> = futures::StreamExt::collect(stream).await;
    let told = events.iter().find_map(|event| match event {
        Ok(StreamEvent::Limits { limits }) => Some(**limits),
        _ => None,
    });
    let told = told.unwrap();
    assert_eq!((told.requests.unwrap().remaining, told.tokens), (Some(0), None));
    for delivery in BOTH {
        let error = one.ask(delivery).await.unwrap_err();
        assert_eq!((error.kind(), error.status()), (ErrorKind::RateLimit, Some(429)));
        let after = error.retry_after().unwrap();
        assert!((Duration::from_secs(20)..=Duration::from_secs(30)).contains(&after), "{after:?}");
        assert_eq!(error.limits().unwrap().requests.unwrap().limit, Some(2));
    }
    two.ask(Delivery::Plain).await.unwrap();
    let counts = server.counts();
    assert_eq!((counts["one"].too_many, counts["one"].answered, counts["two"].answered), (2, 2, 1));
}

#[tokio::test]
async fn a_revoked_key_is_refused() {
    let rules = Rules { revoked: [("old".to_owned(), Duration::ZERO)].into(), ..Rules::new() };
    let server = server(rules).await;
    assert_eq!(
        client(&server, "old").ask(Delivery::Plain).await.unwrap_err().kind(),
        ErrorKind::Authentication
    );
    client(&server, "new").ask(Delivery::Plain).await.unwrap();
    assert_eq!(server.counts()["old"].revoked, 1);
}

#[tokio::test]
async fn every_stage_breaks_where_it_says_and_the_next_request_is_answered() {
    use ErrorKind::{Connection, Overloaded, RateLimit, Timeout, Truncated};
    let fault = Fault::new;
    let limited = fault(Stage::InHeaders, RateLimit).with_retry_after(Duration::from_secs(7));
    // The kind of error that is seen by a plain call, and by a stream, and whether the stream showed something.
    let cases = [
        (fault(Stage::BeforeConnect, Connection), Some(Connection), Some(Connection), false),
        (fault(Stage::AfterConnect, Connection), Some(Connection), Some(Connection), false),
        (fault(Stage::InHeaders, Connection), Some(Connection), Some(Connection), false),
        (fault(Stage::InHeaders, Overloaded), Some(Overloaded), Some(Overloaded), false),
        (limited, Some(RateLimit), Some(RateLimit), false),
        (fault(Stage::MidBody, Connection), Some(Truncated), Some(Truncated), false),
        (fault(Stage::MidStream, Connection), Some(Truncated), Some(Truncated), true),
        (fault(Stage::MidStream, Overloaded), Some(Truncated), Some(Overloaded), true),
        (fault(Stage::AfterFinish, Connection), None, None, true),
        (fault(Stage::BeforeConnect, Connection).hanging(), Some(Timeout), Some(Timeout), false),
        (fault(Stage::AfterConnect, Connection).hanging(), Some(Timeout), Some(Timeout), false),
        (fault(Stage::InHeaders, Connection).hanging(), Some(Timeout), Some(Timeout), false),
        (fault(Stage::MidBody, Connection).hanging(), Some(Timeout), Some(Timeout), false),
        (fault(Stage::MidStream, Connection).hanging(), Some(Timeout), Some(Timeout), true),
    ];
    let cases = cases.into_iter().flat_map(|(fault, plain, streamed, shown)| {
        let plain = breaks(fault.clone(), Delivery::Plain, (plain, None));
        [plain, breaks(fault, Delivery::Streamed, (streamed, Some(shown)))]
    });
    futures::future::join_all(cases).await;
}

/// Breaks the second of three requests, and expects an error of a kind and that something was shown or not.
async fn breaks(fault: Fault, delivery: Delivery, (kind, shown): (Option<ErrorKind>, Option<bool>)) {
    let server = server(Rules { faults: [(1, fault.clone())].into(), ..Rules::new() }).await;
    let client = client(&server, "k");
    client.ask(delivery).await.unwrap();
    let model = if fault.hangs { &hasty(&server) } else { &client.model };
    let request = ChatRequest::new(id(), vec![Message::user("Hello")]);
    let (mut visible, mut error) = (false, None);
    match model.open(&RunContext::new(), &request, delivery).await {
        Err(refused) => error = Some(refused),
        Ok(mut stream) => {
            while let Some(event) = futures::StreamExt::next(&mut stream).await {
                match event {
                    Ok(event) => visible |= event.is_visible(),
                    Err(broken) => error = Some(broken),
                }
            }
        }
    }
    assert_eq!(error.as_ref().map(Error::kind), kind, "{fault:?} {delivery:?} {error:?}");
    assert!(shown.is_none_or(|shown| shown == visible), "{fault:?}");
    if let Some(after) = fault.retry_after {
        assert_eq!(error.unwrap().retry_after(), Some(after));
    }
    client.ask(delivery).await.unwrap();
}

#[tokio::test]
async fn the_same_seed_breaks_the_same_requests() {
    let outcomes = async |seed| {
        let chances = Chance::of_every_kind(0.4);
        let server = server(Rules { chances, seed, words: 2, ..Rules::new() }).await;
        let client = client(&server, "k");
        let mut outcomes = Vec::new();
        for _ in 0..40 {
            outcomes.push(client.ask(Delivery::Streamed).await.map(|_| ()).map_err(|error| error.kind()));
        }
        outcomes
    };
    let first = outcomes(7).await;
    assert!(first.iter().any(std::result::Result::is_err) && first.iter().any(std::result::Result::is_ok));
    assert_eq!(first, outcomes(7).await);
    assert_ne!(first, outcomes(8).await);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_behind() {
    let hour = Duration::from_secs(3_600);
    let server = server(Rules { between: hour, ..Rules::new() }).await;
    let config = config(&server, "k");
    let model = HttpModel::new(rows::find("custom").unwrap(), id(), &config, &Clients::default()).unwrap();
    let request = ChatRequest::new(id(), vec![Message::user("Hello")]);
    let stream = model.open(&RunContext::new(), &request, Delivery::Streamed).await.unwrap();
    assert_eq!((server.connections(), server.answering()), (1, 1));
    drop(stream);
    let left = async {
        while server.answering() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), left).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_dropped_stops_and_its_port_is_free() {
    let first = server(Rules::new()).await;
    let port = first.address.port();
    assert_eq!(Server::start(Rules::new(), port).await.unwrap_err().kind(), ErrorKind::Connection);
    let client = client(&first, "k");
    client.ask(Delivery::Plain).await.unwrap();
    drop(first);
    let again = async {
        loop {
            match Server::start(Rules::new(), port).await {
                Ok(server) => return server,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let _second = tokio::time::timeout(Duration::from_secs(10), again).await.unwrap();
}
