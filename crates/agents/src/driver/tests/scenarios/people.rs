//! Calls that people decide about, before they are made and when nobody knows what became of them.

use motet_core::ToolOutput;
use motet_core::tool::Reconciled;
use serde_json::json;

use super::*;
use crate::approval::ApprovalPolicy;

fn asking() -> AgentBuilder {
    pure([double(), answering("look", "seen")]).approvals(ApprovalPolicy::Named(vec!["double".into()]))
}

fn asked() -> Turn {
    calls(&[("a", "double", "{\"n\": 4}"), ("b", "look", "{}")])
}

fn approve(context: RunContext) -> RunContext {
    context.with_decisions(Arc::new(Always(Some(Decision::Approve { arguments: None }))))
}

fn deny(context: RunContext) -> RunContext {
    let reason = Some("not on a Sunday".to_owned());
    context.with_decisions(Arc::new(Always(Some(Decision::Deny { reason }))))
}

scenario!(
    a_call_that_a_person_agrees_to_is_made,
    Scenario::new(asking).within(approve).turns([asked(), says("8")]).expect(|seen| {
        assert_eq!((told(&seen.result), seen.result.text.as_str()), (vec!["8", "seen"], "8"));
        assert_eq!(finished(&seen.records, "decision/0/0/approval"), 1, "the decision is on record");
    })
);

scenario!(
    a_call_that_a_person_denies_is_not_made_and_the_model_reads_why,
    Scenario::new(asking).within(deny).turns([asked(), says("well")]).expect(|seen| {
        assert_eq!(
            told(&seen.result),
            ["not run: a person did not allow this call: not on a Sunday", "seen"]
        );
        assert!(seen.result.tool_history[0].is_error);
        assert_eq!(started(&seen.records, "tool/0/0"), 0);
    })
);

scenario!(
    a_denial_without_a_reason_says_that_much,
    Scenario::new(asking)
        .within(|context| context.with_decisions(Arc::new(Always(Some(Decision::Deny { reason: None })))))
        .turns([asked(), says("well")])
        .expect(|seen| assert_eq!(told(&seen.result)[0], "not run: a person did not allow this call"))
);

scenario!(
    arguments_that_a_person_puts_in_are_used_and_the_models_stay_in_the_transcript,
    Scenario::new(asking)
        .within(|context| {
            let arguments = Some(json!({"n": 50}));
            context.with_decisions(Arc::new(Always(Some(Decision::Approve { arguments }))))
        })
        .turns([asked(), says("100")])
        .expect(|seen| {
            assert_eq!(told(&seen.result)[0], "100");
            assert_eq!(seen.result.tool_history[0].arguments, "{\"n\": 4}");
        })
);

scenario!(
    a_person_may_answer_in_the_place_of_the_tool,
    Scenario::new(asking)
        .within(|context| {
            let output = ToolOutput::text("about 8");
            context.with_decisions(Arc::new(Always(Some(Decision::Answer { output }))))
        })
        .turns([asked(), says("8")])
        .expect(|seen| {
            assert_eq!(told(&seen.result)[0], "about 8");
            assert!(!seen.result.tool_history[0].is_error);
        })
);

scenario!(
    a_run_without_a_decision_waits_and_has_made_the_other_calls,
    Scenario::new(asking).turns([asked()]).expect(|seen| {
        assert_eq!(seen.result.outcome, Outcome::Waiting);
        let question = &seen.result.questions[0];
        assert_eq!((question.step.as_str(), question.tool.as_str()), ("decision/0/0/approval", "double"));
        assert_eq!((question.agent.as_deref(), &question.arguments), (Some("test"), &json!({"n": 4})));
        assert_eq!(question.schema["required"], json!(["n"]));
        assert_eq!(told(&seen.result)[1], "seen");
        let needed = |event: &StreamEvent| matches!(event, StreamEvent::DecisionNeeded { .. });
        assert!(seen.events.is_empty() || seen.events.iter().any(needed));
    })
);

scenario!(
    arguments_that_do_not_match_the_schema_leave_the_run_waiting_and_say_why,
    Scenario::new(asking)
        .within(|context| {
            let arguments = Some(json!({"n": "many"}));
            context.with_decisions(Arc::new(Always(Some(Decision::Approve { arguments }))))
        })
        .turns([asked()])
        .expect(|seen| {
            assert_eq!(seen.result.outcome, Outcome::Waiting);
            let problem = seen.result.questions[0].problem.as_deref().unwrap();
            assert!(problem.contains("\"many\" is not of type \"integer\""), "{problem}");
            assert_eq!(finished(&seen.records, "decision"), 0, "what cannot be used is not recorded");
        })
);

