//! What models read and say: instructions, conversations, reasoning, and how streams tell of it.

use motet_core::Message;
use motet_core::message::Reasoning;
use motet_core::request::Sampling;

use super::*;

const ROUGH: &str = "Line <one>\n\n  & \"two\"\t— naïve 🎻\r\n";

fn work() -> AgentBuilder {
    pure([answering("look", "a finding")]).instructions(ROUGH)
}

fn look(id: &str) -> Turn {
    calls(&[(id, "look", "{}")])
}

fn says_beside_a_call(text: &str) -> Turn {
    look("a").beginning(Part::text(text))
}

scenario!(
    instructions_stay_byte_identical_in_every_follow_up_request,
    Scenario::new(|| work().max_repeated_rounds(0))
        .turns([look("a"), look("b"), look("c"), says("done")])
        .expect(|seen| {
            assert_eq!(seen.requests.len(), 4);
            for request in &seen.requests {
                assert_eq!(request.messages[0], Message::system(ROUGH));
                let systems = request.messages.iter().filter(|message| message.role == Role::System);
                assert_eq!(systems.count(), 1);
            }
        })
);

scenario!(
    a_follow_up_request_is_the_one_before_and_some_messages_more,
    Scenario::new(work).turns([look("a"), look("b"), says("done")]).expect(|seen| {
        for pair in seen.requests.windows(2) {
            assert!(pair[1].messages.starts_with(&pair[0].messages));
            assert_eq!(pair[0].tools, pair[1].tools);
        }
        assert_eq!(seen.requests[2].messages, seen.result.messages[..seen.result.messages.len() - 1]);
    })
);

scenario!(
    instructions_that_the_conversation_begins_with_are_not_repeated,
    Scenario::new(work)
        .prompt(vec![Message::system(ROUGH), Message::user("go")])
        .turns([says("done")])
        .expect(|seen| assert_eq!(seen.requests[0].messages, [Message::system(ROUGH), Message::user("go")]))
);

scenario!(
    a_conversation_is_asked_once_and_as_it_is,
    Scenario::new(|| agent([]))
        .prompt(vec![Message::user("one"), Message::assistant("two"), Message::user("three")])
        // The turn is named by the number of the call, not by the answers that the conversation holds.
        .turns([says("four")])
        .expect(|seen| {
            assert_eq!(seen.requests[0].messages.len(), 3);
            assert_eq!(seen.result.first_new, 3);
            assert_eq!(seen.result.new_messages(), [Message::assistant("four")]);
        })
);

scenario!(
    tool_turns_of_an_earlier_run_are_kept_with_their_ids_and_arguments,
    Scenario::new(work)
        .prompt({
            let Turn::Answer(asked) = calls(&[("old", "look", "{ \"odd\" : 1 }")]) else { unreachable!() };
            let result = ToolResult {
                id: "old".into(),
                name: "look".into(),
                content: vec![Part::text("found")],
                is_error: false,
            };
            vec![
                Message::user("first"),
                asked.message,
                Message::tool(vec![result]),
                Message::assistant("It is found."),
                Message::user("again"),
            ]
        })
        .turns([look("new"), says("done")])
        .expect(|seen| {
            let sent = &seen.requests[1].messages;
            assert_eq!(sent.len(), 8);
            assert_eq!(sent[2].tool_calls().next().unwrap().arguments, "{ \"odd\" : 1 }");
            assert_eq!(results(&sent[3]).next().unwrap().id, "old");
            assert_eq!(seen.result.tool_history.len(), 1, "only what this run did");
        })
);

scenario!(
    no_input_is_refused_before_anything_is_asked,
    Scenario::new(work).prompt(Vec::new()).expect(|seen| {
        assert_eq!(failure(&seen.result), ErrorKind::InvalidRequest);
        assert!(seen.requests.is_empty() && seen.records.is_empty());
    })
);

scenario!(
    an_image_in_the_input_reaches_the_model_in_every_round,
    Scenario::new(work)
        .prompt({
            let image = picture();
            Message { role: Role::User, parts: vec![Part::text("what?"), Part::Image(image)] }
        })
        .turns([look("a"), says("a cat")])
        .expect(|seen| {
            for request in &seen.requests {
                assert!(matches!(request.messages[1].parts[1], Part::Image(_)));
            }
        })
);

scenario!(
    text_beside_tool_calls_is_shown_and_kept_and_nothing_is_put_next_to_it,
    Scenario::new(work).turns([says_beside_a_call("Let me look. "), says("Found.")]).expect(|seen| {
        assert_eq!(seen.result.messages[2].visible_text(), "Let me look. ");
        assert_eq!(seen.result.text, "Found.", "the result is the last answer, not all of them");
    })
);

scenario!(
    several_rounds_show_no_text_but_the_models,
    Scenario::new(|| work().max_repeated_rounds(0))
        .turns([look("a"), says_beside_a_call("still "), look("c"), says("done")])
        .expect(|seen| {
            let text: String = seen.events.iter().filter_map(text_of).collect();
            assert!(seen.events.is_empty() || text == "still done");
        })
);

scenario!(
    text_in_any_script_arrives_whole,
    Scenario::new(work)
        .turns([says_beside_a_call("наконец 日本 "), says("e\u{301} 👩‍👩‍👧 ✓")])
        .expect(|seen| assert_eq!(seen.result.text, "e\u{301} 👩‍👩‍👧 ✓"))
);

