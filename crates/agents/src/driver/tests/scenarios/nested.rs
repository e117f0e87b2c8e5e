//! Agents that other agents call as tools.

use motet_core::ToolOutput;
use serde_json::json;

use super::*;
use crate::AgentTool;
use crate::approval::ApprovalPolicy;

/// An outer agent that calls the inner one with a fixed script.
fn around(inner: AgentBuilder, turns: impl IntoIterator<Item = Turn>) -> AgentBuilder {
    let turns: Vec<_> = turns.into_iter().collect();
    Agent::builder("outer", model_id()).tool(AgentTool::new(inner.build().unwrap(), TestModel::new(&turns)))
}

fn ask() -> Turn {
    calls(&[("a", "test", "{\"input\":\"help\"}")])
}

fn four() -> Turn {
    calls(&[("i", "double", "{\"n\":4}")])
}

scenario!(
    the_text_of_the_inner_agent_is_the_result_of_the_call,
    Scenario::new(|| around(pure([double()]), [four(), says("It is 8.")])).turns([ask(), says("8")]).expect(|seen| {
        assert_eq!(told(&seen.result), ["It is 8."]);
        assert_eq!(seen.result.text, "8");
        assert_eq!(started(&seen.records, "tool/0/0/model/"), 2, "inner calls are steps below the call");
        let inner = |event: &&StreamEvent| {
            matches!(event, StreamEvent::ToolStarted { step, .. } if step == "tool/0/0/tool/0/0")
        };
        assert!(seen.events.is_empty() || seen.events.iter().filter(inner).count() <= 1);
    })
);

scenario!(
    the_value_of_an_inner_agent_with_a_schema_comes_back_as_json,
    Scenario::new(|| around(agent([]).output_type::<Vec<u8>>(), [says("no"), says("```json\n[4, 2]\n```")]))
        .turns([ask(), says("done")])
        .expect(|seen| assert_eq!(told(&seen.result), ["[4,2]"]))
);

scenario!(
    an_inner_agent_that_reaches_its_limit_is_an_error_with_what_it_said,
    Scenario::new(|| {
        let turns = [four().beginning(Part::text("I think it is 8.")), four()];
        around(pure([double()]).max_iterations(2), turns)
    })
    .turns([ask(), says("done")])
    .expect(|seen| {
        let call = &seen.result.tool_history[0];
        assert!(call.is_error);
        assert!(
            call.result.starts_with("the agent `test` did not finish (limit_reached): "),
            "{}",
            call.result
        );
        assert!(call.result.ends_with("\nWhat it had said by then:\nI think it is 8."), "{}", call.result);
    })
);

scenario!(
    an_inner_agent_whose_model_fails_is_an_error_and_the_outer_one_goes_on,
    Scenario::new(|| around(agent([]), [Turn::Fail(ErrorKind::Overloaded)]))
        .turns([ask(), says("never mind")])
        .expect(|seen| {
            assert_eq!(
                told(&seen.result),
                ["the agent `test` did not finish (failed): the model is out of order"]
            );
            assert_eq!(seen.result.text, "never mind");
        })
);

scenario!(
    an_inner_agent_beyond_its_time_is_an_error_with_the_beginning_of_its_answer,
    Scenario::new(|| {
        let model = TestModel::new(&[says("So far").hanging()]);
        let tool = AgentTool::new(agent([]).build().unwrap(), model).timeout(Duration::from_secs(90));
        Agent::builder("outer", model_id()).tool(tool)
    })
    .turns([ask(), says("done")])
    .expect(|seen| {
        assert_eq!(
            told(&seen.result),
            ["the agent `test` did not finish (deadline_passed): the run's deadline passed\n\
              What it had said by then:\nSo far"]
        );
    })
);

scenario!(
    the_deadline_of_the_outer_run_ends_both,
    Scenario::new(|| around(agent([]), [says("So far").hanging()]))
        .within(|context| context.with_timeout(Duration::from_secs(60)))
        .turns([ask()])
        .expect(|seen| {
            assert_eq!(seen.result.outcome, Outcome::DeadlinePassed);
            assert_eq!(told(&seen.result), ["the run's deadline passed before this call had a result"]);
        })
);

