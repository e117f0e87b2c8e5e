//! Answers that must satisfy a schema.

use serde_json::json;

use super::*;

#[derive(Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
struct Book {
    title: String,
    /// The year it came out.
    year: i32,
    rating: Option<u8>,
}

fn book() -> AgentBuilder {
    agent([]).output_type::<Book>()
}

const SEA: &str = "{\"title\":\"The Sea\",\"year\":1978}";

fn is_the_sea(seen: &Seen) {
    assert_eq!(seen.result.outcome, Outcome::Completed);
    let sea = Book { title: "The Sea".into(), year: 1978, rating: None };
    assert_eq!(seen.result.value_as::<Book>().unwrap(), sea);
}

fn fails_with(kind: ErrorKind, part: &'static str) -> impl Fn(&Seen) {
    move |seen| {
        assert_eq!(failure(&seen.result), kind);
        assert_eq!(seen.result.value, None);
        let error = seen.result.error().unwrap();
        assert!(error.message().contains(part), "`{error}` lacks `{part}`");
        assert_eq!(seen.result.value_as::<Book>().unwrap_err().kind(), kind);
    }
}

scenario!(
    a_value_is_read_and_the_schema_stands_in_every_request,
    Scenario::new(book).turns([says(SEA)]).expect(|seen| {
        is_the_sea(seen);
        let motet_core::request::Output::JsonSchema(output) = &seen.requests[0].output else {
            panic!("no schema")
        };
        assert_eq!((output.name.as_str(), output.strict), ("Book", true));
        assert_eq!(output.schema["properties"]["year"]["description"], "The year it came out.");
        assert_eq!(seen.result.text, SEA);
    })
);

scenario!(
    json_in_a_code_fence_is_read,
    Scenario::new(book)
        .turns([says(&format!("Here it is:\n```json\n{SEA}\n```\nEnjoy!"))])
        .expect(is_the_sea)
);

scenario!(
    null_for_what_is_optional_is_read,
    Scenario::new(book)
        .turns([says("{\"title\":\"The Sea\",\"year\":1978,\"rating\":null}")])
        .expect(is_the_sea)
);

scenario!(
    a_wrong_value_is_shown_to_the_model_with_what_is_wrong_and_repaired,
    Scenario::new(book)
        .turns([
            says("{\"title\":\"The Sea\",\"year\":\"1978\"}").spending(1, 2, 3),
            says(SEA).spending(10, 20, 30)
        ])
        .expect(|seen| {
            is_the_sea(seen);
            let asked = seen.requests[1].messages.last().unwrap().visible_text();
            assert!(asked.contains("at `/year`: \"1978\" is not of type \"integer\""), "{asked}");
            assert_eq!(
                seen.requests[1].messages[1].visible_text(),
                "{\"title\":\"The Sea\",\"year\":\"1978\"}"
            );
            assert_eq!(
                (seen.result.usage, seen.result.cost),
                (Usage::new(11, 22), Some(Cost::from_nanos(33)))
            );
            let again =
                seen.events.iter().filter(|event| matches!(event, StreamEvent::AskedAgain { .. })).count();
            assert!(seen.events.is_empty() || again == 1);
        })
);

scenario!(
    words_in_the_place_of_json_are_repaired,
    Scenario::new(book).turns([says("It is The Sea, of 1978."), says(SEA)]).expect(is_the_sea)
);

scenario!(
    repairs_have_a_bound_and_the_last_answer_stands_in_the_error,
    Scenario::new(book).turns([says("one"), says("two"), says("three")]).expect(|seen| {
        fails_with(ErrorKind::InvalidOutput, "after 2 repair turns")(seen);
        assert_eq!(seen.result.text, "three");
        assert!(seen.result.error().unwrap().context().iter().any(|(_, value)| value == "`three`"));
    })
);

scenario!(
    no_repair_is_made_where_none_is_allowed,
    Scenario::new(|| book().max_repairs(0)).turns([says("one")]).expect(|seen| {
        fails_with(ErrorKind::InvalidOutput, "after 0 repair turns")(seen);
        assert_eq!(seen.requests.len(), 1);
    })
);

scenario!(
    an_empty_answer_is_asked_for_again_and_is_never_a_value,
    Scenario::new(book).turns([says(""), says(SEA)]).expect(|seen| {
        is_the_sea(seen);
        assert!(seen.requests[1].messages.last().unwrap().visible_text().contains("the answer is empty"));
    })
);

scenario!(
    empty_answers_only_are_an_error,
    Scenario::new(|| book().max_repairs(1))
        .turns([says(""), says("")])
        .expect(fails_with(ErrorKind::InvalidOutput, "the answer is empty"))
);

