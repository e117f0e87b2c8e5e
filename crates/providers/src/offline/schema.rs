//! Fills a JSON schema with values drawn from a text, or says why it cannot.
//!
//! What a property is called and described as decides what is looked for. Nothing is invented: where the text has
//! nothing, a property that may be left out is left out, a required text is empty, a required number is the one in
//! its range that is nearest to zero; and where even that does not satisfy the schema, the answer is an error.

mod check;
mod lists;
mod numbers;
mod pattern;
mod resolve;
mod strings;
mod view;

use motet_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

use self::resolve::Schemas;
use self::view::View;
use super::material::Material;
use super::wanted::Wanted;

/// Nesting at which optional parts are left out, so that schemas that contain themselves come to an end.
const DEEPEST: usize = 12;

/// Gives a value that satisfies the schema; `instruction` is the question that properties like `answer` answer.
///
/// # Errors
/// `InvalidOutput` where the text has nothing that satisfies a required part; `Unsupported` for a keyword that is not
/// known here.
pub(super) fn fill(schema: &Value, material: &Material, instruction: &str) -> Result<Value> {
    let filler = Filler { schemas: Schemas::of(schema) };
    let view = View::whole(material, instruction);
    let value = filler.fill(schema, Spot { wanted: &Wanted::of("", "", None), view: &view, depth: 0 })?.value;
    filler.schemas.check(schema, &value)?;
    Ok(value)
}

/// A value, and whether the text speaks for it.
#[derive(Debug, Clone)]
struct Filled {
    value: Value,
    found: bool,
}

impl Filled {
    fn found(value: impl Into<Value>) -> Self {
        Self { value: value.into(), found: true }
    }

    fn default(value: impl Into<Value>) -> Self {
        Self { value: value.into(), found: false }
    }
}

/// A place in the schema: what is wanted there, what is seen of the text, and how deep it lies.
#[derive(Clone, Copy)]
struct Spot<'a> {
    wanted: &'a Wanted,
    view: &'a View<'a>,
    depth: usize,
}

impl<'a> Spot<'a> {
    /// Gives the place one step below.
    fn below(self, wanted: &'a Wanted) -> Self {
        Self { wanted, depth: self.depth + 1, ..self }
    }
}

struct Filler<'a> {
    schemas: Schemas<'a>,
}

