//! Follows references inside a schema and joins `allOf`, within bounds.

use std::borrow::Cow;

use motet_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

/// The root of a schema, to which its references point.
pub(super) struct Schemas<'a> {
    root: &'a Value,
}

/// Longest chain of references that point to references.
const LONGEST_CHAIN: usize = 32;

impl<'a> Schemas<'a> {
    pub(super) fn of(root: &'a Value) -> Self {
        Self { root }
    }

    /// Gives the schema without `$ref` and `allOf` at its top.
    pub(super) fn resolve<'b>(&self, schema: &'b Value) -> Result<Cow<'b, Value>> {
        let mut current = Cow::Borrowed(schema);
        for _ in 0..LONGEST_CHAIN {
            let Value::Object(keywords) = &*current else { return Ok(current) };
            let next = if let Some(reference) = keywords.get("$ref") {
                let mut rest = keywords.clone();
                rest.remove("$ref");
                self.merge(&rest, self.target(reference)?)?
            } else if let Some(Value::Array(all)) = keywords.get("allOf") {
                let mut merged = Value::Object(without(keywords, "allOf"));
                for part in all {
                    let Value::Object(sofar) = &merged else { break };
                    let part = self.resolve(part)?;
                    merged = self.merge(sofar, &part)?;
                }
                merged
            } else {
                return Ok(current);
            };
            current = Cow::Owned(next);
        }
        Err(Error::new(ErrorKind::Unsupported, "the schema's references go round in a circle"))
    }

    /// Gives the schema that a reference points to.
    pub(super) fn target(&self, reference: &Value) -> Result<&'a Value> {
        let text = reference.as_str().unwrap_or_default();
        let unknown = || {
            Error::new(ErrorKind::Unsupported, format!("the reference `{text}` leads out of the schema"))
                .with_hint("references may point to `#`, `#/$defs/…` and other places of the same schema")
        };
        if text == "#" {
            return Ok(self.root);
        }
        text.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)).ok_or_else(unknown)
    }

    /// Joins two schemas that must both hold; the first one's descriptions win.
    pub(super) fn merge(&self, first: &Map<String, Value>, second: &Value) -> Result<Value> {
        let second = match second {
            Value::Object(keywords) => keywords,
            Value::Bool(true) => return Ok(Value::Object(first.clone())),
            _ => return Ok(Value::Bool(false)),
        };
        if first.is_empty() {
            return Ok(Value::Object(second.clone()));
        }
        let mut merged = first.clone();
        for (keyword, value) in second {
            match (merged.get_mut(keyword), keyword.as_str()) {
                (None, _) => {
                    merged.insert(keyword.clone(), value.clone());
                }
                (Some(Value::Object(own)), "properties" | "$defs" | "definitions") => {
                    for (name, part) in value.as_object().into_iter().flatten() {
                        let both = match own.get(name) {
                            Some(Value::Object(there)) => self.merge(there, part)?,
                            _ => part.clone(),
                        };
                        own.insert(name.clone(), both);
                    }
                }
                (Some(Value::Array(own)), "required") => {
                    own.extend(value.as_array().into_iter().flatten().cloned());
                }
                (Some(own), "minimum" | "exclusiveMinimum" | "minLength" | "minItems") => {
                    if value.as_f64() > own.as_f64() {
                        *own = value.clone();
                    }
                }
                (Some(own), "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems") => {
                    if value.as_f64() < own.as_f64() {
                        *own = value.clone();
                    }
                }
                // The check at the end still asks both.
                (Some(_), _) => {}
            }
        }
        Ok(Value::Object(merged))
    }
}

fn without(keywords: &Map<String, Value>, name: &str) -> Map<String, Value> {
    keywords.iter().filter(|(keyword, _)| *keyword != name).map(|(k, v)| (k.clone(), v.clone())).collect()
}
