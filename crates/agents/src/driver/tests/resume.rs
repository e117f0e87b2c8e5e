//! A run that starts again with the log of an earlier one goes on where that stopped.

use motet_core::decision::QuestionReason;

use super::*;

/// A tool that counts its calls and lets others begin before it ends.
pub(super) fn counted(count: &Arc<AtomicU32>, effect: Effect) -> FunctionTool {
    let count = Arc::clone(count);
    function("double", "", move |args: Double, _| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            tokio::task::yield_now().await;
            if args.n < 0 { Err(Error::new(ErrorKind::ToolFailed, "below zero")) } else { Ok(args.n * 2) }
        }
    })
    .effect(effect)
}

fn turns() -> [Turn; 3] {
    [
        calls(&[("a", "double", "{\"n\":1}"), ("b", "double", "{\"n\":-2}")]).spending(1, 2, 3),
        calls(&[("c", "double", "{\"n\":3}"), ("d", "nope", "")]).spending(4, 5, 6),
        says("done").spending(7, 8, 9),
    ]
}

async fn log_of(records: &[Record]) -> Arc<MemoryLog> {
    let log = Arc::new(MemoryLog::default());
    log.append(records.to_vec()).await.unwrap();
    log
}

/// What a run did that was started with these records: its result, its model calls, and its tool calls.
async fn resumed(records: &[Record], effect: Effect, delivery: Delivery) -> (AgentResult, usize, u32) {
    let count = Arc::new(AtomicU32::new(0));
    let agent = agent([counted(&count, effect)]).build().unwrap();
    let model = TestModel::new(&turns());
    let context = RunContext::with_log("r1".parse().unwrap(), log_of(records).await);
    let result = match delivery {
        Delivery::Plain => run(&context, &agent, model.clone(), "go").await,
        Delivery::Streamed => stream(&context, &agent, model.clone(), "go").finish().await,
    };
    let tools = count.load(Ordering::SeqCst);
    (result, model.requests().len(), tools)
}

/// The result and the records of a run that nothing disturbed.
async fn undisturbed(effect: Effect) -> (AgentResult, Vec<Record>) {
    let agent = agent([counted(&Arc::default(), effect)]).build().unwrap();
    let context = RunContext::new();
    let result = run(&context, &agent, TestModel::new(&turns()), "go").await;
    assert_eq!((told(&result)[0], told(&result)[1]), ("2", "the tool `double` failed: below zero"));
    (result, context.log().records())
}

fn finished(records: &[Record], prefix: &str) -> usize {
    let ended = |record: &&Record| matches!(record.entry(), Entry::Finished { .. });
    records.iter().filter(ended).filter(|record| record.step().starts_with(prefix)).count()
}

fn started(records: &[Record], prefix: &str) -> usize {
    let began = |record: &&Record| matches!(record.entry(), Entry::Started { .. });
    records.iter().filter(began).filter(|record| record.step().starts_with(prefix)).count()
}

#[tokio::test]
async fn after_a_crash_at_any_point_nothing_recorded_is_done_again() {
    let (whole, records) = undisturbed(Effect::Pure).await;
    assert_eq!((records.len(), finished(&records, "model/"), finished(&records, "tool/")), (12, 3, 3));
    for delivery in [Delivery::Plain, Delivery::Streamed] {
        for length in 0..=records.len() {
            let before = &records[..length];
            let (result, models, tools) = resumed(before, Effect::Pure, delivery).await;
            assert_eq!(result, whole, "after {length} records");
            assert_eq!(models, 3 - finished(before, "model/"), "model calls after {length} records");
            assert_eq!(tools as usize, 3 - finished(before, "tool/"), "tool calls after {length} records");
        }
    }
}

#[tokio::test]
async fn a_tool_that_must_not_run_twice_stops_the_resumed_run_when_its_outcome_is_unknown() {
    let (whole, records) = undisturbed(Effect::AtMostOnce).await;
    let mut stopped = 0;
    for length in 0..=records.len() {
        let before = &records[..length];
        let (result, models, tools) = resumed(before, Effect::AtMostOnce, Delivery::Plain).await;
        if started(before, "tool/") == finished(before, "tool/") {
            assert_eq!(result, whole, "after {length} records");
        } else {
            assert_eq!(result.outcome, Outcome::Waiting, "after {length} records");
            assert!(result.questions.iter().all(|asked| asked.reason == QuestionReason::UnknownOutcome));
            assert_eq!((models, tools), (0, 0), "nothing new starts after {length} records");
            assert_valid(&result);
            stopped += 1;
        }
    }
    assert_eq!(stopped, 4, "one begun, both begun, one of both ended; then the tool of the second round");
}

#[tokio::test]
async fn an_unknown_outcome_keeps_earlier_calls_of_its_round_from_starting() {
    let (_, records) = undisturbed(Effect::AtMostOnce).await;
    // Only the second call of the round had begun.
    let began = records.iter().position(|record| record.step() == "tool/0/1").unwrap();
    let mut before = records[..=began].to_vec();
    before.retain(|record| record.step() != "tool/0/0");
    let (result, models, tools) = resumed(&before, Effect::AtMostOnce, Delivery::Plain).await;
    assert_eq!((&result.outcome, models, tools), (&Outcome::Waiting, 0, 0));
    let steps: Vec<_> = result.questions.iter().map(|question| question.step.as_str()).collect();
    assert_eq!(steps, ["decision/0/1/unknown_outcome"]);
}

