//! `motet log cost`: what stored runs cost, by whatever their calls are ascribed to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use motet::agents::Agent;
use motet::providers::scripted::{Answer, ScriptedModel};
use motet::{ChatResponse, Cost, FinishReason, Message, ModelId, RunContext, Usage};
use motet_agents::function::NoArguments;
use motet_agents::{CallContext, function};
use motet_core::context::Attribution;
use motet_core::id::{Millis, RunId, WorkerId};
use motet_core::run_log::{Entry, Record, StepKind};
use motet_core::store::{ClaimRequest, DEFAULT_QUEUE, NewRun, NewTask, SharedStore};
use motet_core::tool::Effect;
use motet_tests::command::{Done, Place};
use motet_tests::server::{Reply, Server};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::answer;

const BYS: [&str; 11] =
    ["run", "step", "agent", "tool", "key", "tag", "tag:team", "tenant", "model", "provider", "day"];

fn cost(place: &Place, arguments: &[&str]) -> Done {
    let base = ["log", "cost", "--set", "store=sqlite:store.db"];
    place.run(&[&base[..], arguments].concat()).unwrap()
}

fn told(place: &Place, arguments: &[&str]) -> Value {
    cost(place, &[&["--output", "json"], arguments].concat()).json().unwrap()
}

/// One recorded call.
#[derive(Debug, Clone)]
struct Call {
    model: &'static str,
    nanos: Option<u64>,
    attribution: Attribution,
    key: Option<&'static str>,
    /// It is replayed, fails, or breaks off, and so is not paid.
    paid: bool,
}

fn ascribed(agent: Option<&str>, tool: Option<&str>, team: Option<&str>) -> Attribution {
    let mut attribution = Attribution::default();
    (attribution.agent, attribution.tool) = (agent.map(str::to_owned), tool.map(str::to_owned));
    attribution.tags.extend(team.map(|team| ("team".to_owned(), team.to_owned())));
    attribution
}

fn records(number: usize, call: &Call) -> Vec<Record> {
    let step = format!("ask/model/{number}");
    let started = Entry::Started {
        kind: StepKind::Model,
        request_hash: "h".to_owned(),
        effect: Effect::Pure,
        label: call.model.to_owned(),
        request: None,
    };
    let mut records = vec![
        Record::new(&*step, started).with_attribution(Some(&std::sync::Arc::new(call.attribution.clone()))),
    ];
    if call.paid {
        let model: ModelId = call.model.parse().unwrap();
        let mut response = ChatResponse::new(model, Message::assistant("x"), FinishReason::Stop);
        response.usage = Some(Usage::new(10, 1));
        response.cost = call.nanos.map(Cost::from_nanos);
        response.metadata.extend(call.key.map(|key| ("key".to_owned(), Value::from(key))));
        records.push(Record::new(&*step, Entry::Finished { result: json!(response) }));
    }
    records
}

/// Stores a run with these calls.
async fn store_run(store: &SharedStore, calls: &[Call]) -> RunId {
    let task = NewTask { queue: DEFAULT_QUEUE.to_owned(), ..NewTask::named("ask".to_owned()) };
    let run = NewRun {
        id: RunId::new(),
        definition: json!({}),
        ..NewRun::new("workflow", "test".to_owned(), vec![task])
    };
    let id = store.submit(run).await.unwrap();
    let request = ClaimRequest {
        worker: WorkerId::new(),
        queues: vec![DEFAULT_QUEUE.to_owned()],
        run: Some(id.clone()),
        limit: 1,
        ttl: Duration::from_secs(60),
        max_active: None,
        in_hand: 0,
    };
    let claim = store.claim(request).await.unwrap().remove(0);
    let records: Vec<Record> =
        calls.iter().enumerate().flat_map(|(number, call)| records(number, call)).collect();
    store.journal(&claim.token, 0, records).await.unwrap();
    id
}

fn example() -> Vec<Call> {
    let call = |model, nanos, attribution, key| Call { model, nanos, attribution, key, paid: true };
    let mut broken = call("a:b", Some(999), Attribution::default(), None);
    broken.paid = false;
    vec![
        call("openai:gpt-5", Some(1_500_000), ascribed(Some("clerk"), None, Some("blue")), Some("first")),
        call(
            "openai:gpt-5",
            Some(500_000),
            ascribed(Some("clerk"), Some("search"), Some("red")),
            Some("second"),
        ),
        call("custom:m", None, ascribed(None, None, Some("blue")), None),
        broken,
    ]
}

