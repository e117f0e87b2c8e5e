//! Every scenario through every driver: plain, streamed, structured, resumed after every record, and replayed.
//!
//! A scenario is an agent, what its model says turn by turn, and what must come of it. The expectations are checked
//! once; that the drivers agree is demanded of all.

mod agents;
mod chance;
mod hooks;
mod limits;
mod nested;
mod people;
mod sums;
mod talk;
mod tools;
mod values;

use motet_core::cassette::{Cassette, Header, Line, ReplayLog, Steps};
use motet_core::decision::{Decision, Decisions, Question};
use motet_core::id::Millis;
use motet_core::store::{RunState, Sequenced};

use super::*;
use crate::structured::structured_within;

/// Makes a test of a scenario.
macro_rules! scenario {
    ($name:ident, $scenario:expr) => {
        #[tokio::test(start_paused = true)]
        async fn $name() {
            $scenario.passes().await;
        }
    };
}
use scenario;

type Make<T> = Box<dyn Fn() -> T>;

pub(super) struct Scenario {
    agent: Make<AgentBuilder>,
    turns: Vec<Turn>,
    prompt: Prompt,
    context: fn(RunContext) -> RunContext,
    expected: Box<dyn Fn(&Seen)>,
}

/// What a run left behind.
pub(super) struct Seen {
    pub(super) result: AgentResult,
    pub(super) requests: Vec<ChatRequest>,
    pub(super) records: Vec<Record>,
    pub(super) events: Vec<StreamEvent>,
}

impl Scenario {
    pub(super) fn new(agent: impl Fn() -> AgentBuilder + 'static) -> Self {
        Self {
            agent: Box::new(agent),
            turns: Vec::new(),
            prompt: "go".into(),
            context: |context| context,
            expected: Box::new(|_| {}),
        }
    }

    pub(super) fn turns(mut self, turns: impl IntoIterator<Item = Turn>) -> Self {
        self.turns.extend(turns);
        self
    }

    pub(super) fn prompt(mut self, prompt: impl Into<Prompt>) -> Self {
        self.prompt = prompt.into();
        self
    }

    pub(super) fn within(mut self, context: fn(RunContext) -> RunContext) -> Self {
        self.context = context;
        self
    }

    pub(super) fn expect(mut self, expected: impl Fn(&Seen) + 'static) -> Self {
        self.expected = Box::new(expected);
        self
    }

    pub(super) async fn passes(self) {
        let plain = self.driven(Arc::new(MemoryLog::default()), Delivery::Plain).await;
        if plain.result.outcome != Outcome::ToolsRequested {
            assert_valid(&plain.result);
        }
        (self.expected)(&plain);
        self.streams(&plain).await;
        self.structured(&plain).await;
        self.resumes(&plain).await;
        self.replays(&plain).await;
    }

    async fn driven(&self, log: Arc<dyn RunLog>, delivery: Delivery) -> Seen {
        let agent = (self.agent)().build().unwrap();
        let model = TestModel::new(&self.turns);
        let context = (self.context)(RunContext::with_log("r1".parse().unwrap(), Arc::clone(&log)));
        let mut events = Vec::new();
        let result = match delivery {
            Delivery::Plain => run(&context, &agent, model.clone(), self.prompt.clone()).await,
            Delivery::Streamed => {
                let mut told = stream(&context, &agent, model.clone(), self.prompt.clone());
                let mut error = None;
                while let Some(event) = told.next().await {
                    match event {
                        Ok(event) => events.push(event),
                        Err(problem) => error = Some(problem.report()),
                    }
                }
                let result = told.finish().await;
                assert_eq!(
                    error,
                    result.error().map(|error| error.report()),
                    "the stream ends with the error"
                );
                result
            }
        };
        Seen { result, requests: model.requests(), records: log.records(), events }
    }

    async fn streams(&self, plain: &Seen) {
        let streamed = self.driven(Arc::new(MemoryLog::default()), Delivery::Streamed).await;
        assert_eq!(streamed.result, plain.result, "streamed and plain differ");
        assert_eq!(streamed.requests, plain.requests, "streamed and plain ask differently");
        assert_told_as_done(&streamed);
        (self.expected)(&Seen { events: streamed.events, ..self.again(plain) });
    }

