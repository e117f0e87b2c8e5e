//! Turns of a conversation: what is sent, what is kept, and what a turn that fails leaves behind.

mod compaction;

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::StreamExt as _;
use motet_core::accumulate::unfold;
use motet_core::decision::{Decision, Decisions, Question};
use motet_core::event::ready_stream;
use motet_core::message::ToolCall;
use motet_core::request::ToolSpec;
use motet_core::{
    ChatRequest, ChatResponse, Cost, Delivery, Error, ErrorKind, EventStream, FinishReason, Model, ModelId,
    Part, Role, StreamEvent, ToolOutput, Usage,
};
use serde_json::json;

use super::*;
use crate::agent::AgentBuilder;
use crate::approval::ApprovalPolicy;
use crate::function::dynamic;
use crate::machine::{Condense, Outcome};

type Says = dyn Fn(&ChatRequest) -> Result<Message> + Send + Sync;

/// A model that is a function of the request, and keeps what it was asked.
pub(super) struct Talker {
    says: Box<Says>,
    pub(super) asked: Mutex<Vec<ChatRequest>>,
}

impl Talker {
    pub(super) fn new(says: impl Fn(&ChatRequest) -> Result<Message> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { says: Box::new(says), asked: Mutex::default() })
    }

    /// Repeats the last words that were said to it.
    fn echo() -> Arc<Self> {
        Self::new(|request| Ok(Message::assistant(format!("{}!", last_text(request)))))
    }

    fn calls(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn last(&self) -> Vec<Message> {
        self.asked.lock().unwrap().last().unwrap().messages.clone()
    }
}

#[async_trait]
impl Model for Talker {
    async fn open(&self, _: &RunContext, request: &ChatRequest, _: Delivery) -> Result<EventStream> {
        self.asked.lock().unwrap().push(request.clone());
        tokio::task::yield_now().await;
        let message = (self.says)(request)?;
        let calls = message.tool_calls().next().is_some();
        let reason = if calls { FinishReason::ToolCalls } else { FinishReason::Stop };
        let written = tokens::message(&message);
        let mut response = ChatResponse::new(request.model.clone(), message, reason);
        response.usage = Some(Usage::new(tokens::estimate(request), written));
        response.cost = Some(Cost::from_nanos(3));
        Ok(ready_stream(unfold(&response)))
    }
}

pub(super) fn last_text(request: &ChatRequest) -> String {
    request.messages.last().map(Message::visible_text).unwrap_or_default()
}

pub(super) fn id(text: &str) -> ModelId {
    text.parse().unwrap()
}

pub(super) fn builder() -> AgentBuilder {
    Agent::builder("guide", id("scripted:one")).instructions("Be brief.")
}

pub(super) fn call(name: &str) -> Message {
    let call = ToolCall {
        id: format!("call-{name}"),
        name: name.into(),
        arguments: "{}".into(),
        minted: false,
        opaque: None,
    };
    Message { role: Role::Assistant, parts: vec![Part::ToolCall(call)] }
}

/// A tool that answers with a text, and counts its calls.
fn tool(name: &str, answer: String, count: Arc<AtomicUsize>) -> impl motet_core::Tool + use<> {
    let spec = ToolSpec::new(name, "", json!({"type": "object"}));
    dynamic(spec, move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        let answer = answer.clone();
        async move { Ok(ToolOutput::text(answer)) }
    })
}

/// Calls the tool once in every turn, then answers.
fn looks_it_up() -> Arc<Talker> {
    Talker::new(|request| match request.messages.last().map(|last| last.role) {
        Some(Role::User) => Ok(call("read")),
        _ => Ok(Message::assistant("read it")),
    })
}

fn roles(messages: &[Message]) -> String {
    messages
        .iter()
        .map(|message| format!("{:?} ", message.role))
        .collect::<String>()
        .trim_end()
        .to_lowercase()
}

