//! Laws of folding: what was unfolded folds back, however the pieces are cut.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn model() -> ModelId {
    "scripted:test".parse().unwrap()
}

fn part() -> impl Strategy<Value = Part> {
    let opaque = proptest::option::of(
        ".{1,8}".prop_map(|text| Opaque { provider: "p".into(), payload: json!([text]) }),
    );
    prop_oneof![
        (".{1,20}", opaque.clone()).prop_map(|(text, opaque)| Part::Text { text, opaque }),
        (".{0,20}", opaque.clone()).prop_map(|(text, opaque)| {
            let label = || Opaque { provider: model().provider().to_owned(), payload: Value::Null };
            Part::Reasoning(Reasoning { text, opaque: opaque.or_else(|| Some(label())) })
        }),
        (".{1,5}", ".{1,5}", ".{0,20}", any::<bool>(), opaque).prop_map(
            |(id, name, arguments, minted, opaque)| {
                Part::ToolCall(ToolCall { id, name, arguments, minted, opaque })
            }
        ),
        ".{1,10}".prop_map(|text| Part::Refusal { text }),
    ]
}

prop_compose! {
    fn response()(
        parts in proptest::collection::vec(part(), 0..6),
        usage in proptest::option::of((0u64..9999, 0u64..9999)),
        cost in proptest::option::of(0u64..9999),
        raw in proptest::option::of("[a-z]{1,9}"),
        request_id in proptest::option::of("[a-z]{1,9}"),
    ) -> ChatResponse {
        ChatResponse {
            usage: usage.map(|(input, output)| Usage::new(input, output)),
            cost: cost.map(Cost::from_nanos),
            raw_finish_reason: raw,
            request_id,
            metadata: json!({"model_kind": "test"}).as_object().cloned().unwrap(),
            ..ChatResponse::new(model(), Message { role: Role::Assistant, parts }, FinishReason::Stop)
        }
    }
}

/// Cuts every text delta into single characters.
fn shred(events: Vec<StreamEvent>) -> Vec<StreamEvent> {
    let mut out = Vec::new();
    for event in events {
        match event {
            StreamEvent::TextDelta { part, text } => {
                out.extend(text.chars().map(|c| StreamEvent::TextDelta { part, text: c.into() }));
            }
            StreamEvent::ToolCallDelta { part, arguments } => {
                out.extend(
                    arguments.chars().map(|c| StreamEvent::ToolCallDelta { part, arguments: c.into() }),
                );
            }
            other => out.push(other),
        }
    }
    out
}

fn folded(events: Vec<StreamEvent>) -> ChatResponse {
    let mut accumulator = Accumulator::new(model());
    for event in events {
        accumulator.push(event).unwrap();
    }
    accumulator.finish().unwrap()
}

proptest! {
    #[test]
    fn an_unfolded_answer_folds_back_however_it_is_cut(response in response()) {
        prop_assert_eq!(&folded(unfold(&response)), &response);
        prop_assert_eq!(&folded(shred(unfold(&response))), &response);
    }

    #[test]
    fn the_order_of_places_is_the_order_of_parts(response in response()) {
        let (mut odd, mut even, mut rest) = (vec![], vec![], vec![]);
        for event in unfold(&response) {
            let place = match &event {
                StreamEvent::TextDelta { part, .. }
                | StreamEvent::ReasoningDelta { part, .. }
                | StreamEvent::RefusalDelta { part, .. }
                | StreamEvent::PartOpaque { part, .. }
                | StreamEvent::ToolCallStarted { part, .. }
                | StreamEvent::ToolCallDelta { part, .. }
                | StreamEvent::ToolCallEnded { part } => Some(*part),
                _ => None,
            };
            match place {
                Some(place) if place % 2 == 1 => odd.push(event),
                Some(_) => even.push(event),
                None => rest.push(event),
            }
        }
        prop_assert_eq!(folded(odd.into_iter().chain(even).chain(rest).collect()), response);
    }
}

#[test]
fn an_answer_without_a_finish_is_truncated() {
    let mut accumulator = Accumulator::new(model());
    accumulator.push(StreamEvent::TextDelta { part: 0, text: "half".into() }).unwrap();
    assert_eq!(accumulator.partial().visible_text(), "half");
    assert_eq!(accumulator.finish().unwrap_err().kind(), ErrorKind::Truncated);
}

#[test]
fn discarded_output_is_forgotten() {
    let mut accumulator = Accumulator::new(model());
    accumulator.push(StreamEvent::TextDelta { part: 0, text: "half".into() }).unwrap();
    let error = Error::new(ErrorKind::Truncated, "cut").report();
    accumulator.push(StreamEvent::OutputDiscarded { error: Box::new(error) }).unwrap();
    accumulator.push(StreamEvent::TextDelta { part: 0, text: "whole".into() }).unwrap();
    accumulator.push(StreamEvent::Finished { reason: FinishReason::Stop, raw: None }).unwrap();
    assert_eq!(accumulator.finish().unwrap().text(), "whole");
}

#[test]
fn the_answer_is_of_the_model_that_took_over_also_when_it_is_told_again() {
    let other: ModelId = "other:model".parse().unwrap();
    let mut accumulator = Accumulator::new(model());
    accumulator.push(StreamEvent::AnsweredBy { model: other.clone() }).unwrap();
    accumulator.push(StreamEvent::ReasoningDelta { part: 0, text: "hm".into() }).unwrap();
    accumulator.push(StreamEvent::Finished { reason: FinishReason::Stop, raw: None }).unwrap();
    let response = accumulator.finish().unwrap();
    let Some(Part::Reasoning(Reasoning { opaque: Some(opaque), .. })) = response.message.parts.first() else {
        panic!()
    };
    assert_eq!((&response.model, opaque.provider.as_str()), (&other, "other"));
    assert_eq!(folded(unfold(&response)), response);
}

#[test]
fn a_piece_at_a_foreign_place_is_a_defect() {
    let mut accumulator = Accumulator::new(model());
    accumulator.push(StreamEvent::TextDelta { part: 0, text: "a".into() }).unwrap();
    let error = accumulator.push(StreamEvent::ToolCallDelta { part: 0, arguments: "{".into() }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(error.message(), "tool arguments arrived for part 0, which is text");
}

#[test]
fn reasoning_says_whose_it_is() {
    let events = [
        StreamEvent::ReasoningDelta { part: 0, text: "hm".into() },
        StreamEvent::Finished { reason: FinishReason::Stop, raw: None },
    ];
    let message = folded(events.to_vec()).message;
    let opaque = Some(Opaque { provider: "scripted".into(), payload: Value::Null });
    assert_eq!(message.parts, [Part::Reasoning(Reasoning { text: "hm".into(), opaque })]);
}