scenario!(
    refused_calls_are_not_asked_about,
    Scenario::new(|| asking().approvals(ApprovalPolicy::Always))
        .turns([calls(&[("a", "double", "{}"), ("b", "duoble", "{}")]), says("oh")])
        .expect(|seen| assert_eq!(seen.result.outcome, Outcome::Completed))
);

scenario!(
    a_call_that_must_not_run_twice_runs_again_when_a_person_says_so,
    Scenario::new(|| agent([double()])).within(approve).turns([asked_once(), says("8")]).expect(|seen| {
        assert_eq!(told(&seen.result), ["8"]);
    })
);

fn asked_once() -> Turn {
    calls(&[("a", "double", "{\"n\":4}")])
}

#[test]
fn policies_pick_the_calls_that_they_name() {
    struct Careful(motet_core::request::ToolSpec);
    #[async_trait::async_trait]
    impl motet_core::Tool for Careful {
        fn spec(&self) -> &motet_core::request::ToolSpec {
            &self.0
        }
        async fn call(&self, _: serde_json::Value, _: &motet_core::ToolContext<'_>) -> Result<ToolOutput> {
            unreachable!()
        }
        fn needs_approval(&self, arguments: &serde_json::Value) -> bool {
            arguments["big"] == true
        }
    }
    let tool = Careful(motet_core::request::ToolSpec::new("pay", "", json!({"type": "object"})));
    let (big, small) = (json!({"big": true}), json!({"big": false}));
    let where_small: crate::approval::Picks =
        Arc::new(|name, arguments| name == "pay" && arguments["big"] == false);
    for (policy, expected) in [
        (ApprovalPolicy::AsTools, [true, false]),
        (ApprovalPolicy::Always, [true, true]),
        (ApprovalPolicy::Never, [false, false]),
        (ApprovalPolicy::Named(vec!["pay".into()]), [true, true]),
        (ApprovalPolicy::Named(vec!["other".into()]), [true, false]),
        (ApprovalPolicy::Where(where_small), [true, true]),
        (ApprovalPolicy::Where(Arc::new(|_, _| false)), [true, false]),
    ] {
        let asks = [&big, &small].map(|arguments| policy.asks(&tool, arguments));
        assert_eq!(asks, expected, "{policy:?}");
    }
}

