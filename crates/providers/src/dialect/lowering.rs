//! Asks for JSON by a forced tool or by words where a model has no schema mode, and reads the answer as if it had.
//!
//! Stands between the driver and every dialect, so that no dialect knows of it: a dialect sees an output schema only
//! where the profile says [`JsonOutput::Schema`] and it is to be written, or [`JsonOutput::Object`] and the JSON mode is
//! to be turned on. The user's history holds the answer as plain text, however it was asked for.

mod restoring;
mod way;

use std::borrow::Cow;

use motet_core::request::{JsonSchemaOutput, Output, ToolChoice, ToolSpec};
use motet_core::{ChatRequest, Delivery, Message, Role};
use serde_json::{Map, Value};

pub use restoring::Restoring;
use way::{Force, Way};

use super::{JsonOutput, Profile};

/// What the model is told of the tool by which it answers.
const TOOL_DESCRIPTION: &str =
    "Gives the final answer. Call it once, with the whole answer as its arguments.";

/// A request that the dialect can write, and how its answer is turned back.
#[derive(Debug)]
pub struct Lowered<'a> {
    /// The request to write.
    pub request: Cow<'a, ChatRequest>,
    /// Turns the answer's events back.
    pub restoring: Restoring,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Lowers a request as its model's profile says.
///
/// ```
/// use motet_core::request::{JsonSchemaOutput, Output, ToolChoice};
/// use motet_core::{ChatRequest, Delivery, Message};
/// use motet_providers::dialect::{JsonOutput, Profile, lowering::lower};
/// let mut request = ChatRequest::new("custom:m".parse()?, vec![Message::user("A number?")]);
/// let schema = serde_json::json!({"type": "object", "properties": {"n": {"type": "integer"}}});
/// request.output = Output::JsonSchema(JsonSchemaOutput { name: "number".into(), schema, strict: true });
/// let profile = Profile { json_output: JsonOutput::Tool, ..Profile::COMMON };
/// let lowered = lower(&request, &profile, Delivery::Plain);
/// assert_eq!(lowered.request.output, Output::Text);
/// assert_eq!(lowered.request.tool_choice, ToolChoice::Tool("number".into()));
/// # Ok::<(), motet_core::Error>(())
/// ```
#[must_use]
pub fn lower<'a>(request: &'a ChatRequest, profile: &Profile, delivery: Delivery) -> Lowered<'a> {
    let mut lowered =
        Lowered { request: Cow::Borrowed(request), restoring: Restoring::default(), warnings: Vec::new() };
    let Output::JsonSchema(output) = &request.output else { return lowered };
    match way::choose(request, output, profile, delivery, &mut lowered.warnings) {
        Way::Schema => {}
        Way::Object => instruct(lowered.request.to_mut(), schema_instruction(request, output)),
        Way::Instructions => {
            let lowered = lowered.request.to_mut();
            lowered.output = Output::Text;
            instruct(lowered, schema_instruction(request, output));
        }
        Way::Nothing => lowered.request.to_mut().output = Output::Text,
        Way::Tool { parameters, force, alone } => {
            let name = free_name(output, request, profile);
            let tool = ToolSpec::new(name.clone(), TOOL_DESCRIPTION, parameters.into_owned());
            let changed = lowered.request.to_mut();
            if alone {
                changed.tools.clear();
            }
            changed.tools.push(tool);
            answer_by_tool(changed, &name, force, profile);
            lowered.restoring = Restoring::of_tool(name);
        }
    }
    lowered
}

/// Sees to it that the model answers by the tool that was added last.
fn answer_by_tool(request: &mut ChatRequest, name: &str, force: Force, profile: &Profile) {
    request.output = Output::Text;
    request.tool_choice = match force {
        Force::This => ToolChoice::Tool(name.to_owned()),
        Force::Some => ToolChoice::Required,
        Force::None => {
            instruct(request, format!("Give the final answer only by calling the tool `{name}`."));
            ToolChoice::Auto
        }
    };
    // One answer is enough; other tools may still be called side by side.
    if profile.parallel_tool_calls && (force == Force::This || request.tools.len() == 1) {
        request.parallel_tool_calls = Some(false);
    }
}

/// Adds an instruction below the user's own, so that the beginning of a conversation stays what a provider has cached.
fn instruct(request: &mut ChatRequest, instruction: String) {
    let own = request.messages.iter().take_while(|message| message.role == Role::System).count();
    request.messages.insert(own, Message::system(instruction));
}

fn schema_instruction(request: &ChatRequest, output: &JsonSchemaOutput) -> String {
    let lead = if request.tools.is_empty() { "Answer" } else { "When you need no more tools, answer" };
    format!(
        "{lead} with one JSON value that satisfies this JSON schema, and with nothing else:\n{}",
        output.schema
    )
}

/// Names the tool after the output, as no other tool is named and as names of tools must look.
fn free_name(output: &JsonSchemaOutput, request: &ChatRequest, profile: &Profile) -> String {
    let rule = &profile.tool_names;
    let fits = |letter: char| letter.is_ascii_alphanumeric() || rule.marks.contains(letter);
    let stem: String = output.name.chars().filter(|letter| fits(*letter)).collect();
    let stem = if stem.is_empty() { "answer" } else { stem.as_str() };
    let names = (1_usize..).map(|number| {
        let end = if number == 1 { String::new() } else { number.to_string() };
        let room = rule.max.saturating_sub(end.len());
        format!("{}{end}", stem.chars().take(room).collect::<String>())
    });
    let mut free = names.filter(|name| !request.tools.iter().any(|tool| tool.name == *name));
    free.next().unwrap_or_else(|| stem.to_owned())
}

/// Gives a schema whose root is openly an object, as arguments of tools must be; `None` where it is none.
fn object_root(schema: &Value) -> Option<Cow<'_, Value>> {
    let mut target = schema;
    for _ in 0..8 {
        let fields = target.as_object()?;
        if let Some(reference) = fields.get("$ref") {
            target = motet_core::schema::resolve(schema, reference.as_str()?)?;
            continue;
        }
        let is_object = fields.get("type").map_or(fields.contains_key("properties"), |kind| kind == "object");
        if !is_object {
            return None;
        }
        if std::ptr::eq(target, schema) && fields.contains_key("type") {
            return Some(Cow::Borrowed(schema));
        }
        let mut root = Map::from_iter([("type".to_owned(), "object".into())]);
        root.extend(fields.iter().map(|(name, value)| (name.clone(), value.clone())));
        for name in ["$defs", "definitions"] {
            let definitions = schema.get(name).map(|all| (name.to_owned(), all.clone()));
            root.extend(definitions);
        }
        return Some(Cow::Owned(Value::Object(root)));
    }
    None
}

#[cfg(test)]
mod tests;
