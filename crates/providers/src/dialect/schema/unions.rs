//! Unions: `anyOf`, `oneOf`, and null beside something else.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::assertions;
use super::compiler::{Compiler, Step, weight};
use super::place::Place;
use super::rules::{TypeLists, Unions};
use super::types::Types;
use super::values;

/// Branches up to which they are compared with each other.
const COMPARED: usize = 64;

impl Compiler<'_> {
    /// Writes a node with `anyOf` or `oneOf`; what stands beside it goes into every branch.
    pub(super) fn union(&mut self, fields: &Map<String, Value>, place: &Place<'_>) -> Step<Value> {
        let keyword = if fields.contains_key("anyOf") { "anyOf" } else { "oneOf" };
        if keyword == "anyOf" && fields.contains_key("oneOf") {
            self.lose("oneOf", place)?;
        }
        let Some(Value::Array(list)) = fields.get(keyword) else {
            return Err(format!("the `{keyword}` at {place} is none"));
        };
        let mut base = Map::new();
        for (name, value) in fields {
            if !["anyOf", "oneOf"].contains(&name.as_str()) && assertions::asserts(name) {
                self.spend(weight(value)?)?;
                base.insert(name.clone(), value.clone());
            }
        }
        let description = fields.get("description").and_then(Value::as_str);
        let merged = match self.rules.unions {
            Unions::Never => Err(format!("one of several may stand at {place}")),
            _ => self.attempt(|walk| walk.branches(&base, list, place)),
        };
        let branches = match merged {
            Ok(branches) => branches,
            // The base alone allows more, which is told.
            Err(_) if base.contains_key("type") => {
                self.lose(keyword, place)?;
                let value = self.write(&base, place)?;
                return self.described(value, description);
            }
            Err(why) => return Err(why),
        };
        if keyword == "oneOf" && !self.are_disjoint(&branches, place) {
            self.lose("oneOf", place)?;
        }
        let all = place.child(keyword);
        let (mut written, mut nullable) = (Vec::with_capacity(branches.len()), false);
        for (number, branch) in branches.iter().enumerate() {
            if self.rules.types == TypeLists::Nullable && is_null(branch) {
                nullable = true;
            } else {
                written.push(self.node(branch, &all.child(&number.to_string()))?);
            }
        }
        self.joined(written, nullable, description, place)
    }

    /// Merges a base into every branch that something is valid for.
    fn branches<'b>(
        &mut self,
        base: &Map<String, Value>,
        list: &'b [Value],
        place: &Place<'_>,
    ) -> Step<Vec<Cow<'b, Value>>> {
        let mut branches = Vec::with_capacity(list.len().min(COMPARED));
        for branch in list {
            self.spend(1)?;
            if *branch == Value::Bool(false) {
                continue;
            }
            if base.is_empty() {
                branches.push(Cow::Borrowed(branch));
                continue;
            }
            for (name, value) in base {
                self.spend(weight(value)? + name.len() / 64)?;
            }
            let merged = self.merged(base.clone(), branch, place)?;
            branches.push(Cow::Owned(Value::Object(merged)));
        }
        if branches.is_empty() { Err(format!("nothing is valid at {place}")) } else { Ok(branches) }
    }

    /// Writes a union of branches that are written already.
    pub(super) fn joined(
        &mut self,
        branches: Vec<Value>,
        nullable: bool,
        description: Option<&str>,
        place: &Place<'_>,
    ) -> Step<Value> {
        let mut all: Vec<Value> = Vec::with_capacity(branches.len());
        for mut branch in branches {
            let inner = match &mut branch {
                Value::Object(fields) if fields.len() == 1 => fields.get_mut("anyOf").map(Value::take),
                _ => None,
            };
            let found = match inner {
                Some(Value::Array(inner)) => inner,
                _ => vec![branch],
            };
            for one in found {
                if all.len() > COMPARED || !all.contains(&one) {
                    all.push(one);
                }
            }
        }
        if nullable && let Some(Value::Object(first)) = all.first_mut() {
            first.insert("nullable".to_owned(), true.into());
        }
        if all.is_empty() {
            return Err(format!("only null is valid at {place}"));
        }
        if all.len() > 1 && self.rules.unions == Unions::Never {
            return Err(format!("one of several may stand at {place}"));
        }
        let value = match all.pop() {
            Some(only) if all.is_empty() => only,
            last => {
                all.extend(last);
                json!({"anyOf": all})
            }
        };
        self.described(value, description)
    }

    /// Adds a description where one may stand.
    pub(super) fn described(&mut self, mut value: Value, description: Option<&str>) -> Step<Value> {
        let Some(description) = description else { return Ok(value) };
        self.spend(1 + description.len() / 64)?;
        let Value::Object(fields) = &mut value else { return Ok(value) };
        if fields.contains_key("$ref") && !self.rules.reference_siblings {
            return Ok(match self.rules.unions {
                Unions::Free => json!({"anyOf": [value], "description": description}),
                _ => value,
            });
        }
        if self.rules.unions == Unions::Alone
            && let Some(Value::Array(branches)) = fields.get_mut("anyOf")
        {
            for branch in branches.iter_mut().filter_map(Value::as_object_mut) {
                self.spend(1 + description.len() / 64)?;
                branch.entry("description").or_insert_with(|| description.into());
            }
            return Ok(value);
        }
        let words = match fields.get("description").and_then(Value::as_str) {
            Some(own) if own != description => format!("{description}\n{own}"),
            _ => description.to_owned(),
        };
        fields.insert("description".to_owned(), words.into());
        Ok(value)
    }

    /// Leaves null out of what an optional property may be, where the rules have no way to write it: the property can be
    /// left out instead.
    pub(super) fn without_null<'v>(&self, schema: &'v Value) -> Cow<'v, Value> {
        let Some(fields) = schema.as_object().filter(|_| self.rules.unions == Unions::Never) else {
            return Cow::Borrowed(schema);
        };
        let mut fields = Cow::Borrowed(fields);
        for keyword in ["anyOf", "oneOf", "type"] {
            let Some(Value::Array(branches)) = fields.get(keyword) else { continue };
            let kept: Vec<&Value> =
                branches.iter().filter(|branch| !is_null(branch) && **branch != "null").collect();
            if let ([only], true) = (kept.as_slice(), branches.len() > 1) {
                let only = if keyword == "type" { (*only).clone() } else { json!([only]) };
                let owned = fields.to_mut();
                owned.shift_remove(keyword);
                owned.insert(if keyword == "type" { "type" } else { "allOf" }.to_owned(), only);
            }
        }
        match fields {
            Cow::Borrowed(_) => Cow::Borrowed(schema),
            Cow::Owned(fields) => Cow::Owned(Value::Object(fields)),
        }
    }

    /// Tells whether no value can be valid for two branches: they differ in type or in a marking property.
    fn are_disjoint(&mut self, branches: &[Cow<'_, Value>], place: &Place<'_>) -> bool {
        if branches.len() > COMPARED {
            return false;
        }
        let mut shapes: Vec<Shape> = Vec::with_capacity(branches.len());
        for branch in branches {
            let Some(fields) = branch.as_object() else { return false };
            let target = match fields.contains_key("$ref") {
                true => self.follow(fields, place).ok().and_then(|(_, target)| target.as_object()),
                false => Some(fields),
            };
            let Some(shape) = target.and_then(Shape::of) else { return false };
            shapes.push(shape);
        }
        let pairs = shapes
            .iter()
            .enumerate()
            .flat_map(|(n, one)| shapes.iter().skip(n + 1).map(move |two| (one, two)));
        pairs.into_iter().all(|(one, two)| one.excludes(two))
    }
}

