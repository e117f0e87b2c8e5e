//! Reads workflows against tables of parameters that stand in for methods.

mod accepted;
mod batch;
mod hostile;
mod placing;
mod refused;
mod values;

use motet_core::method::ParameterKind::{Any, Array, Definition, Integer, Number, Object, String as Text};
use motet_core::method::{Parameter, ParameterKind};

use super::*;

const fn parameter(name: &'static str, kind: ParameterKind, required: bool) -> Parameter {
    Parameter { name, kind, required, doc: "what it is for" }
}

const CHAT: &[Parameter] = &[
    parameter("model", Text, false),
    parameter("messages", Array, false),
    parameter("prompt", Text, false),
    parameter("system", Text, false),
    parameter("file_path", Text, false),
    parameter("files", Array, false),
    parameter("schema", Object, false),
    parameter("temperature", Number, false),
    parameter("max_tokens", Integer, false),
];

const VISION: &[Parameter] = &[
    parameter("model", Text, false),
    parameter("messages", Array, false),
    parameter("image_path", Text, false),
];

const PYTHON: &[Parameter] = &[
    parameter("file", Text, false),
    parameter("code", Text, false),
    parameter("context", Object, false),
    parameter("timeout", Number, false),
];

const WRITE: &[Parameter] = &[parameter("path", Text, true), parameter("content", Any, true)];

const RUN: &[Parameter] = &[
    parameter("file", Text, false),
    parameter("workflow", Definition, false),
    parameter("inputs", Object, false),
];

const APPROVE: &[Parameter] = &[
    parameter("message", Text, true),
    parameter("details", Any, false),
    parameter("timeout", Any, false),
    parameter("on_timeout", Text, false),
    parameter("on_deny", Text, false),
];

const ECHO: &[Parameter] = &[parameter("text", Text, false)];

fn rules() -> Rules<'static> {
    Rules::from_tables([
        ("llm/chat", CHAT),
        ("llm/vision", VISION),
        ("python/execute", PYTHON),
        ("file/write", WRITE),
        ("mcp/tools.echo", ECHO),
        ("workflow/run", RUN),
        ("human/approve", APPROVE),
    ])
}

/// Reads a workflow without problems.
fn spec(text: &str) -> WorkflowSpec {
    read(text.as_bytes(), &rules()).unwrap_or_else(|problems| panic!("{text}\n{problems}"))
}

/// Gives the problems of a workflow as `line:column: message | hint`.
fn problems(text: &str) -> Vec<String> {
    let problems = read(text.as_bytes(), &rules()).expect_err(text);
    problems.iter().map(|problem| format!("{problem} | {}", problem.hint.as_deref().unwrap_or("-"))).collect()
}
