//! Reads a server's lists of tools, resources, and prompts, one entry at a time, so that one that is wrong leaves the
//! others.

use std::collections::BTreeSet;

use motet_core::mcp::ServerConfig;
use motet_core::request::ToolSpec;
use motet_core::tool::Effect;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::names;
use super::schema;
use super::tool::Offered;

/// Characters kept of a description.
const DESCRIPTION: usize = 4096;
/// Most tools of one server.
const MOST: usize = 1000;

/// Something that a server lets read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
#[non_exhaustive]
pub struct ResourceInfo {
    /// Its address, by which it is read.
    pub uri: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// IANA media type.
    #[serde(default, skip_serializing_if = "Option::is_none", rename(deserialize = "mimeType"))]
    pub media_type: Option<String>,
    /// Size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// A family of things that a server lets read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
#[non_exhaustive]
pub struct ResourceTemplateInfo {
    /// Template of their addresses, by RFC 6570.
    pub uri_template: String,
    /// Their name.
    #[serde(default)]
    pub name: String,
    /// What they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// IANA media type.
    #[serde(default, skip_serializing_if = "Option::is_none", rename(deserialize = "mimeType"))]
    pub media_type: Option<String>,
}

/// A prompt that a server offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PromptInfo {
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<PromptArgument>,
}

/// Something that a prompt takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PromptArgument {
    /// Its name.
    pub name: String,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it must be given.
    #[serde(default)]
    pub required: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    name: String,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    input_schema: Value,
    #[serde(default)]
    annotations: Value,
    #[serde(default, rename = "motet-left-out")]
    left_out: Option<String>,
}

/// Reads the tools of a list, and says of each that is left out why.
pub(super) fn tools(server: &str, config: &ServerConfig, entries: Vec<Value>) -> (Vec<Offered>, Vec<String>) {
    let mut warnings = Vec::new();
    let mut seen = BTreeSet::new();
    let mut listed = Vec::new();
    for entry in entries {
        let tool: Listed = match serde_json::from_value(entry) {
            Ok(tool) => tool,
            Err(problem) => {
                warnings.push(format!("a tool of the server `{server}` is left out: {problem}"));
                continue;
            }
        };
        let is_wanted = config.only.is_empty() || config.only.contains(&tool.name);
        if is_wanted && !config.without.contains(&tool.name) {
            if seen.insert(tool.name.clone()) {
                listed.push(tool);
            } else {
                warnings.push(format!("the server `{server}` lists the tool `{}` twice", tool.name));
            }
        }
    }
    for name in config.only.iter().filter(|name| !seen.contains(*name)) {
        warnings.push(format!("the server `{server}` has no tool `{name}`, which `only` names"));
    }
    if listed.len() > MOST {
        warnings.push(format!("the server `{server}` has {} tools, of which {MOST} are kept", listed.len()));
        listed.truncate(MOST);
    }
    let prefix = config.prefix.clone().unwrap_or_else(|| format!("{server}_"));
    let given = names::given(&prefix, seen.iter().map(String::as_str));
    let mut offered = Vec::with_capacity(listed.len());
    for tool in listed {
        let Some(name) = given.get(tool.name.as_str()) else { continue };
        match self::offered(tool, name, config.trusted) {
            Ok(tool) => offered.push(tool),
            Err(why) => warnings.push(format!("the tool `{name}` is left out: {why}")),
        }
    }
    (offered, warnings)
}

fn offered(tool: Listed, name: &str, trusted: bool) -> Result<Offered, String> {
    if let Some(why) = tool.left_out {
        return Err(why);
    }
    let description = tool.description.or(tool.title).unwrap_or_default();
    let description: String = description.trim().chars().take(DESCRIPTION).collect();
    let effect = effect(&tool.annotations, trusted);
    let spec = ToolSpec::new(name, description, schema::fitted(tool.input_schema)?);
    Ok(Offered { spec, name: tool.name, effect })
}

/// Reads what the server says its tool changes; a server that is not trusted may say what it likes.
fn effect(annotations: &Value, trusted: bool) -> Effect {
    let says = |name: &str| annotations.get(name).and_then(Value::as_bool).unwrap_or(false);
    match trusted {
        true if says("readOnlyHint") => Effect::Pure,
        true if says("idempotentHint") => Effect::Idempotent,
        _ => Effect::AtMostOnce,
    }
}

/// Reads entries that are as they should be.
pub(super) fn entries<T: for<'de> Deserialize<'de>>(entries: Vec<Value>) -> Vec<T> {
    entries.into_iter().filter_map(|entry| serde_json::from_value(entry).ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mcp::message::LEFT_OUT;

    fn config(fields: &Value) -> ServerConfig {
        serde_json::from_value(fields.clone()).unwrap()
    }

    fn tool(name: &str) -> Value {
        json!({"name": name, "description": "Does.", "inputSchema": {"type": "object"}})
    }

    fn names(fields: &Value, entries: Vec<Value>) -> Vec<String> {
        tools("s", &config(fields), entries).0.into_iter().map(|tool| tool.spec.name).collect()
    }

    #[test]
    fn only_and_without_choose_by_the_servers_own_names() {
        let all = || vec![tool("a"), tool("b"), tool("c")];
        assert_eq!(names(&json!({}), all()), ["s_a", "s_b", "s_c"]);
        assert_eq!(names(&json!({"prefix": ""}), all()), ["a", "b", "c"]);
        assert_eq!(names(&json!({"prefix": "x-", "only": ["c", "a"]}), all()), ["x-a", "x-c"]);
        assert_eq!(names(&json!({"without": ["b"]}), all()), ["s_a", "s_c"]);
        let (_, warnings) = tools("s", &config(&json!({"only": ["z"]})), all());
        assert_eq!(warnings, ["the server `s` has no tool `z`, which `only` names"]);
    }

    #[test]
    fn a_wrong_entry_is_left_out_with_the_reason_and_the_others_stay() {
        let entries = vec![
            json!({"name": 5}),
            json!({"name": "odd", "inputSchema": {"type": "array"}}),
            json!({"name": "deep", LEFT_OUT: "its schema nests deeper than 100 levels"}),
            tool("good"),
            tool("good"),
        ];
        let (offered, warnings) = tools("s", &config(&json!({})), entries);
        assert_eq!(offered.len(), 1);
        assert_eq!(offered[0].spec.name, "s_good");
        assert_eq!(warnings.len(), 4);
        assert!(warnings[0].contains("invalid type: integer `5`"));
        assert_eq!(warnings[1], "the server `s` lists the tool `good` twice");
        assert!(warnings[2].starts_with("the tool `s_odd` is left out: its parameters are of type"));
        assert_eq!(warnings[3], "the tool `s_deep` is left out: its schema nests deeper than 100 levels");
    }

    #[test]
    fn hints_are_believed_of_trusted_servers_only() {
        let hinted = |hints: Value, trusted: bool| {
            let entry = json!({"name": "t", "inputSchema": {"type": "object"}, "annotations": hints});
            tools("s", &config(&json!({"trusted": trusted})), vec![entry]).0[0].effect
        };
        let (read, again) = (json!({"readOnlyHint": true}), json!({"idempotentHint": true}));
        assert_eq!(hinted(read.clone(), true), Effect::Pure);
        assert_eq!(hinted(again.clone(), true), Effect::Idempotent);
        assert_eq!(hinted(json!({"destructiveHint": false}), true), Effect::AtMostOnce);
        assert_eq!(hinted(read, false), Effect::AtMostOnce);
        assert_eq!(hinted(again, false), Effect::AtMostOnce);
    }
}
