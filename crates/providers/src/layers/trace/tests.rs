//! Spans as a listener sees them: what they tell of a request, and what they never tell.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use motet_core::model::chat;
use motet_core::{ChatRequest, Delivery, Error, ErrorKind, Message, Model, RunContext};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::TraceLayer;
use crate::layers::{Bottom, Chain, Stack};
use crate::scripted::{Answer, ScriptedModel};

/// Keeps the fields of one span, and tells when it closed.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<BTreeMap<String, String>>>);

impl Visit for &Spans {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let text = format!("{value:?}").trim_matches('"').to_owned();
        self.0.lock().unwrap().insert(field.name().to_owned(), text);
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span()
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut &*self);
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut &*self);
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
    fn try_close(&self, _: Id) -> bool {
        true
    }
}

fn request() -> ChatRequest {
    ChatRequest::new("scripted:x".parse().unwrap(), vec![Message::user("what nobody may see")])
}

fn stack(answer: Answer) -> Stack {
    let bottom = Bottom::Model(Arc::new(ScriptedModel::answers([answer])));
    Stack::new(Chain::new(vec![Arc::new(TraceLayer::for_key("first"))], bottom), 1, None)
}

#[tokio::test]
async fn a_span_tells_what_was_sent_and_used_and_never_what_was_said() {
    let spans = Spans::default();
    let _guard = tracing::subscriber::set_default(spans.clone());
    let response =
        chat(&stack(Answer::text("a secret answer")), &RunContext::new(), &request()).await.unwrap();
    let seen = spans.0.lock().unwrap().clone();
    let field = |name: &str| seen.get(name).map(String::as_str);
    assert_eq!(field("gen_ai.operation.name"), Some("chat"));
    assert_eq!(field("gen_ai.provider.name"), Some("scripted"));
    assert_eq!(field("gen_ai.request.model"), Some("x"));
    assert_eq!(field("motet.key"), Some("first"));
    let output = response.usage.unwrap().output.to_string();
    assert_eq!(field("gen_ai.usage.output_tokens"), Some(output.as_str()));
    assert_eq!(field("error.type"), None);
    assert!(seen.values().all(|value| !value.contains("secret") && !value.contains("nobody")), "{seen:?}");
}

#[tokio::test]
async fn a_failed_or_dropped_request_says_so() {
    for (answer, dropped, expected) in [
        (Answer::error(&Error::new(ErrorKind::Overloaded, "busy")), false, "overloaded"),
        (Answer::text("some more words"), true, "dropped"),
    ] {
        let spans = Spans::default();
        let _guard = tracing::subscriber::set_default(spans.clone());
        let opened = stack(answer).open(&RunContext::new(), &request(), Delivery::Streamed).await;
        if let (Ok(mut stream), true) = (opened, dropped) {
            let _ = stream.next().await;
        }
        assert_eq!(spans.0.lock().unwrap().get("error.type").map(String::as_str), Some(expected));
    }
}
