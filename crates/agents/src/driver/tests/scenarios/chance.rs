//! Whatever models ask, tools do, people decide, and whenever the process dies: all drivers come to the same end.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::approval::ApprovalPolicy;

#[derive(Debug, Clone, Copy)]
enum Ask {
    Good,
    Fails,
    Slow,
    Unknown,
    Malformed,
    WrongType,
    /// A person must agree.
    Guarded,
    /// Must not run twice.
    Once,
    /// Can find out itself whether it ran.
    Settles,
    /// Another agent takes over; after that, there is no such tool.
    HandsOver,
}

impl Ask {
    const ALL: [Ask; 10] = [
        Ask::Good,
        Ask::Fails,
        Ask::Slow,
        Ask::Unknown,
        Ask::Malformed,
        Ask::WrongType,
        Ask::Guarded,
        Ask::Once,
        Ask::Settles,
        Ask::HandsOver,
    ];

    fn name_and_arguments(self) -> (&'static str, &'static str) {
        match self {
            Ask::Good => ("work", "{\"n\":1}"),
            Ask::Fails => ("work", "{\"n\":-1}"),
            Ask::Slow => ("work", "{\"n\":3}"),
            Ask::Unknown => ("wrok", "{\"n\":1}"),
            Ask::Malformed => ("work", "{\"n\""),
            Ask::WrongType => ("work", "{\"n\":[]}"),
            Ask::Guarded => ("guarded", "{\"n\":2}"),
            Ask::Once => ("once", "{\"n\":4}"),
            Ask::Settles => ("settles", "{\"n\":5}"),
            Ask::HandsOver => ("transfer_to_other", "{}"),
        }
    }
}

#[derive(Debug, Clone)]
enum Move {
    Round(Vec<Ask>),
    /// A guardrail holds the answer back; the flag says whether it may be given again.
    HeldBack(bool),
    /// Words in the place of a value; the end of a run without a schema.
    Words,
    Value,
    Paused,
    Fails,
    CutOff,
}

#[derive(Debug, Clone, Copy)]
enum Choice {
    Approve,
    Edit,
    Deny,
    Answer,
}

#[derive(Debug, Clone)]
struct Script {
    moves: Vec<(Move, (u64, Option<u64>))>,
    choices: Vec<Choice>,
    schema: bool,
    condensed: bool,
    limit: u32,
    parallel: usize,
    /// Where the process dies, as a part of the log.
    dies_at: f64,
}

fn script() -> impl Strategy<Value = Script> {
    let asks = proptest::collection::vec(proptest::sample::select(Ask::ALL.to_vec()), 1..5);
    let next = prop_oneof![
        6 => asks.prop_map(Move::Round),
        1 => proptest::bool::weighted(0.8).prop_map(Move::HeldBack),
        1 => Just(Move::Words),
        1 => Just(Move::Value),
        1 => Just(Move::Paused),
        1 => Just(Move::Fails),
        1 => Just(Move::CutOff),
    ];
    let spending = (0..1000u64, proptest::option::weighted(0.9, 0..1000u64));
    let choices = vec![Choice::Approve, Choice::Edit, Choice::Deny, Choice::Answer];
    (
        proptest::collection::vec((next, spending), 1..7),
        proptest::collection::vec(proptest::sample::select(choices), 1..5),
        (any::<bool>(), any::<bool>()),
        (1..8u32, 1..4usize),
        0.0..1.0f64,
    )
        .prop_map(|(moves, choices, (schema, condensed), (limit, parallel), dies_at)| Script {
            moves,
            choices,
            schema,
            condensed,
            limit,
            parallel,
            dies_at,
        })
}

impl Script {
    fn turns(&self) -> Vec<Turn> {
        let turn = |(step, (tokens, nanos)): &(Move, (u64, Option<u64>))| {
            let turn = match step {
                Move::Round(asks) => {
                    let asked: Vec<_> = asks.iter().map(|ask| ask.name_and_arguments()).collect();
                    calls(
                        &asked.iter().map(|(name, arguments)| ("id", *name, *arguments)).collect::<Vec<_>>(),
                    )
                }
                Move::HeldBack(ask_again) => held_back(*ask_again),
                Move::Words => says("words"),
                Move::Value => says("[1]"),
                Move::Paused => says("and ").finishing(FinishReason::Paused),
                Move::Fails => Turn::Fail(ErrorKind::Overloaded),
                Move::CutOff => says("half"),
            };
            let turn = turn.spending(*tokens, *tokens / 2, *nanos);
            if matches!(step, Move::CutOff) { turn.cut_off() } else { turn }
        };
        let end = std::iter::repeat_with(|| says("[2]").spending(1, 1, 1)).take(8);
        self.moves.iter().map(turn).chain(end).collect()
    }

