//! Tools that the model may call, and whether it must.

use std::borrow::Cow;

use motet_core::ChatRequest;
use motet_core::request::{ToolChoice, ToolSpec};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use crate::dialect::{Profile, schema};

/// Beginnings of the types of tools that the provider runs itself, which its count of tokens refuses.
const HOSTED: [&str; 6] =
    ["web_search_", "web_fetch_", "code_execution_", "advisor_", "tool_search_tool_", "mcp_toolset"];

/// A tool on the wire.
pub(super) struct Tool<'a> {
    spec: &'a ToolSpec,
    schema: Cow<'a, Value>,
    strict: bool,
}

/// Writes the tools; a schema that is to be enforced is brought to what the provider can enforce.
pub(super) fn encode<'a>(
    request: &'a ChatRequest,
    profile: &Profile,
    warnings: &mut Vec<String>,
) -> Vec<Tool<'a>> {
    let tool = |spec: &'a ToolSpec| {
        if spec.strict == Some(true)
            && let Some(schema) = enforced(spec, profile, warnings)
        {
            return Tool { spec, schema: Cow::Owned(schema), strict: true };
        }
        Tool { spec, schema: object_schema(&spec.parameters), strict: false }
    };
    request.tools.iter().map(tool).collect()
}

/// Gives whether a tool must be called; `None` where the model decides and nothing else is asked.
pub(super) fn choice(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<String>) -> Option<Value> {
    if request.tools.is_empty() {
        return None;
    }
    let (kind, name) = match &request.tool_choice {
        ToolChoice::None => return Some(json!({"type": "none"})),
        ToolChoice::Required if !profile.required_tool_choice => {
            warnings.push("the model cannot be made to call a tool; it decides itself".to_owned());
            ("auto", None)
        }
        ToolChoice::Auto => ("auto", None),
        ToolChoice::Required => ("any", None),
        ToolChoice::Tool(name) => ("tool", Some(name)),
    };
    let single = request.parallel_tool_calls == Some(false);
    let mut choice = Map::new();
    choice.insert("type".to_owned(), Value::from(kind));
    if let Some(name) = name {
        choice.insert("name".to_owned(), Value::from(name.as_str()));
    }
    if single {
        choice.insert("disable_parallel_tool_use".to_owned(), Value::Bool(true));
    }
    (single || kind != "auto").then_some(Value::Object(choice))
}

/// Leaves out the tools that the provider runs itself.
pub(super) fn leave_out_hosted(tools: &mut Vec<Value>, warnings: &mut Vec<String>) {
    let before = tools.len();
    tools.retain(|tool| {
        let kind = tool.get("type").and_then(Value::as_str).unwrap_or_default();
        !HOSTED.iter().any(|hosted| kind.starts_with(hosted))
    });
    if tools.len() < before {
        warnings.push("tools that the provider runs itself are not counted; they were left out".to_owned());
    }
}

fn enforced(spec: &ToolSpec, profile: &Profile, warnings: &mut Vec<String>) -> Option<Value> {
    let compiled = schema::compile(&spec.parameters, profile.tool_schema);
    if !compiled.strict || !compiled.lost.is_empty() {
        let parts = if compiled.strict { " in all parts" } else { "" };
        warnings.push(format!(
            "the schema of tool `{}` is not enforced by the provider{parts} ({}); arguments are checked",
            spec.name,
            compiled.lost.join(", ")
        ));
    }
    let schema = json!(compiled.schema);
    compiled.strict.then_some(schema)
}

/// Gives a schema that says that its root is an object, which the server wants to read.
fn object_schema(schema: &Value) -> Cow<'_, Value> {
    match schema {
        Value::Object(fields) if fields.contains_key("type") => Cow::Borrowed(schema),
        Value::Object(fields) => {
            let mut typed = fields.clone();
            typed.insert("type".to_owned(), Value::from("object"));
            Cow::Owned(Value::Object(typed))
        }
        _ => Cow::Owned(json!({"type": "object"})),
    }
}

impl Serialize for Tool<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.spec.name)?;
        if !self.spec.description.is_empty() {
            map.serialize_entry("description", &self.spec.description)?;
        }
        map.serialize_entry("input_schema", &self.schema)?;
        if self.strict {
            map.serialize_entry("strict", &true)?;
        }
        map.end()
    }
}
