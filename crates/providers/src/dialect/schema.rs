//! Compiles a user's JSON schema into what a provider accepts, and lists what that could not express.
//!
//! Knows no provider: what is accepted stands in [`SchemaRules`]. Answers are checked against the user's own schema, so a
//! compiled schema may allow more as long as that is told. Schemas come from anywhere, also from strangers' servers:
//! circles, fans, and depths end early.

mod arrays;
mod assertions;
mod compiler;
mod definitions;
mod limits;
mod merge;
mod objects;
mod place;
mod rules;
mod types;
mod unions;
mod values;

use std::borrow::Cow;

use motet_core::request::{JsonSchemaOutput, ToolSpec};
use serde_json::Value;

use super::Profile;

pub use rules::{
    Enums, Objects, Patterns, Recursion, References, SchemaLimits, SchemaRules, TypeLists, Unions,
};

/// Entries of [`Compiled::lost`] that a warning repeats.
const SHOWN: usize = 8;

/// A schema as a provider takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled<'a> {
    /// The schema to send.
    pub schema: Cow<'a, Value>,
    /// What the provider cannot enforce, each with its place, such as `minLength at /properties/name`; of a schema that
    /// is not strict, what is in the way, such as `its root is no object`.
    pub lost: Vec<String>,
    /// Whether the provider's strict mode takes the schema; where it does not, `schema` is the original.
    pub strict: bool,
}

/// Compiles a schema by a provider's rules.
///
/// ```
/// use motet_providers::dialect::schema::{SchemaRules, compile};
/// use serde_json::json;
/// let schema = json!({"type": "object", "properties": {"name": {"type": "string", "minLength": 1}}});
/// let compiled = compile(&schema, &SchemaRules::OPENAI_STRICT);
/// assert_eq!(compiled.lost, ["minLength at /properties/name"]);
/// assert_eq!(compiled.schema["required"], json!(["name"]));
/// assert_eq!(compiled.schema["properties"]["name"]["type"], json!(["string", "null"]));
/// ```
#[must_use]
pub fn compile<'a>(schema: &'a Value, rules: &SchemaRules) -> Compiled<'a> {
    if rules.anything {
        return Compiled { schema: Cow::Borrowed(schema), lost: Vec::new(), strict: true };
    }
    match compiler::compile(schema, rules) {
        Ok((compiled, lost)) => Compiled { schema: Cow::Owned(compiled), lost, strict: true },
        Err(obstacle) => Compiled { schema: Cow::Borrowed(schema), lost: vec![obstacle], strict: false },
    }
}

/// Compiles the schema of an answer, and warns of what is not enforced although that was asked for.
///
/// An answer that need not be enforced goes with its own schema, unless the rules take no advice.
#[must_use]
pub fn of_output<'a>(
    output: &'a JsonSchemaOutput,
    rules: &SchemaRules,
    warnings: &mut Vec<String>,
) -> Compiled<'a> {
    if !output.strict && rules.advice {
        return Compiled { schema: Cow::Borrowed(&output.schema), lost: Vec::new(), strict: false };
    }
    let compiled = compile(&output.schema, rules);
    if output.strict {
        warnings.extend(compiled.warning(&output.name));
    }
    compiled
}

/// Compiles the schema of a tool's arguments: by the rules of answers where the tool asks for enforcement and they take
/// it, else by the rules of tools, which mostly take anything.
///
/// Only what the first gives is strict in the sense of a provider's strict mode; see [`Compiled::strict`] together with
/// the tool's own wish.
#[must_use]
pub fn of_tool<'a>(tool: &'a ToolSpec, profile: &Profile, warnings: &mut Vec<String>) -> Compiled<'a> {
    if tool.strict == Some(true) {
        let compiled = compile(&tool.parameters, profile.schema);
        warnings.extend(compiled.warning(&tool.name));
        if compiled.strict {
            return compiled;
        }
        return Compiled { strict: false, ..compile(&tool.parameters, profile.tool_schema) };
    }
    compile(&tool.parameters, profile.tool_schema)
}

impl Compiled<'_> {
    /// Tells what the provider does not enforce of a schema; `None` where it enforces all.
    #[must_use]
    pub fn warning(&self, name: &str) -> Option<String> {
        let mut shown = self.lost.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        match self.lost.len().saturating_sub(SHOWN) {
            0 => {}
            more => shown.push_str(&format!(", and {more} more")),
        }
        match (self.strict, self.lost.is_empty()) {
            (_, true) => None,
            (true, _) => Some(format!(
                "schema `{name}` is not enforced by the provider in all parts ({shown}); the answer is checked"
            )),
            (false, _) => Some(format!(
                "schema `{name}` cannot be enforced by the provider because {shown}; the answer is only checked"
            )),
        }
    }
}

#[cfg(test)]
mod tests;