#[tokio::test]
async fn a_turn_sends_what_was_said_before_with_calls_and_results() {
    let model = looks_it_up();
    let agent = builder().tool(tool("read", "page".into(), Arc::default())).build().unwrap();
    let session = Session::new(agent, model.clone());
    for question in ["one", "two"] {
        let result = session.send(&RunContext::new(), question).await.into_result().unwrap();
        assert_eq!(result.text, "read it");
    }
    assert_eq!(
        roles(&model.last()),
        "system user assistant tool assistant user assistant tool",
        "the second turn's last call holds the first turn whole"
    );
    let conversation = session.conversation().await.unwrap();
    assert_eq!(
        (conversation.head.turns, conversation.head.messages),
        (2, 8),
        "instructions are no message of it"
    );
    assert_eq!(conversation.head.cost, Some(Cost::from_nanos(12)));
    assert!(conversation.head.usage.output >= 4 * 5);
    assert_eq!(conversation.head.instructions, "Be brief.");
    assert_eq!(conversation.turns[1].agent.as_deref(), Some("guide"));
}

#[tokio::test]
async fn turns_of_one_session_never_interleave() {
    let model = Talker::echo();
    let session = Session::new(builder().build().unwrap(), model.clone());
    let context = RunContext::new();
    let turns = (0..20).map(|number: u32| {
        let (session, context) = (session.clone(), context.clone());
        async move { session.send(&context, number.to_string()).await.into_result() }
    });
    for ended in futures::future::join_all(turns).await {
        let _ = ended.unwrap();
    }
    let said: Vec<String> =
        session.conversation().await.unwrap().messages().map(Message::visible_text).collect();
    let expected: Vec<String> =
        (0..20).flat_map(|number| [format!("{number}"), format!("{number}!")]).collect();
    assert_eq!(said, expected);
}

/// Each way in which a turn does not complete.
#[tokio::test]
async fn a_turn_that_does_not_complete_leaves_the_conversation_as_it_was() {
    let model = Talker::new(|request| {
        let asked = request.messages.iter().rfind(|message| message.role == Role::User);
        match asked.map(Message::visible_text).as_deref() {
            Some("fail") => Err(Error::new(ErrorKind::Overloaded, "out of order")),
            Some("loop") => Ok(call("read")),
            _ => Ok(Message::assistant("fine")),
        }
    });
    let agent = builder()
        .tool(tool("read", "loop".into(), Arc::default()))
        .max_iterations(2)
        .approvals(ApprovalPolicy::Never)
        .build()
        .unwrap();
    let session = Session::new(agent.clone(), model.clone());
    let _ = session.send(&RunContext::new(), "hello").await.into_result().unwrap();
    let before = session.conversation().await.unwrap();

    let failed = session.send(&RunContext::new(), "fail").await;
    assert_eq!(failed.error().unwrap().kind(), ErrorKind::Overloaded);
    let limited = session.send(&RunContext::new(), "loop").await;
    assert_eq!(limited.outcome, Outcome::LimitReached);
    let cancelled = RunContext::new();
    cancelled.cancellation().cancel();
    assert_eq!(session.send(&cancelled, "hi").await.outcome, Outcome::Cancelled);
    assert!(session.send(&RunContext::new(), Vec::new()).await.error().is_some());
    {
        let context = RunContext::new();
        let mut stream = session.stream(&context, "dropped");
        assert!(matches!(stream.next().await, Some(Ok(StreamEvent::ModelCallStarted { .. }))));
    }
    let waiting = agent_that_asks();
    session.switch(waiting, model);
    assert_eq!(session.send(&RunContext::new(), "loop").await.outcome, Outcome::Waiting);

    assert_eq!(session.conversation().await.unwrap(), before);
    session.switch(agent, Talker::echo());
    assert_eq!(session.send(&RunContext::new(), "again").await.into_result().unwrap().text, "again!");
    assert_eq!(session.head().await.turns, 2);
}

/// A hook that puts a message behind what was said, and one that sends the newest message alone.
struct Adds;
struct Forgets;

