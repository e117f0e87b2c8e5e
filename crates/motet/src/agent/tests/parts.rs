//! Agents that are parts of other runs: the files that they may read, and whose money they spend.

use std::path::Path;

use motet_agents::function;
use motet_agents::function::NoArguments;
use motet_core::Usage;
use motet_core::usage::Price;

use super::*;

const MODEL: &str = "openai:gpt-4o-mini";
/// What every answer uses: $0.00075 by the listed price.
const USAGE: (u64, u64) = (1_000, 1_000);

/// A runtime whose model answers every request with the cost of a real one, calling the tool `ask` first where it has it.
fn paying(options: &[(&str, &str)]) -> (Runtime, Arc<ScriptedModel>) {
    let overrides =
        options.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned(), "test".to_owned()));
    let sources = Sources { overrides: overrides.collect(), ..Sources::default() };
    let store: SharedStore = Arc::new(MemoryStore::new());
    let runtime = Runtime::new(Settings::load(&sources).unwrap(), ".".into()).unwrap();
    let runtime = runtime.with_store(store).unwrap();
    let model = Arc::new(ScriptedModel::from_fn(|request| {
        let asks = request.tools.iter().any(|tool| tool.name == "ask") && request.messages.len() == 1;
        let answer = if asks { Answer::tool_call("ask", &json!({})) } else { Answer::text("{}") };
        let mut response = answer.respond(request)?;
        let usage = Usage::new(USAGE.0, USAGE.1);
        (response.usage, response.cost) = (Some(usage), Some(Price::new(150_000, 600_000).cost(&usage)));
        Ok(response)
    }));
    runtime.add_model(MODEL.parse().unwrap(), Arc::clone(&model) as Arc<dyn Model>);
    (runtime, model)
}

/// Runs a workflow of a directory to its end and gives the error of its first task that failed.
async fn worked(
    runtime: &Runtime,
    directory: &Path,
    workflow: &str,
) -> Option<motet_core::error::ErrorReport> {
    let path = directory.join("flow.yaml");
    std::fs::write(&path, workflow).unwrap();
    let Ok(read) = runtime.read_workflow(&path) else { panic!("{workflow}") };
    let inputs = serde_json::Map::new();
    let run = runtime.start(&read.spec, inputs, &read.run_settings(None)).await.unwrap();
    let report = runtime.work(&run, None, &CancellationToken::new()).await.unwrap();
    report.failures().next().and_then(|task| task.error.clone())
}

#[tokio::test]
async fn an_agent_of_a_workflow_reads_no_file_outside_of_what_the_workflow_may() {
    let outside = tempfile::tempdir().unwrap();
    let inside = outside.path().join("flows");
    std::fs::create_dir_all(inside.join("agents")).unwrap();
    for directory in [outside.path(), &inside] {
        for (name, text) in
            [("rules.txt", "Be kind."), ("shape.json", "{}"), ("critic.yaml", "description: x")]
        {
            std::fs::write(directory.join(name), text).unwrap();
        }
    }
    let allowed = outside.path().to_string_lossy().into_owned();
    for (line, file) in [
        ("instructions_file: ", "rules.txt"),
        ("output: ", "shape.json"),
        ("tools: [{agent: ", "critic.yaml"),
    ] {
        let end = if line.contains('[') { "}]" } else { "" };
        for (up, is_outside) in [("..", false), ("../..", true)] {
            let agent = format!("model: {MODEL}\n{line}{up}/{file}{end}\n");
            std::fs::write(inside.join("agents/clerk.yaml"), &agent).unwrap();
            let by_file = "{file: agents/clerk.yaml, input: x}".to_owned();
            let up = if is_outside { ".." } else { "." };
            let written = format!("{{agent: {{model: '{MODEL}', {line}{up}/{file}{end}}}, input: x}}");
            for params in [by_file, written] {
                let flow = format!("name: f\ntasks:\n  - {{id: a, method: agent/run, params: {params}}}\n");
                let (runtime, model) = paying(&[]);
                let failed = worked(&runtime, &inside, &flow).await;
                let kind = failed.as_ref().map(|error| error.kind);
                assert_eq!(kind, is_outside.then_some(ErrorKind::Permission), "{params}: {failed:?}");
                assert_eq!(model.requests().len(), usize::from(!is_outside), "{params}");
                let (runtime, model) = paying(&[("files.allow", &allowed)]);
                assert_eq!(worked(&runtime, &inside, &flow).await, None, "{params}");
                assert_eq!(model.requests().len(), 1);
            }
        }
        // Who runs the file itself wrote it, or trusts who did.
        assert!(paying(&[]).0.read_agent(&inside.join("agents/clerk.yaml")).is_ok(), "{file}");
    }
}