#[tokio::test]
async fn costs_are_added_up_by_anything_and_unknown_ones_are_not_nothing() {
    let place = Place::new().unwrap();
    let url = format!("sqlite:{}/store.db", place.path().display());
    let (first, second) = {
        let store = motet::persistence::open(&url).unwrap();
        (store_run(&store, &example()).await, store_run(&store, &example()[2..3]).await)
    };
    let groups = |arguments: &[&str]| -> BTreeMap<String, String> {
        let told = told(&place, arguments);
        let groups = told["groups"].as_array().unwrap().iter();
        let line = |group: &Value| {
            let text = format!("{} {} {}", group["calls"], group["cost_nanos"], group["unknown_cost_calls"]);
            (group["group"].as_str().unwrap().to_owned(), text)
        };
        groups.map(line).collect()
    };
    let expect = |by: &str, expected: &[(&str, &str)]| {
        let expected = expected.iter().map(|(group, text)| ((*group).to_owned(), (*text).to_owned()));
        assert_eq!(groups(&["--by", by]), expected.collect(), "{by}");
    };
    expect("agent", &[("clerk", "2 2000000 0"), ("-", "2 null 2")]);
    expect("tool", &[("search", "1 500000 0"), ("-", "3 1500000 2")]);
    expect("key", &[("first", "1 1500000 0"), ("second", "1 500000 0"), ("-", "2 null 2")]);
    expect("tag", &[("team=blue", "3 1500000 2"), ("team=red", "1 500000 0")]);
    expect("tag:team", &[("blue", "3 1500000 2"), ("red", "1 500000 0")]);
    expect("model", &[("openai:gpt-5", "2 2000000 0"), ("custom:m", "2 null 2")]);
    expect("provider", &[("openai", "2 2000000 0"), ("custom", "2 null 2")]);
    expect("tenant", &[("-", "4 2000000 2")]);
    expect("run", &[(first.as_str(), "3 2000000 1"), (second.as_str(), "1 null 1")]);
    let today = Millis::now().to_string();
    let today = today.split('T').next().unwrap();
    assert_eq!(groups(&["--by", "day"]).values().collect::<Vec<_>>(), ["4 2000000 2"]);
    assert_eq!(
        groups(&[first.as_str(), first.as_str(), "--by", "provider"])["openai"],
        "2 2000000 0",
        "a run counts once"
    );
    assert_eq!(groups(&["--since", "1h", "--by", "tenant"])["-"], "4 2000000 2");
    assert_eq!(groups(&["--since", "2999-01-01"]), BTreeMap::new());
    assert!(groups(&["--since", today]).len() <= 2);

    let text = cost(&place, &["--by", "model"]).stdout;
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        rows,
        [
            vec!["MODEL", "CALLS", "INPUT", "CACHED", "OUTPUT", "COST"],
            vec!["custom:m", "2", "20", "0", "2", "unknown"],
            vec!["openai:gpt-5", "2", "20", "0", "2", "$0.002"],
            vec!["total", "4", "40", "0", "4", "$0.002", "and", "2", "unknown"],
        ]
    );
    for wrong in [&["--by", "colour"][..], &["--since", "yesterday"], &["--by", "tag:"]] {
        assert_eq!(cost(&place, wrong).code, Some(2), "{wrong:?}");
    }
    let missing = cost(&place, &["0123"]);
    assert_ne!(missing.code, Some(0));
    assert!(missing.stderr.contains("there is no run `0123`"), "{missing:?}");
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let name = |names: &'static [&'static str]| proptest::option::of(proptest::sample::select(names));
    let call = (
        proptest::sample::select(&["openai:a", "openai:b", "x:c"][..]),
        proptest::option::of(0..1_000_000_000_u64),
        (name(&["one", "two"]), name(&["dig", "fly"]), name(&["red", "blue"])),
        name(&["k1", "k2"]),
        any::<bool>(),
    );
    let call = call.prop_map(|(model, nanos, (agent, tool, team), key, paid)| Call {
        model,
        nanos,
        attribution: ascribed(agent, tool, team),
        key,
        paid,
    });
    proptest::collection::vec(call, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    /// However calls are ascribed, the groups come to the same sum, which is that of what was paid.
    #[test]
    fn the_groups_of_any_attribution_come_to_the_same_sum(calls in calls()) {
        let place = Place::new().unwrap();
        let url = format!("sqlite:{}/store.db", place.path().display());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let run = runtime.block_on(async {
            let store = motet::persistence::open(&url).unwrap();
            store_run(&store, &calls).await
        });
        let paid = || calls.iter().filter(|call| call.paid);
        let expected: u64 = paid().filter_map(|call| call.nanos).sum();
        for by in BYS {
            let told = told(&place, &["--by", by, run.as_str()]);
            let groups = told["groups"].as_array().unwrap();
            let sum = |name: &str| groups.iter().filter_map(|group| group[name].as_u64()).sum::<u64>();
            prop_assert_eq!(sum("cost_nanos"), expected, "{}", by);
            prop_assert_eq!(sum("calls"), paid().count() as u64, "{}", by);
            let unknown = paid().filter(|call| call.nanos.is_none()).count() as u64;
            prop_assert_eq!(told["total"]["unknown_cost_calls"].as_u64(), Some(unknown));
        }
    }
}