impl Filler<'_> {
    fn fill(&self, schema: &Value, spot: Spot<'_>) -> Result<Filled> {
        let schema = &*self.schemas.resolve(schema)?;
        let Value::Object(keywords) = schema else {
            return match schema {
                Value::Bool(true) => strings::fill(&Map::new(), spot.wanted, spot.view),
                _ => Err(impossible("the schema `false` allows no value")),
            };
        };
        let spot = Spot { wanted: &described(keywords, spot.wanted), ..spot };
        if let Some(value) = keywords.get("const") {
            return Ok(Filled::default(value.clone()));
        }
        if let Some(Value::Array(options)) = keywords.get("enum") {
            return self.choose(schema, options, spot);
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(Value::Array(options)) = keywords.get(keyword) {
                return self.alternatives(keywords, (keyword, options), spot);
            }
        }
        match types(keywords).as_slice() {
            [only] => self.of_type(only, keywords, spot),
            several => self.one_of_types(several, keywords, spot),
        }
    }

    fn of_type(&self, name: &str, schema: &Map<String, Value>, spot: Spot<'_>) -> Result<Filled> {
        let Spot { wanted, view, .. } = spot;
        match name {
            "object" => self.object(schema, spot),
            "array" => lists::fill(self, schema, spot),
            "string" => strings::fill(schema, wanted, view),
            "integer" | "number" => numbers::fill(schema, wanted, view, name == "integer"),
            "boolean" => {
                Ok(if view.speaks_for(wanted) { Filled::found(true) } else { Filled::default(false) })
            }
            "null" => Ok(Filled::default(Value::Null)),
            other => Err(Error::new(ErrorKind::Unsupported, format!("`{other}` is no type of JSON schema"))),
        }
    }

    /// Gives the first type for which something is found; null where nothing is, and null is allowed.
    fn one_of_types(&self, types: &[&str], schema: &Map<String, Value>, spot: Spot<'_>) -> Result<Filled> {
        let mut spare = types.contains(&"null").then(|| Filled::default(Value::Null));
        let mut failure = None;
        for name in types.iter().filter(|name| **name != "null") {
            match self.of_type(name, schema, spot) {
                Ok(filled) if filled.found => return Ok(filled),
                Ok(filled) => spare = spare.or(Some(filled)),
                Err(error) => failure = Some(error),
            }
        }
        spare.ok_or_else(|| failure.unwrap_or_else(|| impossible("the schema allows no type")))
    }

    fn object(&self, schema: &Map<String, Value>, spot: Spot<'_>) -> Result<Filled> {
        let depth = spot.depth;
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let rest = schema.get("additionalProperties").cloned().unwrap_or(Value::Bool(true));
        let undeclared = required.iter().filter(|name| !properties.contains_key(**name));
        let undeclared = undeclared.map(|name| (*name, &rest));
        let mut object = Map::new();
        let mut found = false;
        for (name, part) in properties.iter().map(|(name, part)| (name.as_str(), part)).chain(undeclared) {
            let must = required.contains(&name);
            if depth >= DEEPEST && !must {
                continue;
            }
            if depth > 2 * DEEPEST {
                return Err(impossible("the schema contains itself without an end"));
            }
            let wish = Wanted::of(name, description(part), Some(spot.wanted));
            match self.fill(part, spot.below(&wish)) {
                Ok(filled) if filled.found || must => {
                    found |= filled.found;
                    object.insert(name.to_owned(), filled.value);
                }
                Err(error) if must => return Err(error.with_context("property", name)),
                // What may be left out is left out when the text has nothing that fits.
                Err(error) if error.kind() != ErrorKind::InvalidOutput => return Err(error),
                _ => {}
            }
        }
        Ok(Filled { value: Value::Object(object), found })
    }

    fn choose(&self, schema: &Value, options: &[Value], spot: Spot<'_>) -> Result<Filled> {
        let fits = |option: &&Value| self.schemas.check(schema, option).is_ok();
        let allowed: Vec<&Value> = options.iter().filter(fits).collect();
        if let Some(best) = spot.view.best_option(&allowed, spot.wanted) {
            return Ok(Filled::found(best.clone()));
        }
        let spare = allowed.iter().find(|option| option.is_null()).or(allowed.first());
        spare
            .map(|option| Filled::default((*option).clone()))
            .ok_or_else(|| impossible("no value of `enum` is allowed"))
    }

    fn alternatives(
        &self,
        schema: &Map<String, Value>,
        (keyword, options): (&str, &[Value]),
        spot: Spot<'_>,
    ) -> Result<Filled> {
        let whole = Value::Object(schema.clone());
        let mut rest = schema.clone();
        rest.remove(keyword);
        let mut spare: Option<Filled> = None;
        let mut failure = None;
        if spot.depth > 2 * DEEPEST {
            return Err(impossible("the schema contains itself without an end"));
        }
        for option in options {
            let merged = self.schemas.merge(&rest, option)?;
            let outcome = self.fill(&merged, spot.below(spot.wanted));
            match outcome.and_then(|filled| self.schemas.check(&whole, &filled.value).map(|()| filled)) {
                Ok(filled) if filled.found => return Ok(filled),
                // Null says best that nothing was found.
                Ok(filled) if spare.is_none() || filled.value.is_null() => spare = Some(filled),
                Ok(_) => {}
                Err(error) => failure = Some(error),
            }
        }
        spare.ok_or_else(|| {
            failure.unwrap_or_else(|| impossible("no alternative of the schema can be filled"))
        })
    }
}

/// Adds what the schema itself says about the value to what its place says.
fn described(schema: &Map<String, Value>, wanted: &Wanted) -> Wanted {
    let own = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    if own.is_empty() || wanted.words.contains(own) {
        return wanted.clone();
    }
    let name = wanted.name.join("_");
    let by_itself = Wanted::of(&name, own, None);
    let kind = if wanted.kind == super::wanted::Kind::Other { by_itself.kind } else { wanted.kind };
    Wanted { kind, name: wanted.name.clone(), words: by_itself.words }
}

fn description(schema: &Value) -> &str {
    schema.get("description").and_then(Value::as_str).unwrap_or_default()
}

fn types(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ if schema.contains_key("properties") || schema.contains_key("required") => vec!["object"],
        _ if schema.contains_key("items") || schema.contains_key("prefixItems") => vec!["array"],
        _ if schema.contains_key("minimum") || schema.contains_key("multipleOf") => vec!["number"],
        _ => vec!["string"],
    }
}

fn impossible(reason: &str) -> Error {
    Error::new(ErrorKind::InvalidOutput, reason.to_owned()).with_hint(
        "`offline:extract` invents nothing: let the property be optional or null, or choose a language model",
    )
}

#[cfg(test)]
mod tests;
