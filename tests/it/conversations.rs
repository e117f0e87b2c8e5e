//! Conversations in a real store: several sessions on one, long ones, and turns that wait for a person in between.

use std::sync::{Arc, Mutex};

use motet::agents::conversation::ParkedTurn;
use motet::agents::{Agent, ApprovalPolicy, Compaction, Outcome, Session, dynamic};
use motet::core::conversation::ConversationId;
use motet::core::decision::{Decision, Decisions, Question};
use motet::core::request::ToolSpec;
use motet::core::store::SharedStore;
use motet::core::{Model, ToolOutput};
use motet::providers::scripted::{Answer, ScriptedModel};
use motet::{ChatRequest, ErrorKind, Message, Result, RunContext, Usage};
use serde_json::json;

fn store() -> (tempfile::TempDir, SharedStore) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/store.db", directory.path().display());
    let store = motet::persistence::open(&url).unwrap();
    (directory, store)
}

fn id(text: &str) -> ConversationId {
    text.parse().unwrap()
}

fn agent() -> Agent {
    Agent::builder("guide", "scripted:test".parse().unwrap()).build().unwrap()
}

/// Answers with so many words, and sums up when it is told to; keeps how long each request was.
fn wordy(words: usize, lengths: Arc<Mutex<Vec<usize>>>) -> Arc<dyn Model> {
    Arc::new(ScriptedModel::from_fn(move |request: &ChatRequest| {
        let length: usize = request.messages.iter().map(|message| message.visible_text().len()).sum();
        lengths.lock().unwrap().push(length);
        let text = if is_summary(request) { "They talked.".to_owned() } else { "word ".repeat(words) };
        let answer = Message::assistant(text);
        let mut response = motet::ChatResponse::new(request.model.clone(), answer, motet::FinishReason::Stop);
        response.usage = Some(Usage::new(length as u64 / 4, 10));
        Ok(response)
    }))
}

fn is_summary(request: &ChatRequest) -> bool {
    request.messages[0].visible_text() == motet::agents::conversation::DEFAULT_PROMPT
}

fn echo() -> Arc<dyn Model> {
    wordy(3, Arc::default())
}

#[tokio::test]
async fn a_session_learns_what_another_process_said_and_a_turn_that_comes_too_late_is_refused() {
    let (_directory, store) = store();
    let one = Session::create(store.clone(), id("trip"), agent(), echo()).await.unwrap();
    let other = Session::open(store.clone(), &id("trip"), agent(), echo()).await.unwrap();
    for session in [&one, &other, &one] {
        let _ = session.send(&RunContext::new(), "hello").await.into_result().unwrap();
    }
    assert_eq!((one.head().await.turns, one.head().await.version), (3, 3));

    // The other session adds a turn while the model of this one still answers.
    let meddler = other.clone();
    let slow = ScriptedModel::answers([Answer::text("late")]);
    let slow = Meddling { inner: slow, meddler };
    one.switch(agent(), Arc::new(slow));
    let late = one.send(&RunContext::new(), "and now?").await;
    let error = late.error().unwrap();
    assert_eq!(
        (error.kind(), error.hint().is_some(), late.text.as_str()),
        (ErrorKind::Conflict, true, "late")
    );
    one.switch(agent(), echo());
    let _ = one.send(&RunContext::new(), "again").await.into_result().unwrap();
    let kept = one.conversation().await.unwrap();
    let asked: Vec<String> = kept.turns.iter().map(|turn| turn.messages[0].visible_text()).collect();
    assert_eq!(asked, ["hello", "hello", "hello", "meanwhile", "again"]);
}

/// A model during whose answer somebody else continues the conversation.
struct Meddling {
    inner: ScriptedModel,
    meddler: Session,
}

#[async_trait::async_trait]
impl Model for Meddling {
    async fn open(
        &self,
        context: &RunContext,
        request: &ChatRequest,
        delivery: motet::Delivery,
    ) -> Result<motet::EventStream> {
        let _ = self.meddler.send(&RunContext::new(), "meanwhile").await.into_result()?;
        self.inner.open(context, request, delivery).await
    }
}

