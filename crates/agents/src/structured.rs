//! Answers that satisfy a JSON schema: checked here whatever the provider promises, and repaired within a bound.

use std::sync::Arc;

use motet_core::{ChatRequest, ChatResponse, Error, ErrorKind, Model, Result, RunContext};
use serde_json::Value;

use crate::call::chat;
use crate::machine::{Action, AgentResult, AgentRun, ExpectedOutput, Outcome, RunLimits, output};

/// Repair turns of [`structured`].
pub const DEFAULT_REPAIRS: u32 = 2;

/// How often a provider may pause its turn.
const MAX_PAUSES: u32 = 8;

/// Asks for JSON that satisfies the request's schema, with up to [`DEFAULT_REPAIRS`] repair turns.
///
/// # Errors
/// As [`structured_within`].
pub async fn structured(
    context: &RunContext,
    model: &dyn Model,
    request: ChatRequest,
    step: &str,
) -> Result<(Value, ChatResponse)> {
    structured_within(context, model, request, step, DEFAULT_REPAIRS).await
}

/// Asks for JSON that satisfies the request's schema; a wrong answer is shown to the model with what is wrong with it.
///
/// The first call is the step `step`, the repair turns are `step/repair/1` and so on. Usage and cost of the response
/// are the sums over all turns; the rest of it is the last turn's. The turns are those of the agent machine.
///
/// # Errors
/// `InvalidOutput` when the last answer does not match either, was cut off by its length limit, or calls tools;
/// `ContentFilter` when the model declines; `Configuration` when the request has no schema or a wrong one; and the
/// errors of [`chat`].
pub async fn structured_within(
    context: &RunContext,
    model: &dyn Model,
    request: ChatRequest,
    step: &str,
    repairs: u32,
) -> Result<(Value, ChatResponse)> {
    let expected = Arc::new(schema_of(&request)?);
    let context = &context.clone().as_one_call();
    let limits = RunLimits {
        max_model_calls: repairs.saturating_add(1 + MAX_PAUSES),
        max_repairs: repairs,
        execute_tools: false,
        ..RunLimits::default()
    };
    let mut run = AgentRun::of_request(request, limits).expecting(Some(expected));
    let (mut last, mut is_counted) = (None, false);
    while let Action::CallModel { number, request, .. } = run.next_action() {
        let response = match number {
            0 => chat(context, model, request, step).await?,
            turn => chat(context, model, request, &format!("{step}/repair/{turn}")).await?,
        };
        is_counted |= response.usage.is_some();
        last = Some(response.clone());
        run.answered(response)?;
    }
    let result = run.into_result();
    match (result.value.clone(), last) {
        (Some(value), Some(mut response)) => {
            response.usage = is_counted.then_some(result.usage);
            response.cost = result.cost;
            Ok((value, response))
        }
        (_, last) => Err(failure_of(&result, last.as_ref())),
    }
}

/// Reads a whole answer as the value that the request's schema asks for, without asking again.
///
/// # Errors
/// `InvalidOutput`, `ContentFilter`, and `Configuration` as [`structured_within`].
pub fn value_of(request: &ChatRequest, response: &ChatResponse) -> Result<Value> {
    schema_of(request)?.read(response).map_err(|problem| output::failure(response, &problem, 0))
}

fn schema_of(request: &ChatRequest) -> Result<ExpectedOutput> {
    ExpectedOutput::of(request)?.ok_or_else(|| {
        Error::new(ErrorKind::Configuration, "a structured answer was asked for without a schema")
            .with_hint("set the request's `output` to a JSON schema")
    })
}

fn failure_of(result: &AgentResult, last: Option<&ChatResponse>) -> Error {
    match (&result.outcome, last) {
        // The tools of a request are the caller's; here nobody can run them.
        (Outcome::ToolsRequested, Some(response)) => output::failure(response, "the model called a tool", 0),
        (_, Some(response)) => result.error().unwrap_or_else(lost).with_model(response.model.clone()),
        (_, None) => result.error().unwrap_or_else(lost),
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::Internal, "a structured answer was lost")
}

#[cfg(test)]
mod tests;
