//! Reads parts of requests as people and other programs write them in JSON: messages, tools, schemas.
//!
//! Takes Motet's own form and the one of OpenAI's Chat Completions, which most tools write. Sends nothing.

use motet_core::error::{Error, ErrorKind, Result};
use motet_core::message::{Media, MediaSource, Message, Part, Role, ToolCall, ToolResult};
use motet_core::request::{JsonSchemaOutput, Output, ToolChoice, ToolSpec};
use serde_json::{Map, Value};

/// Longest name of a schema that providers take.
const MAX_SCHEMA_NAME: usize = 64;

/// Asks for JSON by a schema, which is named by its title.
#[must_use]
pub fn schema(schema: Value) -> Output {
    let title = schema.get("title").and_then(Value::as_str).filter(|title| !title.trim().is_empty());
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let name = title.unwrap_or("answer").chars().map(|letter| if fits(letter) { letter } else { '_' });
    Output::JsonSchema(JsonSchemaOutput { name: name.take(MAX_SCHEMA_NAME).collect(), schema, strict: true })
}

/// Reads a list of tools: objects with `name`, `description`, and `parameters`, or wrapped as OpenAI's API has them.
///
/// # Errors
/// `InvalidRequest` with the tool's place in the list.
pub fn tools(value: Value) -> Result<Vec<ToolSpec>> {
    let tool = |(index, mut tool): (usize, Value)| {
        let tool = match tool.get_mut("function") {
            Some(function) => function.take(),
            None => tool,
        };
        serde_json::from_value(tool).map_err(|error| {
            wrong(format!("tool {} cannot be read: {error}", index + 1))
                .with_hint("write it as an object with `name`, `description`, and `parameters`")
        })
    };
    list(value, "tools")?.into_iter().enumerate().map(tool).collect()
}

/// Reads whether and which tool must be called: `auto`, `none`, `required`, a tool's name, or OpenAI's object.
///
/// # Errors
/// `InvalidRequest` when it is none of these.
pub fn tool_choice(value: &Value) -> Result<ToolChoice> {
    let named = value.pointer("/function/name").or_else(|| value.get("name")).unwrap_or(value);
    match named.as_str() {
        Some("auto") => Ok(ToolChoice::Auto),
        Some("none") => Ok(ToolChoice::None),
        Some("required") => Ok(ToolChoice::Required),
        Some(name) if !name.is_empty() => Ok(ToolChoice::Tool(name.to_owned())),
        _ => Err(wrong(format!("`{value}` does not choose a tool"))
            .with_hint("use `auto`, `none`, `required`, or the name of a tool")),
    }
}

