//! What a final answer must be: JSON by a schema, read out of what models write, with words for the model when it is not.

use motet_core::request::Output;
use motet_core::{ChatRequest, ChatResponse, Error, ErrorKind, FinishReason, Part, Result};
use serde_json::Value;

use crate::schema::Schema;

/// Characters of a wrong answer that its error repeats.
const MAX_SHOWN: usize = 2_000;

/// A schema that the final answer must satisfy, compiled once for all runs.
#[derive(Debug, Clone)]
pub struct ExpectedOutput(Schema);

impl ExpectedOutput {
    /// Gives what a request demands; `None` where any text will do.
    ///
    /// # Errors
    /// `Configuration` when the request's schema is none.
    pub fn of(request: &ChatRequest) -> Result<Option<Self>> {
        let Output::JsonSchema(output) = &request.output else { return Ok(None) };
        let schema = Schema::compile(&output.schema).map_err(|problem| {
            Error::new(ErrorKind::Configuration, format!("`{}` is not a JSON schema: {problem}", output.name))
        })?;
        Ok(Some(Self(schema)))
    }

    /// Reads the value out of an answer, or says what is wrong with it.
    pub(crate) fn read(&self, response: &ChatResponse) -> Result<Value, String> {
        let text = response.text();
        if text.trim().is_empty() {
            return Err("the answer is empty".to_owned());
        }
        let value = serde_json::from_str(json_of(&text))
            .map_err(|error| format!("the answer is not JSON: {error}"))?;
        self.0.read(value).map_err(|findings| format!("the answer does not match the schema: {findings}"))
    }
}

/// Gives the content of the only code fence, if there is one; models like to wrap JSON in it.
pub(crate) fn json_of(text: &str) -> &str {
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

/// Tells whether asking again can help.
pub(super) fn can_be_repaired(response: &ChatResponse) -> bool {
    let cut = matches!(response.finish_reason, FinishReason::Length | FinishReason::ContentFilter);
    !cut && refusal(response).is_none()
}

/// Makes the words by which the model is asked again.
pub(super) fn request_for_repair(problem: &str) -> String {
    format!(
        "Your answer cannot be used: {problem}. Answer again with only the corrected JSON, without any other text."
    )
}

/// Makes the error of an answer that cannot be used, after so many repair turns.
pub(crate) fn failure(response: &ChatResponse, problem: &str, repairs: u32) -> Error {
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
