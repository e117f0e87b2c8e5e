//! Recorded calls, plain and streamed, fresh and replayed.

use futures::StreamExt as _;
use motet_core::accumulate::fold;
use motet_core::id::content_hash;
use motet_core::{Message, Usage};

use super::*;
use crate::test_double::{BrokenModel, TestModel, Turn, model_id, says};

fn request() -> ChatRequest {
    ChatRequest::new(model_id(), vec![Message::user("go")])
}

fn answer(turn: Turn) -> ChatResponse {
    let Turn::Answer(response) = turn else { unreachable!() };
    response
}

async fn events(context: &RunContext, model: Arc<dyn Model>) -> Vec<Result<StreamEvent>> {
    open(context, model, request(), "answer").collect().await
}

#[tokio::test]
async fn a_call_is_paid_for_once_in_the_life_of_the_run() {
    let turn = says("Hello").spending(1, 2, 3);
    let model = TestModel::new(std::slice::from_ref(&turn));
    let context = RunContext::new().child("task");
    for _ in 0..2 {
        assert_eq!(chat(&context, &*model, &request(), "answer").await.unwrap(), answer(turn.clone()));
    }
    assert_eq!(model.requests().len(), 1);
    let state = context.log().lookup("task/answer").unwrap();
    assert_eq!(state.request_hash, content_hash(&request()).unwrap());
}

#[tokio::test]
async fn a_stream_folds_into_the_recorded_answer_fresh_and_replayed() {
    let turn = says("Hello").spending(1, 2, 3);
    let model = TestModel::new(std::slice::from_ref(&turn));
    let context = RunContext::new();
    for replayed in [false, true] {
        let told: Vec<_> = events(&context, model.clone()).await.into_iter().map(Result::unwrap).collect();
        let (step, model_id) = ("answer".to_owned(), model_id());
        assert_eq!(told[0], StreamEvent::ModelCallStarted { step: step.clone(), model: model_id.clone() });
        let (usage, cost) = (Some(Box::new(Usage::new(1, 2))), Some(motet_core::Cost::from_nanos(3)));
        let end = StreamEvent::ModelCallEnded { step, model: model_id.clone(), usage, cost, replayed };
        assert_eq!(told.last(), Some(&end));
        let folded = fold(model_id, motet_core::event::ready_stream(told)).await.unwrap();
        assert_eq!(folded, answer(turn.clone()));
    }
    assert_eq!(chat(&context, &*model, &request(), "answer").await.unwrap(), answer(turn));
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn a_failed_call_ends_the_stream_with_its_error_and_is_made_again() {
    let context = RunContext::new();
    let mut told = events(&context, Arc::new(BrokenModel(says("He")))).await;
    assert_eq!(told.pop().unwrap().unwrap_err().kind(), ErrorKind::Connection);
    assert!(told.iter().all(Result::is_ok));
    assert!(context.log().lookup("answer").unwrap().failed);
    let response = chat(&context, &*TestModel::new(&[says("Hello")]), &request(), "answer").await.unwrap();
    assert_eq!(response.text(), "Hello");
}

#[tokio::test]
async fn an_answer_that_never_finishes_is_truncated() {
    let model = TestModel::new(&[says("He").cut_off()]);
    let error = chat(&RunContext::new(), &*model, &request(), "answer").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_call_ends_with_the_deadline_or_cancellation_of_its_context() {
    let model = TestModel::new(&[says("He").hanging()]);
    let context = RunContext::new().with_timeout(std::time::Duration::from_secs(60));
    let error = chat(&context, &*model, &request(), "answer").await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Timeout, "the run's deadline passed"));

    let context = RunContext::new();
    let mut stream = open(&context, model, request(), "answer");
    while let Some(event) = stream.next().await {
        match event {
            Ok(StreamEvent::TextDelta { .. }) => context.cancellation().cancel(),
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::Cancelled),
        }
    }
    assert!(context.cancellation().is_cancelled());
}

/// A model behind a layer that waits before it sends.
struct Waits(Arc<TestModel>);

#[async_trait::async_trait]
impl Model for Waits {
    async fn open(
        &self,
        context: &RunContext,
        request: &ChatRequest,
        delivery: Delivery,
    ) -> Result<EventStream> {
        let (reason, scope) = ("rate_limit".to_owned(), "lab".to_owned());
        context.emit(&StreamEvent::Waiting { reason, delay_ms: 1_500, scope });
        self.0.open(context, request, delivery).await
    }
}

#[tokio::test]
async fn what_layers_tell_is_heard_once_by_the_stream_and_by_listeners() {
    let heard: Arc<std::sync::Mutex<Vec<StreamEvent>>> = Arc::default();
    let listener = Arc::clone(&heard);
    let listener = move |event: &StreamEvent| listener.lock().unwrap().push(event.clone());
    let context = RunContext::new().with_events(Arc::new(listener));
    let model = Arc::new(Waits(TestModel::new(&[says("Hello")])));
    let told: Vec<_> = events(&context, model).await.into_iter().map(Result::unwrap).collect();
    assert!(matches!(told[1], StreamEvent::Waiting { delay_ms: 1_500, .. }), "{told:?}");
    assert_eq!(*heard.lock().unwrap(), told, "both hear the same, in the same order");
}
