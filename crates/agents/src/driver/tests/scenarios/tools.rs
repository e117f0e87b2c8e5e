//! What tools are given, what they answer, and what becomes of calls that cannot be run.

use motet_core::ToolOutput;
use motet_core::request::{ToolChoice, ToolSpec};
use serde_json::json;

use super::*;
use crate::function::dynamic;

/// The answers of the calls of one round.
fn answered(tools: impl Fn() -> Vec<FunctionTool> + 'static, asked: &[(&str, &str, &str)]) -> Scenario {
    Scenario::new(move || pure(tools())).turns([calls(asked), says("done")])
}

fn is(expected: &'static [&'static str]) -> impl Fn(&Seen) {
    move |seen| {
        assert_eq!(seen.result.outcome, Outcome::Completed);
        assert_eq!(told(&seen.result), expected);
    }
}

scenario!(
    a_dictionary_is_shown_to_the_model_as_json,
    answered(|| vec![answering("look", json!({"a": [1, null], "b": "x\"y"}))], &[("a", "look", "{}")])
        .expect(is(&["{\"a\":[1,null],\"b\":\"x\\\"y\"}"]))
);

scenario!(
    lists_numbers_and_nothing_are_shown_as_json,
    answered(
        || vec![answering("list", json!([1, "two"])), answering("number", 1.5), answering("nothing", ())],
        &[("a", "list", "{}"), ("b", "number", "{}"), ("c", "nothing", "{}")]
    )
    .expect(is(&["[1,\"two\"]", "1.5", "null"]))
);

scenario!(
    a_text_is_shown_as_it_is,
    answered(|| vec![answering("say", "line\n\"quoted\"")], &[("a", "say", "{}")])
        .expect(is(&["line\n\"quoted\""]))
);

scenario!(
    tools_that_wait_are_waited_for,
    answered(
        || {
            vec![function("slow", "", |_: NoArguments, _| async {
                tokio::time::sleep(Duration::from_secs(30)).await;
                Ok("late")
            })]
        },
        &[("a", "slow", "{}")]
    )
    .expect(is(&["late"]))
);

scenario!(
    no_arguments_and_null_are_the_same_for_a_tool_that_takes_none,
    answered(
        || vec![answering("now", "noon")],
        &[("a", "now", ""), ("b", "now", "null"), ("c", "now", "{}"), ("d", "now", "  ")]
    )
    .expect(is(&["noon", "noon", "noon", "noon"]))
);

scenario!(
    null_for_an_argument_that_may_be_left_out_counts_as_left_out,
    Scenario::new(|| {
        let spec = ToolSpec::new(
            "find",
            "",
            json!({"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": false}),
        );
        agent([dynamic(spec, |arguments, _| async move { Ok(ToolOutput::json(&arguments)) })
            .effect(Effect::Pure)])
    })
    .turns([calls(&[("a", "find", "{\"n\":null}")]), says("done")])
    .expect(is(&["{}"]))
);

/// A wrong call whose answer tells what is wrong, and a right one after it.
fn corrected(name: &'static str, arguments: &'static str, reason: &'static str) -> Scenario {
    Scenario::new(|| pure([double()]))
        .turns([calls(&[("a", name, arguments)]), calls(&[("b", "double", "{\"n\":4}")]), says("It is 8.")])
        .expect(move |seen| {
            let wrong = &seen.result.tool_history[0];
            assert!(wrong.result.contains(reason), "`{}` lacks `{reason}`", wrong.result);
            assert!(wrong.is_error && !wrong.executed);
            assert_eq!(
                (seen.result.tool_history[1].result.as_str(), seen.result.text.as_str()),
                ("8", "It is 8.")
            );
        })
}

scenario!(
    an_unknown_tool_is_answered_with_the_nearest_names,
    corrected("duoble", "{\"n\":4}", "there is no tool `duoble`; the nearest names are `double`")
);
scenario!(arguments_that_are_no_json_are_told_to_the_model, corrected("double", "{\"n\":", "not valid JSON"));
scenario!(
    arguments_of_a_wrong_type_are_told_to_the_model,
    corrected("double", "{\"n\":\"four\"}", "\"four\" is not of type \"integer\"")
);
scenario!(a_missing_argument_is_told_to_the_model, corrected("double", "{}", "\"n\" is a required property"));
scenario!(
    arguments_that_are_no_object_are_told_to_the_model,
    corrected("double", "[4]", "not of type \"object\"")
);
scenario!(
    an_argument_that_does_not_exist_is_told_to_the_model,
    corrected("double", "{\"n\":4,\"m\":5}", "('m' was unexpected)")
);

