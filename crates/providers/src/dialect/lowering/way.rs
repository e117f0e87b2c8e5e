//! Which way an answer of JSON is asked for: the profile's own, or the next one that is possible.

use std::borrow::Cow;

use motet_core::request::{JsonSchemaOutput, ReasoningEffort, ToolChoice};
use motet_core::{ChatRequest, Delivery};
use serde_json::Value;

use super::{JsonOutput, Profile, object_root};
use crate::dialect::schema::compile;

/// How an answer of JSON is asked for.
pub(super) enum Way<'a> {
    /// By the schema.
    Schema,
    /// By the JSON mode and an instruction.
    Object,
    /// By an instruction.
    Instructions,
    /// By a tool that takes the answer.
    Tool {
        /// Schema of its arguments.
        parameters: Cow<'a, Value>,
        /// What must be called.
        force: Force,
        /// No other tool is offered.
        alone: bool,
    },
    /// Not now: a tool of the user's must be called first.
    Nothing,
}

/// What the model must call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Force {
    /// The tool that takes the answer.
    This,
    /// That or another tool.
    Some,
    /// Nothing; it is asked to in words.
    None,
}

/// Chooses the way, and warns where it is not the profile's own.
pub(super) fn choose<'a>(
    request: &ChatRequest,
    output: &'a JsonSchemaOutput,
    profile: &Profile,
    delivery: Delivery,
    warnings: &mut Vec<String>,
) -> Way<'a> {
    let own = profile.json_output;
    let obstacle = match own {
        JsonOutput::Schema | JsonOutput::Object => obstacle(request, output, profile, delivery),
        JsonOutput::Tool | JsonOutput::Instructions => None,
    };
    match (own, obstacle) {
        (JsonOutput::Schema, None) => Way::Schema,
        (JsonOutput::Object, None) => Way::Object,
        (JsonOutput::Schema, Some(why)) => match by_tool(request, output, profile) {
            Ok(way) => {
                if !matches!(way, Way::Nothing) {
                    warnings.push(format!("{why}; schema `{}` is asked for by a tool instead", output.name));
                }
                way
            }
            Err(_) => told(&why, output, warnings),
        },
        (JsonOutput::Tool, _) => {
            by_tool(request, output, profile).unwrap_or_else(|why| told(why, output, warnings))
        }
        (_, Some(why)) => told(&why, output, warnings),
        (JsonOutput::Instructions, None) => Way::Instructions,
    }
}

fn told<'a>(why: &str, output: &JsonSchemaOutput, warnings: &mut Vec<String>) -> Way<'a> {
    warnings.push(format!(
        "{why}; schema `{}` is asked for by an instruction, and the answer is only checked",
        output.name
    ));
    Way::Instructions
}

/// Tells why a schema or the JSON mode cannot be asked for here.
fn obstacle(
    request: &ChatRequest,
    output: &JsonSchemaOutput,
    profile: &Profile,
    delivery: Delivery,
) -> Option<String> {
    if !profile.schema_with_tools && !request.tools.is_empty() {
        return Some("the model enforces no JSON while tools are offered".to_owned());
    }
    if !profile.schema_streamed && delivery == Delivery::Streamed {
        return Some("the model enforces no JSON in a stream".to_owned());
    }
    if profile.json_output == JsonOutput::Schema && !profile.schema.advice {
        let compiled = compile(&output.schema, profile.schema);
        let why = compiled.lost.first().filter(|_| !compiled.strict);
        return why.map(|why| format!("{} does not take the schema because {why}", profile.schema.name));
    }
    None
}

/// Plans an answer by a tool, or tells why there can be none.
fn by_tool<'a>(
    request: &ChatRequest,
    output: &'a JsonSchemaOutput,
    profile: &Profile,
) -> Result<Way<'a>, &'static str> {
    if !profile.tools {
        return Err("the model takes no tools");
    }
    let Some(parameters) = object_root(&output.schema) else {
        return Err("the schema's root is no object, as a tool's arguments must be");
    };
    let thinks = request.reasoning_effort.is_some_and(|effort| effort != ReasoningEffort::None);
    if thinks && !profile.forced_while_thinking {
        return Err("the model cannot be made to call a tool while it thinks");
    }
    let tool = |force: Force, alone: bool| Way::Tool { parameters, force, alone };
    match &request.tool_choice {
        ToolChoice::Required | ToolChoice::Tool(_) => Ok(Way::Nothing),
        ToolChoice::Auto if !request.tools.is_empty() => Ok(match profile.required_tool_choice {
            true => tool(Force::Some, false),
            false => tool(Force::None, false),
        }),
        _ if profile.named_tool_choice => Ok(tool(Force::This, false)),
        _ if profile.required_tool_choice => Ok(tool(Force::Some, true)),
        _ => Err("the model cannot be made to call a tool"),
    }
}