scenario!(
    an_inner_agent_asked_nothing_says_so,
    Scenario::new(|| around(agent([]), []))
        .turns([calls(&[("a", "test", "{\"input\":\" \"}")]), says("done")])
        .expect(|seen| assert_eq!(told(&seen.result), ["not run: the input is empty"]))
);

scenario!(
    inner_agents_side_by_side_keep_their_steps_apart,
    Scenario::new(|| around(pure([double()]), [four(), says("8")]))
        .turns([
            calls(&[("a", "test", "{\"input\":\"one\"}"), ("b", "test", "{\"input\":\"two\"}")]),
            says("done"),
        ])
        .expect(|seen| {
            assert_eq!(told(&seen.result), ["8", "8"]);
            assert_eq!(finished(&seen.records, "tool/0/1/tool/0/0"), 1);
        })
);

fn careful() -> AgentBuilder {
    let inner =
        pure([double(), answering("look", "seen")]).approvals(ApprovalPolicy::Named(vec!["double".into()]));
    let both = calls(&[("i", "double", "{\"n\":4}"), ("j", "look", "{}")]).spending(1, 1, 1);
    let middle = Agent::builder("middle", model_id())
        .tool(AgentTool::new(inner.build().unwrap(), TestModel::new(&[both, says("8").spending(2, 2, 2)])));
    let inner_call = ask().spending(10, 10, 10);
    let model = TestModel::new(&[inner_call, says("middle: 8").spending(20, 20, 20)]);
    Agent::builder("outer", model_id())
        .tool(AgentTool::new(middle.build().unwrap(), model))
        .tool(answering("look", "outside").effect(Effect::Pure))
}

fn down() -> Turn {
    let asked = [("a", "middle", "{\"input\":\"help\"}"), ("b", "look", "{}")];
    calls(&asked).spending(100, 100, 100)
}

scenario!(
    an_inner_agent_that_waits_for_a_person_parks_all_around_it,
    Scenario::new(careful).turns([down()]).expect(|seen| {
        assert_eq!(seen.result.outcome, Outcome::Waiting);
        let question = &seen.result.questions[0];
        assert_eq!(question.step, "tool/0/0/tool/0/0/decision/0/0/approval");
        assert_eq!((question.agent.as_deref(), seen.result.questions.len()), (Some("test"), 1));
        assert_eq!(told(&seen.result)[1], "outside", "calls beside it are made");
        assert_eq!(seen.result.usage, Usage::new(111, 111), "what was used below counts already");
        let needed = |event: &&StreamEvent| matches!(event, StreamEvent::DecisionNeeded { .. });
        assert!(seen.events.is_empty() || seen.events.iter().filter(needed).count() == 1);
    })
);

scenario!(
    a_decision_two_levels_down_is_used_where_it_was_asked,
    Scenario::new(careful)
        .within(|context| {
            context.with_decisions(Arc::new(Always(Some(Decision::Approve { arguments: None }))))
        })
        .turns([down(), says("done").spending(200, 200, 200)])
        .expect(|seen| {
            assert_eq!(told(&seen.result), ["middle: 8", "outside"]);
            assert_eq!(seen.result.usage, Usage::new(333, 333));
        })
);

#[tokio::test]
async fn a_run_parked_two_levels_down_goes_on_as_if_it_had_never_waited() {
    let log = Arc::new(MemoryLog::default());
    let turns = [down(), says("done").spending(200, 200, 200)];
    let context = || RunContext::with_log("r1".parse().unwrap(), Arc::clone(&log) as _);
    let parked = run(&context(), &careful().build().unwrap(), TestModel::new(&turns), "go").await;
    assert_eq!(parked.outcome, Outcome::Waiting);
    let approve = || Arc::new(Always(Some(Decision::Approve { arguments: None })));
    let decided = context().with_decisions(approve());
    let done = run(&decided, &careful().build().unwrap(), TestModel::new(&turns), "go").await;
    let at_once = RunContext::with_log("r1".parse().unwrap(), Arc::new(MemoryLog::default()));
    let whole =
        run(&at_once.with_decisions(approve()), &careful().build().unwrap(), TestModel::new(&turns), "go")
            .await;
    assert_eq!(done, whole);
    assert_done_once(&log.records());
    let replay = Arc::new(ReplayLog::new(recording(&log.records()), true));
    let context = RunContext::with_log("r1".parse().unwrap(), replay);
    assert_eq!(run(&context, &careful().build().unwrap(), TestModel::new(&turns), "go").await, whole);
}

