//! What a task of a workflow calls: `llm/chat`, `python/execute`, and whatever else is registered.

use std::path::PathBuf;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::context::RunContext;
use crate::error::Result;
use crate::model_id::ModelId;
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
    async fn call(&self, context: &RunContext, call: MethodCall) -> Result<Value>;
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
            ParameterKind::Object => value.is_object() || value.is_null(),
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
}

/// Which files a run may read and write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileScope {
    /// The workflow's directory: relative paths start here, and everything below it is allowed.
    pub base: PathBuf,
    /// Further directories that the settings allow.
    pub allowed: Vec<PathBuf>,
}
