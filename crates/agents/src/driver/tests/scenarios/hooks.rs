//! Hooks at the stages of a run: they see, change, and stop it alike in every driver.

use serde_json::json;

use super::*;
use crate::hooks::{Hook, HookEntry, OnError, Payload, Reaction, Stage};

type React = Box<dyn Fn(&Payload) -> Reaction + Send + Sync>;

struct Closure(React);

#[async_trait::async_trait]
impl Hook for Closure {
    async fn at(&self, _: &RunContext, payload: &Payload) -> Result<Reaction> {
        Ok((self.0)(payload))
    }
}

pub(super) fn hook<const N: usize>(
    stages: [Stage; N],
    react: impl Fn(&Payload) -> Reaction + Send + Sync + 'static,
) -> HookEntry {
    HookEntry::new("test", stages, Closure(Box::new(react)))
}

/// A hook that changes every payload of a stage.
fn changing(stage: Stage, change: impl Fn(&mut Payload) + Send + Sync + 'static) -> HookEntry {
    hook([stage], move |payload| {
        let mut changed = payload.clone();
        change(&mut changed);
        Reaction::Change(Box::new(changed))
    })
}

fn stopping(stage: Stage) -> HookEntry {
    hook([stage], |_| Reaction::Stop { reason: "enough".into() })
}

fn four() -> Turn {
    calls(&[("a", "double", "{\"n\":4}")])
}

fn is_blocked(seen: &Seen) {
    let Outcome::Blocked(report) = &seen.result.outcome else { panic!("not {:?}", seen.result.outcome) };
    assert_eq!(
        (report.kind, report.message.as_str()),
        (ErrorKind::Blocked, "the hook `test` stopped the run: enough")
    );
}

scenario!(
    a_hook_may_change_what_a_run_is_given,
    Scenario::new(|| {
        agent([]).instructions("Be brief.").hook(changing(Stage::BeforeRun, |payload| {
            let Payload::BeforeRun { messages, agent } = payload else { unreachable!() };
            assert_eq!((agent.as_str(), messages.len()), ("test", 1));
            messages.push(Message::user("and quickly"));
        }))
    })
    .turns([says("done")])
    .expect(|seen| {
        let texts: Vec<_> = seen.requests[0].messages.iter().map(Message::visible_text).collect();
        assert_eq!(texts, ["Be brief.", "go", "and quickly"]);
    })
);

scenario!(
    a_hook_may_change_a_request_without_changing_the_transcript,
    Scenario::new(|| {
        pure([double()]).hook(changing(Stage::BeforeModelCall, |payload| {
            let Payload::BeforeModelCall { request, step } = payload else { unreachable!() };
            request.messages.push(Message::user(format!("(at {step})")));
        }))
    })
    .turns([four(), says("8")])
    .expect(|seen| {
        assert_eq!(seen.requests[1].messages.last().unwrap().visible_text(), "(at model/1)");
        assert!(!seen.result.messages.iter().any(|message| message.visible_text().starts_with("(at")));
    })
);

scenario!(
    a_hook_may_change_the_arguments_of_a_call,
    Scenario::new(|| {
        pure([double()]).hook(changing(Stage::BeforeTool, |payload| {
            let Payload::BeforeTool { arguments, tool, .. } = payload else { unreachable!() };
            assert_eq!(tool, "double");
            arguments["n"] = json!(10);
        }))
    })
    .turns([four(), says("20")])
    .expect(|seen| {
        assert_eq!(told(&seen.result), ["20"]);
        assert_eq!(seen.result.tool_history[0].arguments, "{\"n\":4}");
    })
);

scenario!(
    arguments_of_a_hook_that_do_not_match_the_schema_end_the_run,
    Scenario::new(|| {
        pure([double()]).hook(changing(Stage::BeforeTool, |payload| {
            let Payload::BeforeTool { arguments, .. } = payload else { unreachable!() };
            *arguments = json!({"n": "ten"});
        }))
    })
    .turns([four()])
    .expect(|seen| {
        assert_eq!(failure(&seen.result), ErrorKind::InvalidRequest);
        assert_eq!(started(&seen.records, "tool/"), 0);
    })
);

scenario!(
    a_hook_may_change_what_a_tool_answered_before_it_is_recorded,
    Scenario::new(|| {
        pure([double()]).hook(changing(Stage::AfterTool, |payload| {
            let Payload::AfterTool { output, arguments, .. } = payload else { unreachable!() };
            assert_eq!(arguments["n"], 4);
            *output = motet_core::ToolOutput::text("secret");
        }))
    })
    .turns([four(), says("done")])
    .expect(|seen| {
        assert_eq!(told(&seen.result), ["secret"]);
        let state = serde_json::to_string(&seen.records).unwrap();
        assert!(!state.contains("\"text\":\"8\""), "the log holds what passed, and nothing else");
    })
);

scenario!(
    a_hook_may_change_how_a_run_ended,
    Scenario::new(|| {
        agent([]).hook(changing(Stage::AfterRun, |payload| {
            let Payload::AfterRun { result, .. } = payload else { unreachable!() };
            result.text = result.text.to_uppercase();
        }))
    })
    .turns([says("done")])
    .expect(|seen| assert_eq!(seen.result.text, "DONE"))
);

scenario!(
    a_hook_stops_a_run_before_anything_is_asked,
    Scenario::new(|| agent([]).hook(stopping(Stage::BeforeRun))).expect(|seen| {
        is_blocked(seen);
        assert!(seen.requests.is_empty());
    })
);

