//! A tool by which a model runs Python that it wrote, and calls the agent's other tools from it.
//!
//! The code runs in the sandbox; each call of a tool is a step below the code's own step, so a resumed run repeats none
//! that was answered. Reads no clock.

mod calls;
mod functions;
mod looking;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::request::ToolSpec;
use motet_core::tool::{Effect, Reconciled};
use motet_core::{Error, ErrorKind, Result, Tool, ToolContext, ToolOutput};
use motet_providers::sandbox::{Execution, Failure, Limits, Names, Program};
use serde_json::{Map, Value, json};

use crate::approval::ApprovalPolicy;
use calls::Calls;
use functions::Functions;
use looking::Looking;

/// Name of the tool where no other is given.
pub const NAME: &str = "run_python";
/// Bytes of code that a model may write in one call.
const MAX_CODE: usize = 256 << 10;

const DESCRIPTION: &str = "Runs Python code and gives what it prints and the value of its last line, if that is an \
expression. Each run starts anew. There are no files, no network, and no packages; of the standard library there are \
asyncio, base64, collections, dataclasses, functools, itertools, json, math, re, and typing.";

/// Runs Python that a model wrote, in a sandbox, and lets it call tools as functions.
///
/// ```
/// use std::sync::Arc;
/// use motet_agents::{Agent, CodeTool, function};
/// use motet_core::Tool;
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct City {
///     /// Name of the city.
///     name: String,
/// }
///
/// let weather = function("weather", "Tells the temperature in degrees.", |city: City, _| async move {
///     Ok(city.name.len())
/// });
/// let code = CodeTool::new([Arc::new(weather) as Arc<dyn Tool>])?;
/// assert!(code.spec().description.contains("def weather(name: str)"));
/// let agent = Agent::builder("clerk", "openai:gpt-4o-mini".parse()?).tool(code).build()?;
/// # Ok::<(), motet_core::Error>(())
/// ```
pub struct CodeTool {
    spec: ToolSpec,
    functions: Arc<Functions>,
    limits: Limits,
    approvals: ApprovalPolicy,
    call_timeout: Duration,
    timeout: Option<Duration>,
}

impl CodeTool {
    /// Makes the tool; the code may call these tools.
    ///
    /// # Errors
    /// `Configuration` when a tool's schema is unusable, or two tools come to the same name in Python.
    pub fn new(tools: impl IntoIterator<Item = Arc<dyn Tool>>) -> Result<Self> {
        let functions = Functions::new(tools.into_iter().collect())?;
        let mut description = DESCRIPTION.to_owned();
        if !functions.names().is_empty() {
            description.push_str(
                " These functions can be called, without `await`; what they answer in JSON is a dict or a list, \
                 anything else a str, and a failure is a RuntimeError:\n\n",
            );
            description.push_str(&functions.described());
        }
        let parameters = json!({
            "type": "object",
            "properties": {"code": {"type": "string", "description": "The Python code."}},
            "required": ["code"],
            "additionalProperties": false,
        });
        Ok(Self {
            spec: ToolSpec::new(NAME, description, parameters),
            functions: Arc::new(functions),
            limits: Limits::default(),
            approvals: ApprovalPolicy::default(),
            call_timeout: Duration::from_secs(60),
            timeout: None,
        })
    }

    /// Gives the tool another name; `run_python` where not set.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.spec.name = name.into();
        self
    }

    /// Sets the bounds of a run of code; see [`Limits`] for what holds where not set.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Says which calls a person must agree to: code cannot make them, and the model is told to call the tool itself.
    #[must_use]
    pub fn approvals(mut self, policy: ApprovalPolicy) -> Self {
        self.approvals = policy;
        self
    }

    /// Sets the longest time of a call from code whose tool names no other; 60 seconds where not set.
    #[must_use]
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// Sets the longest time of a run of code with all its calls; the agent's limit for tools where not set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl fmt::Debug for CodeTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeTool")
            .field("name", &self.spec.name)
            .field("functions", &self.functions.names())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Tool for CodeTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, arguments: Value, context: &ToolContext<'_>) -> Result<ToolOutput> {
        let Some(code) = arguments.get("code").and_then(Value::as_str) else {
            return Ok(ToolOutput::error("there is no `code`"));
        };
        if code.len() > MAX_CODE {
            return Ok(ToolOutput::error(format!("the code is longer than {MAX_CODE} bytes")));
        }
        let program = match self.program(code) {
            Ok(program) => program,
            Err(failure) => return Ok(ToolOutput::error(told(&failure))),
        };
        let calls = self.calls(context);
        let ended = program.perform(Vec::new(), &self.limits_of(context), &calls).await?;
        let spent = calls.spent();
        let output = match ended {
            Ok(execution) => ToolOutput::json(&answer(execution)),
            Err(failure) => ToolOutput::error(told(&failure)),
        };
        Ok(ToolOutput { spent, ..output })
    }

    /// The code itself changes nothing outside, and its calls are steps of their own; see [`reconcile`](Self::reconcile).
    fn effect(&self) -> Effect {
        Effect::Reconcile
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// The code may run again, unless a call of its is open of which nobody knows whether it took effect; a tool that can
    /// find that out is asked.
    async fn reconcile(&self, arguments: &Value, context: &ToolContext<'_>) -> Result<Reconciled> {
        if calls::has_open(context.run, Effect::AtMostOnce) {
            return Ok(Reconciled::Unknown);
        }
        if !calls::has_open(context.run, Effect::Reconcile) {
            return Ok(Reconciled::NotDone);
        }
        let code = arguments.get("code").and_then(Value::as_str).unwrap_or_default();
        let Ok(program) = self.program(code) else { return Ok(Reconciled::Unknown) };
        let calls = self.calls(context);
        let looking = Looking::new(&calls);
        // How the code ends says nothing: it is stopped at the call that is open.
        let ended = program.perform(Vec::new(), &self.limits_of(context), &looking).await;
        context.run.check()?;
        match ended {
            Err(error) if error.kind() == ErrorKind::Cancelled => Err(error),
            _ => Ok(looking.found()),
        }
    }
}

impl CodeTool {
    fn program(&self, code: &str) -> Result<Program, Failure> {
        Program::compile(code, Names { inputs: Vec::new(), functions: self.functions.names() })
    }

    fn calls<'a>(&'a self, context: &ToolContext<'a>) -> Calls<'a> {
        Calls::new(context.run, &self.functions, &self.approvals, self.call_timeout)
    }

    fn limits_of(&self, context: &ToolContext<'_>) -> Limits {
        let mut limits = self.limits.clone();
        if let Some(left) = context.run.remaining() {
            limits.time = limits.time.min(left);
        }
        limits
    }
}

/// Gives what the model reads of a run that ended well.
fn answer(execution: Execution) -> Value {
    let Execution { value, output, .. } = execution;
    let mut answer = Map::new();
    if !output.is_empty() {
        answer.insert("output".to_owned(), Value::String(output));
    }
    if !value.is_null() || answer.is_empty() {
        answer.insert("result".to_owned(), value);
    }
    Value::Object(answer)
}

/// Gives what the model reads of a run that failed.
fn told(failure: &Failure) -> String {
    let mut text = failure.message.clone();
    if let Some(line) = failure.line.filter(|line| !text.contains(&format!("line {line}"))) {
        text.push_str(&format!(" (line {line})"));
    }
    if !failure.output.is_empty() {
        text.push_str("\n\nprinted before:\n");
        text.push_str(&failure.output);
    }
    text
}

fn configuration(message: String) -> Error {
    Error::new(ErrorKind::Configuration, message)
}

#[cfg(test)]
mod tests;
