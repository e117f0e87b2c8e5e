//! Runs that agents give to each other.

use serde_json::json;

use super::*;

fn other() -> AgentBuilder {
    Agent::builder("other one", "scripted:other".parse().unwrap())
        .instructions("You are the <other>\n")
        .description("Knows prices.")
        .tool(answering("look", "theirs").effect(Effect::Pure))
        .max_tokens(7)
}

fn first() -> AgentBuilder {
    pure([answering("look", "mine")]).instructions("You are the first.")
}

/// The first agent, which may give its run to the other one; that one's turns have the numbers of the run's calls.
fn with_other(other: fn() -> AgentBuilder, turns: &'static [fn() -> Turn]) -> AgentBuilder {
    let turns: Vec<_> = [says("never asked")].into_iter().chain(turns.iter().map(|turn| turn())).collect();
    first().handoff(other().build().unwrap(), TestModel::new(&turns))
}

fn transfer() -> Turn {
    calls(&[("t", "transfer_to_other_one", "{\"reason\":\"prices\"}")]).spending(1, 1, 1)
}

fn look() -> Turn {
    calls(&[("l", "look", "{}")]).spending(10, 10, 10)
}

fn costs() -> Turn {
    says("It costs 5.").spending(100, 100, 100)
}

/// The first answer of the other agent shows its request in its text, as the models of a run are not seen together.
fn asked_other(seen: &Seen) -> Vec<Record> {
    seen.records.iter().filter(|record| record.step() == "model/1").cloned().collect()
}

scenario!(
    another_agent_takes_over_with_its_own_tools_and_all_is_summed,
    Scenario::new(|| with_other(other, &[look, costs])).turns([transfer()]).expect(|seen| {
        assert_eq!(seen.requests.len() + 2, started(&seen.records, "model/"));
        assert_eq!(told(&seen.result), ["The agent `other one` takes over.", "theirs"]);
        assert_eq!((seen.result.text.as_str(), seen.result.model.to_string()), ("It costs 5.", "scripted:other".into()));
        assert_eq!((seen.result.usage, seen.result.cost), (Usage::new(111, 111), Some(Cost::from_nanos(111))));
        assert_eq!(seen.result.messages[0], Message::system("You are the <other>\n"), "byte by byte");
        assert_eq!(seen.result.first_new, 2);
        let names: Vec<_> = seen.requests[0].tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["look", "transfer_to_other_one"]);
        assert!(seen.requests[0].tools[1].description.ends_with("Knows prices."));
        let agents: Vec<_> = asked_other(seen).iter().filter_map(|record| record.attribution()?.agent.clone()).collect();
        assert_eq!(agents, ["other one"], "the work is ascribed to who does it");
        let handed = |event: &&StreamEvent| {
            matches!(event, StreamEvent::HandedOver { from, to } if from == "test" && to == "other one")
        };
        assert!(seen.events.is_empty() || seen.events.iter().filter(handed).count() == 1);
    })
);

scenario!(
    of_several_agents_called_at_once_the_first_takes_over,
    Scenario::new(|| {
        let third = Agent::builder("third", model_id()).build().unwrap();
        with_other(other, &[costs]).handoff(third, TestModel::new(&[]))
    })
    .turns([calls(&[
        ("a", "look", "{}"),
        ("t", "transfer_to_other_one", "{}"),
        ("u", "transfer_to_third", "{}"),
    ])])
    .expect(|seen| {
        assert_eq!(
            told(&seen.result),
            [
                "mine",
                "The agent `other one` takes over.",
                "not run: the conversation was handed to another agent already"
            ]
        );
        assert_eq!(seen.result.text, "It costs 5.");
    })
);

scenario!(
    system_messages_of_the_caller_stay_when_another_agent_takes_over,
    Scenario::new(|| {
        let other = other().build().unwrap();
        pure([]).handoff(other, TestModel::new(&[says(""), costs()]))
    })
    .prompt(vec![Message::system("The customer is deaf."), Message::user("go")])
    .turns([transfer()])
    .expect(|seen| {
        let systems: Vec<_> = seen.result.messages[..2].iter().map(Message::visible_text).collect();
        assert_eq!(systems, ["You are the <other>\n", "The customer is deaf."]);
        assert_eq!(seen.result.first_new, 3);
        assert_eq!(seen.result.new_messages()[0].role, Role::Assistant);
    })
);

scenario!(
    an_agent_without_instructions_takes_those_of_the_first_away,
    Scenario::new(|| with_other(|| Agent::builder("other one", model_id()), &[costs]))
        .turns([transfer()])
        .expect(|seen| {
            assert_eq!(seen.result.messages[0], Message::user("go"));
            assert_eq!((seen.result.first_new, seen.result.new_messages().len()), (1, 3));
        })
);

scenario!(
    the_answer_must_satisfy_the_schema_of_who_gives_it,
    Scenario::new(|| with_other(|| other().output_type::<Vec<u8>>(), &[|| says("five"), || says("[5]")]))
        .turns([transfer()])
        .expect(|seen| assert_eq!(seen.result.value, Some(json!([5]))))
);

scenario!(
    a_schema_of_the_first_agent_does_not_bind_the_second,
    Scenario::new(|| with_other(other, &[costs]).output_type::<Vec<u8>>()).turns([transfer()]).expect(
        |seen| {
            assert_eq!(
                (&seen.result.outcome, seen.result.text.as_str()),
                (&Outcome::Completed, "It costs 5.")
            );
            assert_eq!(seen.result.value, None);
        }
    )
);

scenario!(
    the_limit_of_calls_is_that_of_the_run_whoever_works,
    Scenario::new(|| with_other(other, &[look]).max_iterations(2)).turns([transfer()]).expect(
        |seen| assert_eq!((&seen.result.outcome, seen.result.model_calls), (&Outcome::LimitReached, 2))
    )
);

scenario!(
    a_run_may_go_from_agent_to_agent_and_each_has_its_own_options,
    Scenario::new(|| {
        let last =
            Agent::builder("last", "scripted:last".parse().unwrap()).instructions("Last.").build().unwrap();
        let done = TestModel::new(&[says(""), says(""), costs()]);
        let other = other().handoff(last, done).build().unwrap();
        let on = calls(&[("u", "transfer_to_last", "{}")]);
        first().handoff(other, TestModel::new(&[says(""), on]))
    })
    .turns([transfer()])
    .expect(|seen| {
        assert_eq!((seen.result.model.to_string(), seen.result.model_calls), ("scripted:last".into(), 3));
        let systems = seen.result.messages.iter().filter(|message| message.role == Role::System);
        assert_eq!(systems.map(Message::visible_text).collect::<Vec<_>>(), ["Last."]);
    })
);

#[tokio::test]
async fn the_other_agent_is_asked_with_its_own_instructions_tools_and_options() {
    let model = TestModel::new(&[says(""), costs()]);
    let agent = first().handoff(other().build().unwrap(), model.clone()).build().unwrap();
    let result = run(&RunContext::new(), &agent, TestModel::new(&[transfer()]), "go").await;
    assert_eq!(result.outcome, Outcome::Completed);
    let asked = &model.requests()[0];
    assert_eq!((asked.model.to_string(), asked.max_tokens), ("scripted:other".into(), Some(7)));
    assert_eq!(asked.messages[0], Message::system("You are the <other>\n"));
    assert_eq!(asked.messages[1..], result.messages[1..4]);
    assert_eq!(asked.tools.len(), 1);
}
