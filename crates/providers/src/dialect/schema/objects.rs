//! Objects: their properties, which of them are required, and whether there may be others.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::compiler::{Compiler, Node, Step};
use super::definitions::Way;
use super::rules::Objects;
use super::unions;

impl Compiler<'_> {
    /// Writes what an object holds.
    pub(super) fn object(&mut self, node: &Node<'_>, out: &mut Map<String, Value>) -> Step<()> {
        let (fields, place) = (node.fields, &node.place);
        let empty = Map::new();
        let known = match fields.get("properties") {
            None => &empty,
            Some(Value::Object(properties)) => properties,
            Some(_) => return Err(format!("the `properties` at {place} are none")),
        };
        let additional = self.additional(node)?;
        let wanted: Vec<&str> = match fields.get("required") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let others: Vec<&str> = wanted.iter().copied().filter(|name| !known.contains_key(*name)).collect();
        let closed = self.rules.objects != Objects::Free || additional == Some(Value::Bool(false));
        if let Some(unknown) = others.first().filter(|_| closed) {
            return Err(format!("the object at {place} requires `{unknown}`, which it does not describe"));
        }
        let mut required: Vec<String> = others.into_iter().map(str::to_owned).collect();
        let mut properties = Map::new();
        let all = place.child("properties");
        let way = self.definitions.way;
        // A long list of required names must not be searched for each property.
        let wanted: BTreeSet<&str> = wanted.into_iter().collect();
        for (name, schema) in known {
            let is_required = wanted.contains(name.as_str());
            if *schema == Value::Bool(false) && !is_required {
                continue;
            }
            let optional = !is_required && !self.rules.all_required;
            self.definitions.way = way.max(if optional { Way::Optional } else { Way::Nested });
            self.spend(name.len() / 64)?;
            let schema = if optional { self.without_null(schema) } else { Cow::Borrowed(schema) };
            let mut property = self.node(&schema, &all.child(name))?;
            if !is_required && self.rules.all_required {
                property = unions::nullable(property);
            }
            if is_required || self.rules.all_required {
                required.push(name.clone());
            }
            properties.insert(name.clone(), property);
        }
        self.definitions.way = way;
        if properties.is_empty() && !self.rules.empty_objects {
            return Err(format!("the object at {place} has no properties"));
        }
        if self.rules.one_required && required.is_empty() {
            return Err(format!("the object at {place} requires no property"));
        }
        if self.rules.ordering && properties.len() > 1 {
            out.insert("propertyOrdering".to_owned(), properties.keys().cloned().collect());
        }
        if !properties.is_empty() || additional.as_ref().is_none_or(|more| *more == Value::Bool(false)) {
            out.insert("properties".to_owned(), Value::Object(properties));
        }
        if !required.is_empty() || self.rules.all_required {
            out.insert("required".to_owned(), required.into());
        }
        out.extend(additional.map(|more| ("additionalProperties".to_owned(), more)));
        Ok(())
    }

    /// Gives what is written of further properties.
    fn additional(&mut self, node: &Node<'_>) -> Step<Option<Value>> {
        let (fields, place) = (node.fields, &node.place);
        let named = fields.contains_key("properties");
        let unevaluated = fields.get("unevaluatedProperties");
        let more = fields.get("additionalProperties").or(unevaluated);
        let patterned = fields.contains_key("patternProperties");
        let is_map = patterned || more.map_or(!named, |more| *more != Value::Bool(false));
        if is_map && !self.rules.maps {
            return Err(format!("the object at {place} may hold properties of any name"));
        }
        if patterned {
            self.lose("patternProperties", place)?;
        }
        Ok(match (self.rules.objects, more) {
            (Objects::Closed, _) => Some(Value::Bool(false)),
            (Objects::Unwritten, _) => None,
            (Objects::Free, Some(schema)) if schema.as_object().is_some_and(|all| !all.is_empty()) => {
                let way = std::mem::replace(&mut self.definitions.way, Way::Optional);
                let written = self.node(schema, &place.child("additionalProperties"))?;
                self.definitions.way = way;
                Some(written)
            }
            (Objects::Free, Some(Value::Bool(false))) if patterned => None,
            (Objects::Free, Some(Value::Bool(false))) => Some(Value::Bool(false)),
            (Objects::Free, Some(_)) => Some(Value::Bool(true)),
            // Only what is explicitly a map stays open: a model is not to invent properties.
            (Objects::Free, None) => (!named).then_some(Value::Bool(true)),
        })
    }
}