    fn agent(&self, made: &Arc<Made>) -> Agent {
        let own = |name: &str| {
            let builder = Agent::builder(name, model_id())
                .instructions(format!("You are {name}."))
                .tool(made.tool("work", Effect::Pure))
                .tool(made.tool("guarded", Effect::Pure))
                .tool(made.tool("once", Effect::AtMostOnce))
                .tool(Settles(made.tool("settles", Effect::Reconcile)))
                .approvals(ApprovalPolicy::Named(vec!["guarded".into()]))
                .max_iterations(self.limit)
                .max_parallel_tools(self.parallel);
            let builder = if self.schema { builder.output_type::<Vec<u8>>() } else { builder };
            match self.condensed {
                true => builder.condense(crate::Condense { keep_rounds: 1, max_chars: 3 }),
                false => builder,
            }
        };
        own("first").handoff(own("other").build().unwrap(), TestModel::new(&self.turns())).build().unwrap()
    }

    async fn driven(&self, made: &Arc<Made>, log: Arc<dyn RunLog>, decided: bool, how: Delivery) -> Seen {
        let choices = if decided { self.choices.clone() } else { Vec::new() };
        let context = RunContext::with_log("r1".parse().unwrap(), Arc::clone(&log))
            .with_decisions(Arc::new(Desk(choices)));
        let (agent, model) = (self.agent(made), TestModel::new(&self.turns()));
        let mut events = Vec::new();
        let result = match how {
            Delivery::Plain => run(&context, &agent, model.clone(), "go").await,
            Delivery::Streamed => {
                let mut told = stream(&context, &agent, model.clone(), "go");
                while let Some(event) = told.next().await {
                    events.extend(event.ok());
                }
                told.finish().await
            }
        };
        Seen { result, requests: model.requests(), records: log.records(), events }
    }
}

fn held_back(ask_again: bool) -> Turn {
    let Turn::Answer(mut response) = says("[held back]") else { unreachable!() };
    let verdict = json!({"guardrail": "manners", "reason": "it is rude", "ask_again": ask_again});
    response.metadata.insert(crate::review::VERDICT.into(), verdict);
    Turn::Answer(response)
}

/// Counts how often tools were called, by their step.
#[derive(Default)]
struct Made(Mutex<std::collections::BTreeMap<String, u32>>);

impl Made {
    fn tool(self: &Arc<Self>, name: &str, effect: Effect) -> FunctionTool {
        let made = Arc::clone(self);
        function(name, "", move |args: Double, call: CallContext| {
            *made.0.lock().unwrap().entry(call.run.step_name().to_owned()).or_default() += 1;
            async move {
                for _ in 0..args.n {
                    tokio::task::yield_now().await;
                }
                if args.n < 0 {
                    Err(Error::new(ErrorKind::ToolFailed, "below zero"))
                } else {
                    Ok(args.n * 11)
                }
            }
        })
        .effect(effect)
    }

    fn take(&self) -> std::collections::BTreeMap<String, u32> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A tool that finds that what was begun was never done.
struct Settles(FunctionTool);

#[async_trait::async_trait]
impl motet_core::Tool for Settles {
    fn spec(&self) -> &motet_core::request::ToolSpec {
        self.0.spec()
    }
    async fn call(
        &self,
        arguments: Value,
        context: &motet_core::ToolContext<'_>,
    ) -> Result<motet_core::ToolOutput> {
        self.0.call(arguments, context).await
    }
    fn effect(&self) -> Effect {
        Effect::Reconcile
    }
    async fn reconcile(
        &self,
        _: &Value,
        _: &motet_core::ToolContext<'_>,
    ) -> Result<motet_core::tool::Reconciled> {
        Ok(motet_core::tool::Reconciled::NotDone)
    }
}

/// Decides by the length of the step's name; approves another try of what may have been done; knows nothing when empty.
struct Desk(Vec<Choice>);

#[async_trait::async_trait]
impl Decisions for Desk {
    async fn decide(&self, question: &Question) -> Result<Option<Decision>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let sum: usize = question.step.bytes().map(usize::from).sum();
        let choice = match question.reason {
            motet_core::decision::QuestionReason::Approval => self.0[sum % self.0.len()],
            _ => Choice::Approve,
        };
        Ok(Some(match choice {
            Choice::Approve => Decision::Approve { arguments: None },
            Choice::Edit => Decision::Approve { arguments: Some(json!({"n": 7})) },
            Choice::Deny => Decision::Deny { reason: Some("no".into()) },
            Choice::Answer => Decision::Answer { output: motet_core::ToolOutput::text("seven") },
        }))
    }
}

