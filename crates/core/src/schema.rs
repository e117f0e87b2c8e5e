//! What is read of a JSON schema without validating by it: references within it, and nulls that stand for absence.
//!
//! Knows no provider. Fetches nothing, and gives up early on schemas that lead in circles or fan out.

use serde_json::{Map, Value};

/// Steps after which a value is left as it is.
const STEPS: usize = 100_000;
/// References followed in a row.
const HOPS: usize = 32;

/// Follows a reference within a schema, such as `#/$defs/node`; `None` when it leads outside, nowhere, or to an anchor.
///
/// ```
/// use motet_core::schema::resolve;
/// let root = serde_json::json!({"$defs": {"a/b": {"type": "string"}}});
/// assert_eq!(resolve(&root, "#/$defs/a~1b"), Some(&serde_json::json!({"type": "string"})));
/// assert_eq!(resolve(&root, "https://example.com/x.json"), None);
/// ```
#[must_use]
pub fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    root.pointer(&pointer_of(reference)?)
}

/// Gives the JSON pointer of a reference within a document.
#[must_use]
pub fn pointer_of(reference: &str) -> Option<String> {
    let pointer = reference.strip_prefix('#')?;
    if !pointer.contains('%') {
        return Some(pointer.to_owned());
    }
    let mut bytes = Vec::with_capacity(pointer.len());
    let mut rest = pointer.bytes();
    while let Some(byte) = rest.next() {
        let decoded = if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            u8::try_from(digit()? * 16 + digit()?).ok()?
        } else {
            byte
        };
        bytes.push(decoded);
    }
    String::from_utf8(bytes).ok()
}

/// Drops nulls of optional properties that the schema does not allow to be null.
///
/// Providers that demand every property are given a schema in which the optional ones may be null; such a null says that
/// the property is absent.
///
/// ```
/// use motet_core::schema::without_nulls;
/// use serde_json::json;
/// let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "null"}}});
/// assert_eq!(without_nulls(json!({"a": null, "b": null}), &schema), json!({"b": null}));
/// ```
#[must_use]
pub fn without_nulls(mut value: Value, schema: &Value) -> Value {
    Reading { root: schema, steps: STEPS }.clean(&mut value, schema, 0);
    value
}

struct Reading<'a> {
    root: &'a Value,
    steps: usize,
}

impl<'a> Reading<'a> {
    /// Counts a step; false once there are too many.
    fn step(&mut self) -> bool {
        self.steps = self.steps.saturating_sub(1);
        self.steps > 0
    }