#[tokio::test]
async fn a_conversation_of_five_hundred_turns_is_kept_whole_and_sent_short() {
    let (directory, store) = store();
    let lengths = Arc::new(Mutex::new(Vec::new()));
    let rules = Compaction::new(4_000);
    let session = Session::create(store.clone(), id("long"), agent(), wordy(50, Arc::clone(&lengths)))
        .await
        .unwrap()
        .with_compaction(rules.clone())
        .unwrap();
    let mut most_held = 0;
    for number in 0..500 {
        let _ = session.send(&RunContext::new(), format!("question {number}")).await.into_result().unwrap();
        most_held = most_held.max(session.held_messages().await);
    }
    assert!(most_held < 150, "{most_held} messages were in memory");
    let kept = session.conversation().await.unwrap();
    assert_eq!((kept.head.turns, kept.head.messages, kept.head.version), (500, 1_000, 500));
    assert_eq!(kept.turns[0].messages[0].visible_text(), "question 0");
    let longest = lengths.lock().unwrap().iter().copied().max().unwrap();
    assert!(longest < 20_000, "{longest} characters were sent at once, of about 133,000");
    assert!((5..20).contains(&kept.summaries.len()), "{}", kept.summaries.len());
    drop((session, store));

    // As another process finds it: one model call for the next turn, on the summary that is there.
    let store = motet::persistence::open(&format!("sqlite:{}/store.db", directory.path().display())).unwrap();
    let lengths = Arc::new(Mutex::new(Vec::new()));
    let session = Session::open(store, &id("long"), agent(), wordy(50, Arc::clone(&lengths))).await.unwrap();
    let session = session.with_compaction(rules).unwrap();
    let _ = session.send(&RunContext::new(), "and now?").await.into_result().unwrap();
    assert!(lengths.lock().unwrap().last().unwrap() < &20_000);
    assert_eq!(session.head().await.turns, 501);
}

/// Somebody who agrees.
struct Yes;

#[async_trait::async_trait]
impl Decisions for Yes {
    async fn decide(&self, _: &Question) -> Result<Option<Decision>> {
        Ok(Some(Decision::Approve { arguments: None }))
    }
}

#[tokio::test]
async fn a_turn_that_waits_for_a_person_goes_on_in_another_session() {
    let (_directory, store) = store();
    let spec = ToolSpec::new("pay", "", json!({"type": "object"}));
    let pay = dynamic(spec, |_, _| async { Ok(ToolOutput::text("paid")) });
    let agent = Agent::builder("clerk", "scripted:test".parse().unwrap())
        .tool(pay)
        .approvals(ApprovalPolicy::Always)
        .build()
        .unwrap();
    let answers = || {
        let model = ScriptedModel::from_fn(|request: &ChatRequest| {
            let answered = request.messages.iter().any(|message| message.role == motet::Role::Tool);
            let answer =
                if answered { Answer::text("It is paid.") } else { Answer::tool_call("pay", &json!({})) };
            answer.respond(request)
        });
        Arc::new(model) as Arc<dyn Model>
    };
    let context = RunContext::new();
    let session = Session::create(store.clone(), id("bill"), agent.clone(), answers()).await.unwrap();
    assert_eq!(session.send(&context, "Pay it.").await.outcome, Outcome::Waiting);
    let written = serde_json::to_string(&session.parked().await.unwrap()).unwrap();
    drop(session);

    let session = Session::open(store, &id("bill"), agent, answers()).await.unwrap();
    assert_eq!(session.head().await.turns, 0, "it is no part of the conversation yet");
    let parked: ParkedTurn = serde_json::from_str(&written).unwrap();
    assert_eq!(&parked.run, context.run_id());
    let decided = context.with_decisions(Arc::new(Yes));
    let result = session.resume(&decided, parked).await.into_result().unwrap();
    assert_eq!((result.text.as_str(), session.head().await.turns), ("It is paid.", 1));
}