scenario!(
    a_failure_is_told_with_its_hint_and_is_no_success,
    answered(
        || {
            vec![function("open", "", |_: NoArguments, _| async {
                Err::<(), _>(Error::new(ErrorKind::NotFound, "no file `a`").with_hint("make it"))
            })]
        },
        &[("a", "open", "{}")]
    )
    .expect(|seen| {
        assert_eq!(told(&seen.result), ["the tool `open` failed: no file `a`; hint: make it"]);
        assert!(seen.result.tool_history[0].is_error && seen.result.tool_history[0].executed);
        assert!(results(&seen.result.messages[2]).all(|result| result.is_error), "the model is told so");
    })
);

scenario!(
    one_of_several_that_fails_does_not_take_the_others_with_it,
    answered(
        || {
            let fails = function("fails", "", |_: NoArguments, _| async {
                Err::<(), _>(Error::new(ErrorKind::ToolFailed, "broken"))
            });
            let breaks = function("breaks", "", |_: NoArguments, _| async {
                if true {
                    panic!("tooth broken");
                }
                Ok(())
            });
            vec![fails, breaks, double()]
        },
        &[
            ("a", "fails", ""),
            ("b", "double", "{\"n\":1}"),
            ("c", "breaks", ""),
            ("d", "double", "{\"n\":2}")
        ]
    )
    .expect(is(&[
        "the tool `fails` failed: broken",
        "2",
        "the tool `breaks` broke down: tooth broken",
        "4"
    ]))
);

scenario!(
    a_tool_beyond_its_time_is_stopped_and_the_model_is_told,
    answered(
        || {
            let hangs = function("hangs", "", |_: NoArguments, _| futures::future::pending::<Result<()>>());
            vec![hangs.timeout(Duration::from_secs(2))]
        },
        &[("a", "hangs", "")]
    )
    .expect(is(&["the tool `hangs` gave no answer within 2s and was stopped; it may have taken effect"]))
);

scenario!(
    parallel_calls_answer_in_the_order_asked_however_long_each_takes,
    answered(
        || {
            vec![function("wait", "", |args: Double, _| async move {
                tokio::time::sleep(Duration::from_secs(args.n as u64)).await;
                Ok(args.n)
            })]
        },
        &[("a", "wait", "{\"n\":30}"), ("b", "wait", "{\"n\":10}"), ("c", "wait", "{\"n\":20}")]
    )
    .expect(is(&["30", "10", "20"]))
);

scenario!(
    calls_one_after_the_other_give_the_same_as_side_by_side,
    Scenario::new(|| pure([double()]).max_parallel_tools(1))
        .turns([calls(&[("a", "double", "{\"n\":1}"), ("b", "double", "{\"n\":2}")]), says("done")])
        .expect(is(&["2", "4"]))
);

scenario!(
    ids_that_a_provider_gives_twice_mix_nothing_up,
    answered(|| vec![double()], &[("id", "double", "{\"n\":1}"), ("id", "double", "{\"n\":2}")])
        .expect(is(&["2", "4"]))
);

scenario!(
    a_long_result_is_cut_between_characters_with_a_notice,
    Scenario::new(|| pure([answering("read", "日本語テキスト".repeat(10))]).max_tool_result_chars(5))
        .turns([calls(&[("a", "read", "{}")]), says("done")])
        .expect(is(&["日本語テキ\n[cut: the first 5 of 70 characters are shown]"]))
);

scenario!(
    a_result_of_several_parts_keeps_its_images,
    Scenario::new(|| {
        let spec = ToolSpec::new("shoot", "", json!({"type": "object"}));
        agent([dynamic(spec, |_, _| async {
            let image = Part::Image(picture());
            Ok(ToolOutput { content: vec![Part::text("seen"), image], ..ToolOutput::text("") })
        })
        .effect(Effect::Pure)])
    })
    .turns([calls(&[("a", "shoot", "{}")]), says("done")])
    .expect(|seen| {
        let result = results(&seen.requests[1].messages[2]).next().unwrap();
        assert!(matches!(result.content[..], [Part::Text { .. }, Part::Image(_)]));
    })
);

