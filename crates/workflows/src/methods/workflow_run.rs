//! `workflow/run`: runs another workflow as part of this one, and gives its outputs.
//!
//! Opens no store: whoever composes the engine gives what starts and reads runs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::error::{Error, ErrorKind, ErrorReport, Result};
use motet_core::id::content_hash;
use motet_core::method::{
    FileScope, Method, MethodCall, MethodOutcome, ModelCalls, Parameter, ParameterKind,
};
use motet_core::store::{ParentTask, RunState};
use motet_core::tool::Effect;
use motet_core::{RunContext, RunId};
use serde_json::{Map, Value, json};

/// The method's name.
pub const NAME: &str = "workflow/run";

/// How deep runs may start runs, the one at the top being the first.
pub const MAX_DEPTH: u32 = 16;

/// A run that a task starts.
#[derive(Debug, Clone)]
pub struct ChildRun {
    /// What it runs.
    pub workflow: ChildWorkflow,
    /// The values given to it.
    pub inputs: Map<String, Value>,
    /// Which files the parent may touch; a file of a workflow must be one of them.
    pub files: FileScope,
    /// The same for every attempt that means the same run.
    pub key: String,
    /// The longest time that it may take.
    pub timeout: Option<Duration>,
}

/// What a run of a task runs.
#[derive(Debug, Clone, PartialEq)]
pub enum ChildWorkflow {
    /// The file at this path.
    File(String),
    /// A mapping as a file would hold it.
    Inline(Value),
}

/// How a run of a task stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ChildState {
    /// Its state.
    pub state: RunState,
    /// What it gives back; empty unless it ended well.
    pub outputs: Map<String, Value>,
    /// What made it fail.
    pub error: Option<ErrorReport>,
}

/// Starts runs for tasks, and tells how they stand.
#[async_trait]
pub trait ChildRuns: Send + Sync {
    /// Starts a run, or gives the one that was started with the same key. It is to end no later than its parent.
    ///
    /// # Errors
    /// `InvalidRequest` when the workflow or its inputs do not fit; `LimitReached` when runs start runs too deep;
    /// `Store`.
    async fn start(&self, parent: &ParentTask, child: ChildRun) -> Result<RunId>;

    /// Lets a run that failed or was cancelled go on, for so long at most; any other stays as it is.
    ///
    /// # Errors
    /// `NotFound` when there is no such run; `Store`.
    async fn resume(&self, run: &RunId, timeout: Option<Duration>) -> Result<()>;

    /// Tells how a run stands.
    ///
    /// # Errors
    /// As [`resume`](Self::resume).
    async fn state(&self, run: &RunId) -> Result<ChildState>;
}

/// Runs another workflow.
pub struct WorkflowRun(Arc<dyn ChildRuns>);

impl WorkflowRun {
    /// Makes the method.
    #[must_use]
    pub fn new(runs: Arc<dyn ChildRuns>) -> Self {
        Self(runs)
    }
}

const fn parameter(name: &'static str, kind: ParameterKind, doc: &'static str) -> Parameter {
    Parameter { name, kind, required: false, doc }
}

const PARAMETERS: &[Parameter] = &[
    parameter("file", ParameterKind::String, "workflow file, relative to this workflow's directory"),
    parameter(
        "workflow",
        ParameterKind::Definition,
        "the workflow itself, in the place of `file`; references in it are its own",
    ),
    parameter("inputs", ParameterKind::Object, "values for its inputs"),
];

