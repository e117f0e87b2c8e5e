//! How runs end that do not come to a good end, and what they keep.

use super::*;
use crate::machine::Condense;

fn ping_pong() -> AgentBuilder {
    pure([answering("ping", "1"), answering("pong", "2")]).max_iterations(50)
}

fn call(name: &str) -> Turn {
    calls(&[("a", name, "{}")]).spending(10, 1, 5)
}

fn kind_of(outcome: &Outcome) -> ErrorKind {
    match outcome {
        Outcome::Stuck(report)
        | Outcome::BudgetExceeded(report)
        | Outcome::Blocked(report)
        | Outcome::Failed(report) => report.kind,
        other => panic!("a report was expected, not {other:?}"),
    }
}

scenario!(
    the_limit_of_calls_is_an_outcome_and_no_answer,
    Scenario::new(|| ping_pong().max_iterations(2)).turns([call("ping"), call("pong")]).expect(|seen| {
        assert_eq!((&seen.result.outcome, seen.result.model_calls), (&Outcome::LimitReached, 2));
        assert_eq!(told(&seen.result), ["1", "not run: the limit of 2 model calls is reached"]);
        assert_eq!(seen.result.text, "", "no text pretends to be an answer");
        assert_eq!(seen.result.usage, Usage::new(20, 2));
    })
);

scenario!(
    a_limit_of_one_call_is_one_call,
    Scenario::new(|| ping_pong().max_iterations(1)).turns([call("ping")]).expect(|seen| {
        assert_eq!((seen.requests.len(), &seen.result.outcome), (1, &Outcome::LimitReached));
        assert!(!seen.result.tool_history[0].executed, "nobody would read what it answers");
    })
);

scenario!(
    a_limit_that_the_answer_just_meets_is_no_failure,
    Scenario::new(|| ping_pong().max_iterations(2)).turns([call("ping"), says("done")]).expect(|seen| {
        assert_eq!((&seen.result.outcome, seen.result.model_calls), (&Outcome::Completed, 2));
    })
);

scenario!(
    text_beside_the_last_calls_is_kept_when_the_limit_is_reached,
    Scenario::new(|| ping_pong().max_iterations(2))
        .turns([call("ping"), call("pong").beginning(Part::text("So far I know one."))])
        .expect(|seen| assert_eq!(seen.result.text, "So far I know one."))
);

scenario!(
    a_ping_pong_of_equal_rounds_is_warned_and_then_ended,
    Scenario::new(|| ping_pong().max_repeated_rounds(3))
        .turns(["ping", "pong", "ping", "pong", "ping"].map(call))
        .expect(|seen| {
            assert_eq!(kind_of(&seen.result.outcome), ErrorKind::LimitReached);
            assert_eq!((seen.result.outcome.as_str(), seen.result.model_calls), ("stuck", 5));
            let warned = |message: &&Message| match message.parts.last() {
                Some(Part::ToolResult(result)) => result.text().contains("do something else, or answer"),
                _ => false,
            };
            assert_eq!(seen.result.messages.iter().filter(warned).count(), 2, "once for each of the two");
        })
);

scenario!(
    a_model_that_heeds_the_warning_goes_on,
    Scenario::new(|| ping_pong().max_repeated_rounds(3))
        .turns([call("ping"), call("ping"), says("It is 1.")])
        .expect(|seen| assert_eq!(seen.result.text, "It is 1."))
);

scenario!(
    repeated_rounds_without_a_limit_go_on_to_the_limit_of_calls,
    Scenario::new(|| ping_pong().max_repeated_rounds(0).max_iterations(9))
        .turns([
            call("ping"),
            call("ping"),
            call("ping"),
            call("ping"),
            call("ping"),
            call("ping"),
            says("x")
        ])
        .expect(|seen| assert_eq!(seen.result.outcome, Outcome::Completed))
);

scenario!(
    invented_names_again_and_again_end_the_run,
    Scenario::new(|| ping_pong().max_refused_rounds(3))
        .turns([call("pang"), call("peng"), call("pung")])
        .expect(|seen| {
            assert_eq!((seen.result.outcome.as_str(), seen.result.model_calls), ("stuck", 3));
            let error = seen.result.error().unwrap();
            assert!(error.message().contains("3 rounds in a row"), "{error}");
            assert!(error.hint().is_some());
        })
);

scenario!(
    a_good_call_between_invented_ones_is_progress,
    Scenario::new(|| ping_pong().max_refused_rounds(2))
        .turns([call("pang"), call("ping"), call("peng"), call("pong"), says("done")])
        .expect(|seen| assert_eq!(seen.result.outcome, Outcome::Completed))
);

