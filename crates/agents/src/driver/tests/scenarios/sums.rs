//! Tokens and money: always the sums over everything that was done.

use super::*;

fn round(id: &str, n: i64, nanos: impl Into<Option<u64>>) -> Turn {
    calls(&[(id, "double", &format!("{{\"n\":{n}}}"))]).spending(10, 1, nanos)
}

scenario!(
    usage_and_cost_of_three_rounds_are_the_sums,
    Scenario::new(|| pure([double()]))
        .turns([round("a", 1, 100), round("b", 2, 200), says("done").spending(30, 3, 300)])
        .expect(|seen| {
            assert_eq!(
                (seen.result.usage, seen.result.cost),
                (Usage::new(50, 5), Some(Cost::from_nanos(600)))
            );
            let told: Usage = seen
                .events
                .iter()
                .filter_map(|event| match event {
                    StreamEvent::ModelCallEnded { usage, .. } => usage.as_deref().copied(),
                    _ => None,
                })
                .sum();
            assert!(seen.events.is_empty() || told == seen.result.usage, "the stream tells the same");
        })
);

scenario!(
    one_unknown_price_makes_the_sum_unknown_and_tokens_still_count,
    Scenario::new(|| pure([double()]))
        .turns([round("a", 1, 100), round("b", 2, None), says("done").spending(30, 3, 300)])
        .expect(|seen| assert_eq!((seen.result.usage, seen.result.cost), (Usage::new(50, 5), None)))
);

scenario!(
    answers_that_cost_nothing_sum_up_to_nothing,
    Scenario::new(|| pure([double()]))
        .turns([round("a", 1, 0), says("done").spending(5, 5, 0)])
        .expect(|seen| assert_eq!(seen.result.cost, Some(Cost::ZERO)))
);

scenario!(
    refused_calls_cost_what_the_model_took_to_ask_for_them,
    Scenario::new(|| pure([double()]))
        .turns([calls(&[("a", "nope", "")]).spending(7, 7, 7), says("done").spending(1, 1, 1)])
        .expect(|seen| {
            assert_eq!((seen.result.usage, seen.result.cost), (Usage::new(8, 8), Some(Cost::from_nanos(8))));
        })
);

scenario!(
    a_run_that_fails_counts_what_came_before,
    Scenario::new(|| pure([double()])).turns([round("a", 1, 100), Turn::Fail(ErrorKind::RateLimit)]).expect(
        |seen| {
            assert_eq!(
                (seen.result.usage, seen.result.cost),
                (Usage::new(10, 1), Some(Cost::from_nanos(100)))
            );
        }
    )
);

scenario!(
    tokens_of_an_answer_that_broke_off_count_and_its_price_is_unknown,
    Scenario::new(|| pure([double()]))
        .turns([round("a", 1, 100), says("half").spending(4, 2, 50).cut_off()])
        .expect(|seen| assert_eq!((seen.result.usage, seen.result.cost), (Usage::new(14, 3), None)))
);

scenario!(
    a_paused_turn_counts_both_calls,
    Scenario::new(|| agent([]))
        .turns([says("a").spending(1, 2, 3).finishing(FinishReason::Paused), says("b").spending(10, 20, 30),])
        .expect(|seen| {
            assert_eq!(
                (seen.result.usage, seen.result.cost),
                (Usage::new(11, 22), Some(Cost::from_nanos(33)))
            );
        })
);

scenario!(
    an_agent_used_as_a_tool_counts_for_the_one_that_calls_it,
    Scenario::new(|| {
        let inner = pure([double()]).build().unwrap();
        let model = TestModel::new(&[round("i", 3, 1000), says("six").spending(100, 10, 2000)]);
        Agent::builder("outer", model_id()).tool(crate::AgentTool::new(inner, model))
    })
    .turns([
        calls(&[("a", "test", "{\"input\":\"twice three\"}")]).spending(1, 1, 1),
        says("6").spending(2, 2, 2)
    ])
    .expect(|seen| {
        assert_eq!(told(&seen.result), ["six"]);
        assert_eq!(
            (seen.result.usage, seen.result.cost),
            (Usage::new(113, 14), Some(Cost::from_nanos(3003)))
        );
        assert_eq!(seen.result.model_calls, 2, "calls of its own");
    })
);

/// An agent whose tool is another one that answers once, calls a tool, and then hangs.
fn around_a_hanging_one() -> AgentBuilder {
    let inner = pure([double()]).build().unwrap();
    let model = TestModel::new(&[round("i", 3, 1000), says("six").hanging()]);
    Agent::builder("outer", model_id()).tool(crate::AgentTool::new(inner, model))
}

scenario!(
    what_an_inner_agent_used_counts_when_the_run_ends_before_it,
    Scenario::new(around_a_hanging_one)
        .within(|context| context.with_timeout(Duration::from_secs(60)))
        .turns([calls(&[("a", "test", "{\"input\":\"twice three\"}")]).spending(1, 1, 1)])
        .expect(|seen| {
            assert_eq!(seen.result.outcome, Outcome::DeadlinePassed);
            // The call that hung may be billed.
            assert_eq!((seen.result.usage, seen.result.cost), (Usage::new(11, 2), None));
        })
);

scenario!(
    what_an_agent_within_a_function_used_counts_when_the_function_takes_too_long,
    Scenario::new(|| {
        let tool = function("ask", "", |_: NoArguments, context| async move {
            let inner = pure([double()]).build().unwrap();
            let model = TestModel::new(&[round("i", 3, 1000), says("six")]);
            let _ = run(&context.run, &inner, model, "twice three").await;
            futures::future::pending::<Result<()>>().await
        });
        pure([tool]).tool_timeout(Duration::from_secs(5))
    })
    .turns([calls(&[("a", "ask", "")]).spending(1, 1, 1), says("no").spending(2, 2, 2)])
    .expect(|seen| {
        assert!(told(&seen.result)[0].contains("within 5s"));
        assert_eq!((seen.result.usage.input, seen.result.outcome.clone()), (13, Outcome::Completed));
    })
);

scenario!(
    what_agents_within_a_function_used_counts_whatever_the_function_answers,
    Scenario::new(|| {
        let ask = |name: &str, fails: bool| {
            function(name, "", move |_: NoArguments, context: CallContext| async move {
                let inner = pure([double()]).build().unwrap();
                let model = TestModel::new(&[round("i", 3, 1000), says("six").spending(100, 10, 2000)]);
                let result = run(&context.run, &inner, model, "twice three").await;
                if fails { Err(Error::new(ErrorKind::ToolFailed, "no")) } else { Ok(result.text) }
            })
        };
        pure([ask("ask", false), ask("fail", true), double()])
    })
    .turns([
        calls(&[("a", "ask", ""), ("b", "fail", ""), ("c", "double", "{\"n\":3}")]).spending(1, 1, 1),
        says("6").spending(2, 2, 2)
    ])
    .expect(|seen| {
        assert_eq!(told(&seen.result), ["six", "the tool `fail` failed: no", "6"]);
        assert_eq!(
            (seen.result.usage, seen.result.cost),
            (Usage::new(223, 25), Some(Cost::from_nanos(6003)))
        );
    })
);
