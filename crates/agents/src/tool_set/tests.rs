//! Sets of tools: filters, switches, sources that change, clashes, and what is measured.

use std::time::Duration;

use async_trait::async_trait;
use motet_core::tool::Reconciled;
use serde_json::json;

use super::*;
use crate::function::{FunctionTool, NoArguments, dynamic, function};
use crate::test_double::{TestModel, calls, model_id, says};
use crate::{Agent, Outcome, run};

fn tool(name: &str) -> FunctionTool {
    function(name, format!("Does {name}."), |_: NoArguments, _| async { Ok("done") })
}

fn names(tools: &[Arc<dyn Tool>]) -> Vec<String> {
    tools.iter().map(|tool| tool.spec().name.clone()).collect()
}

/// A source whose tools a test changes.
struct Changing(&'static str, Mutex<Vec<&'static str>>);

impl Changing {
    fn new(name: &'static str, tools: &[&'static str]) -> Arc<Self> {
        Arc::new(Self(name, Mutex::new(tools.to_vec())))
    }

    fn set(&self, tools: &[&'static str]) {
        *self.1.lock().unwrap() = tools.to_vec();
    }
}

#[async_trait]
impl ToolSource for Changing {
    fn name(&self) -> &str {
        self.0
    }

    async fn tools(&self) -> Result<Vec<Arc<dyn Tool>>> {
        let names = self.1.lock().unwrap();
        if names.is_empty() {
            return Err(Error::new(ErrorKind::Connection, "gone"));
        }
        Ok(names.iter().map(|name| Arc::new(tool(name)) as Arc<dyn Tool>).collect())
    }
}