scenario!(
    a_refusal_is_an_error_of_its_own_and_not_asked_again,
    Scenario::new(book).turns([says("").beginning(Part::Refusal { text: "I will not.".into() })]).expect(
        |seen| {
            fails_with(ErrorKind::ContentFilter, "I will not.")(seen);
            assert_eq!(seen.requests.len(), 1);
        }
    )
);

scenario!(
    a_value_cut_by_its_length_is_not_repaired,
    Scenario::new(book)
        .turns([says("{\"title\":\"The").finishing(FinishReason::Length)])
        .expect(fails_with(ErrorKind::InvalidOutput, "cut off by its length limit"))
);

scenario!(
    fields_that_the_type_does_not_have_are_refused,
    Scenario::new(|| book().max_repairs(0))
        .turns([says("{\"title\":\"The Sea\",\"year\":1978,\"isbn\":1}")])
        .expect(fails_with(ErrorKind::InvalidOutput, "isbn"))
);

scenario!(
    tools_come_first_and_the_value_last,
    Scenario::new(|| pure([answering("shelf", "The Sea, 1978")]).output_type::<Book>())
        .turns([calls(&[("a", "shelf", "{}")]), says(SEA)])
        .expect(|seen| {
            is_the_sea(seen);
            assert_eq!(told(&seen.result), ["The Sea, 1978"]);
        })
);

scenario!(
    a_model_may_look_again_while_it_repairs,
    Scenario::new(|| pure([answering("shelf", "1978")]).output_type::<Book>())
        .turns([
            says("{\"title\":\"The Sea\",\"year\":null}"),
            calls(&[("a", "shelf", "{}")]).beginning(Part::text("Let me look.")),
            says(SEA),
        ])
        .expect(is_the_sea)
);

scenario!(
    repairs_count_as_model_calls_of_the_limit,
    Scenario::new(|| book().max_iterations(2).max_repairs(5)).turns([says("one"), says("two")]).expect(
        |seen| {
            assert_eq!((&seen.result.outcome, seen.result.model_calls), (&Outcome::LimitReached, 2));
            assert_eq!(seen.result.text, "two");
        }
    )
);

scenario!(
    an_agent_without_a_schema_has_no_value,
    Scenario::new(|| agent([])).turns([says(SEA)]).expect(|seen| {
        assert_eq!(seen.result.value, None);
        assert_eq!(seen.result.value_as::<Book>().unwrap_err().kind(), ErrorKind::InvalidRequest);
    })
);

scenario!(
    a_list_of_values_is_a_value_too,
    Scenario::new(|| agent([]).output_type::<Vec<u32>>())
        .turns([says("[1, 2, 3]")])
        .expect(|seen| assert_eq!(seen.result.value_as::<Vec<u32>>().unwrap(), [1, 2, 3]))
);

#[tokio::test]
async fn values_grow_while_they_are_streamed_and_begin_anew_when_asked_again() {
    let agent = book().build().unwrap();
    let model = TestModel::new(&[says("{\"title\":\"Oh\",\"year\":false}"), says(SEA)]);
    let mut values = crate::structured_stream(&RunContext::new(), &agent, model, "go");
    let mut seen = Vec::new();
    while let Some(value) = values.next().await {
        seen.push(value.unwrap());
    }
    for expected in
        [json!({}), json!({"title": "O"}), json!({"title": "The Se"}), json!({"title": "The Sea"})]
    {
        assert!(seen.contains(&expected), "{expected} was not shown");
    }
    assert_eq!(seen.iter().filter(|value| **value == json!({})).count(), 2, "it begins anew");
    assert_eq!(seen.last(), Some(&json!({"title": "The Sea", "year": 1978})));
    assert_eq!(values.finish_as::<Book>().await.unwrap().year, 1978);
}

#[tokio::test]
async fn values_begin_anew_when_the_stream_takes_them_back() {
    let agent = book().build().unwrap();
    let model = TestModel::new(&[says(SEA).begun_anew()]);
    let values: Vec<_> =
        crate::structured_stream(&RunContext::new(), &agent, model, "go").map(Result::unwrap).collect().await;
    assert_eq!(values.iter().filter(|value| **value == json!({})).count(), 2);
    assert_eq!(values.last(), Some(&json!({"title": "The Sea", "year": 1978})));
}

#[tokio::test]
async fn a_stream_of_values_that_fails_ends_with_the_error() {
    let agent = book().max_repairs(0).build().unwrap();
    let mut values =
        stream(&RunContext::new(), &agent, TestModel::new(&[says("{\"title\":\"T\"}")]), "go").values();
    let mut last = None;
    while let Some(value) = values.next().await {
        last = Some(value);
    }
    assert_eq!(last.unwrap().unwrap_err().kind(), ErrorKind::InvalidOutput);
    assert_eq!(values.finish_as::<Book>().await.unwrap_err().kind(), ErrorKind::InvalidOutput);
}