/// Runs an agent whose tool fails in the moment in which the run is cancelled, and tells what the log holds of the call.
async fn cut_short(effect: Effect) -> (Option<serde_json::Value>, bool) {
    let context = RunContext::new();
    let token = context.cancellation().clone();
    let tool = function("double", "", move |_: Double, _| {
        token.cancel();
        async { Err::<(), _>(Error::new(ErrorKind::Timeout, "the inner run ended")) }
    });
    let agent = agent([tool.effect(effect)]).build().unwrap();
    let result = run(&context, &agent, TestModel::new(&turns()), "go").await;
    assert_eq!(result.outcome, Outcome::Cancelled);
    let state = context.log().lookup("tool/0/0").unwrap();
    (state.result, state.failed)
}

#[tokio::test]
async fn a_tool_that_fails_because_the_run_ends_has_no_result_on_record() {
    assert_eq!(cut_short(Effect::Idempotent).await, (None, true));
    assert_eq!(cut_short(Effect::AtMostOnce).await, (None, false), "it may have taken effect");
}

/// A hook that fails behind every tool.
struct Fails;

#[async_trait::async_trait]
impl crate::hooks::Hook for Fails {
    async fn at(&self, _: &RunContext, _: &crate::hooks::Payload) -> Result<crate::hooks::Reaction> {
        Err(Error::new(ErrorKind::Internal, "the hook is broken"))
    }
}

#[tokio::test]
async fn a_call_whose_answer_did_not_pass_a_hook_is_not_made_again_unasked() {
    use crate::hooks::{HookEntry, OnError, Stage};
    for (effect, outcome, times) in
        [(Effect::AtMostOnce, Outcome::Waiting, 1), (Effect::Idempotent, Outcome::Completed, 2)]
    {
        let count = Arc::new(AtomicU32::new(0));
        let turns = [calls(&[("a", "double", "{\"n\":1}")]), says("done")];
        let broken = HookEntry::new("broken", [Stage::AfterTool], Fails).on_error(OnError::Abort);
        let context = RunContext::new();
        let hooked = agent([counted(&count, effect)]).hook(broken).build().unwrap();
        let failed = run(&context, &hooked, TestModel::new(&turns), "go").await;
        assert_eq!(failure(&failed), ErrorKind::Internal);
        let mended = agent([counted(&count, effect)]).build().unwrap();
        let resumed = run(&context, &mended, TestModel::new(&turns), "go").await;
        assert_eq!((resumed.outcome, count.load(Ordering::SeqCst)), (outcome, times), "{effect:?}");
    }
}

#[tokio::test]
async fn a_replayed_run_tells_the_same_events_and_says_that_they_are_replayed() {
    let told_by = |log: Arc<MemoryLog>| async move {
        let events = Arc::new(Mutex::new(Vec::new()));
        let listener = Arc::clone(&events);
        let context = RunContext::with_log("r1".parse().unwrap(), log)
            .with_events(Arc::new(move |event: &StreamEvent| listener.lock().unwrap().push(event.clone())));
        let agent = agent([counted(&Arc::default(), Effect::Pure).effect(Effect::Pure)]);
        let agent = agent.max_parallel_tools(1).build().unwrap();
        let result = run(&context, &agent, TestModel::new(&turns()), "go").await;
        assert_eq!(result.outcome, Outcome::Completed);
        std::mem::take(&mut *events.lock().unwrap())
    };
    let log = Arc::new(MemoryLog::default());
    let fresh = told_by(Arc::clone(&log)).await;
    let mut again = told_by(log).await;
    assert_ne!(again, fresh);
    for event in &mut again {
        if let StreamEvent::ModelCallEnded { replayed, .. } = event {
            assert!(std::mem::take(replayed), "a replayed call says so");
        }
    }
    assert_eq!(again, fresh);
}

#[tokio::test]
async fn a_changed_agent_is_not_answered_from_an_older_log() {
    let (_, records) = undisturbed(Effect::Pure).await;
    let tool = || counted(&Arc::default(), Effect::Pure);
    for (changed, step) in [
        (agent([tool()]).instructions("Be brief."), "model/0"),
        // The first request is as it was; the second shows the tool's failure cut short.
        (agent([tool()]).max_tool_result_chars(5), "model/1"),
    ] {
        let context = RunContext::with_log("r1".parse().unwrap(), log_of(&records).await);
        let model = TestModel::new(&turns());
        let result = run(&context, &changed.build().unwrap(), model.clone(), "go").await;
        assert_eq!(failure(&result), ErrorKind::Conflict);
        let message = format!("step `{step}` was recorded for another request");
        assert_eq!(result.error().unwrap().message(), message);
        assert!(model.requests().is_empty());
    }
}
