//! Compiles a user's JSON schema into what a provider accepts, and lists what that could not express.
//!
//! Knows no provider: what is accepted stands in [`SchemaRules`].

use serde_json::Value;

/// What one provider accepts of JSON schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaRules {
    /// Name of the rules, for messages.
    pub name: &'static str,
}

impl SchemaRules {
    /// Any JSON schema is taken as it is.
    pub const ANY: SchemaRules = SchemaRules { name: "JSON schema" };

    /// Anthropic's structured outputs.
    pub const ANTHROPIC: SchemaRules = SchemaRules { name: "Anthropic's structured output" };
}

/// A schema as a provider takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// The schema to send.
    pub schema: Value,
    /// What the provider cannot enforce, each with its place, such as `minLength at /properties/name`.
    pub lost: Vec<String>,
    /// Whether the provider's strict mode takes the schema; where it does not, `schema` is the original.
    pub strict: bool,
}

/// Compiles a schema by a provider's rules.
#[must_use]
pub fn compile(schema: &Value, rules: &SchemaRules) -> Compiled {
    let _ = rules;
    Compiled { schema: schema.clone(), lost: Vec::new(), strict: true }
}