    fn again(&self, seen: &Seen) -> Seen {
        Seen {
            result: seen.result.clone(),
            requests: seen.requests.clone(),
            records: seen.records.clone(),
            events: Vec::new(),
        }
    }

    /// An agent without tools that has a schema is the same as a structured call.
    async fn structured(&self, plain: &Seen) {
        let agent = (self.agent)().build().unwrap();
        let alone = agent.tools().is_empty() && agent.handoffs().is_empty() && agent.hooks().is_empty();
        let Some(request) = plain.requests.first().filter(|request| alone && has_schema(request)) else {
            return;
        };
        if matches!(plain.result.outcome, Outcome::LimitReached) {
            return;
        }
        let context = (self.context)(RunContext::new());
        let model = TestModel::new(&self.turns);
        let repairs = agent.limits().max_repairs;
        let answer = structured_within(&context, &*model, request.clone(), "model/0", repairs).await;
        assert_eq!(model.requests(), plain.requests, "a structured call asks differently");
        match answer {
            Ok((value, response)) => {
                assert_eq!(Some(&value), plain.result.value.as_ref());
                assert_eq!(response.text(), plain.result.text);
                assert_eq!(response.usage.unwrap_or_default(), plain.result.usage);
                assert_eq!(response.cost, plain.result.cost);
            }
            Err(error) => {
                let expected = plain.result.error().expect("the agent failed too");
                assert_eq!((error.kind(), error.message()), (expected.kind(), expected.message()));
            }
        }
    }

    /// Whatever part of the log is there, the result is the same, and what is on record is not done again.
    async fn resumes(&self, plain: &Seen) {
        let handed = !(self.agent)().build().unwrap().handoffs().is_empty();
        for length in 0..=plain.records.len() {
            let before = &plain.records[..length];
            for delivery in [Delivery::Plain, Delivery::Streamed] {
                let resumed = self.driven(log_of(before).await, delivery).await;
                assert_eq!(resumed.result, plain.result, "after {length} records");
                assert_done_once(&resumed.records);
                let asked = started(&plain.records, "model/") - finished(before, "model/");
                let begun = started(&resumed.records[length..], "model/");
                assert_eq!(begun, asked, "model calls after {length} records");
                // Agents that take over have models of their own.
                assert!(
                    handed || resumed.requests.len() == asked,
                    "what is begun is asked, and nothing else"
                );
            }
        }
    }

    /// With a recording in the place of models and tools, a run that came to its end comes to the same end.
    async fn replays(&self, plain: &Seen) {
        let unfinished = finished(&plain.records, "") < started(&plain.records, "");
        if unfinished || matches!(plain.result.outcome, Outcome::Waiting | Outcome::DeadlinePassed) {
            return;
        }
        let log: Arc<ReplayLog> = Arc::new(ReplayLog::new(recording(&plain.records), true));
        let replayed = self.driven(Arc::clone(&log) as Arc<dyn RunLog>, Delivery::Streamed).await;
        assert_eq!(replayed.result, plain.result, "replayed");
        assert!(replayed.requests.is_empty() && replayed.records.is_empty(), "nothing is done in a replay");
        assert_eq!(log.answered() as usize, outermost(&plain.records), "every step is answered");
    }
}

/// What a stream tells is what was done, and no more.
pub(super) fn assert_told_as_done(streamed: &Seen) {
    let Seen { result, events, .. } = streamed;
    let (mut text, mut arguments, mut open) = (String::new(), Vec::new(), Vec::new());
    let mut valid = (0, 0);
    for event in events {
        match event {
            StreamEvent::ModelCallStarted { .. } => valid = (text.len(), arguments.len()),
            StreamEvent::OutputDiscarded { .. } => {
                text.truncate(valid.0);
                arguments.truncate(valid.1);
            }
            StreamEvent::TextDelta { text: piece, .. } => text.push_str(piece),
            StreamEvent::ToolCallStarted { .. } => arguments.push(String::new()),
            StreamEvent::ToolCallDelta { arguments: piece, .. } => {
                arguments.last_mut().expect("a call has started").push_str(piece);
            }
            StreamEvent::ToolStarted { step, .. } => open.push(step.clone()),
            StreamEvent::ToolEnded { step, .. } => {
                let place = open.iter().position(|open| open == step);
                open.swap_remove(place.expect("a tool that ends has begun"));
            }
            _ => {}
        }
    }
    let answers = result.new_messages().iter().filter(|message| message.role == Role::Assistant);
    let shown: String = answers.chain(&result.partial).map(Message::visible_text).collect();
    assert_eq!(text, shown, "the stream shows the text of the transcript and no other");
    if result.partial.is_none() && !matches!(result.outcome, Outcome::ToolsRequested) {
        let written: Vec<_> = result.tool_history.iter().map(|call| call.arguments.clone()).collect();
        assert_eq!(arguments, written, "the stream shows the arguments as the model wrote them");
    }
    if result.outcome == Outcome::Completed {
        assert_eq!(open, Vec::<String>::new(), "every tool that began has ended");
    }
}