scenario!(
    a_hook_stops_a_run_before_a_tool_is_called,
    Scenario::new(|| pure([double()]).hook(stopping(Stage::BeforeTool))).turns([four()]).expect(|seen| {
        is_blocked(seen);
        assert_eq!(told(&seen.result), ["the run failed before this call had a result"]);
    })
);

scenario!(
    a_hook_stops_a_run_after_a_turn,
    Scenario::new(|| pure([double()]).hook(stopping(Stage::AfterIteration))).turns([four()]).expect(|seen| {
        is_blocked(seen);
        assert_eq!(told(&seen.result), ["8"], "what was done stays");
    })
);

scenario!(
    a_hook_makes_a_failure_of_a_run_that_had_ended_well,
    Scenario::new(|| agent([]).hook(stopping(Stage::AfterRun))).turns([says("done")]).expect(|seen| {
        is_blocked(seen);
        assert_eq!(seen.result.text, "done");
    })
);

scenario!(
    hooks_are_called_in_order_and_each_sees_what_the_one_before_made,
    Scenario::new(|| {
        let add = |what: &'static str| {
            changing(Stage::AfterRun, move |payload| {
                let Payload::AfterRun { result, .. } = payload else { unreachable!() };
                result.text.push_str(what);
            })
        };
        agent([]).hook(add(" one")).hook(add(" two"))
    })
    .turns([says("zero")])
    .expect(|seen| assert_eq!(seen.result.text, "zero one two"))
);

struct Failing;

#[async_trait::async_trait]
impl Hook for Failing {
    async fn at(&self, _: &RunContext, _: &Payload) -> Result<Reaction> {
        Err(Error::new(ErrorKind::Internal, "the hook has a hole"))
    }
}

struct Hanging;

#[async_trait::async_trait]
impl Hook for Hanging {
    async fn at(&self, _: &RunContext, _: &Payload) -> Result<Reaction> {
        futures::future::pending().await
    }
}

scenario!(
    a_hook_that_fails_is_passed_over_unless_said_otherwise,
    Scenario::new(|| agent([]).hook(HookEntry::new("bad", [Stage::BeforeRun], Failing)))
        .turns([says("done")])
        .expect(|seen| assert_eq!(seen.result.text, "done"))
);

scenario!(
    a_hook_whose_failure_ends_the_run_ends_it,
    Scenario::new(|| {
        agent([]).hook(HookEntry::new("bad", [Stage::BeforeModelCall], Failing).on_error(OnError::Abort))
    })
    .expect(|seen| {
        assert_eq!(failure(&seen.result), ErrorKind::Internal);
        assert!(
            seen.result
                .error()
                .unwrap()
                .context()
                .iter()
                .any(|(name, value)| name == "hook" && value == "bad")
        );
    })
);

scenario!(
    what_takes_the_place_of_a_hook_that_fails_is_used,
    Scenario::new(|| {
        let fallback = OnError::Fallback(Arc::new(|payload| {
            let mut changed = payload.clone();
            if let Payload::BeforeRun { messages, .. } = &mut changed {
                messages.push(Message::user("instead"));
            }
            changed
        }));
        agent([]).hook(HookEntry::new("bad", [Stage::BeforeRun], Failing).on_error(fallback))
    })
    .turns([says("done")])
    .expect(|seen| assert_eq!(seen.requests[0].messages.len(), 2))
);

scenario!(
    a_hook_beyond_its_time_counts_as_failed,
    Scenario::new(|| {
        let entry = HookEntry::new("slow", [Stage::BeforeTool], Hanging).timeout(Duration::from_secs(3));
        pure([double()]).hook(entry.on_error(OnError::Abort))
    })
    .turns([four()])
    .expect(|seen| {
        let error = seen.result.error().unwrap();
        assert_eq!(error.message(), "the hook `slow` failed: it took longer than 3s");
    })
);

#[tokio::test]
async fn every_stage_of_a_run_is_told_in_order() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&told);
    let stages = [
        Stage::BeforeRun,
        Stage::AfterRun,
        Stage::BeforeIteration,
        Stage::AfterIteration,
        Stage::BeforeModelCall,
        Stage::BeforeTool,
        Stage::AfterTool,
        Stage::Validation,
    ];
    let listener = hook(stages, move |payload| {
        seen.lock().unwrap().push(match payload {
            Payload::BeforeIteration { number } => format!("iteration {number}"),
            Payload::AfterIteration { number, tool_calls } => format!("end {number} with {tool_calls}"),
            Payload::BeforeModelCall { step, .. } => step.clone(),
            Payload::BeforeTool { step, call_id, .. } => format!("{step} {call_id}"),
            Payload::AfterTool { step, output, .. } => format!("{step} {:?}", output.content[0].as_text()),
            Payload::Validation { attempt, .. } => format!("validation {attempt}"),
            other => other.stage().to_string(),
        });
        Reaction::Continue
    });
    let agent = pure([double()]).output_type::<Vec<u8>>().hook(listener).build().unwrap();
    let turns = [four(), says("eight"), says("[8]")];
    let result = run(&RunContext::new(), &agent, TestModel::new(&turns), "go").await;
    assert_eq!(result.value, Some(json!([8])));
    assert_eq!(
        *told.lock().unwrap(),
        [
            "before_run",
            "iteration 0",
            "model/0",
            "tool/0/0 a",
            "tool/0/0 Some(\"8\")",
            "end 0 with 1",
            "iteration 1",
            "model/1",
            "validation 1",
            "end 1 with 0",
            "iteration 2",
            "model/2",
            "end 2 with 0",
            "after_run",
        ]
    );
}
