//! Bounds of a whole schema, counted once it is written.

use serde_json::{Map, Value};

use super::compiler::Step;
use super::rules::SchemaLimits;

/// Values of one enumeration of texts up to which their length does not matter.
const LONG_ENUM: usize = 250;
/// Characters of all texts of a longer one.
const LONG_ENUM_CHARACTERS: usize = 15_000;

#[derive(Default)]
struct Counts {
    depth: usize,
    properties: usize,
    enum_values: usize,
    characters: usize,
    optional: usize,
    unions: usize,
    /// Characters of the longest enumeration that has more than [`LONG_ENUM`] values.
    long_enum: usize,
}

/// Refuses a written schema that is out of bounds.
pub(super) fn check(schema: &Value, limits: &SchemaLimits) -> Step<()> {
    if *limits == SchemaLimits::NONE {
        return Ok(());
    }
    let mut counts = Counts::default();
    counts.add(schema, 0);
    if counts.long_enum > LONG_ENUM_CHARACTERS && limits.characters != usize::MAX {
        return Err(format!("an enumeration in it has more than {LONG_ENUM_CHARACTERS} characters"));
    }
    for (count, limit, words) in [
        (counts.depth, limits.depth, "levels of nesting"),
        (counts.properties, limits.properties, "properties"),
        (counts.enum_values, limits.enum_values, "enumerated values"),
        (counts.characters, limits.characters, "characters in its names and values"),
        (counts.optional, limits.optional, "optional properties"),
        (counts.unions, limits.unions, "unions"),
    ] {
        if count > limit {
            return Err(format!("it has more than {limit} {words}"));
        }
    }
    Ok(())
}

impl Counts {
    fn add(&mut self, schema: &Value, depth: usize) {
        let Value::Object(fields) = schema else { return };
        let nested = fields.contains_key("properties") || fields.contains_key("items");
        let depth = depth + usize::from(nested);
        self.depth = self.depth.max(depth);
        self.unions +=
            usize::from(fields.contains_key("anyOf") || fields.get("type").is_some_and(Value::is_array));
        self.add_values(fields);
        let properties = fields.get("properties").and_then(Value::as_object);
        let required = fields.get("required").and_then(Value::as_array).map_or(0, Vec::len);
        self.optional += properties.map_or(0, Map::len).saturating_sub(required);
        self.properties += properties.map_or(0, Map::len);
        for (name, child) in properties.into_iter().flatten() {
            self.characters += name.chars().count();
            self.add(child, depth);
        }
        for (name, child) in fields.get("$defs").and_then(Value::as_object).into_iter().flatten() {
            self.characters += name.chars().count();
            self.add(child, 0);
        }
        for branch in
            ["anyOf", "prefixItems"].iter().filter_map(|name| fields.get(*name)?.as_array()).flatten()
        {
            self.add(branch, depth);
        }
        for child in ["items", "additionalProperties"].iter().filter_map(|name| fields.get(*name)) {
            self.add(child, depth);
        }
    }

    fn add_values(&mut self, fields: &Map<String, Value>) {
        let listed = fields.get("enum").and_then(Value::as_array);
        let values = || listed.into_iter().flatten().chain(fields.get("const"));
        let characters: usize = values().filter_map(Value::as_str).map(|text| text.chars().count()).sum();
        let count = listed.map_or(0, Vec::len);
        self.enum_values += count;
        self.characters += characters;
        if count > LONG_ENUM {
            self.long_enum = self.long_enum.max(characters);
        }
    }
}