/// Answers by the end of the question's name, and counts how often it was asked.
#[derive(Default)]
struct Desk {
    answers: Vec<(&'static str, Decision)>,
    asked: Mutex<Vec<String>>,
}

#[async_trait::async_trait]
impl Decisions for Desk {
    async fn decide(&self, question: &Question) -> Result<Option<Decision>> {
        self.asked.lock().unwrap().push(format!("{} {}", question.step, question.arguments));
        let answer = self.answers.iter().find(|(end, _)| question.step.ends_with(end));
        Ok(answer.map(|(_, decision)| decision.clone()))
    }
}

fn again() -> Decision {
    Decision::Approve { arguments: None }
}

/// Runs with a log and somebody at the desk.
async fn at(desk: &Arc<Desk>, agent: AgentBuilder, log: Arc<dyn RunLog>, turns: &[Turn]) -> AgentResult {
    let context = RunContext::with_log("r1".parse().unwrap(), log);
    let context = context.with_decisions(Arc::clone(desk) as Arc<dyn Decisions>);
    run(&context, &agent.build().unwrap(), TestModel::new(turns), "go").await
}

fn desk(answers: impl IntoIterator<Item = (&'static str, Decision)>) -> Arc<Desk> {
    Arc::new(Desk { answers: answers.into_iter().collect(), asked: Mutex::default() })
}

#[tokio::test]
async fn a_parked_run_goes_on_with_the_decision_as_if_it_had_been_there_at_once() {
    let log = Arc::new(MemoryLog::default());
    let turns = [asked().spending(1, 2, 3), says("8").spending(4, 5, 6)];
    let nobody = desk([]);
    let parked = at(&nobody, asking(), Arc::clone(&log) as _, &turns).await;
    assert_eq!((&parked.outcome, parked.usage), (&Outcome::Waiting, Usage::new(1, 2)));
    let error = parked.error().unwrap();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.message(), "the run waits for a decision at `decision/0/0/approval`");

    let somebody = desk([("approval", again())]);
    let done = at(&somebody, asking(), Arc::clone(&log) as _, &turns).await;
    let at_once = at(&somebody, asking(), Arc::new(MemoryLog::default()), &turns).await;
    assert_eq!(done, at_once);
    assert_done_once(&log.records());
    assert_eq!(at(&nobody, asking(), log, &turns).await, done, "nobody is asked once it is recorded");
    assert_eq!(nobody.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_decision_for_other_arguments_is_not_used() {
    let log = Arc::new(MemoryLog::default());
    let somebody = desk([("approval", again())]);
    let done = at(&somebody, asking(), Arc::clone(&log) as _, &[asked(), says("8")]).await;
    assert_eq!(done.outcome, Outcome::Completed);
    let mut records = log.records();
    records.retain(|record| !record.step().starts_with("tool"));
    let hook = super::hooks::hook([crate::Stage::BeforeTool], |payload| match payload {
        crate::Payload::BeforeTool { arguments, .. } if arguments["n"] == 4 => {
            let mut changed = payload.clone();
            if let crate::Payload::BeforeTool { arguments, .. } = &mut changed {
                arguments["n"] = json!(5000);
            }
            crate::Reaction::Change(Box::new(changed))
        }
        _ => crate::Reaction::Continue,
    });
    let changed = at(&somebody, asking().hook(hook), log_of(&records).await, &[asked(), says("8")]).await;
    assert_eq!(failure(&changed), ErrorKind::Conflict);
}

/// The records of a run that was killed while its only call was made.
async fn killed(agent: AgentBuilder, desk: &Arc<Desk>) -> Vec<Record> {
    let log = Arc::new(MemoryLog::default());
    let done = at(desk, agent, Arc::clone(&log) as _, &[asked_once(), says("8")]).await;
    assert_eq!(done.outcome, Outcome::Completed);
    let records = log.records();
    let began = records.iter().position(|record| record.step() == "tool/0/0").unwrap();
    records[..=began].to_vec()
}

#[tokio::test]
async fn an_unknown_outcome_is_mended_by_another_try_a_denial_or_an_answer() {
    let turns = [asked_once(), says("8")];
    let answer = Decision::Answer { output: ToolOutput::text("it was 8") };
    let deny = Decision::Deny { reason: Some("it went through".into()) };
    let denied = "not run: its outcome is unknown, and a person decided against another try: it went through";
    for (decision, expected, runs) in [(again(), "8", 1), (deny, denied, 0), (answer, "it was 8", 0)] {
        let count = Arc::new(AtomicU32::new(0));
        let tool = || agent([super::super::resume::counted(&count, Effect::AtMostOnce)]);
        let log = log_of(&killed(tool(), &desk([])).await).await;
        count.store(0, Ordering::SeqCst);
        let desk = desk([("unknown_outcome", decision)]);
        let done = at(&desk, tool(), Arc::clone(&log) as _, &turns).await;
        assert_eq!((told(&done), count.load(Ordering::SeqCst)), (vec![expected], runs));
        assert_done_once(&log.records());
        // Resumed once more, it asks nobody and does nothing; nor does a replay of its recording.
        let resumed = at(&desk, tool(), Arc::clone(&log) as _, &turns).await;
        let replay = Arc::new(ReplayLog::new(recording(&log.records()), true));
        let replayed = at(&desk, tool(), Arc::clone(&replay) as _, &turns).await;
        assert_eq!((&resumed, &replayed), (&done, &done));
        assert!(replay.records().is_empty());
        assert_eq!((desk.asked.lock().unwrap().len(), count.load(Ordering::SeqCst)), (1, runs));
    }
}

#[tokio::test]
async fn another_try_has_the_arguments_that_a_person_put_in_before_the_crash() {
    let tool = || agent([double()]).approvals(ApprovalPolicy::Always);
    let edited = Decision::Approve { arguments: Some(json!({"n": 50})) };
    let desk = desk([("approval", edited), ("unknown_outcome", again())]);
    let log = log_of(&killed(tool(), &desk).await).await;
    let done = at(&desk, tool(), log, &[asked_once(), says("8")]).await;
    assert_eq!(told(&done), ["100"]);
    assert_eq!(
        *desk.asked.lock().unwrap(),
        ["decision/0/0/approval {\"n\":4}", "decision/0/0/unknown_outcome {\"n\":50}"],
        "the second question shows what was tried"
    );
}

/// A tool that can find out what became of a call.
struct Transfer {
    spec: motet_core::request::ToolSpec,
    knows: Mutex<Box<dyn FnMut() -> Result<Reconciled> + Send>>,
    made: Arc<AtomicU32>,
}

impl Transfer {
    fn knowing(made: &Arc<AtomicU32>, knows: impl FnMut() -> Result<Reconciled> + Send + 'static) -> Self {
        let spec = motet_core::request::ToolSpec::new("double", "", json!({"type": "object"}));
        Self { spec, knows: Mutex::new(Box::new(knows)), made: Arc::clone(made) }
    }
}

#[async_trait::async_trait]
impl motet_core::Tool for Transfer {
    fn spec(&self) -> &motet_core::request::ToolSpec {
        &self.spec
    }
    async fn call(&self, _: serde_json::Value, _: &motet_core::ToolContext<'_>) -> Result<ToolOutput> {
        self.made.fetch_add(1, Ordering::SeqCst);
        Ok(ToolOutput::text("made"))
    }
    fn effect(&self) -> Effect {
        Effect::Reconcile
    }
    async fn reconcile(
        &self,
        arguments: &serde_json::Value,
        context: &motet_core::ToolContext<'_>,
    ) -> Result<Reconciled> {
        assert_eq!((arguments["n"].as_i64(), context.idempotency_key), (Some(4), "r1/tool/0/0"));
        (self.knows.lock().unwrap())()
    }
}

#[tokio::test]
async fn a_tool_that_finds_out_what_became_of_its_call_spares_the_person() {
    type Knows = fn() -> Result<Reconciled>;
    let table: [(Knows, Option<(&str, u32)>); 5] = [
        (|| Ok(Reconciled::Done(ToolOutput::text("found"))), Some(("found", 0))),
        (|| Ok(Reconciled::NotDone), Some(("made", 1))),
        (|| Ok(Reconciled::Unknown), None),
        (|| Err(Error::new(ErrorKind::Connection, "no line")), None),
        (|| panic!("no idea"), None),
    ];
    for (knows, expected) in table {
        let made = Arc::new(AtomicU32::new(0));
        let tool = || Agent::builder("test", model_id()).tool(Transfer::knowing(&made, knows));
        let log = log_of(&killed(tool(), &desk([])).await).await;
        made.store(0, Ordering::SeqCst);
        let nobody = desk([]);
        let turns = [asked_once(), says("8")];
        let result = at(&nobody, tool(), Arc::clone(&log) as _, &turns).await;
        match expected {
            Some((answer, runs)) => {
                assert_eq!((told(&result), made.load(Ordering::SeqCst)), (vec![answer], runs));
                assert_eq!(at(&nobody, tool(), Arc::clone(&log) as _, &turns).await, result);
                assert_eq!(made.load(Ordering::SeqCst), runs);
                assert!(nobody.asked.lock().unwrap().is_empty());
            }
            None => assert_eq!((result.outcome, made.load(Ordering::SeqCst)), (Outcome::Waiting, 0)),
        }
        assert_done_once(&log.records());
    }
}

#[tokio::test]
async fn what_a_person_decided_holds_when_the_tool_finds_out_later() {
    let made = Arc::new(AtomicU32::new(0));
    let ignorant =
        || Agent::builder("test", model_id()).tool(Transfer::knowing(&made, || Ok(Reconciled::Unknown)));
    let log = log_of(&killed(ignorant(), &desk([])).await).await;
    let desk = desk([("unknown_outcome", again())]);
    let turns = [asked_once(), says("8")];
    let done = at(&desk, ignorant(), Arc::clone(&log) as _, &turns).await;
    assert_eq!(told(&done), ["made"]);
    let knowing = || Ok(Reconciled::Done(ToolOutput::text("found after all")));
    let wiser = Agent::builder("test", model_id()).tool(Transfer::knowing(&made, knowing));
    assert_eq!(at(&desk, wiser, log, &turns).await, done);
}