const AGENTS: &str = "
name: many
tasks:
  - {id: one, method: agent/run, params: {agent: {model: 'openai:gpt-4o-mini', max_tokens: 1000}, input: a}}
  - {id: two, method: agent/run, params: {agent: {model: 'openai:gpt-4o-mini', max_tokens: 1000}, input: b}, dependencies: [one]}
  - {id: three, method: agent/run, params: {agent: {model: 'openai:gpt-4o-mini', max_tokens: 1000}, input: c}, dependencies: [two]}
";

#[tokio::test]
async fn the_agents_of_a_workflow_pay_out_of_one_book() {
    let directory = tempfile::tempdir().unwrap();
    let (runtime, model) = paying(&[("budget.run_cost", "0.0018")]);
    let failed = worked(&runtime, directory.path(), AGENTS).await.unwrap();
    assert_eq!((model.requests().len(), failed.kind), (2, ErrorKind::BudgetExceeded), "{failed:?}");
    assert!(failed.message.starts_with("the budget of the run is"), "{failed:?}");
}

/// Runs an agent whose tool runs another one twice, and gives how these ended and what the run spent in all.
async fn within(options: &[(&str, &str)], inner: Value) -> Vec<Outcome> {
    let (runtime, _) = paying(options);
    let ended: Arc<Mutex<Vec<Outcome>>> = Arc::default();
    let (told, inside) = (Arc::clone(&ended), runtime.clone());
    let ask = function("ask", "", move |_: NoArguments, context: CallContext| {
        let (told, runtime) = (Arc::clone(&told), inside.clone());
        let Ok(file) = Runtime::read_agent_value(&inner) else { panic!("{inner}") };
        async move {
            for name in ["first", "second"] {
                let context = context.run.child(name);
                let result = runtime.run_agent(&context, file.clone(), "go", Keeping::Nowhere).await?;
                told.lock().unwrap().push(result.outcome);
            }
            Ok("asked")
        }
    });
    let agent = runtime.agent("outer", MODEL.parse().unwrap()).max_tokens(1_000).tool(ask).build().unwrap();
    let result = runtime.run_agent(&RunContext::new(), agent, "go", Keeping::Nowhere).await.unwrap();
    assert_eq!(result.model_calls, 2);
    std::mem::take(&mut *ended.lock().unwrap())
}

#[tokio::test]
async fn an_agent_within_a_tool_pays_out_of_the_book_of_its_run() {
    let inner = || json!({"name": "inner", "model": MODEL, "max_tokens": 1000});
    // The outer agent and the first inner one leave less than the second one may cost.
    let ended = within(&[("budget.run_cost", "0.002")], inner()).await;
    assert_eq!(ended[0], Outcome::Completed);
    assert!(matches!(ended[1], Outcome::BudgetExceeded(_)), "{:?}", ended[1]);
    assert_eq!(
        within(&[("budget.run_cost", "0.005")], inner()).await,
        [Outcome::Completed, Outcome::Completed]
    );
}

#[tokio::test]
async fn the_budget_of_an_agent_within_a_tool_is_for_what_it_spends_itself() {
    let inner = |usd: f64| json!({"name": "inner", "model": MODEL, "max_tokens": 1000, "limits": {"budget": {"usd": usd}}});
    // Less than the outer agent and it together, and enough for it alone.
    assert_eq!(within(&[], inner(0.001)).await, [Outcome::Completed, Outcome::Completed]);
    let ended = within(&[], inner(0.0001)).await;
    assert!(ended.iter().all(|outcome| matches!(outcome, Outcome::BudgetExceeded(_))), "{ended:?}");
}