#[async_trait]
impl Method for WorkflowRun {
    fn name(&self) -> &'static str {
        NAME
    }

    fn doc(&self) -> &'static str {
        "Runs another workflow as a run of its own, and gives its outputs"
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn result(&self) -> &str {
        "the outputs of the workflow by name, and `run`, the id of its run."
    }

    fn effect(&self) -> Effect {
        Effect::Idempotent
    }

    /// The outputs of what is written out are known by name; those of a file may be any.
    fn result_schema(&self, params: &Map<String, Value>) -> Value {
        let written = params.get("workflow").filter(|workflow| workflow.is_object());
        let outputs = written.and_then(|workflow| workflow.get("outputs")?.as_object());
        let names = outputs.into_iter().flat_map(Map::keys).map(|name| (name.clone(), Value::Bool(true)));
        let mut properties: Map<String, Value> = names.collect();
        properties.insert("run".to_owned(), json!({"type": "string"}));
        let others = if written.is_some() { Value::Bool(false) } else { json!({}) };
        json!({"type": "object", "properties": properties, "required": ["run"], "additionalProperties": others})
    }

    /// What the workflow asks is its own, and unknown without a look at it.
    fn model_calls(&self, _params: &Map<String, Value>) -> ModelCalls {
        ModelCalls { expected: 0, most: None }
    }

    async fn call(&self, _context: &RunContext, call: MethodCall) -> Result<MethodOutcome> {
        let Some(task) = &call.task else {
            return Err(Error::new(ErrorKind::Unsupported, "only tasks of workflows can run workflows"));
        };
        if let (true, Some(run)) = (task.joining, &task.awaits) {
            let child = self.0.state(run).await?;
            return joined(run, child);
        }
        let run = match &task.awaits {
            // Whoever tries again, or resumes, goes on with the run that did not end well.
            Some(run) => run.clone(),
            None => self.0.start(&task.parent, child(&call)?).await?,
        };
        self.0.resume(&run, task.timeout).await?;
        Ok(MethodOutcome::Awaiting { run })
    }
}

fn child(call: &MethodCall) -> Result<ChildRun> {
    let given = |name: &str| call.params.get(name).filter(|value| !value.is_null());
    let workflow = match (given("file"), given("workflow")) {
        (Some(Value::String(file)), None) => ChildWorkflow::File(file.clone()),
        (None, Some(workflow @ Value::Object(_))) => ChildWorkflow::Inline(workflow.clone()),
        _ => {
            return Err(Error::new(ErrorKind::InvalidRequest, "either `file` or `workflow` must be given")
                .with_hint(
                    "name a file below this workflow's directory, or write the workflow as a mapping",
                ));
        }
    };
    let inputs = given("inputs").and_then(Value::as_object).cloned().unwrap_or_default();
    let meant = match &workflow {
        ChildWorkflow::File(file) => json!({"file": file}),
        ChildWorkflow::Inline(workflow) => workflow.clone(),
    };
    let key = format!("{}-{}", call.idempotency_key, content_hash(&(meant, &inputs))?);
    let timeout = call.task.as_ref().and_then(|task| task.timeout);
    Ok(ChildRun { workflow, inputs, files: call.files.clone(), key, timeout })
}

fn joined(run: &RunId, child: ChildState) -> Result<MethodOutcome> {
    match child.state {
        RunState::Completed => {
            let mut outputs = child.outputs;
            outputs.insert("run".to_owned(), Value::from(run.as_str()));
            Ok(MethodOutcome::Done(Value::Object(outputs)))
        }
        RunState::Failed => {
            let report =
                child.error.unwrap_or_else(|| Error::new(ErrorKind::ToolFailed, "it failed").report());
            let message = format!("run `{run}`: {}", report.message);
            Err(Error::from(ErrorReport { message, ..report }))
        }
        RunState::Cancelled => {
            Err(Error::new(ErrorKind::Cancelled, format!("its run `{run}` was cancelled")))
        }
        // Somebody had it go on before its end was looked at.
        _ => Ok(MethodOutcome::Awaiting { run: run.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    #[async_trait]
    impl ChildRuns for Nothing {
        async fn start(&self, _: &ParentTask, _: ChildRun) -> Result<RunId> {
            Err(Error::new(ErrorKind::Unsupported, "nothing runs here"))
        }

        async fn resume(&self, _: &RunId, _: Option<Duration>) -> Result<()> {
            Ok(())
        }

        async fn state(&self, _: &RunId) -> Result<ChildState> {
            Err(Error::new(ErrorKind::Unsupported, "nothing runs here"))
        }
    }

    #[test]
    fn outputs_of_a_workflow_that_is_written_out_are_known_by_name() {
        let method = WorkflowRun::new(Arc::new(Nothing));
        let schema = |params: Value| method.result_schema(params.as_object().unwrap());
        let written = schema(json!({"workflow": {"outputs": {"text": "${a.content}"}}}));
        assert_eq!(written["properties"], json!({"text": true, "run": {"type": "string"}}));
        assert_eq!(written["additionalProperties"], false);
        assert_eq!(schema(json!({"file": "other.yaml"}))["additionalProperties"], json!({}));
    }
}