/// What tells the values of a branch from others.
struct Shape {
    types: Types,
    /// The values that required properties may have; the value itself has no name.
    marks: BTreeMap<String, Vec<Value>>,
}

impl Shape {
    fn of(fields: &Map<String, Value>) -> Option<Shape> {
        let types = match Types::declared(fields) {
            Some(types) => types.ok()?,
            None => values::narrowed(Types::implied(fields), &values::of(fields).unwrap_or_default()),
        };
        let own = values::of(fields).map(|values| (String::new(), values));
        let properties = fields.get("properties").and_then(Value::as_object);
        let required = fields.get("required").and_then(Value::as_array).into_iter().flatten();
        let marked = required.take(COMPARED).filter_map(|name| {
            let property = properties?.get(name.as_str()?)?.as_object()?;
            Some((name.as_str()?.to_owned(), values::of(property)?))
        });
        let listed = own.into_iter().chain(marked).filter(|(_, values)| values.len() <= COMPARED);
        let marks = listed.map(|(name, values)| (name, values.into_iter().cloned().collect())).collect();
        (!types.is_empty()).then_some(Shape { types, marks })
    }

    fn excludes(&self, other: &Shape) -> bool {
        let differs = |(name, values): (&String, &Vec<Value>)| {
            other.marks.get(name).is_some_and(|others| !values.iter().any(|value| others.contains(value)))
        };
        // An optional discriminator of an object says nothing about a text, so types are compared first.
        !self.types.meets(other.types) || self.marks.iter().any(differs)
    }
}

/// Tells whether only null is valid.
fn is_null(schema: &Value) -> bool {
    let Some(fields) = schema.as_object() else { return false };
    fields.get("type").is_some_and(|kind| kind == "null")
        || values::of(fields).is_some_and(|values| matches!(values.as_slice(), [Value::Null]))
}

/// Allows null beside what a written node allows.
pub(super) fn nullable(mut value: Value) -> Value {
    let nothing = || json!({"type": "null"});
    let Value::Object(fields) = &mut value else { return value };
    if let Some(types) = fields.get_mut("type") {
        match types {
            Value::Array(list) if !list.contains(&"null".into()) => list.push("null".into()),
            Value::String(one) if one != "null" => *types = json!([one, "null"]),
            _ => {}
        }
        if let Some(constant) = fields.shift_remove("const") {
            fields.insert("enum".to_owned(), json!([constant]));
        }
        if let Some(Value::Array(values)) = fields.get_mut("enum")
            && !values.contains(&Value::Null)
        {
            values.push(Value::Null);
        }
    } else if let Some(Value::Array(branches)) = fields.get_mut("anyOf") {
        let takes_null = |branch: &Value| match branch.get("type") {
            Some(Value::Array(list)) => list.contains(&"null".into()),
            kind => kind.is_some_and(|kind| kind == "null"),
        };
        if !branches.iter().any(takes_null) {
            branches.push(nothing());
        }
    } else if fields.contains_key("$ref") {
        return json!({"anyOf": [value, nothing()]});
    }
    value
}