#[test]
fn filters_pick_by_name_and_category() {
    let tools = Toolbox::new();
    for (name, category) in [("git_log", "code"), ("git_push", "code"), ("mail", "office"), ("time", "")] {
        tools.add(Entry::new(tool(name)).category(category)).unwrap();
    }
    let picked = |filter: Filter| names(&tools.select(&filter));
    assert_eq!(picked(Filter::default()), ["git_log", "git_push", "mail", "time"]);
    assert_eq!(picked(Filter::names(["git_*", "t?me"]).unwrap()), ["git_log", "git_push", "time"]);
    assert_eq!(picked(Filter::categories(["o*"]).unwrap()), ["mail"]);
    let both = Filter::names(["*l*"]).unwrap().and(Filter::categories(["code"]).unwrap());
    assert_eq!(picked(both), ["git_log"]);
    assert_eq!(Filter::names(["[a"]).unwrap_err().kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn a_tool_can_be_switched_off_while_somebody_has_it() {
    let tools = Toolbox::new();
    tools.add(Entry::new(tool("a")).version("2")).unwrap();
    let held = tools.tools().remove(0);
    tools.disable("a").unwrap();
    assert!(tools.tools().is_empty());
    assert!(!tools.list()[0].enabled);
    let run = RunContext::new();
    let context = ToolContext { run: &run, call_id: "c", idempotency_key: "k" };
    let error = held.call(json!({}), &context).await.unwrap_err();
    assert_eq!(error.to_string(), "the tool `a` is switched off");
    assert_eq!(tools.metrics("a").unwrap(), ToolMetrics::default(), "a call that was refused was none");
    tools.enable("a").unwrap();
    assert!(held.call(json!({}), &context).await.is_ok());
    assert_eq!(tools.list()[0].version, "2");
    assert_eq!(tools.enable("b").unwrap_err().hint(), Some("the nearest name is `a`"));
}

#[tokio::test]
async fn clashes_name_both_sources_and_change_nothing() {
    let tools = Toolbox::new();
    tools.add_source("one", Changing::new("first", &["a", "b"])).await.unwrap();
    let error = tools.add_source("two", Changing::new("second", &["c", "b"])).await.unwrap_err();
    assert_eq!(error.to_string(), "the tool `b` comes from `first` and from `second`");
    let error = tools.add(Entry::new(tool("a"))).unwrap_err();
    assert_eq!(error.to_string(), "the tool `a` comes from `first` and from `the program`");
    assert_eq!(names(&tools.tools()), ["a", "b"]);
}

#[tokio::test]
async fn sources_are_asked_again_and_switches_and_counts_stay() {
    let source = Changing::new("server", &["a", "b"]);
    let tools = Toolbox::new();
    tools.add(Entry::new(tool("own"))).unwrap();
    tools.add_source("remote", Arc::clone(&source) as Arc<dyn ToolSource>).await.unwrap();
    tools.disable("a").unwrap();
    tools.call(&RunContext::new(), "b", json!({})).await.unwrap();
    source.set(&["b", "c"]);
    let changed = tools.refresh().await.unwrap();
    assert_eq!((changed.added, changed.removed), (vec!["c".to_owned()], vec!["a".to_owned()]));
    assert_eq!(names(&tools.tools()), ["own", "b", "c"]);
    assert_eq!(tools.metrics("b").unwrap().calls, 1);
    source.set(&["a"]);
    tools.refresh().await.unwrap();
    assert_eq!(names(&tools.tools()), ["own"], "what was switched off comes back switched off");
    source.set(&[]);
    assert_eq!(tools.refresh().await.unwrap_err().kind(), ErrorKind::Connection);
    assert_eq!(tools.list().len(), 2, "a source that fails takes no tool away");
    source.set(&["own"]);
    assert!(tools.refresh().await.unwrap_err().to_string().contains("`the program` and from `server`"));
}

/// A source that answers when it is told to.
struct Slow(Arc<Changing>, tokio::sync::Notify);

#[async_trait]
impl ToolSource for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    async fn tools(&self) -> Result<Vec<Arc<dyn Tool>>> {
        self.1.notified().await;
        self.0.tools().await
    }
}

#[tokio::test]
async fn a_source_that_is_added_while_others_are_asked_keeps_its_tools() {
    let slow = Arc::new(Slow(Changing::new("behind", &["a"]), tokio::sync::Notify::new()));
    let tools = Toolbox::new();
    slow.1.notify_one();
    tools.add_source("one", Arc::clone(&slow) as Arc<dyn ToolSource>).await.unwrap();
    let (changed, ()) = tokio::join!(tools.refresh(), async {
        tools.add_source("two", Changing::new("second", &["b"])).await.unwrap();
        slow.1.notify_one();
    });
    assert_eq!((changed.unwrap(), names(&tools.tools()).len()), (Refreshed::default(), 2));
}

#[tokio::test]
async fn calls_by_hand_are_told_apart_by_step_and_arguments() {
    let spec = ToolSpec::new("send", "", json!({"type": "object"}));
    let send = dynamic(spec, |_, context| async move { Ok(ToolOutput::text(context.idempotency_key)) });
    let tools = Toolbox::new();
    tools.add(Entry::new(send)).unwrap();
    let run = RunContext::new();
    let mut keys = Vec::new();
    for (context, to) in [(run.clone(), "Ada"), (run.clone(), "Ben"), (run.child("again"), "Ada")] {
        keys.push(tools.call(&context, "send", json!({"to": to})).await.unwrap());
    }
    assert!(keys[0] != keys[1] && keys[0] != keys[2], "{keys:?}");
    assert_eq!(tools.call(&run, "send", json!({"to": "Ada"})).await.unwrap(), keys[0]);
}

#[tokio::test(start_paused = true)]
async fn calls_failures_and_times_are_counted() {
    let spec = ToolSpec::new("work", "", json!({"type": "object"}));
    let work = dynamic(spec, |arguments: Value, _| async move {
        tokio::time::sleep(Duration::from_secs(arguments["seconds"].as_u64().unwrap())).await;
        match arguments["end"].as_str() {
            Some("error") => Err(Error::new(ErrorKind::ToolFailed, "no")),
            Some("result") => Ok(ToolOutput::error("no")),
            _ => Ok(ToolOutput::text("yes")),
        }
    });
    let tools = Toolbox::new();
    tools.add(Entry::new(work)).unwrap();
    let run = RunContext::new();
    for (seconds, end) in [(1, ""), (5, "error"), (3, "result")] {
        let _ = tools.call(&run, "work", json!({"seconds": seconds, "end": end})).await;
    }
    let abandoned = tools.call(&run, "work", json!({"seconds": 60}));
    assert!(tokio::time::timeout(Duration::from_secs(7), abandoned).await.is_err());
    let metrics = tools.metrics("work").unwrap();
    assert_eq!((metrics.calls, metrics.failures), (4, 3));
    let seconds = |duration: Duration| duration.as_secs();
    assert_eq!((seconds(metrics.total), seconds(metrics.max), seconds(metrics.last)), (16, 7, 7));
    assert_eq!(metrics.mean(), Duration::from_secs(4));
}

#[tokio::test]
async fn arguments_are_checked_before_a_call() {
    let spec = ToolSpec::new("n", "", json!({"type": "object", "properties": {"n": {"type": "integer"}}}));
    let tools = Toolbox::new();
    tools.add(Entry::new(dynamic(spec, |_, _| async { Ok(ToolOutput::text("")) }))).unwrap();
    let error = tools.call(&RunContext::new(), "n", json!({"n": "x"})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(error.to_string().contains("at `/n`: \"x\" is not of type \"integer\""), "{error}");
    assert_eq!(tools.metrics("n").unwrap().calls, 0);
}

struct Careful(ToolSpec);

#[async_trait]
impl Tool for Careful {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn call(&self, _: Value, _: &ToolContext<'_>) -> Result<ToolOutput> {
        Ok(ToolOutput::text(""))
    }

    fn effect(&self) -> Effect {
        Effect::Reconcile
    }

    fn timeout(&self) -> Option<Duration> {
        Some(Duration::from_secs(9))
    }

    fn needs_approval(&self, arguments: &Value) -> bool {
        arguments["dangerous"] == true
    }

    async fn reconcile(&self, _: &Value, _: &ToolContext<'_>) -> Result<Reconciled> {
        Ok(Reconciled::NotDone)
    }
}

#[tokio::test]
async fn a_measured_tool_is_the_tool_it_measures() {
    let tools = Toolbox::new();
    tools.add(Entry::new(Careful(ToolSpec::new("careful", "", json!({"type": "object"}))))).unwrap();
    let tool = tools.tools().remove(0);
    assert_eq!((tool.effect(), tool.timeout()), (Effect::Reconcile, Some(Duration::from_secs(9))));
    assert!(tool.needs_approval(&json!({"dangerous": true})) && !tool.needs_approval(&json!({})));
    let run = RunContext::new();
    let context = ToolContext { run: &run, call_id: "c", idempotency_key: "k" };
    assert_eq!(tool.reconcile(&json!({}), &context).await.unwrap(), Reconciled::NotDone);
}

#[tokio::test]
async fn an_agent_is_given_the_set_and_its_calls_are_counted() {
    let tools = Toolbox::new();
    tools.add(Entry::new(tool("a"))).unwrap();
    let agent = Agent::builder("test", model_id()).tools(tools.tools()).build().unwrap();
    let turns = [calls(&[("1", "a", "{}"), ("2", "a", "{}")]), says("fine")];
    let result = run(&RunContext::new(), &agent, TestModel::new(&turns), "go").await;
    assert_eq!(result.outcome, Outcome::Completed);
    assert_eq!(tools.metrics("a").unwrap().calls, 2);
}
