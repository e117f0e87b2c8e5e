//! Schemas before and after, hostile ones, and the laws that hold for all.

mod cases;
mod hostile;
mod obeys;
mod properties;

use serde_json::Value;

use super::{SchemaRules, compile};

/// Every set of rules but the one that takes anything.
const RULES: &[&SchemaRules] = &[
    &SchemaRules::OPENAI_STRICT,
    &SchemaRules::GEMINI_OPENAPI,
    &SchemaRules::GEMINI_JSON,
    &SchemaRules::ANTHROPIC,
    &SchemaRules::MISTRAL,
    &SchemaRules::GROQ,
    &SchemaRules::OLLAMA,
    &SchemaRules::COHERE,
    &SchemaRules::BEDROCK,
];

/// Compiles a schema that the rules can express.
fn strict(schema: &Value, rules: &SchemaRules) -> (Value, Vec<String>) {
    let compiled = compile(schema, rules);
    assert!(compiled.strict, "{}: {:?} for {schema}", rules.name, compiled.lost);
    assert_eq!(obeys::fault(&compiled.schema, rules), None, "{}: {}", rules.name, compiled.schema);
    (compiled.schema.into_owned(), compiled.lost)
}

/// Compiles a schema that the rules cannot express, and gives what is in the way.
fn obstacle(schema: &Value, rules: &SchemaRules) -> String {
    let mut compiled = compile(schema, rules);
    assert!(!compiled.strict, "{}: {} for {schema}", rules.name, compiled.schema);
    assert_eq!(*compiled.schema, *schema);
    assert_eq!(compiled.lost.len(), 1);
    compiled.lost.remove(0)
}