#[test]
fn a_workflows_calls_are_paid_once_and_show_up_with_their_tenant() {
    let body = answer("openai-chat", &json!({"prompt_tokens": 1_000, "completion_tokens": 1_000}));
    let server = Server::start(move |_, _| Reply::json(200, &body)).unwrap();
    let place = Place::new().unwrap();
    let workflow = "
name: two
model: openai:gpt-4o-mini
tasks:
  - {id: one, method: llm/chat, params: {prompt: a, max_tokens: 1000}}
  - {id: two, method: llm/chat, params: {prompt: b, max_tokens: 1000}}
";
    place.write("two.yaml", workflow).unwrap();
    let url = format!("providers.openai.base_url={}", server.url());
    let options = ["--set", &url, "--set", "store=sqlite:store.db", "--set", "budget.tenant=acme"];
    let mut command =
        place.command(&[&["run", "two.yaml", "--output", "json"][..], &options].concat()).unwrap();
    let done: Done = command.env("OPENAI_API_KEY", "sk-0123456789abcdef").output().unwrap().into();
    let report = done.json().unwrap();
    assert_eq!((done.code, &report["cost"]), (Some(0), &json!(0.0015)), "{report}");
    // A run that is completed is read, not made again.
    place
        .run(&["workflow", "results", report["id"].as_str().unwrap(), "--set", "store=sqlite:store.db"])
        .unwrap();
    let told = told(&place, &["--by", "tenant"]);
    assert_eq!(told["groups"][0]["group"], "acme");
    assert_eq!((&told["total"]["cost_nanos"], &told["total"]["calls"]), (&json!(1_500_000), &json!(2)));
    assert_eq!(told["total"]["usage"], json!({"input": 2_000, "output": 2_000}));
    let steps = told_steps(&place);
    assert_eq!(steps.len(), 2, "{steps:?}");
}

#[test]
fn single_calls_and_batches_that_are_kept_show_up_with_their_tenant() {
    let place = Place::new().unwrap();
    place
        .write(
            "motet.toml",
            "store = \"sqlite:store.db\"\nmodel = \"offline:extract\"\n[budget]\ntenant = \"acme\"\n",
        )
        .unwrap();
    place.write("docs/a.txt", "It rains.").unwrap();
    for command in [&["complete", "It rains.", "--record"][..], &["batch", "docs", "--prompt", "Sum up"]] {
        let done = place.run(command).unwrap();
        assert_eq!(done.code, Some(0), "{done:?}");
    }
    let told = told(&place, &["--by", "tenant"]);
    assert_eq!((&told["groups"][0]["group"], &told["groups"][0]["calls"]), (&json!("acme"), &json!(2)));
}

fn told_steps(place: &Place) -> Vec<String> {
    let told = told(place, &["--by", "step"]);
    told["groups"].as_array().unwrap().iter().map(|group| group["group"].to_string()).collect()
}

/// An agent's calls are its own, and those of an agent that a tool is, that one's and the tool's.
#[tokio::test]
async fn calls_are_ascribed_to_the_agent_and_tool_they_are_made_for() {
    let id: ModelId = "scripted:x".parse().unwrap();
    let helper = Agent::builder("helper", id.clone()).build().unwrap();
    let look = function("look", "Looks.", move |_: NoArguments, context: CallContext| {
        let helper = helper.clone();
        async move {
            let model = Arc::new(ScriptedModel::answers([Answer::text("seen")]));
            Ok(motet_agents::run(&context.run, &helper, model, "look").await.into_result()?.text)
        }
    });
    let agent = Agent::builder("clerk", id).tool(look).build().unwrap();
    let answers = [Answer::tool_call("look", &json!({})), Answer::text("done")];
    let context = RunContext::new();
    let model = Arc::new(ScriptedModel::answers(answers));
    let result = motet_agents::run(&context, &agent, model, "go").await.into_result();
    assert_eq!(result.unwrap().text, "done");
    let named = |record: &Record| {
        let Entry::Started { kind: StepKind::Model, .. } = record.entry() else { return None };
        let attribution = record.attribution()?;
        Some((attribution.agent.clone()?, attribution.tool.clone()))
    };
    let ascribed: Vec<_> = context.log().records().iter().filter_map(named).collect();
    let expected = [("clerk", None), ("helper", Some("look")), ("clerk", None)];
    assert_eq!(ascribed, expected.map(|(agent, tool)| (agent.to_owned(), tool.map(str::to_owned))));
}
