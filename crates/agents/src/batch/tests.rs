//! Batches against a model inside the process, under a clock that stands still unless everybody waits.

mod bounds;
mod hooks;
mod outcomes;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use motet_core::accumulate::unfold;
use motet_core::event::ready_stream;
use motet_core::{
    ChatRequest, ChatResponse, Cost, Delivery, EventStream, FinishReason, Message, Model, ModelId, Result,
    Usage,
};

use super::*;

/// What the model does with a question.
#[derive(Debug, Clone, Default)]
struct Reply {
    after: Duration,
    /// Fails so many times before it answers.
    failures: u32,
    kind: Option<ErrorKind>,
    /// How long to wait, as a failure tells.
    wait: Option<Duration>,
    /// Answers with these texts in turn instead of repeating the question.
    texts: Vec<String>,
    /// Price of an answer in nano-dollars; unknown where `None`.
    nanos: Option<u64>,
    panics: bool,
}

fn after(milliseconds: u64) -> Reply {
    Reply { after: Duration::from_millis(milliseconds), nanos: Some(1), ..Reply::default() }
}

fn fails(kind: ErrorKind) -> Reply {
    Reply { failures: u32::MAX, kind: Some(kind), ..after(10) }
}

/// A model whose reply depends on the question alone.
struct TestModel {
    replies: HashMap<String, Reply>,
    otherwise: Reply,
    asked: std::sync::Mutex<Vec<String>>,
    running: AtomicUsize,
    most: AtomicUsize,
}

impl TestModel {
    fn new(otherwise: Reply, replies: &[(&str, Reply)]) -> Arc<Self> {
        Arc::new(Self {
            replies: replies
                .iter()
                .map(|(question, reply)| ((*question).to_owned(), reply.clone()))
                .collect(),
            otherwise,
            asked: std::sync::Mutex::default(),
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        })
    }

    /// The questions so far, in the order asked.
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Most calls at the same time.
    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

/// Counts a call as long as it lives, which a cancelled one does not to its end.
struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Model for TestModel {
    async fn open(&self, _: &RunContext, request: &ChatRequest, _: Delivery) -> Result<EventStream> {
        let question = request.messages.first().map(Message::visible_text).unwrap_or_default();
        let before = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(question.clone());
            asked.iter().filter(|one| **one == question).count() - 1
        };
        self.most.fetch_max(self.running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let _running = Running(&self.running);
        let reply = self.replies.get(&question).unwrap_or(&self.otherwise);
        tokio::time::sleep(reply.after).await;
        assert!(!reply.panics, "asked for");
        if let Some(kind) = reply.kind.filter(|_| before < reply.failures as usize) {
            let error = Error::new(kind, "the model is out of order");
            return Err(match reply.wait {
                Some(wait) => error.with_retry(motet_core::Retry::After(wait)),
                None => error,
            });
        }
        let text = reply.texts.get(before).cloned().unwrap_or(format!("re: {question}"));
        let mut response =
            ChatResponse::new(request.model.clone(), Message::assistant(text), FinishReason::Stop);
        response.usage = Some(Usage::new(10, 1));
        response.cost = reply.nanos.map(Cost::from_nanos);
        Ok(ready_stream(unfold(&response)))
    }
}

struct Only(Arc<TestModel>);

#[async_trait]
impl Models for Only {
    async fn model(&self, _: &ModelId) -> Result<Arc<dyn Model>> {
        Ok(Arc::clone(&self.0) as Arc<dyn Model>)
    }
}

fn models(model: &Arc<TestModel>) -> Arc<dyn Models> {
    Arc::new(Only(Arc::clone(model)))
}

fn ask(question: impl Into<String>) -> BatchRequest {
    BatchRequest::new(ChatRequest::new("test:model".parse().unwrap(), vec![Message::user(question.into())]))
}

fn questions(count: usize) -> impl Iterator<Item = BatchRequest> + Send {
    (0..count).map(|number| ask(format!("q{number}")))
}

fn options(change: impl FnOnce(&mut BatchOptions)) -> BatchOptions {
    let mut options = BatchOptions::default();
    change(&mut options);
    options
}

async fn collect(model: &Arc<TestModel>, batch: Batch) -> BatchReport {
    batch.collect(&RunContext::new(), models(model)).await.unwrap()
}

/// The results as short texts, such as `1:succeeded 2:failed`.
fn statuses(results: &[BatchResult]) -> String {
    let status = |result: &BatchResult| {
        let status = serde_json::to_value(result).unwrap()["status"].as_str().unwrap().to_owned();
        format!("{}:{status}", result.id)
    };
    results.iter().map(status).collect::<Vec<_>>().join(" ")
}
