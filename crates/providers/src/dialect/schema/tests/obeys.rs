//! Judges a written schema by the rules, on its own and without the compiler's help.

use serde_json::{Map, Value};

use super::super::{Enums, Objects, Patterns, References, SchemaRules, TypeLists, Unions};

/// Gives the first fault of a schema; `None` when it obeys.
pub(super) fn fault(schema: &Value, rules: &SchemaRules) -> Option<String> {
    let root = schema.as_object()?;
    if rules.root_object && (root.get("type") != Some(&"object".into()) || root.contains_key("anyOf")) {
        return Some("root".into());
    }
    Judge { root: schema, rules }.node(schema, true)
}

struct Judge<'a> {
    root: &'a Value,
    rules: &'a SchemaRules,
}

impl Judge<'_> {
    fn node(&self, schema: &Value, is_root: bool) -> Option<String> {
        let Value::Object(fields) = schema else { return Some(format!("no object: {schema}")) };
        let found =
            self.keywords(fields, is_root).or_else(|| self.shape(fields)).or_else(|| self.values(fields));
        if let Some(found) = found {
            return Some(format!("{found} in {schema}"));
        }
        let named = ["properties", "$defs"].iter().filter_map(|name| fields.get(*name)?.as_object());
        let listed =
            ["anyOf", "prefixItems"].iter().filter_map(|name| fields.get(*name)?.as_array()).flatten();
        let single = ["items", "additionalProperties"].iter().filter_map(|name| fields.get(*name));
        let children =
            named.flat_map(Map::values).chain(listed).chain(single.filter(|child| child.is_object()));
        children.into_iter().find_map(|child| self.node(child, false))
    }

    fn keywords(&self, fields: &Map<String, Value>, is_root: bool) -> Option<String> {
        let rules = self.rules;
        let known = |name: &str| match name {
            "type" | "description" | "items" | "properties" | "required" | "enum" => true,
            "anyOf" => rules.unions != Unions::Never,
            "const" => rules.constants,
            "$ref" => rules.references == References::Definitions,
            "$defs" => is_root && rules.references == References::Definitions,
            "nullable" => rules.types == TypeLists::Nullable,
            "prefixItems" => rules.tuples,
            "propertyOrdering" => rules.ordering,
            "additionalProperties" => rules.objects != Objects::Unwritten,
            "format" => {
                fields.get(name).is_some_and(|format| rules.formats.iter().any(|known| format == known))
            }
            "pattern" => self.takes(fields.get(name).and_then(Value::as_str).unwrap_or_default()),
            "minItems" => {
                rules.constraints.contains(&name)
                    && fields.get(name).and_then(Value::as_u64).is_some_and(|n| n <= rules.min_items)
            }
            name => rules.constraints.contains(&name) && fields.get(name).is_some_and(Value::is_number),
        };
        fields.keys().find(|name| !known(name)).map(|name| format!("`{name}`"))
    }

    fn takes(&self, pattern: &str) -> bool {
        let plain = !["(?=", "(?!", "(?<", r"\1", r"\b"].iter().any(|look| pattern.contains(look));
        plain
            && match self.rules.patterns {
                Patterns::Never => false,
                Patterns::Plain => true,
                Patterns::Anchored => pattern.starts_with('^') && pattern.ends_with('$'),
                Patterns::Unanchored => !pattern.contains(['^', '$']),
            }
    }

    fn shape(&self, fields: &Map<String, Value>) -> Option<String> {
        let rules = self.rules;
        if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
            let leads = reference == "#" || reference.starts_with("#/$defs/");
            if !leads || motet_core::schema::resolve(self.root, reference).is_none() {
                return Some("a reference to elsewhere".into());
            }
            return (!rules.reference_siblings && fields.len() > 1).then(|| "a reference's sibling".into());
        }
        if let Some(branches) = fields.get("anyOf").and_then(Value::as_array) {
            let alone = rules.unions != Unions::Alone || fields.len() == 1;
            return (branches.is_empty() || !alone).then(|| "a union's sibling".into());
        }
        let types: Vec<&str> = match fields.get("type") {
            None if rules.typed => return Some("no type".into()),
            None => Vec::new(),
            Some(Value::Array(_)) if rules.types != TypeLists::List => return Some("a list of types".into()),
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            Some(one) => one.as_str().into_iter().collect(),
        };
        if types.contains(&"array") && rules.typed && !fields.contains_key("items") {
            return Some("no items".into());
        }
        if types.contains(&"object") { self.object(fields) } else { None }
    }

    fn object(&self, fields: &Map<String, Value>) -> Option<String> {
        let rules = self.rules;
        let properties = fields.get("properties").and_then(Value::as_object);
        let required: Vec<&str> = fields
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let count = properties.map_or(0, Map::len);
        let closed = fields.get("additionalProperties") == Some(&Value::Bool(false));
        let faults = [
            (properties.is_none() && !rules.maps, "no properties"),
            (rules.objects == Objects::Closed && !closed, "an open object"),
            (!rules.maps && rules.objects == Objects::Free && !closed, "a map"),
            (!rules.empty_objects && count == 0, "an empty object"),
            (rules.all_required && required.len() != count, "an optional property"),
            (rules.one_required && required.is_empty(), "nothing required"),
        ];
        faults.into_iter().find(|(is_so, _)| *is_so).map(|(_, fault)| fault.to_owned())
    }

    fn values(&self, fields: &Map<String, Value>) -> Option<String> {
        let listed = fields.get("enum").and_then(Value::as_array).into_iter().flatten();
        let taken = |value: &Value| match self.rules.enums {
            Enums::Any => true,
            Enums::Plain => !value.is_object() && !value.is_array(),
            Enums::Strings => value.is_string(),
        };
        listed.chain(fields.get("const")).find(|value| !taken(value)).map(|value| format!("value {value}"))
    }
}
