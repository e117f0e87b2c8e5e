//! Checks a request's content against what the model takes, before anything is sent.
//!
//! Knows no format; what a model takes stands in its profile. A request of plain text costs a look at each part and no
//! allocation.

mod media;
mod takers;

use motet_core::request::{Output, Sampling, ToolSpec};
use motet_core::{ChatRequest, Error, ErrorKind, Message, Part, Result, Role};

use super::{NameRule, Origin};
use media::Where;

/// Names of output schemas, as every provider takes them.
const OUTPUT_NAME: NameRule = NameRule { max: 64, marks: "_-" };

/// Refuses content that the model does not take: capability, media type, size, names.
///
/// Images and documents in tools' results count as such: a format that cannot say them there says them in a message of
/// their own.
///
/// # Errors
/// `Unsupported` with a hint that names who takes it, `InvalidRequest` when a part is malformed.
pub fn check(request: &ChatRequest, origin: &Origin) -> Result<()> {
    if request.messages.is_empty() {
        return Err(invalid("the request has no messages".to_owned(), "add at least one message"));
    }
    for (place, message) in request.messages.iter().enumerate() {
        check_message(message, place, origin)?;
    }
    check_sampling(&request.sampling)?;
    check_tools(&request.tools, origin)?;
    match &request.output {
        Output::JsonSchema(output) if !fits(&output.name, &OUTPUT_NAME) => Err(invalid(
            format!("`{}` cannot be the name of an output schema", output.name),
            &rule_in_words(&OUTPUT_NAME),
        )),
        _ => Ok(()),
    }
}

fn check_message(message: &Message, place: usize, origin: &Origin) -> Result<()> {
    for part in &message.parts {
        match (message.role, part) {
            (_, Part::Text { .. }) if message.role != Role::Tool => {}
            (Role::Assistant, Part::ToolCall(_) | Part::Reasoning(_) | Part::Refusal { .. })
            // What a model drew or its provider did stays in the history, and each format knows what becomes of it.
            | (Role::Assistant, Part::Image(_))
            // A block in the provider's own words, such as a mark of what to keep in its cache.
            | (Role::User | Role::Assistant, Part::Native { .. }) => {}
            (Role::User, Part::Image(_) | Part::Document(_)) => media::check(part, Where::message(place), origin)?,
            (Role::User | Role::Tool, Part::ToolResult(result)) => {
                for inner in &result.content {
                    match inner {
                        Part::Text { .. } => {}
                        Part::Image(_) | Part::Document(_) => {
                            media::check(inner, Where::result(place), origin)?;
                        }
                        other => return Err(out_of_place(other, "the result of a tool", place)),
                    }
                }
            }
            (Role::System, other) => return Err(out_of_place(other, "a message of role `system`", place)),
            (Role::User, other) => return Err(out_of_place(other, "a message of role `user`", place)),
            (Role::Assistant, other) => {
                return Err(out_of_place(other, "a message of role `assistant`", place));
            }
            (Role::Tool, other) => return Err(out_of_place(other, "a message of role `tool`", place)),
        }
    }
    Ok(())
}

fn check_sampling(sampling: &Sampling) -> Result<()> {
    let numbers = [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
    ];
    match numbers.iter().find(|(_, value)| value.is_some_and(|value| !value.is_finite())) {
        Some((name, _)) => {
            Err(invalid(format!("`{name}` is no finite number"), "leave it out, or set a number"))
        }
        None => Ok(()),
    }
}

fn check_tools(tools: &[ToolSpec], origin: &Origin) -> Result<()> {
    if tools.is_empty() {
        return Ok(());
    }
    if !origin.profile.tools {
        return Err(takers::unsupported("tools", "", origin, "leave them out", |profile| profile.tools));
    }
    let rule = &origin.profile.tool_names;
    let mut names: Vec<&str> = Vec::with_capacity(tools.len());
    for tool in tools {
        if !fits(&tool.name, rule) {
            let message = format!("`{}` cannot be the name of a tool of model `{}`", tool.name, origin.model);
            return Err(invalid(message, &rule_in_words(rule)));
        }
        names.push(&tool.name);
    }
    names.sort_unstable();
    match names.windows(2).find(|pair| pair.first() == pair.last()).and_then(<[&str]>::first) {
        Some(name) => {
            Err(invalid(format!("two tools are named `{name}`"), "give each tool a name of its own"))
        }
        None => Ok(()),
    }
}

fn fits(name: &str, rule: &NameRule) -> bool {
    (1..=rule.max).contains(&name.len())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || rule.marks.contains(letter))
}

fn rule_in_words(rule: &NameRule) -> String {
    let marks: Vec<String> = rule.marks.chars().map(|mark| format!("`{mark}`")).collect();
    format!("use 1 to {} letters, digits, and {}", rule.max, marks.join(", "))
}

fn out_of_place(part: &Part, wherein: &str, place: usize) -> Error {
    let name = match part {
        Part::Text { .. } => "text",
        Part::Image(_) => "an image",
        Part::Document(_) => "a document",
        Part::ToolCall(_) => "a tool call",
        Part::ToolResult(_) => "a tool result",
        Part::Reasoning(_) => "reasoning",
        Part::Refusal { .. } => "a refusal",
        _ => "a provider's own block",
    };
    let message = format!("{name} cannot stand in {wherein} (message {})", place + 1);
    invalid(message, "move it to a message of the role that it belongs to")
}

fn invalid(message: String, hint: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, message).with_hint(hint)
}

#[cfg(test)]
mod tests;