scenario!(
    a_failing_model_ends_the_run_and_what_was_done_stays,
    Scenario::new(ping_pong).turns([call("ping"), Turn::Fail(ErrorKind::Overloaded)]).expect(|seen| {
        assert_eq!(failure(&seen.result), ErrorKind::Overloaded);
        assert_eq!((told(&seen.result), seen.result.messages.len()), (vec!["1"], 3));
        assert_eq!((seen.result.model_calls, seen.result.usage), (2, Usage::new(10, 1)));
    })
);

scenario!(
    a_budget_that_does_not_allow_the_next_call_is_an_outcome_of_its_own,
    Scenario::new(ping_pong).turns([call("ping"), Turn::Fail(ErrorKind::BudgetExceeded)]).expect(|seen| {
        assert_eq!(seen.result.outcome.as_str(), "budget_exceeded");
        assert_eq!(kind_of(&seen.result.outcome), ErrorKind::BudgetExceeded);
        assert_eq!(told(&seen.result), ["1"]);
    })
);

scenario!(
    an_answer_that_breaks_off_is_an_error_and_its_beginning_is_kept,
    Scenario::new(ping_pong).turns([call("ping"), says("It is").spending(7, 2, 9).cut_off()]).expect(
        |seen| {
            assert_eq!(failure(&seen.result), ErrorKind::Truncated);
            assert_eq!(seen.result.partial.as_ref().map(Message::visible_text).as_deref(), Some("It is"));
            assert_eq!((seen.result.text.as_str(), seen.result.messages.len()), ("", 3));
        }
    )
);

scenario!(
    the_deadline_holds_while_an_answer_is_streamed,
    Scenario::new(ping_pong)
        .within(|context| context.with_timeout(Duration::from_secs(60)))
        .turns([call("ping"), says("It i").hanging()])
        .expect(|seen| {
            assert_eq!(seen.result.outcome, Outcome::DeadlinePassed);
            assert_eq!(seen.result.partial.as_ref().map(Message::visible_text).as_deref(), Some("It i"));
            assert_eq!(told(&seen.result), ["1"]);
        })
);

scenario!(
    the_deadline_holds_while_tools_run,
    Scenario::new(|| {
        let hangs = function("hangs", "", |_: NoArguments, _| futures::future::pending::<Result<()>>());
        pure([hangs.timeout(Duration::from_secs(900)), answering("ping", "1")])
    })
    .within(|context| context.with_timeout(Duration::from_secs(60)))
    .turns([calls(&[("a", "hangs", ""), ("b", "ping", "")])])
    .expect(|seen| {
        assert_eq!(seen.result.outcome, Outcome::DeadlinePassed);
        assert_eq!(told(&seen.result), ["the run's deadline passed before this call had a result", "1"]);
    })
);

scenario!(
    an_answer_that_a_policy_stopped_is_what_there_is_of_it,
    Scenario::new(ping_pong).turns([says("I can").finishing(FinishReason::ContentFilter)]).expect(|seen| {
        assert_eq!(seen.result.finish_reason, Some(FinishReason::ContentFilter));
        assert_eq!(seen.result.text, "I can");
    })
);

scenario!(
    an_answer_cut_by_its_length_says_so,
    Scenario::new(ping_pong).turns([says("and so on").finishing(FinishReason::Length)]).expect(|seen| {
        assert_eq!(seen.result.finish_reason, Some(FinishReason::Length));
    })
);

scenario!(
    old_results_are_shortened_in_requests_and_whole_in_the_transcript,
    Scenario::new(|| {
        let long = function("read", "", |args: Double, _| async move { Ok(args.n.to_string().repeat(200)) });
        pure([long]).condense(Condense { keep_rounds: 1, max_chars: 10 })
    })
    .turns([
        calls(&[("a", "read", "{\"n\":1}")]),
        calls(&[("b", "read", "{\"n\":2}")]),
        calls(&[("c", "read", "{\"n\":3}")]),
        says("done"),
    ])
    .expect(|seen| {
        let sent: Vec<_> =
            seen.requests[3].messages.iter().filter(|message| message.role == Role::Tool).collect();
        let text = |message: &Message| results(message).next().unwrap().text();
        assert!(text(sent[0]).starts_with("1111111111\n[an older result"), "{}", text(sent[0]));
        assert!(text(sent[1]).starts_with("2222222222\n[an older result"));
        assert_eq!(text(sent[2]), "3".repeat(200));
        let calls = seen.requests[3].messages.iter().flat_map(Message::tool_calls);
        let written: Vec<_> = calls.map(|call| call.arguments.as_str()).collect();
        assert_eq!(written, ["{\"n\":1}", "{\"n\":2}", "{\"n\":3}"], "calls and arguments stay");
        assert_eq!(told(&seen.result), ["1".repeat(200), "2".repeat(200), "3".repeat(200)]);
        let kept: Vec<_> = seen.result.messages.iter().filter(|message| message.role == Role::Tool).collect();
        assert_eq!(text(kept[0]), "1".repeat(200));
    })
);