#[async_trait]
impl crate::Hook for Adds {
    async fn at(&self, _: &RunContext, payload: &crate::Payload) -> Result<crate::Reaction> {
        let mut changed = payload.clone();
        if let crate::Payload::BeforeRun { messages, .. } = &mut changed {
            messages.push(Message::user("by the way"));
        }
        Ok(crate::Reaction::Change(Box::new(changed)))
    }
}

#[async_trait]
impl crate::Hook for Forgets {
    async fn at(&self, _: &RunContext, payload: &crate::Payload) -> Result<crate::Reaction> {
        let mut changed = payload.clone();
        if let crate::Payload::BeforeRun { messages, .. } = &mut changed {
            messages.drain(..messages.len() - 1);
        }
        Ok(crate::Reaction::Change(Box::new(changed)))
    }
}

#[tokio::test]
async fn a_hook_that_changes_how_many_messages_are_sent_takes_nothing_from_the_turn() {
    use crate::hooks::{HookEntry, Stage};
    for (hook, kept) in [
        (HookEntry::new("adds", [Stage::BeforeRun], Adds), "user user assistant user user assistant"),
        (HookEntry::new("forgets", [Stage::BeforeRun], Forgets), "user assistant user assistant"),
    ] {
        let session = Session::new(builder().hook(hook).build().unwrap(), Talker::echo());
        for word in ["one", "two"] {
            let _ = session.send(&RunContext::new(), word).await.into_result().unwrap();
        }
        let conversation = session.conversation().await.unwrap();
        let messages: Vec<Message> = conversation.messages().cloned().collect();
        assert_eq!(roles(&messages), kept);
        let said: Vec<String> =
            conversation.turns.iter().map(|turn| turn.messages[0].visible_text()).collect();
        assert_eq!(said, ["one", "two"]);
    }
}

fn agent_that_asks() -> Agent {
    builder()
        .tool(tool("read", "page".into(), Arc::default()))
        .approvals(ApprovalPolicy::Always)
        .build()
        .unwrap()
}

/// Somebody who agrees to everything.
struct Yes;

#[async_trait]
impl Decisions for Yes {
    async fn decide(&self, _: &Question) -> Result<Option<Decision>> {
        Ok(Some(Decision::Approve { arguments: None }))
    }
}

#[tokio::test]
async fn a_parked_turn_goes_on_where_it_stopped_unless_the_conversation_went_on() {
    let model = looks_it_up();
    let session = Session::new(agent_that_asks(), model.clone());
    let context = RunContext::new();
    assert_eq!(session.send(&context, "read it").await.outcome, Outcome::Waiting);
    let parked = session.parked().await.unwrap();
    assert_eq!(&parked.run, context.run_id());
    let decided = context.clone().with_decisions(Arc::new(Yes));
    let result = session.resume(&decided, parked.clone()).await.into_result().unwrap();
    assert_eq!((result.text.as_str(), model.calls()), ("read it", 2), "the first call is not made again");
    assert_eq!((session.head().await.turns, session.parked().await), (1, None));
    let late = session.resume(&decided, parked).await.error().unwrap();
    assert_eq!((late.kind(), late.hint().is_some()), (ErrorKind::Conflict, true));
}

#[tokio::test]
async fn the_same_words_with_the_same_log_go_on_where_they_stopped() {
    let count = Arc::new(AtomicUsize::new(0));
    let breaks = Arc::new(AtomicUsize::new(1));
    let left = Arc::clone(&breaks);
    let model = Talker::new(move |request| match request.messages.last().map(|last| last.role) {
        Some(Role::User) => Ok(call("read")),
        _ if left.swap(0, Ordering::SeqCst) == 1 => Err(Error::new(ErrorKind::Connection, "gone")),
        _ => Ok(Message::assistant("read it")),
    });
    let agent = builder().tool(tool("read", "page".into(), Arc::clone(&count))).build().unwrap();
    let session = Session::new(agent, model.clone());
    let context = RunContext::new();
    assert!(session.send(&context, "read").await.error().is_some());
    // Other words do not meet the steps of the turn that failed.
    breaks.store(0, Ordering::SeqCst);
    assert!(session.send(&context, "read").await.error().is_none());
    assert_eq!((count.load(Ordering::SeqCst), model.calls()), (1, 3));
    assert!(session.send(&context, "read").await.error().is_none(), "said again, it is another turn");
    assert_eq!((count.load(Ordering::SeqCst), session.head().await.turns), (2, 2));
}