/// Reads a conversation: objects with `role` and either `parts`, as Motet writes them, or `content`, as OpenAI's API has it.
///
/// # Errors
/// `InvalidRequest` with the message's place in the list.
pub fn messages(value: Value) -> Result<Vec<Message>> {
    let mut messages: Vec<Message> = Vec::new();
    for (index, written) in list(value, "messages")?.into_iter().enumerate() {
        let message = message(written, &messages).map_err(|reason| {
            wrong(format!("message {} cannot be read: {reason}", index + 1))
                .with_hint(r#"write it as `{"role": "user", "content": "…"}`"#)
        })?;
        messages.push(message);
    }
    if messages.iter().all(|message| message.role == Role::System) {
        return Err(wrong("there is nothing to ask").with_hint("add a message of the role `user`"));
    }
    Ok(messages)
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

fn list(value: Value, what: &str) -> Result<Vec<Value>> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(wrong(format!("{what} must be a list, not {}", kind(&other)))),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn message(written: Value, before: &[Message]) -> Result<Message, String> {
    let Value::Object(mut fields) = written else { return Err(format!("it is {}", kind(&written))) };
    if fields.contains_key("parts") {
        return serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string());
    }
    let role = role(&mut fields)?;
    let content = fields.shift_remove("content").unwrap_or_default();
    let message = match role {
        Role::Tool => tool_result(&mut fields, content, before)?,
        role => {
            let mut parts = parts(content)?;
            if role == Role::Assistant {
                parts.extend(refusal(&mut fields));
                parts.extend(tool_calls(&mut fields)?);
            }
            Message { role, parts }
        }
    };
    // The name of a speaker has no place in a message; some tools always write the field, as null.
    match fields.iter().find(|(_, value)| !value.is_null()) {
        Some((unknown, _)) => Err(format!("it has an unknown field `{unknown}`")),
        None if message.parts.is_empty() => Err("it has no `content`".to_owned()),
        None => Ok(message),
    }
}

fn role(fields: &mut Map<String, Value>) -> Result<Role, String> {
    let role = fields.shift_remove("role").ok_or("it has no `role`")?;
    if role == "developer" {
        return Ok(Role::System);
    }
    serde_json::from_value(role.clone())
        .map_err(|_| format!("its role {role} is not one of `system`, `user`, `assistant`, `tool`"))
}

fn parts(content: Value) -> Result<Vec<Part>, String> {
    match content {
        Value::Null => Ok(Vec::new()),
        Value::String(text) if text.is_empty() => Ok(Vec::new()),
        Value::String(text) => Ok(vec![Part::text(text)]),
        Value::Array(items) => items.into_iter().map(part).collect(),
        other => Err(format!("its `content` is {}", kind(&other))),
    }
}

fn part(mut written: Value) -> Result<Part, String> {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    match written.get("type").and_then(Value::as_str) {
        Some("text" | "input_text") if written.get("text").is_some_and(Value::is_string) => {
            Ok(Part::text(text(&written, "text").unwrap_or_default()))
        }
        Some("image_url") => {
            let image = written.get_mut("image_url").map(Value::take).unwrap_or_default();
            let url = image.as_str().map(str::to_owned).or_else(|| text(&image, "url"));
            Ok(Part::Image(media(&url.ok_or("an image has no `url`")?)?))
        }
        _ => serde_json::from_value(written).map_err(|error| format!("a part of its content: {error}")),
    }
}

/// Reads an address; a `data:` address holds the bytes themselves.
fn media(url: &str) -> Result<Media, String> {
    let Some(data) = url.strip_prefix("data:") else {
        return Ok(Media { media_type: None, source: MediaSource::Url(url.to_owned()), name: None });
    };
    let (media_type, bytes) = data
        .split_once(";base64,")
        .ok_or("a `data:` address must be of the form `data:image/png;base64,…`")?;
    Ok(Media {
        media_type: Some(media_type.to_owned()),
        source: MediaSource::Base64(bytes.to_owned()),
        name: None,
    })
}

fn refusal(fields: &mut Map<String, Value>) -> Option<Part> {
    match fields.shift_remove("refusal") {
        Some(Value::String(text)) => Some(Part::Refusal { text }),
        _ => None,
    }
}

fn tool_calls(fields: &mut Map<String, Value>) -> Result<Vec<Part>, String> {
    let calls = match fields.shift_remove("tool_calls") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(calls)) => calls,
        Some(other) => return Err(format!("its `tool_calls` are {}", kind(&other))),
    };
    let call = |call: Value| {
        let text = |pointer: &str| call.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let arguments = call.pointer("/function/arguments").map(|arguments| match arguments {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        Ok(Part::ToolCall(ToolCall {
            id: text("/id").ok_or("a tool call has no `id`")?,
            name: text("/function/name").ok_or("a tool call has no `function.name`")?,
            arguments: arguments.unwrap_or_default(),
            minted: false,
            opaque: None,
        }))
    };
    calls.into_iter().map(call).collect()
}

fn tool_result(
    fields: &mut Map<String, Value>,
    content: Value,
    before: &[Message],
) -> Result<Message, String> {
    let Some(Value::String(id)) = fields.shift_remove("tool_call_id") else {
        return Err("it has no `tool_call_id`".to_owned());
    };
    let asked = || {
        let mut calls = before.iter().rev().flat_map(Message::tool_calls);
        calls.find(|call| call.id == id).map(|call| call.name.clone())
    };
    let name = match fields.shift_remove("name") {
        Some(Value::String(name)) => name,
        _ => asked().ok_or_else(|| format!("no message before it calls a tool with the id `{id}`"))?,
    };
    let mut content = parts(content)?;
    if content.is_empty() {
        content.push(Part::text(""));
    }
    Ok(Message::tool(vec![ToolResult { id, name, content, is_error: false }]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_of_a_conversation_say_the_same() {
        let written = json!([
            {"role": "developer", "content": "Be short."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"at\": 1}"}}
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "a door"},
        ]);
        let read = messages(written).unwrap();
        let roles: Vec<Role> = read.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::Tool]);
        assert_eq!(read[2].tool_calls().next().unwrap().arguments, "{\"at\": 1}");
        let Part::ToolResult(result) = &read[3].parts[0] else { panic!("no result") };
        assert_eq!((result.name.as_str(), result.text().as_str()), ("look", "a door"));
        assert_eq!(messages(serde_json::to_value(&read).unwrap()).unwrap(), read);
    }

    #[test]
    fn a_message_that_cannot_be_read_is_named_with_the_reason() {
        let refused = |value: Value| messages(value).unwrap_err().message().to_owned();
        let first = |value: Value| refused(json!([value]));
        assert_eq!(refused(json!("hi")), "messages must be a list, not a text");
        assert_eq!(first(json!({"content": "hi"})), "message 1 cannot be read: it has no `role`");
        assert_eq!(first(json!({"role": "user"})), "message 1 cannot be read: it has no `content`");
        assert_eq!(
            first(json!({"role": "boss", "content": "x"})),
            "message 1 cannot be read: its role \"boss\" is not one of `system`, `user`, `assistant`, `tool`"
        );
        assert_eq!(
            first(json!({"role": "user", "content": "x", "contents": "y"})),
            "message 1 cannot be read: it has an unknown field `contents`"
        );
        assert_eq!(
            first(json!({"role": "tool", "tool_call_id": "c9", "content": "x"})),
            "message 1 cannot be read: no message before it calls a tool with the id `c9`"
        );
        assert_eq!(first(json!({"role": "system", "content": "Be short."})), "there is nothing to ask");
    }

    #[test]
    fn tools_are_read_plain_and_wrapped() {
        let plain = json!({"name": "add", "description": "Adds.", "parameters": {"type": "object"}});
        let wrapped = json!({"type": "function", "function": plain});
        assert_eq!(tools(json!([plain])).unwrap(), tools(json!([wrapped])).unwrap());
        let error = tools(json!([plain, {"description": "?"}])).unwrap_err();
        assert!(error.message().starts_with("tool 2 cannot be read: missing field `name`"), "{error}");
    }

    #[test]
    fn a_choice_of_tools_is_a_word_a_name_or_an_object() {
        assert_eq!(tool_choice(&json!("required")).unwrap(), ToolChoice::Required);
        assert_eq!(tool_choice(&json!("add")).unwrap(), ToolChoice::Tool("add".to_owned()));
        let object = json!({"type": "function", "function": {"name": "add"}});
        assert_eq!(tool_choice(&object).unwrap(), ToolChoice::Tool("add".to_owned()));
        assert!(tool_choice(&json!(3)).is_err());
    }

    #[test]
    fn a_schema_is_named_by_its_title() {
        let named = |value: Value| match schema(value) {
            Output::JsonSchema(output) => output.name,
            other => panic!("{other:?}"),
        };
        assert_eq!(named(json!({"title": "My answer!"})), "My_answer_");
        assert_eq!(named(json!({})), "answer");
    }
}
