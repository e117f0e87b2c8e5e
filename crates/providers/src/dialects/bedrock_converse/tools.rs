//! Tools and the choice among them.

use std::collections::BTreeSet;

use motet_core::request::{ToolChoice, ToolSpec};
use motet_core::{ChatRequest, Part};
use serde_json::{Map, Value, json};

use crate::dialect::{JsonOutput, Profile, schema};

/// Writes the tools; `None` where there are none and the conversation speaks of none.
pub(super) fn encode(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<String>) -> Option<Value> {
    let used = used(request);
    if !request.tools.is_empty() && request.parallel_tool_calls.is_some() {
        warnings.push("this format has no `parallel_tool_calls`; left out".to_owned());
    }
    let tools: Vec<Value> = if request.tools.is_empty() {
        if used.is_empty() {
            return None;
        }
        warnings.push(
            "the conversation holds tool calls, so the format demands tools: those called were declared"
                .to_owned(),
        );
        let bare =
            |name: &&str| json!({"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}});
        used.iter().map(bare).collect()
    } else if request.tool_choice == ToolChoice::None && used.is_empty() {
        // Tools that are not offered are not called.
        return None;
    } else {
        request.tools.iter().map(|tool| spec(tool, profile, warnings)).collect()
    };
    Some(match choice(request, profile, warnings) {
        Some(choice) => json!({"tools": tools, "toolChoice": choice}),
        None => json!({"tools": tools}),
    })
}

/// Gives the names of the tools that were called.
fn used(request: &ChatRequest) -> BTreeSet<&str> {
    let parts = request.messages.iter().flat_map(|message| &message.parts);
    parts
        .filter_map(|part| if let Part::ToolCall(call) = part { Some(call.name.as_str()) } else { None })
        .collect()
}

fn choice(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<String>) -> Option<Value> {
    match &request.tool_choice {
        ToolChoice::Auto => None,
        ToolChoice::None => {
            warnings.push(
                "this format cannot forbid tool calls while tools are offered; the model may call".to_owned(),
            );
            None
        }
        ToolChoice::Required if !profile.required_tool_choice => {
            warnings.push("the model cannot be made to call a tool; left to it".to_owned());
            None
        }
        ToolChoice::Required => Some(json!({"any": {}})),
        ToolChoice::Tool(name) => Some(json!({"tool": {"name": name}})),
    }
}

fn spec(tool: &ToolSpec, profile: &Profile, warnings: &mut Vec<String>) -> Value {
    let mut compiled = schema::compile(&tool.parameters, profile.tool_schema);
    if !compiled.lost.is_empty() {
        warnings.push(format!(
            "the provider cannot enforce all of the schema of tool `{}`, arguments are checked for the rest: {}",
            tool.name,
            compiled.lost.join(", ")
        ));
    }
    if compiled.schema.get("type").is_none()
        && let Value::Object(fields) = compiled.schema.to_mut()
    {
        fields.insert("type".to_owned(), "object".into());
    }
    let mut fields = Map::new();
    fields.insert("name".to_owned(), tool.name.as_str().into());
    if !tool.description.is_empty() {
        fields.insert("description".to_owned(), tool.description.as_str().into());
    }
    fields.insert("inputSchema".to_owned(), json!({"json": compiled.schema}));
    if tool.strict == Some(true) {
        if profile.json_output == JsonOutput::Schema && compiled.strict {
            fields.insert("strict".to_owned(), true.into());
        } else {
            warnings.push(format!(
                "the provider cannot enforce the schema of tool `{}` with this model; arguments are only checked",
                tool.name
            ));
        }
    }
    json!({"toolSpec": fields})
}