/// What the answers on record used together, and what a broken one used.
fn spent(seen: &Seen) -> Usage {
    let answers = seen.records.iter().filter(|record| record.step().starts_with("model/"));
    let used = answers.filter_map(|record| match record.entry() {
        Entry::Finished { result } => serde_json::from_value(result["usage"].clone()).ok(),
        _ => None,
    });
    used.sum()
}

fn assert_whole(script: &Script, seen: &Seen) {
    let result = &seen.result;
    assert_valid(result);
    assert_done_once(&seen.records);
    assert!(result.model_calls <= script.limit);
    let asked: Vec<_> =
        result.new_messages().iter().flat_map(Message::tool_calls).map(|call| &call.arguments).collect();
    let answered: Vec<_> = result.tool_history.iter().map(|call| &call.arguments).collect();
    assert_eq!(asked, answered, "every call is answered, in the order asked");
    assert_eq!(result.messages[..result.first_new].last(), Some(&Message::user("go")));
    if result.partial.is_none() {
        assert_eq!(result.usage, spent(seen));
    }
    if result.outcome == Outcome::Completed && script.schema {
        assert!(result.value.is_some());
    }
}

async fn check(script: Script) {
    let made = Arc::new(Made::default());
    let memory = || Arc::new(MemoryLog::default());
    let whole = script.driven(&made, memory(), true, Delivery::Plain).await;
    assert_whole(&script, &whole);
    assert!(made.take().values().all(|times| *times == 1), "each call is made once");

    let streamed = script.driven(&made, memory(), true, Delivery::Streamed).await;
    assert_eq!(streamed.result, whole.result);
    assert_told_as_done(&streamed);

    // Parked first, decided later.
    let log = memory();
    made.take();
    let parked = script.driven(&made, Arc::clone(&log) as _, false, Delivery::Streamed).await;
    assert_whole(&script, &parked);
    assert_told_as_done(&parked);
    let later = script.driven(&made, log, true, Delivery::Plain).await;
    assert_eq!(later.result, whole.result, "decided later");
    assert!(made.take().values().all(|times| *times == 1), "waiting repeats nothing");

    // Killed somewhere; first resumed with nobody to ask, then with somebody.
    let kept = (whole.records.len() as f64 * script.dies_at) as usize;
    let log = log_of(&whole.records[..kept]).await;
    let alone = script.driven(&made, Arc::clone(&log) as _, false, Delivery::Plain).await;
    assert_whole(&script, &alone);
    for (step, times) in made.take() {
        let begun =
            |record: &&Record| record.step() == step && matches!(record.entry(), Entry::Started { .. });
        let before = whole.records[..kept].iter().find(begun);
        let careful = before.is_some_and(|record| {
            matches!(record.entry(), Entry::Started { effect: Effect::AtMostOnce, .. })
        });
        assert!(times == 1 && !careful, "`{step}` must not run twice");
    }
    let resumed = script.driven(&made, Arc::clone(&log) as _, true, Delivery::Streamed).await;
    assert_eq!(resumed.result, whole.result, "resumed after {kept} records");
    assert_whole(&script, &resumed);
    assert_told_as_done(&resumed);

    // Replayed: of a run that came to its end, nothing is done at all.
    made.take();
    if finished(&whole.records, "") == started(&whole.records, "") {
        let replay: Arc<dyn RunLog> = Arc::new(ReplayLog::new(recording(&log.records()), true));
        let replayed = script.driven(&made, replay, false, Delivery::Plain).await;
        assert_eq!(replayed.result, whole.result, "replayed");
        assert!(made.take().is_empty() && replayed.requests.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn all_drivers_come_to_the_same_end_whatever_happens(script in script()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(check(script));
    }
}