scenario!(
    every_tool_with_all_its_words_is_offered_in_every_request,
    Scenario::new(|| {
        let lines = "Finds things.\n\nLooks everywhere, even where nobody looked.";
        pure([function("find", lines, |args: Double, _| async move { Ok(args.n) }), double()])
    })
    .turns([calls(&[("a", "double", "{\"n\":1}")]), says("done")])
    .expect(|seen| {
        for request in &seen.requests {
            let names: Vec<_> = request.tools.iter().map(|tool| tool.name.as_str()).collect();
            assert_eq!(names, ["find", "double"]);
            assert!(request.tools[0].description.ends_with("even where nobody looked."));
            let parameter = &request.tools[0].parameters["properties"]["n"]["description"];
            assert_eq!(parameter, "The number to double.");
        }
    })
);

scenario!(
    tools_that_are_left_to_the_caller_are_not_run,
    Scenario::new(|| pure([double()]).execute_tools(false))
        .turns([calls(&[("a", "double", "{\"n\":4}")]).spending(1, 2, 3)])
        .expect(|seen| {
            assert_eq!(seen.result.outcome, Outcome::ToolsRequested);
            let asked: Vec<_> = seen.result.requested_calls().map(|call| call.id.as_str()).collect();
            assert_eq!((asked, seen.result.tool_history.len(), seen.records.len()), (vec!["a"], 0, 2));
        })
);

scenario!(
    a_forced_choice_holds_for_the_first_call_only,
    Scenario::new(|| pure([double()]).tool_choice(ToolChoice::Tool("double".into())))
        .turns([calls(&[("a", "double", "{\"n\":4}")]), says("8")])
        .expect(|seen| {
            assert_eq!(seen.requests[0].tool_choice, ToolChoice::Tool("double".into()));
            assert_eq!(seen.requests[1].tool_choice, ToolChoice::Auto);
        })
);

scenario!(
    a_call_that_was_cut_off_is_not_run_with_half_its_arguments,
    Scenario::new(|| pure([double()]))
        .turns([
            calls(&[("a", "double", "{\"n\":1}"), ("b", "double", "{\"n\":12")])
                .finishing(FinishReason::Length),
            says("done"),
        ])
        .expect(|seen| {
            assert_eq!(told(&seen.result)[0], "2");
            assert!(told(&seen.result)[1].contains("cut off by its length limit"));
            assert!(!seen.result.tool_history[1].executed);
        })
);

scenario!(
    a_tool_may_end_the_run,
    Scenario::new(|| {
        pure([function("quit", "", |_: NoArguments, _| async {
            Err::<(), _>(Error::new(ErrorKind::Cancelled, "the person said no"))
        })])
    })
    .turns([calls(&[("a", "quit", "")])])
    .expect(|seen| {
        assert_eq!(seen.result.outcome, Outcome::Cancelled);
        assert_eq!(told(&seen.result), ["the run was cancelled before this call had a result"]);
    })
);

scenario!(
    arguments_reach_the_tool_as_the_schema_reads_them_and_the_transcript_as_written,
    Scenario::new(|| pure([double()]))
        .turns([calls(&[("a", "double", "{\"n\" : 4.0}")]), says("done")])
        .expect(|seen| {
            assert_eq!(seen.result.tool_history[0].arguments, "{\"n\" : 4.0}");
            assert_eq!(seen.result.messages[1].tool_calls().next().unwrap().arguments, "{\"n\" : 4.0}");
        })
);

#[tokio::test]
async fn agents_whose_tools_have_the_same_name_call_each_their_own() {
    let (one, two) = (pure([answering("look", "one")]), pure([answering("look", "two")]));
    let turns = [calls(&[("a", "look", "{}")]), says("done")];
    let (one, two) = (one.build().unwrap(), two.build().unwrap());
    let context = RunContext::new();
    let (first, second) = (context.child("first"), context.child("second"));
    let (first, second) = tokio::join!(
        run(&first, &one, TestModel::new(&turns), "go"),
        run(&second, &two, TestModel::new(&turns), "go")
    );
    assert_eq!((told(&first), told(&second)), (vec!["one"], vec!["two"]));
}