    fn target(&self, fields: &Map<String, Value>, hops: usize) -> Option<&'a Value> {
        let reference = fields.get("$ref")?.as_str().filter(|_| hops < HOPS)?;
        resolve(self.root, reference)
    }

    fn clean(&mut self, value: &mut Value, schema: &Value, hops: usize) {
        let Value::Object(fields) = schema else { return };
        if !self.step() || !matches!(value, Value::Object(_) | Value::Array(_)) {
            return;
        }
        if let Some(target) = self.target(fields, hops) {
            self.clean(value, target, hops + 1);
        }
        for part in listed(fields, "allOf") {
            self.clean(value, part, hops + 1);
        }
        for union in ["anyOf", "oneOf"] {
            let chosen = listed(fields, union).find(|branch| self.fits(value, branch, hops + 1));
            if let Some(branch) = chosen {
                self.clean(value, branch, hops + 1);
            }
        }
        match value {
            Value::Object(members) => self.clean_members(members, fields),
            Value::Array(items) => {
                for (place, item) in items.iter_mut().enumerate() {
                    if let Some(schema) = schema_of_item(fields, place) {
                        self.clean(item, schema, 0);
                    }
                }
            }
            _ => {}
        }
    }

    fn clean_members(&mut self, members: &mut Map<String, Value>, fields: &Map<String, Value>) {
        members.retain(|name, member| {
            let Some(schema) = schema_of_member(fields, name) else { return true };
            if member.is_null() {
                return is_required(fields, name) || self.takes_null(schema, 0);
            }
            self.clean(member, schema, 0);
            true
        });
    }

    /// Tells whether null is valid; in doubt it is.
    fn takes_null(&mut self, schema: &Value, hops: usize) -> bool {
        let Value::Object(fields) = schema else { return *schema != Value::Bool(false) };
        if !self.step() || hops > HOPS {
            return true;
        }
        let named = fields.get("type").is_none_or(|kinds| names_type(kinds, &Value::Null));
        let constant = fields.get("const").is_none_or(Value::is_null);
        let listed_value = fields.get("enum").and_then(Value::as_array);
        if !named || !constant || listed_value.is_some_and(|values| !values.contains(&Value::Null)) {
            return false;
        }
        if let Some(target) = self.target(fields, hops)
            && !self.takes_null(target, hops + 1)
        {
            return false;
        }
        let unions = ["anyOf", "oneOf"].into_iter().filter(|name| fields.contains_key(*name));
        listed(fields, "allOf").all(|part| self.takes_null(part, hops + 1))
            && unions
                .into_iter()
                .all(|name| listed(fields, name).any(|branch| self.takes_null(branch, hops + 1)))
    }

    /// Tells whether a value has the shape of a schema, an absent property being null or missing.
    fn fits(&mut self, value: &Value, schema: &Value, hops: usize) -> bool {
        let Value::Object(fields) = schema else { return *schema != Value::Bool(false) };
        if !self.step() || hops > HOPS {
            return false;
        }
        let named = fields.get("type").is_none_or(|kinds| names_type(kinds, value));
        let constant = fields.get("const").is_none_or(|known| known == value);
        let listed_value = fields.get("enum").and_then(Value::as_array);
        if !named || !constant || listed_value.is_some_and(|values| !values.contains(value)) {
            return false;
        }
        if let Some(target) = self.target(fields, hops)
            && !self.fits(value, target, hops + 1)
        {
            return false;
        }
        let unions = ["anyOf", "oneOf"].into_iter().filter(|name| fields.contains_key(*name));
        listed(fields, "allOf").all(|part| self.fits(value, part, hops + 1))
            && unions
                .into_iter()
                .all(|name| listed(fields, name).any(|branch| self.fits(value, branch, hops + 1)))
            && self.contents_fit(value, fields)
    }

    fn contents_fit(&mut self, value: &Value, fields: &Map<String, Value>) -> bool {
        match value {
            Value::Object(members) => {
                let open = fields.get("additionalProperties") != Some(&Value::Bool(false))
                    || fields.contains_key("patternProperties");
                let known = |name: &str| open || properties(fields).is_some_and(|all| all.contains_key(name));
                required(fields).all(|name| members.contains_key(name))
                    && members.iter().all(|(name, member)| match schema_of_member(fields, name) {
                        Some(_) if member.is_null() && !is_required(fields, name) => true,
                        Some(schema) => self.fits(member, schema, 0),
                        None => known(name),
                    })
            }
            Value::Array(items) => items.iter().enumerate().all(|(place, item)| {
                schema_of_item(fields, place).is_none_or(|schema| self.fits(item, schema, 0))
            }),
            _ => true,
        }
    }
}

fn listed<'s>(fields: &'s Map<String, Value>, name: &str) -> impl Iterator<Item = &'s Value> + use<'s> {
    fields.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn properties(fields: &Map<String, Value>) -> Option<&Map<String, Value>> {
    fields.get("properties").and_then(Value::as_object)
}

fn required(fields: &Map<String, Value>) -> impl Iterator<Item = &str> {
    listed(fields, "required").filter_map(Value::as_str)
}

fn is_required(fields: &Map<String, Value>, name: &str) -> bool {
    required(fields).any(|known| known == name)
}

/// Gives what a member must be; of members without a property of their own only where that is a schema.
fn schema_of_member<'s>(fields: &'s Map<String, Value>, name: &str) -> Option<&'s Value> {
    let own = properties(fields).and_then(|all| all.get(name));
    own.or_else(|| fields.get("additionalProperties").filter(|more| more.is_object()))
}

fn schema_of_item(fields: &Map<String, Value>, place: usize) -> Option<&Value> {
    let items = fields.get("items");
    let tuple = fields.get("prefixItems").or(items).and_then(Value::as_array);
    let own = tuple.and_then(|tuple| tuple.get(place));
    own.or_else(|| items.filter(|items| items.is_object()))
}

fn names_type(kinds: &Value, value: &Value) -> bool {
    let is = |kind: &Value| match kind.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        Some("number") => value.is_number(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => true,
    };
    kinds.as_array().map_or_else(|| is(kinds), |kinds| kinds.iter().any(is))
}

#[cfg(test)]
mod tests;