#[tokio::test]
async fn a_function_that_runs_an_agent_and_passes_its_error_on_parks_too() {
    let outer = || {
        let inner = pure([double()]).approvals(ApprovalPolicy::Always).build().unwrap();
        let tool = function("work", "", move |_: NoArguments, call: CallContext| {
            let inner = inner.clone();
            async move {
                let result = run(&call.run, &inner, TestModel::new(&[four(), says("8")]), "go").await;
                Ok(result.into_result()?.text)
            }
        });
        Agent::builder("outer", model_id()).tool(tool).build().unwrap()
    };
    let turns = [calls(&[("a", "work", "")]), says("done")];
    let context = RunContext::new();
    let parked = run(&context, &outer(), TestModel::new(&turns), "go").await;
    assert_eq!((&parked.outcome, parked.questions.len()), (&Outcome::Waiting, 1));
    let context = context.with_decisions(Arc::new(Always(Some(Decision::Approve { arguments: None }))));
    let done = run(&context, &outer(), TestModel::new(&turns), "go").await;
    assert_eq!(told(&done), ["8"]);
}

#[tokio::test]
async fn an_inner_agent_that_changed_ends_the_resumed_run_and_is_no_result_for_the_model() {
    let context = RunContext::new();
    let turns = [ask(), says("done")];
    let model = |answer| [four(), says(answer)];
    let first = around(pure([double()]), model("8")).build().unwrap();
    assert_eq!(run(&context, &first, TestModel::new(&turns), "go").await.outcome, Outcome::Completed);
    let mut records = context.log().records();
    records.truncate(5);
    let changed = around(pure([double()]).instructions("New."), model("8")).build().unwrap();
    let resumed = RunContext::with_log(context.run_id().clone(), log_of(&records).await);
    let result = run(&resumed, &changed, TestModel::new(&turns), "go").await;
    assert_eq!(failure(&result), ErrorKind::Conflict);
    assert_eq!(result.error().unwrap().message(), "step `tool/0/0/model/0` was recorded for another request");
}

/// A tool that builds itself anew below every call of it.
struct Endless(motet_core::request::ToolSpec);

#[async_trait::async_trait]
impl motet_core::Tool for Endless {
    fn spec(&self) -> &motet_core::request::ToolSpec {
        &self.0
    }
    async fn call(
        &self,
        arguments: serde_json::Value,
        context: &motet_core::ToolContext<'_>,
    ) -> Result<ToolOutput> {
        let again = Agent::builder("again", model_id()).tool(Endless(self.0.clone())).build()?;
        let model = TestModel::new(&[calls(&[("e", "again", "{\"input\":\"on\"}")]), says("back")]);
        AgentTool::new(again, model).max_depth(3).call(arguments, context).await
    }
}

#[tokio::test]
async fn agents_that_call_each_other_without_end_meet_a_limit() {
    let spec = motet_core::request::ToolSpec::new("again", "", json!({"type": "object"}));
    let agent = Agent::builder("outer", model_id()).tool(Endless(spec)).build().unwrap();
    let turns = [calls(&[("e", "again", "{\"input\":\"on\"}")]), says("done")];
    let context = RunContext::new();
    let result = run(&context, &agent, TestModel::new(&turns), "go").await;
    assert_eq!(told(&result), ["back"]);
    let records = context.log().records();
    assert_eq!(finished(&records, "tool/0/0/tool/0/0/tool/0/0/tool/0/0"), 1);
    let deepest = context.log().lookup("tool/0/0/tool/0/0/tool/0/0/tool/0/0").unwrap().result.unwrap();
    assert!(deepest.to_string().contains("agents have called each other 3 deep"), "{deepest}");
}
