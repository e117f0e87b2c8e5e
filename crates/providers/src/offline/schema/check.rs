//! Checks a value against a schema, so that nothing invalid is ever handed out.
//!
//! Knows the keywords of JSON Schema 2020-12 but those in [`UNKNOWN`], which are refused rather than passed over.

use motet_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

use super::pattern::Pattern;
use super::resolve::Schemas;

/// Keywords that constrain values and are not known here.
const UNKNOWN: &[&str] = &[
    "$dynamicRef",
    "$recursiveRef",
    "contains",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// Deepest nesting of schema and value together.
const DEEPEST: usize = 64;

impl Schemas<'_> {
    /// Checks a value, both as validators do that check formats and as those do that take them for remarks.
    ///
    /// # Errors
    /// `InvalidOutput` with the place and keyword that does not hold; `Unsupported` for an unknown keyword.
    pub(super) fn check(&self, schema: &Value, value: &Value) -> Result<()> {
        Checker { schemas: self, formats: true }.at(schema, value, "", 0)?;
        Checker { schemas: self, formats: false }.at(schema, value, "", 0)
    }
}

struct Checker<'a> {
    schemas: &'a Schemas<'a>,
    formats: bool,
}

impl Checker<'_> {
    fn at(&self, schema: &Value, value: &Value, path: &str, depth: usize) -> Result<()> {
        let keywords = match schema {
            Value::Object(keywords) => keywords,
            Value::Bool(true) => return Ok(()),
            _ => return Err(violated(path, "false")),
        };
        if depth > DEEPEST {
            return Err(Error::new(ErrorKind::Unsupported, "the schema nests too deeply or contains itself"));
        }
        if let Some(unknown) = UNKNOWN.iter().find(|unknown| keywords.contains_key(**unknown)) {
            let message = format!("`offline:extract` does not know the schema keyword `{unknown}`");
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with_hint("say it without the keyword, or choose a language model"));
        }
        if let Some(reference) = keywords.get("$ref") {
            self.at(self.schemas.target(reference)?, value, path, depth + 1)?;
        }
        general(keywords, value, path)?;
        self.combined(keywords, value, path, depth)?;
        match value {
            Value::String(text) if self.formats => string(keywords, text, path),
            Value::String(text) => unformatted(keywords, text, path),
            Value::Number(number) => numeric(keywords, number.as_f64().unwrap_or(f64::NAN), path),
            Value::Array(items) => self.array(keywords, items, path, depth),
            Value::Object(fields) => self.object(keywords, fields, path, depth),
            Value::Null | Value::Bool(_) => Ok(()),
        }
    }

    fn combined(&self, schema: &Map<String, Value>, value: &Value, path: &str, depth: usize) -> Result<()> {
        let list = |keyword: &str| schema.get(keyword).and_then(Value::as_array);
        for part in list("allOf").into_iter().flatten() {
            self.at(part, value, path, depth + 1)?;
        }
        if let Some(options) = list("anyOf")
            && self.count(options, value, path, depth)? == 0
        {
            return Err(violated(path, "anyOf"));
        }
        if let Some(options) = list("oneOf")
            && self.count(options, value, path, depth)? != 1
        {
            return Err(violated(path, "oneOf"));
        }
        if let Some(not) = schema.get("not")
            && self.holds(not, value, path, depth)?
        {
            return Err(violated(path, "not"));
        }
        if let Some(condition) = schema.get("if") {
            let branch = if self.holds(condition, value, path, depth)? { "then" } else { "else" };
            if let Some(branch) = schema.get(branch) {
                self.at(branch, value, path, depth + 1)?;
            }
        }
        Ok(())
    }

    fn count(&self, options: &[Value], value: &Value, path: &str, depth: usize) -> Result<usize> {
        let mut count = 0;
        for option in options {
            count += usize::from(self.holds(option, value, path, depth)?);
        }
        Ok(count)
    }

    fn holds(&self, schema: &Value, value: &Value, path: &str, depth: usize) -> Result<bool> {
        match self.at(schema, value, path, depth + 1) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::InvalidOutput => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn array(&self, schema: &Map<String, Value>, items: &[Value], path: &str, depth: usize) -> Result<()> {
        bounds(schema, ("minItems", "maxItems"), items.len(), path)?;
        let repeated = |(at, item): (usize, &Value)| items.iter().take(at).any(|earlier| same(earlier, item));
        if schema.get("uniqueItems") == Some(&Value::Bool(true)) && items.iter().enumerate().any(repeated) {
            return Err(violated(path, "uniqueItems"));
        }
        let (fixed, rest) = tuple(schema);
        for (at, item) in items.iter().enumerate() {
            if let Some(part) = fixed.get(at).or(rest) {
                self.at(part, item, &format!("{path}/{at}"), depth + 1)?;
            }
        }
        Ok(())
    }

    fn object(
        &self,
        schema: &Map<String, Value>,
        fields: &Map<String, Value>,
        path: &str,
        depth: usize,
    ) -> Result<()> {
        bounds(schema, ("minProperties", "maxProperties"), fields.len(), path)?;
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            if !name.as_str().is_some_and(|name| fields.contains_key(name)) {
                return Err(violated(path, "required"));
            }
        }
        let part = |keyword: &str, name: &str| schema.get(keyword).and_then(|parts| parts.get(name));
        for (name, field) in fields {
            let below = format!("{path}/{name}");
            let mut declared = false;
            if let Some(own) = part("properties", name) {
                declared = true;
                self.at(own, field, &below, depth + 1)?;
            }
            for (pattern, own) in
                schema.get("patternProperties").and_then(Value::as_object).into_iter().flatten()
            {
                if Pattern::read(pattern)?.matches(name) {
                    declared = true;
                    self.at(own, field, &below, depth + 1)?;
                }
            }
            if let Some(rest) = schema.get("additionalProperties").filter(|_| !declared) {
                self.at(rest, field, &below, depth + 1)?;
            }
            if let Some(names) = schema.get("propertyNames") {
                self.at(names, &Value::from(name.as_str()), &below, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// Gives the schemas of the first items, and of all that follow.
pub(super) fn tuple(schema: &Map<String, Value>) -> (&[Value], Option<&Value>) {
    match (schema.get("prefixItems"), schema.get("items")) {
        (Some(Value::Array(fixed)), rest) => (fixed, rest),
        // Older drafts write tuples this way.
        (_, Some(Value::Array(fixed))) => (fixed, schema.get("additionalItems")),
        (_, rest) => (&[], rest),
    }
}

fn general(schema: &Map<String, Value>, value: &Value, path: &str) -> Result<()> {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    let fits = match schema.get("type") {
        Some(Value::String(name)) => is(name),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(is),
        _ => true,
    };
    if !fits {
        return Err(violated(path, "type"));
    }
    if schema.get("const").is_some_and(|only| !same(only, value)) {
        return Err(violated(path, "const"));
    }
    match schema.get("enum").and_then(Value::as_array) {
        Some(options) if !options.iter().any(|option| same(option, value)) => Err(violated(path, "enum")),
        _ => Ok(()),
    }
}

fn bounds(schema: &Map<String, Value>, (least, most): (&str, &str), count: usize, path: &str) -> Result<()> {
    if least_of(schema, least) > count {
        return Err(violated(path, least));
    }
    if most_of(schema, most) < count {
        return Err(violated(path, most));
    }
    Ok(())
}

/// Gives the lower bound that a keyword sets, zero where it is absent.
pub(super) fn least_of(schema: &Map<String, Value>, keyword: &str) -> usize {
    count_of(schema, keyword).unwrap_or(0)
}

/// Gives the upper bound that a keyword sets, the greatest number where it is absent.
pub(super) fn most_of(schema: &Map<String, Value>, keyword: &str) -> usize {
    count_of(schema, keyword).unwrap_or(usize::MAX)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bound below zero bounds nothing"
)]
fn count_of(schema: &Map<String, Value>, keyword: &str) -> Option<usize> {
    schema.get(keyword).and_then(Value::as_f64).map(|bound| bound.max(0.0) as usize)
}

/// Checks the keywords of a text, its format among them.
pub(super) fn string(schema: &Map<String, Value>, text: &str, path: &str) -> Result<()> {
    unformatted(schema, text, path)?;
    format(schema, text, path)
}

fn unformatted(schema: &Map<String, Value>, text: &str, path: &str) -> Result<()> {
    bounds(schema, ("minLength", "maxLength"), text.chars().count(), path)?;
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && !Pattern::read(pattern)?.matches(text)
    {
        return Err(violated(path, "pattern"));
    }
    Ok(())
}

fn format(schema: &Map<String, Value>, text: &str, path: &str) -> Result<()> {
    let holds = match schema.get("format").and_then(Value::as_str).unwrap_or_default() {
        "date" => is_date(text),
        "date-time" => text.split_once('T').is_some_and(|(date, time)| is_date(date) && time.ends_with('Z')),
        "email" => super::super::facts::emails(text) == [text],
        "uri" => super::super::facts::urls(text) == [text],
        // Values of these forms are not looked for in texts.
        "time" | "duration" | "uuid" | "ipv4" | "ipv6" | "hostname" | "regex" | "json-pointer" => false,
        _ => true,
    };
    if holds { Ok(()) } else { Err(violated(path, "format")) }
}

fn is_date(text: &str) -> bool {
    super::super::dates::find(text).first().is_some_and(|date| date.to_string() == text)
}

/// Checks the keywords of a number.
pub(super) fn numeric(schema: &Map<String, Value>, number: f64, path: &str) -> Result<()> {
    let bound = |keyword: &str| match schema.get(keyword) {
        Some(Value::Bool(_)) => {
            let message =
                format!("`{keyword}` is a number since draft 6 of JSON schema, and not true or false");
            Err(Error::new(ErrorKind::Unsupported, message))
        }
        other => Ok(other.and_then(Value::as_f64)),
    };
    let checks = [
        ("minimum", bound("minimum")?.is_none_or(|least| number >= least)),
        ("maximum", bound("maximum")?.is_none_or(|most| number <= most)),
        ("exclusiveMinimum", bound("exclusiveMinimum")?.is_none_or(|least| number > least)),
        ("exclusiveMaximum", bound("exclusiveMaximum")?.is_none_or(|most| number < most)),
        ("multipleOf", bound("multipleOf")?.is_none_or(|step| is_multiple(number, step))),
    ];
    checks.into_iter().find(|(_, holds)| !holds).map_or(Ok(()), |(keyword, _)| Err(violated(path, keyword)))
}

fn is_multiple(number: f64, step: f64) -> bool {
    let quotient = number / step;
    (quotient - quotient.round()).abs() < 1e-9
}

fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(_), Value::Number(_)) => one.as_f64() == other.as_f64(),
        _ => one == other,
    }
}

fn violated(path: &str, keyword: &str) -> Error {
    let place = if path.is_empty() { "the answer".to_owned() } else { format!("`{path}`") };
    super::impossible(&format!("the text has no value for {place} that satisfies `{keyword}`"))
}
