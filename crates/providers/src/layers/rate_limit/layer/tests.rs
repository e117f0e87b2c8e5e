//! What the layer reserves, and what it settles by.

use crate::layers::Lent;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use motet_core::attempts::Attempts;
use motet_core::event::{StreamEvent, ready_stream};
use motet_core::limits::{Allowance, RateLimits};
use motet_core::{ChatRequest, Delivery, EventStream, Message, Model, ModelId, Retry, RunContext, Usage};

use super::*;
use crate::driver::{Clients, HttpModel};
use crate::layers::ending::Observed;
use crate::layers::stack::observe;
use crate::layers::{Ask, Bottom, Chain};
use crate::provider::{ProviderConfig, Proxy};
use crate::rows;

/// Writes down what it is told.
#[derive(Debug, Default)]
struct Notebook(Mutex<Vec<String>>);

impl Notebook {
    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

#[async_trait]
impl Limiter for Notebook {
    async fn admit(&self, _: &RunContext, tokens: u64, scope: &str) -> Result<Permit> {
        self.note(format!("admit {tokens} {scope}"));
        Ok(Permit::new(tokens))
    }
    fn expected_wait(&self, _: u64) -> Duration {
        Duration::ZERO
    }
    fn settle(&self, permit: Permit, used: Option<u64>) {
        self.note(format!("settle {} {used:?}", permit.tokens));
    }
    fn learn(&self, limits: &RateLimits) {
        self.note(format!("learn {:?}", limits.requests.unwrap().remaining.unwrap()));
    }
    fn pause(&self, time: Duration) {
        self.note(format!("pause {time:?}"));
    }
}

struct Says(Mutex<Option<Result<Vec<StreamEvent>>>>);

#[async_trait]
impl Model for Says {
    async fn open(&self, _: &RunContext, _: &ChatRequest, _: Delivery) -> Result<EventStream> {
        self.0.lock().unwrap().take().unwrap().map(ready_stream)
    }
}

fn limits() -> RateLimits {
    let mut limits = RateLimits::default();
    limits.requests = Some(Allowance::new(Some(60), Some(7), None));
    limits
}

/// Calls a model through the layer, hears the first so many events, and gives what the limiter was told.
async fn told(says: Result<Vec<StreamEvent>>, hear: usize) -> Vec<String> {
    let notebook = Arc::new(Notebook::default());
    let layer: Arc<dyn Layer> =
        Arc::new(RateLimitLayer::new(Arc::clone(&notebook) as Arc<dyn Limiter>, "acme"));
    let model: Arc<dyn Model> = Arc::new(Says(Mutex::new(Some(says))));
    let mut request = ChatRequest::new("a:b".parse().unwrap(), vec![Message::user("12345678")]);
    request.max_tokens = Some(100);
    let ask = Ask::Chat { request: Lent::owned(request), delivery: Delivery::Streamed };
    let call = Call::new(RunContext::new(), ask, Arc::new(Attempts::new(1, None)));
    let observed = Observed::new(call.endings.clone());
    let answer = Chain::new(vec![layer], Bottom::Model(model)).start().call(call).await;
    if let Ok(Answer::Events(mut stream)) = observe(answer, observed) {
        for _ in 0..hear {
            let _ = stream.next().await;
        }
    }
    let mut notes = notebook.0.lock().unwrap().clone();
    assert_eq!(notes.remove(0), "admit 106 acme");
    notes
}

fn text() -> StreamEvent {
    StreamEvent::TextDelta { part: 0, text: "x".into() }
}

#[tokio::test]
async fn an_answer_is_settled_by_its_usage_and_learnt_from() {
    let finished = StreamEvent::Finished { reason: motet_core::FinishReason::Stop, raw: None };
    let usage = StreamEvent::Usage { usage: Usage::new(8, 9) };
    let events = vec![StreamEvent::Limits { limits: Box::new(limits()) }, text(), usage, finished.clone()];
    assert_eq!(told(Ok(events), 9).await, ["settle 106 Some(17)", "learn 7"]);
    assert_eq!(told(Ok(vec![text(), finished]), 9).await, ["settle 106 Some(106)"], "nobody knows");
    assert_eq!(told(Ok(vec![text(), text()]), 1).await, ["settle 106 Some(106)"], "nobody listens");
}

#[tokio::test]
async fn a_refusal_used_no_tokens_and_may_ask_for_a_pause() {
    let refused = |kind, status| Err(Error::new(kind, "no").with_status(status));
    assert_eq!(told(refused(ErrorKind::Overloaded, 503), 0).await, ["settle 106 Some(0)"]);
    let slow = Error::new(ErrorKind::RateLimit, "slow down")
        .with_status(429)
        .with_retry(Retry::After(Duration::from_secs(3)))
        .with_limits(limits());
    assert_eq!(told(Err(slow), 0).await, ["settle 106 Some(0)", "learn 7", "pause 3s"]);
}

#[tokio::test]
async fn what_was_never_sent_is_given_back_whole() {
    let unwritten = Error::new(ErrorKind::Unsupported, "cannot be written");
    assert_eq!(told(Err(unwritten), 0).await, ["settle 106 None"]);
    let unconnected = unconnected().await;
    assert_eq!(unconnected.kind(), ErrorKind::Connection);
    assert_eq!(told(Err(unconnected), 0).await, ["settle 106 None"]);
    let broken = Error::new(ErrorKind::Connection, "broke before the answer began");
    assert_eq!(told(Err(broken), 0).await, ["settle 106 Some(106)"], "it may have been read");
}

/// Gives the error of the real driver when nobody listens.
async fn unconnected() -> Error {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (base_url, proxy) = (Some(format!("http://{address}/v1")), Proxy::Off);
    let config = ProviderConfig { base_url, proxy, ..ProviderConfig::default() };
    let row = rows::find("custom").unwrap();
    let id: ModelId = "custom:m".parse().unwrap();
    let model = HttpModel::new(row, id.clone(), &config, &Clients::default()).unwrap();
    let request = ChatRequest::new(id, vec![Message::user("Hi")]);
    model.open(&RunContext::new(), &request, Delivery::Plain).await.err().unwrap()
}
