//! JSON schemas, compiled once and asked often, whose findings a model can act on.
//!
//! Fetches nothing: a schema that refers to another document is refused.

use jsonschema::{ValidationError, Validator};
use motet_core::schema::without_nulls;
use serde_json::Value;

/// Findings told at once; more of them rarely help a model.
const MAX_FINDINGS: usize = 5;
/// Characters of one finding; a finding repeats the value, which may be long.
const MAX_FINDING_CHARS: usize = 300;

/// A schema ready to check values.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    validator: Validator,
    source: Value,
}

impl Schema {
    /// Compiles a schema; the error says what is wrong with it.
    pub(crate) fn compile(schema: &Value) -> Result<Self, String> {
        let validator = jsonschema::validator_for(schema).map_err(|error| error.to_string())?;
        Ok(Self { validator, source: schema.clone() })
    }

    /// Reads a value that a model wrote; the error lists what does not fit and where.
    ///
    /// Where a provider demands every property, a model writes null for one that it leaves out: such a null counts as
    /// absence.
    pub(crate) fn read(&self, value: Value) -> Result<Value, String> {
        if self.validator.is_valid(&value) {
            return Ok(value);
        }
        let value = without_nulls(value, &self.source);
        let mut findings: Vec<_> = self.validator.iter_errors(&value).map(|error| finding(&error)).collect();
        if findings.is_empty() {
            return Ok(value);
        }
        // The text becomes part of the transcript, which must be the same when a run is replayed elsewhere.
        findings.sort_unstable();
        findings.dedup();
        findings.truncate(MAX_FINDINGS);
        Err(findings.join("; "))
    }
}

/// Checks a value against a schema; the error lists what does not fit and where.
///
/// # Errors
/// The findings, or what is wrong with the schema.
pub fn check(schema: &Value, value: &Value) -> Result<(), String> {
    Schema::compile(schema)?.read(value.clone()).map(drop)
}

fn finding(error: &ValidationError<'_>) -> String {
    let place = error.instance_path().as_str();
    let place = if place.is_empty() { "the top".to_owned() } else { format!("`{place}`") };
    let finding: String = error.to_string().chars().take(MAX_FINDING_CHARS).collect();
    format!("at {place}: {finding}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_finding_names_its_place() {
        let schema = Schema::compile(&json!({
            "type": "object",
            "properties": {"n": {"type": "integer"}},
            "required": ["n", "m"],
        }))
        .unwrap();
        let right = json!({"n": 1, "m": 2});
        assert_eq!(schema.read(right.clone()), Ok(right));
        assert_eq!(
            schema.read(json!({"n": "x"})).unwrap_err(),
            "at `/n`: \"x\" is not of type \"integer\"; at the top: \"m\" is a required property"
        );
    }

    #[test]
    fn nulls_of_what_is_optional_count_as_absence() {
        let schema = Schema::compile(&json!({
            "type": "object",
            "properties": {"n": {"type": "integer"}, "m": {"type": "integer"}, "o": {"type": ["integer", "null"]}},
            "required": ["n"],
        }))
        .unwrap();
        let read = |value: Value| schema.read(value);
        assert_eq!(read(json!({"n": 1, "m": null, "o": null})), Ok(json!({"n": 1, "o": null})));
        assert_eq!(
            read(json!({"n": null, "m": null})).unwrap_err(),
            "at `/n`: null is not of type \"integer\""
        );
    }

    #[test]
    fn a_schema_that_is_none_is_refused() {
        assert!(Schema::compile(&json!({"type": "nonsense"})).is_err());
        assert!(Schema::compile(&json!({"$ref": "https://example.com/schema.json"})).is_err());
    }
}