#[tokio::test]
async fn streams_end_with_the_same_conversation_as_plain_turns() {
    let agent = builder().tool(tool("read", "page".into(), Arc::default())).build().unwrap();
    let (plain, streamed) = (Session::new(agent.clone(), looks_it_up()), Session::new(agent, looks_it_up()));
    let _ = plain.send(&RunContext::new(), "go").await.into_result().unwrap();
    let _ = streamed.stream(&RunContext::new(), "go").finish().await.into_result().unwrap();
    let messages = async |session: &Session| {
        session.conversation().await.unwrap().messages().cloned().collect::<Vec<_>>()
    };
    assert_eq!(messages(&plain).await, messages(&streamed).await);
}

#[tokio::test]
async fn what_is_said_anew_replaces_what_followed_only_when_it_completes() {
    let model = Talker::new(|request| match last_text(request).as_str() {
        "fail" => Err(Error::new(ErrorKind::Overloaded, "out of order")),
        other => Ok(Message::assistant(format!("{other}!"))),
    });
    let session = Session::new(builder().build().unwrap(), model.clone());
    for word in ["one", "two", "three"] {
        let _ = session.send(&RunContext::new(), word).await.into_result().unwrap();
    }
    assert!(session.send_after(&RunContext::new(), 2, "fail").await.error().is_some());
    assert_eq!(session.head().await.turns, 3);
    let _ = session.send_after(&RunContext::new(), 2, "four").await.into_result().unwrap();
    assert_eq!(roles(&model.last()), "system user assistant user");
    let fork = session.fork(Some(2), "fork".parse().unwrap()).await.unwrap();
    let _ = fork.send(&RunContext::new(), "five").await.into_result().unwrap();
    let said = async |session: &Session| {
        let conversation = session.conversation().await.unwrap();
        conversation.messages().map(Message::visible_text).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(said(&session).await, "one one! four four!");
    assert_eq!(said(&fork).await, "one one! five five!");
    session.take_back(0).await.unwrap();
    assert_eq!((said(&session).await.as_str(), session.head().await.version), ("", 5));
}

#[tokio::test]
async fn another_agent_and_model_go_on_with_the_same_conversation() {
    let session = Session::new(builder().build().unwrap(), Talker::echo());
    let _ = session.send(&RunContext::new(), "one").await.into_result().unwrap();
    let other = Talker::echo();
    let poet = Agent::builder("poet", id("scripted:two")).instructions("Rhyme.").build().unwrap();
    session.switch(poet, other.clone());
    let _ = session.send(&RunContext::new(), "two").await.into_result().unwrap();
    let sent: Vec<String> = other.last().iter().map(Message::visible_text).collect();
    assert_eq!(
        sent,
        ["Rhyme.", "one", "one!", "two"],
        "the instructions are those of the newest agent alone"
    );
    let conversation = session.conversation().await.unwrap();
    let models: Vec<_> = conversation.turns.iter().filter_map(|turn| turn.model.clone()).collect();
    assert_eq!(models, [id("scripted:one"), id("scripted:two")]);
    assert_eq!(conversation.head.agent.as_deref(), Some("poet"));
}

#[tokio::test]
async fn a_handoff_inside_a_turn_keeps_the_turn_whole() {
    let expert = Agent::builder("expert", id("scripted:two")).instructions("Know it.").build().unwrap();
    let clerk = Agent::builder("clerk", id("scripted:one")).handoff(expert, Talker::echo()).build().unwrap();
    let name = clerk.handoffs()[0].spec().name;
    let session = Session::new(clerk, Talker::new(move |_| Ok(call(&name))));
    let result = session.send(&RunContext::new(), "help").await.into_result().unwrap();
    let conversation = session.conversation().await.unwrap();
    assert_eq!(roles(&conversation.turns[0].messages), "user assistant tool assistant");
    assert_eq!(conversation.turns[0].model, Some(id("scripted:two")));
    assert_eq!(result.model, id("scripted:two"));
}

#[tokio::test]
async fn calls_left_to_the_caller_are_answered_in_the_next_turn() {
    let model = looks_it_up();
    let agent =
        builder().tool(tool("read", String::new(), Arc::default())).execute_tools(false).build().unwrap();
    let session = Session::new(agent, model);
    assert_eq!(session.send(&RunContext::new(), "go").await.outcome, Outcome::ToolsRequested);
    let words = session.send(&RunContext::new(), "well?").await.error().unwrap();
    assert_eq!((words.kind(), words.hint().is_some()), (ErrorKind::InvalidRequest, true));
    let result = motet_core::message::ToolResult {
        id: "call-read".into(),
        name: "read".into(),
        content: vec![Part::text("page")],
        is_error: false,
    };
    let results = Message::tool(vec![result]);
    let _ = session.send(&RunContext::new(), results.clone()).await.into_result().unwrap();
    assert_eq!(session.head().await.messages, 4);
    let stray = session.send(&RunContext::new(), results).await.error().unwrap();
    assert_eq!(stray.kind(), ErrorKind::InvalidRequest);
}

#[tokio::test]
async fn results_of_earlier_turns_are_shortened_where_the_agent_condenses() {
    let model = looks_it_up();
    let agent = builder()
        .tool(tool("read", "x".repeat(500), Arc::default()))
        .condense(Condense { keep_rounds: 1, max_chars: 10 })
        .build()
        .unwrap();
    let session = Session::new(agent, model.clone());
    for question in ["one", "two"] {
        let _ = session.send(&RunContext::new(), question).await.into_result().unwrap();
    }
    let _ = session.send(&RunContext::new(), "three").await.into_result().unwrap();
    let first_call = model.asked.lock().unwrap()[4].messages.clone();
    let lengths = |messages: &[Message]| -> Vec<usize> {
        let parts = messages.iter().flat_map(|message| &message.parts);
        parts
            .filter_map(|part| if let Part::ToolResult(r) = part { Some(r.text().len()) } else { None })
            .collect()
    };
    let sent = lengths(&first_call);
    assert!(sent[0] < 100 && sent[1] == 500, "{sent:?}");
    let conversation = session.conversation().await.unwrap();
    let kept: Vec<Message> = conversation.messages().cloned().collect();
    assert_eq!(lengths(&kept), [500, 500, 500], "what is kept stays whole");
}

#[tokio::test]
async fn a_conversation_is_exported_for_people_and_read_back() {
    let agent = builder().tool(tool("read", "a ``` fence".into(), Arc::default())).build().unwrap();
    let session = Session::new(agent.clone(), looks_it_up());
    let _ = session.send(&RunContext::new(), "What does it say?").await.into_result().unwrap();
    let conversation = session.conversation().await.unwrap();
    let read = from_json(&to_json(&conversation).unwrap()).unwrap();
    assert_eq!(read, conversation);
    let markdown = to_markdown(&conversation);
    for part in [
        "## Instructions\n\nBe brief.\n",
        "## User\n\nWhat does it say?\n",
        "Calls `read`:\n\n```json\n{}\n```\n",
        "`read` answered:\n\n````\na ``` fence\n````\n",
        "## Assistant\n\nread it\n",
        "1 turns, ",
    ] {
        assert!(markdown.contains(part), "{part:?} is not in\n{markdown}");
    }
    let again = Session::of(read, agent, looks_it_up());
    let _ = again.send(&RunContext::new(), "And then?").await.into_result().unwrap();
    assert_eq!(again.head().await.turns, 2);
    assert_eq!(from_json("{}").unwrap_err().kind(), ErrorKind::InvalidRequest);
}
