//! What a task of a workflow calls: `llm/chat`, `python/execute`, and whatever else is registered.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::context::RunContext;
use crate::decision::Question;
use crate::error::{Error, Result};
use crate::id::RunId;
use crate::model_id::ModelId;
use crate::store::ParentTask;
use crate::tool::Effect;

/// Something that a task can call by name.
#[async_trait]
pub trait Method: Send + Sync {
    /// Gives the name written in a task's `method`, such as `python/execute`.
    fn name(&self) -> &str;

    /// Gives one line for lists and help.
    fn doc(&self) -> &str;

    /// Gives the parameters it takes; a workflow that writes others is refused before it starts.
    fn parameters(&self) -> &[Parameter];

    /// Tells what its result holds, in one sentence for help.
    fn result(&self) -> &str {
        ""
    }

    /// Tells what happens when it runs twice.
    fn effect(&self) -> Effect;

    /// Tells whether all that it does outside is steps of the run log, so that a replay runs it and gives it what was
    /// recorded of them; otherwise a replay gives its recorded result.
    fn is_recorded(&self) -> bool {
        false
    }

    /// Runs it; the result is what `${task}` refers to.
    ///
    /// # Errors
    /// Whatever made the task fail; the error's retry status decides whether the task is tried again.
    async fn call(&self, context: &RunContext, call: MethodCall) -> Result<MethodOutcome>;

    /// Gives a JSON schema of its result for these parameters, which may still hold references; `true` where nothing is
    /// known.
    fn result_schema(&self, _params: &Map<String, Value>) -> Value {
        Value::Bool(true)
    }

    /// Tells how often one call of it asks a model, for forecasts; by itself a method asks once if it takes a `model`, and
    /// nothing is known of the most.
    fn model_calls(&self, _params: &Map<String, Value>) -> ModelCalls {
        let asks = self.parameters().iter().any(|parameter| parameter.name == "model");
        if asks { ModelCalls { expected: 1, most: None } } else { ModelCalls::NONE }
    }
}

/// How often a call of a method asks a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelCalls {
    /// When all goes well.
    pub expected: u64,
    /// At most; `None` where nothing bounds it.
    pub most: Option<u64>,
}

impl ModelCalls {
    /// It asks no model.
    pub const NONE: Self = Self { expected: 0, most: Some(0) };
}

/// How a call of a method ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum MethodOutcome {
    /// It has a result.
    Done(Value),
    /// People must decide first; it is called again when they have, or when it waited long enough.
    Waiting {
        /// What they must decide; at least one.
        questions: Vec<Question>,
        /// How long it waits; without end where `None`.
        at_most: Option<Duration>,
    },
    /// It started a run, whose parent its task is; it is called again when that has ended.
    Awaiting {
        /// The run.
        run: RunId,
    },
    /// It failed, is not tried again by itself, and goes on from its journal when a person resumes the run.
    GivenUp(Error),
}

impl MethodOutcome {
    /// Gives the result, `None` where it did not end with one.
    #[must_use]
    pub fn result(self) -> Option<Value> {
        match self {
            Self::Done(result) => Some(result),
            _ => None,
        }
    }
}

impl From<Value> for MethodOutcome {
    fn from(result: Value) -> Self {
        Self::Done(result)
    }
}

/// The task that calls a method, for those that ask people or start runs.
#[derive(Debug, Clone)]
pub struct CallingTask {
    /// Its run and number, and the run at the top, as a run that it starts names them.
    pub parent: ParentTask,
    /// Its name in the run.
    pub name: String,
    /// The run that it started last.
    pub awaits: Option<RunId>,
    /// Whether that run has ended and its result is to be given.
    pub joining: bool,
    /// Longest time of an attempt.
    pub timeout: Option<Duration>,
}

/// One parameter of a method.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Name in the task's `params`.
    pub name: &'static str,
    /// What it takes.
    pub kind: ParameterKind,
    /// Whether a task must give it.
    pub required: bool,
    /// One line for help and documentation.
    pub doc: &'static str,
}

impl Parameter {
    /// In the place of a name: the method takes parameters of any name, which only what it calls knows.
    pub const ANY_NAME: &'static str = "*";
}

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParameterKind {
    /// A text.
    String,
    /// Source code: a reference in it becomes a variable, because a value must never become code.
    Source,
    /// A model id, such as `openai:gpt-4o-mini`.
    Model,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A list.
    Array,
    /// An object.
    Object,
    /// What is to run, written out as a mapping, such as a workflow: a reference in it is its own and is not replaced,
    /// because a value must never become what runs.
    Definition,
    /// Anything.
    Any,
}

impl ParameterKind {
    /// Tells whether a value is of this kind; null is of every kind and means "not given".
    #[must_use]
    pub fn accepts(self, value: &Value) -> bool {
        match self {
            ParameterKind::String | ParameterKind::Source => value.is_string() || value.is_null(),
            ParameterKind::Model => {
                value.is_null() || value.as_str().is_some_and(|text| text.parse::<ModelId>().is_ok())
            }
            ParameterKind::Integer => value.is_i64() || value.is_u64() || value.is_null(),
            ParameterKind::Number => value.is_number() || value.is_null(),
            ParameterKind::Boolean => value.is_boolean() || value.is_null(),
            ParameterKind::Array => value.is_array() || value.is_null(),
            ParameterKind::Object | ParameterKind::Definition => value.is_object() || value.is_null(),
            ParameterKind::Any => true,
        }
    }

    /// Tells whether it takes texts.
    #[must_use]
    pub fn is_text(self) -> bool {
        matches!(self, ParameterKind::String | ParameterKind::Source | ParameterKind::Model)
    }

    /// Gives the name used in error messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ParameterKind::String | ParameterKind::Source => "a string",
            ParameterKind::Model => "a model id as `provider:model`",
            ParameterKind::Integer => "an integer",
            ParameterKind::Number => "a number",
            ParameterKind::Boolean => "true or false",
            ParameterKind::Array => "a list",
            ParameterKind::Object => "an object",
            ParameterKind::Definition => "a mapping that is written out",
            ParameterKind::Any => "anything",
        }
    }
}

/// What one call of a method is given.
#[derive(Debug, Clone)]
pub struct MethodCall {
    /// The task's parameters with every reference replaced.
    pub params: Map<String, Value>,
    /// Which files it may touch.
    pub files: FileScope,
    /// The model to use where the parameters name none.
    pub default_model: Option<ModelId>,
    /// A key that is the same for every attempt at this task.
    pub idempotency_key: String,
    /// The task that calls, `None` outside of workflows.
    pub task: Option<CallingTask>,
}

/// Which files a run may read and write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileScope {
    /// The workflow's directory: relative paths start here, and everything below it is allowed.
    pub base: PathBuf,
    /// Further directories that the settings allow.
    pub allowed: Vec<PathBuf>,
}
