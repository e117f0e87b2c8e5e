//! Answers that satisfy a JSON schema: checked here whatever the provider promises, and repaired within a bound.

use motet_core::request::Output;
use motet_core::{
    ChatRequest, ChatResponse, Cost, Error, ErrorKind, FinishReason, Message, Model, Part, Result,
    RunContext, Usage,
};
use serde_json::Value;

use crate::call::chat;
use crate::schema::Schema;

/// Repair turns of [`structured`].
pub const DEFAULT_REPAIRS: u32 = 2;

/// Characters of a wrong answer that its error repeats.
const MAX_SHOWN: usize = 2_000;

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
/// are the sums over all turns; the rest of it is the last turn's.
///
/// # Errors
/// `InvalidOutput` when the last answer does not match either, was cut off by its length limit, or calls tools;
/// `ContentFilter` when the model declines; `Configuration` when the request has no schema or a wrong one; and the
/// errors of [`chat`].
pub async fn structured_within(
    context: &RunContext,
    model: &dyn Model,
    mut request: ChatRequest,
    step: &str,
    repairs: u32,
) -> Result<(Value, ChatResponse)> {
    let schema = schema_of(&request)?;
    let context = &context.clone().as_one_call();
    let mut spent = Spent::default();
    let mut repaired = 0;
    let mut response = chat(context, model, &request, step).await?;
    loop {
        spent.add(&response);
        let problem = match read(&response, &schema) {
            Ok(value) => {
                (response.usage, response.cost) = (spent.usage, spent.cost);
                return Ok((value, response));
            }
            Err(problem) => problem,
        };
        if repaired == repairs || !can_be_repaired(&response) {
            return Err(failure(&response, &problem, repaired));
        }
        repaired += 1;
        ask_again(&mut request, &response, &problem);
        response = chat(context, model, &request, &format!("{step}/repair/{repaired}")).await?;
    }
}

/// Reads a whole answer as the value that the request's schema asks for, without asking again.
///
/// # Errors
/// `InvalidOutput`, `ContentFilter`, and `Configuration` as [`structured_within`].
pub fn value_of(request: &ChatRequest, response: &ChatResponse) -> Result<Value> {
    read(response, &schema_of(request)?).map_err(|problem| failure(response, &problem, 0))
}

fn schema_of(request: &ChatRequest) -> Result<Schema> {
    let Output::JsonSchema(output) = &request.output else {
        return Err(Error::new(
            ErrorKind::Configuration,
            "a structured answer was asked for without a schema",
        )
        .with_hint("set the request's `output` to a JSON schema"));
    };
    Schema::compile(&output.schema).map_err(|problem| {
        Error::new(ErrorKind::Configuration, format!("`{}` is not a JSON schema: {problem}", output.name))
    })
}

/// What all turns used together.
struct Spent {
    usage: Option<Usage>,
    cost: Option<Cost>,
}

impl Default for Spent {
    fn default() -> Self {
        Self { usage: None, cost: Some(Cost::ZERO) }
    }
}

impl Spent {
    fn add(&mut self, response: &ChatResponse) {
        self.usage = match (self.usage, response.usage) {
            (Some(sum), Some(usage)) => Some(sum + usage),
            (sum, usage) => sum.or(usage),
        };
        self.cost = self.cost.zip(response.cost).map(|(sum, cost)| sum + cost);
    }
}

/// Reads the value out of an answer, or says what is wrong with it.
fn read(response: &ChatResponse, schema: &Schema) -> Result<Value, String> {
    let text = response.text();
    if text.trim().is_empty() {
        return Err("the answer is empty".to_owned());
    }
    let value =
        serde_json::from_str(json_of(&text)).map_err(|error| format!("the answer is not JSON: {error}"))?;
    schema.read(value).map_err(|findings| format!("the answer does not match the schema: {findings}"))
}

/// Gives the content of the only code fence, if there is one; models like to wrap JSON in it.
fn json_of(text: &str) -> &str {
    let mut pieces = text.split("```");
    match (pieces.next(), pieces.next(), pieces.next(), pieces.next()) {
        // A JSON text may hold fences within its strings.
        (Some(before), Some(fenced), Some(_), None) if !before.trim_start().starts_with(['{', '[', '"']) => {
            fenced.split_once('\n').map_or(fenced, |(_language, content)| content)
        }
        _ => text,
    }
}

fn refusal(response: &ChatResponse) -> Option<&str> {
    response.message.parts.iter().find_map(|part| match part {
        Part::Refusal { text } => Some(text.as_str()),
        _ => None,
    })
}

fn can_be_repaired(response: &ChatResponse) -> bool {
    let cut = matches!(response.finish_reason, FinishReason::Length | FinishReason::ContentFilter);
    !cut && refusal(response).is_none() && response.message.tool_calls().next().is_none()
}

fn ask_again(request: &mut ChatRequest, response: &ChatResponse, problem: &str) {
    if !response.text().trim().is_empty() {
        request.messages.push(response.message.clone());
    }
    request.messages.push(Message::user(format!(
        "Your answer cannot be used: {problem}. Answer again with only the corrected JSON, without any other text."
    )));
}

fn failure(response: &ChatResponse, problem: &str, repairs: u32) -> Error {
    if response.finish_reason == FinishReason::ContentFilter || refusal(response).is_some() {
        let words = refusal(response).unwrap_or("a content policy stopped the answer");
        return Error::new(ErrorKind::ContentFilter, format!("the model declined to answer: {words}"))
            .with_model(response.model.clone());
    }
    let called = response.message.tool_calls().next().map(|call| call.name.as_str());
    let (message, hint) = if response.finish_reason == FinishReason::Length {
        (
            format!("the answer was cut off by its length limit: {problem}"),
            "raise `max_tokens`, or ask for less",
        )
    } else if let Some(name) = called {
        (
            format!("the model called the tool `{name}` instead of answering"),
            "run the tools with an agent first, or send the request without tools",
        )
    } else {
        let turns = if repairs == 1 { "turn" } else { "turns" };
        (
            format!("{problem}, after {repairs} repair {turns}"),
            "simplify the schema, describe its fields, or use a stronger model",
        )
    };
    let shown: String = response.text().chars().take(MAX_SHOWN).collect();
    Error::new(ErrorKind::InvalidOutput, message)
        .with_hint(hint)
        .with_model(response.model.clone())
        .with_context("answer", format!("`{shown}`"))
}

#[cfg(test)]
mod tests;
