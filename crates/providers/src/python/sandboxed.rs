//! Runs the code of a task in the sandbox: same context, same `result`, no process, no files, and no modules of one's own.
//!
//! Knows nothing of children.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use motet_core::{Error, ErrorKind, Result, RunContext};
use serde_json::{Map, Value, json};

use super::request::Limits;
use crate::sandbox::{self, Call, FailureKind, Host, Names, Program};

/// No function from outside is there.
struct Alone;

#[async_trait]
impl Host for Alone {
    async fn call(&self, call: Call) -> Result<std::result::Result<Value, String>> {
        Ok(Err(format!("`{}` cannot be called here", call.name)))
    }
}

/// Runs code in the sandbox and gives the result of the method.
pub(super) async fn run(
    context: &RunContext,
    code: &str,
    values: Map<String, Value>,
    limits: &Limits,
) -> Result<Value> {
    let begun = Instant::now();
    let mut inputs = vec!["context".to_owned(), "result".to_owned()];
    let mut given = vec![Value::Object(values.clone()), Value::Null];
    for (name, value) in values.into_iter().filter(|(name, _)| is_variable(name)) {
        inputs.push(name);
        given.push(value);
    }
    // The value of the last line is what the sandbox gives back.
    let source = format!("{code}\nresult\n");
    let program = Program::compile(&source, Names { inputs, functions: Vec::new() })?;
    let bounds = sandbox::Limits {
        time: context.remaining().map_or(limits.timeout, |left| left.min(limits.timeout)),
        memory_bytes: usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX),
        output_bytes: limits.max_output_bytes,
        result_bytes: usize::try_from(limits.max_result_bytes).unwrap_or(usize::MAX),
        ..sandbox::Limits::default()
    };
    let performed = tokio::select! {
        performed = program.perform(given, &bounds, &Alone) => performed?,
        () = context.cancellation().cancelled() => {
            return Err(Error::new(ErrorKind::Cancelled, "the code was cancelled"));
        }
    };
    match performed {
        Ok(execution) => Ok(json!({
            "result": execution.value,
            "output": execution.output,
            "stderr": "",
            "success": true,
            "execution_time": begun.elapsed().as_secs_f64(),
        })),
        Err(failure) => {
            let (kind, printed) = (failure.kind, failure.output.clone());
            let line = failure.line;
            let error = match kind {
                FailureKind::Time => timed_out(bounds.time),
                _ => Error::from(failure),
            };
            let error = match line {
                Some(line) => error.with_context("line", line.to_string()),
                None => error,
            };
            let error = if printed.trim().is_empty() { error } else { error.with_context("stdout", printed) };
            Err(match kind {
                FailureKind::Syntax | FailureKind::Exception => error.with_hint(
                    "the sandbox has no files, no network, and few modules; without `sandbox` the code runs in CPython",
                ),
                _ => error,
            })
        }
    }
}

fn timed_out(limit: Duration) -> Error {
    Error::new(ErrorKind::Timeout, format!("the code was stopped after {} s", limit.as_secs_f64()))
        .with_hint("give the task a larger `timeout`, or raise the setting `python.timeout`")
}

/// Tells whether a key of the context is a variable too, as it is in CPython.
fn is_variable(name: &str) -> bool {
    let mut letters = name.chars();
    let begins = letters.next().is_some_and(|first| first == '_' || first.is_alphabetic());
    begins
        && letters.all(|letter| letter == '_' || letter.is_alphanumeric())
        && !name.starts_with("__")
        && !["context", "result"].contains(&name)
        && !KEYWORDS.contains(&name)
}

const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def",
    "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is",
    "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];