scenario!(
    reasoning_is_streamed_and_goes_back_with_the_next_request,
    Scenario::new(work)
        .turns([
            look("a").beginning(Part::Reasoning(Reasoning { text: "I should look.".into(), opaque: None })),
            says("done"),
        ])
        .expect(|seen| {
            let Part::Reasoning(thought) = &seen.requests[1].messages[2].parts[0] else {
                panic!("no thought")
            };
            assert_eq!(thought.text, "I should look.");
            let told = seen.events.iter().any(
                |event| matches!(event, StreamEvent::ReasoningDelta { text, .. } if text == "I should look."),
            );
            assert!(seen.events.is_empty() || told);
            assert_eq!(seen.result.text, "done");
        })
);

scenario!(
    a_refusal_is_kept_apart_from_text,
    Scenario::new(|| agent([]))
        .turns([says("").beginning(Part::Refusal { text: "I will not.".into() })])
        .expect(|seen| {
            assert_eq!((&seen.result.outcome, seen.result.text.as_str()), (&Outcome::Completed, ""));
            let refused = seen.result.new_messages()[0].parts.iter();
            assert!(
                refused.clone().any(|part| matches!(part, Part::Refusal { text } if text == "I will not."))
            );
        })
);

scenario!(
    an_empty_answer_ends_the_run_as_an_empty_answer,
    Scenario::new(work).turns([look("a"), says("")]).expect(|seen| {
        assert_eq!((&seen.result.outcome, seen.result.text.as_str()), (&Outcome::Completed, ""));
    })
);

scenario!(
    a_turn_that_the_provider_paused_goes_on_and_is_one_text,
    Scenario::new(|| agent([]))
        .turns([says("Once ").finishing(FinishReason::Paused), says("upon a time.")])
        .expect(|seen| {
            assert_eq!(seen.result.text, "Once upon a time.");
            assert_eq!((seen.result.model_calls, seen.requests[1].messages.len()), (2, 2));
        })
);

scenario!(
    a_retry_is_told_in_the_stream_before_the_answer,
    Scenario::new(work).turns([look("a"), says("done").retried()]).expect(|seen| {
        let retry = seen.events.iter().position(|event| matches!(event, StreamEvent::Retrying { .. }));
        let text = seen.events.iter().position(|event| text_of(event).is_some());
        assert!(seen.events.is_empty() || (retry.is_some() && retry < text));
        assert_eq!(seen.result.model_calls, 2, "a retry is no call of its own");
    })
);

scenario!(
    what_a_stream_takes_back_is_not_in_the_transcript,
    Scenario::new(work)
        .turns([
            says_beside_a_call("I look. ").begun_anew(),
            says("Found it.").spending(3, 4, 5).begun_anew()
        ])
        .expect(|seen| {
            assert_eq!((seen.result.text.as_str(), seen.result.model_calls), ("Found it.", 2));
            assert_eq!(seen.result.messages[2].visible_text(), "I look. ");
            assert_eq!((seen.result.tool_history.len(), seen.result.usage), (1, Usage::new(3, 4)));
            let void = |event: &&StreamEvent| matches!(event, StreamEvent::OutputDiscarded { .. });
            assert!(seen.events.is_empty() || seen.events.iter().filter(void).count() == 2);
        })
);

scenario!(
    the_options_of_the_agent_are_those_of_every_request,
    Scenario::new(|| {
        let mut sampling = Sampling::default();
        sampling.temperature = Some(0.25);
        work().sampling(sampling).max_tokens(77).stop(["END"]).extra("user", "u1").metadata("team", "blue")
    })
    .turns([look("a"), look("b"), says("done")])
    .expect(|seen| {
        for request in &seen.requests {
            assert_eq!(request.sampling.temperature, Some(0.25));
            assert_eq!((request.max_tokens, request.stop.len()), (Some(77), 1));
            assert_eq!((&request.extra["user"], &request.metadata["team"]), (&"u1".into(), &"blue".into()));
        }
    })
);

scenario!(
    a_run_that_fails_leaves_the_conversation_that_it_was_given,
    Scenario::new(|| agent([]))
        .prompt(vec![Message::user("one"), Message::assistant("two"), Message::user("three")])
        .turns([Turn::Fail(ErrorKind::Authentication)])
        .expect(|seen| {
            assert_eq!(seen.result.messages.len(), 3);
            assert!(seen.result.new_messages().is_empty(), "nobody finds half a turn");
            assert_eq!(seen.result.text, "");
        })
);

scenario!(
    arguments_of_calls_are_streamed_as_the_model_writes_them,
    Scenario::new(|| pure([double()])).turns([calls(&[("a", "double", "{ \"n\" :4}")]), says("8")]).expect(
        |seen| {
            let pieces =
                seen.events.iter().filter(|event| matches!(event, StreamEvent::ToolCallDelta { .. }));
            assert!(seen.events.is_empty() || pieces.count() > 5, "they come in pieces");
            assert_eq!(seen.result.tool_history[0].arguments, "{ \"n\" :4}");
        }
    )
);

fn text_of(event: &StreamEvent) -> Option<&str> {
    match event {
        StreamEvent::TextDelta { text, .. } => Some(text),
        _ => None,
    }
}