/// No step is begun again that has a result.
pub(super) fn assert_done_once(records: &[Record]) {
    let mut done = std::collections::HashSet::new();
    for record in records {
        assert!(!done.contains(record.step()), "`{}` was done again", record.step());
        if matches!(record.entry(), Entry::Finished { .. }) {
            done.insert(record.step());
        }
    }
}

pub(super) async fn log_of(records: &[Record]) -> Arc<MemoryLog> {
    let log = Arc::new(MemoryLog::default());
    log.append(records.to_vec()).await.unwrap();
    log
}

/// Counts the different steps whose names begin so and that have a result.
pub(super) fn finished(records: &[Record], prefix: &str) -> usize {
    count(records, prefix, |entry| matches!(entry, Entry::Finished { .. }))
}

/// Counts the different steps whose names begin so and that were begun.
pub(super) fn started(records: &[Record], prefix: &str) -> usize {
    count(records, prefix, |entry| matches!(entry, Entry::Started { .. }))
}

fn count(records: &[Record], prefix: &str, counts: fn(&Entry) -> bool) -> usize {
    let of_it = |record: &&Record| counts(record.entry()) && record.step().starts_with(prefix);
    let steps: std::collections::BTreeSet<_> = records.iter().filter(of_it).map(Record::step).collect();
    steps.len()
}

fn recording(records: &[Record]) -> Arc<Steps> {
    let mut cassette = Cassette::new(Header {
        cassette: 1,
        motet: "0".into(),
        run: "r1".parse().unwrap(),
        name: "scenario".into(),
        kind: "call".into(),
        state: RunState::Completed,
        created_at: Millis(0),
        ended_at: None,
        definition: serde_json::Value::Null,
        inputs: serde_json::Map::new(),
        settings: serde_json::Map::new(),
        outputs: serde_json::Map::new(),
        masked: None,
    });
    for (seq, record) in (1..).zip(records) {
        let sequenced = Sequenced { seq, task: 0, record: record.clone() };
        cassette.add(Line::Record(Box::new(sequenced))).unwrap();
    }
    Arc::new(Steps::new(Arc::new(cassette)).unwrap())
}

fn has_schema(request: &ChatRequest) -> bool {
    matches!(request.output, motet_core::request::Output::JsonSchema(_))
}

/// Tools that change nothing, so that a resumed run may run them again.
pub(super) fn pure(tools: impl IntoIterator<Item = FunctionTool>) -> AgentBuilder {
    agent(tools.into_iter().map(|tool| tool.effect(Effect::Pure)))
}

/// A tool without arguments that answers always the same.
pub(super) fn answering(name: &str, answer: impl serde::Serialize) -> FunctionTool {
    let answer = serde_json::to_value(answer).unwrap();
    function(name, "", move |_: NoArguments, _| {
        let answer = answer.clone();
        async move { Ok(answer) }
    })
}

/// Somebody who answers every question in the same way.
pub(super) struct Always(pub(super) Option<Decision>);

#[async_trait::async_trait]
impl Decisions for Always {
    async fn decide(&self, _: &Question) -> Result<Option<Decision>> {
        Ok(self.0.clone())
    }
}

/// Counts the steps that are not below another one, whose result stands for theirs.
fn outermost(records: &[Record]) -> usize {
    let steps: std::collections::BTreeSet<_> = records.iter().map(Record::step).collect();
    let below = |step: &&&str| steps.iter().any(|other| step.starts_with(&format!("{other}/")));
    steps.len() - steps.iter().filter(below).count()
}

pub(super) fn picture() -> motet_core::message::Media {
    let source = motet_core::message::MediaSource::Url("https://example.com/a.png".into());
    motet_core::message::Media { media_type: None, source, name: None }
}
