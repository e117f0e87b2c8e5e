//! The texts that payloads hold, so that one function can change them all.

use motet_core::message::{Reasoning, ToolCall};
use motet_core::{Message, Part, Role};
use serde_json::Value;

use super::payload::Payload;
use crate::machine::AgentResult;

/// Gives what takes the place of a text; `None` where it stays.
pub(super) type Change<'a> = dyn FnMut(&str) -> Option<String> + 'a;

impl Payload {
    /// Changes every text that people, models, and tools wrote, and tells whether any was changed. Instructions, names,
    /// and ids stay.
    pub fn change_texts(&mut self, change: &mut dyn FnMut(&str) -> Option<String>) -> bool {
        match self {
            Payload::BeforeRun { messages, .. } => in_messages(messages, change),
            Payload::AfterRun { result, .. } => in_result(result, change),
            Payload::BeforeModelCall { request, .. } => in_messages(&mut request.messages, change),
            Payload::AfterModelCall { response, .. } => in_message(&mut response.message, change),
            Payload::BeforeTool { arguments, .. } => in_value(arguments, change),
            Payload::AfterTool { output, .. } => in_parts(&mut output.content, change),
            Payload::BeforeRecord { record } => in_value(record, change),
            _ => false,
        }
    }

    /// Gives the text that the payload is about: the newest message, the answer, the arguments, or the result; `None`
    /// where there is none.
    #[must_use]
    pub fn main_text(&self) -> Option<String> {
        let newest = |messages: &[Message]| messages.last().map(text_of);
        let text = match self {
            Payload::BeforeRun { messages, .. } => newest(messages),
            Payload::AfterRun { result, .. } => Some(result.text.clone()),
            Payload::BeforeModelCall { request, .. } => newest(&request.messages),
            Payload::AfterModelCall { response, .. } => Some(response.text()),
            Payload::BeforeTool { arguments, .. } => Some(arguments.to_string()),
            Payload::AfterTool { output, .. } => {
                Some(output.content.iter().filter_map(Part::as_text).collect())
            }
            _ => None,
        };
        text.filter(|text| !text.trim().is_empty())
    }
}

fn text_of(message: &Message) -> String {
    let text = |part: &Part| match part {
        Part::ToolResult(result) => result.text(),
        other => other.as_text().unwrap_or_default().to_owned(),
    };
    message.parts.iter().map(text).collect()
}

fn in_result(result: &mut AgentResult, change: &mut Change<'_>) -> bool {
    let mut is_changed = in_text(&mut result.text, change);
    if let Some(value) = &mut result.value {
        is_changed |= in_value(value, change);
    }
    if let Some(partial) = &mut result.partial {
        is_changed |= in_message(partial, change);
    }
    for used in &mut result.tool_history {
        is_changed |= in_text(&mut used.result, change) | in_document(&mut used.arguments, change);
    }
    let new = result.messages.iter_mut().skip(result.first_new);
    is_changed | each(new, |message| in_message(message, change))
}

fn in_messages(messages: &mut [Message], change: &mut Change<'_>) -> bool {
    each(messages, |message| in_message(message, change))
}

fn in_message(message: &mut Message, change: &mut Change<'_>) -> bool {
    message.role != Role::System && in_parts(&mut message.parts, change)
}

fn in_parts(parts: &mut [Part], change: &mut Change<'_>) -> bool {
    let mut is_changed = false;
    for part in parts {
        is_changed |= match part {
            Part::Text { text, opaque } | Part::Reasoning(Reasoning { text, opaque }) => {
                let is_changed = in_text(text, change);
                // What a provider needs back with a text does not fit another.
                opaque.take_if(|_| is_changed);
                is_changed
            }
            Part::Refusal { text } => in_text(text, change),
            Part::ToolCall(ToolCall { arguments, .. }) => in_document(arguments, change),
            Part::ToolResult(result) => in_parts(&mut result.content, change),
            _ => false,
        };
    }
    is_changed
}

/// Changes every item, and tells whether any was changed.
fn each<'a, T: 'a>(
    items: impl IntoIterator<Item = &'a mut T>,
    mut change: impl FnMut(&'a mut T) -> bool,
) -> bool {
    let mut is_changed = false;
    for item in items {
        is_changed |= change(item);
    }
    is_changed
}

fn in_text(text: &mut String, change: &mut Change<'_>) -> bool {
    let changed = change(text).filter(|changed| changed != text);
    let is_changed = changed.is_some();
    *text = changed.unwrap_or(std::mem::take(text));
    is_changed
}

/// Changes the strings within the text of a JSON document.
fn in_document(text: &mut String, change: &mut Change<'_>) -> bool {
    let Ok(mut value) = serde_json::from_str::<Value>(text) else { return in_text(text, change) };
    let is_changed = in_value(&mut value, change);
    if is_changed {
        *text = value.to_string();
    }
    is_changed
}

fn in_value(value: &mut Value, change: &mut Change<'_>) -> bool {
    match value {
        Value::String(text) => in_text(text, change),
        Value::Array(items) => each(items, |item| in_value(item, change)),
        Value::Object(members) => each(members.values_mut(), |member| in_value(member, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
