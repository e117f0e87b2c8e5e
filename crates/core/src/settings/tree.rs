//! Reads tables of options from TOML and JSON, and refuses what the table of options does not know.
//!
//! Works on texts that it is given. The check runs inside the deserializer, so that TOML errors know their place.

use std::fmt;

use figment::providers::{Format, Toml};
use figment::value::{Dict, Value};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

use super::kind::DATE_KEY;
use super::path::{self, Place};
use super::problem::Problem;
use crate::error::Result;

/// Reads the text of `motet.toml`; `path` names the file in errors.
pub(super) fn read_toml(path: &str, text: &str) -> Result<Value> {
    Toml::from_str::<Document>(text).map(|document| document.0).map_err(|error| {
        let mut place = vec![("file", path.to_owned())];
        place.extend(error.span().map(|span| ("line", line(text, span.start).to_string())));
        let own =
            || Problem::new(format!("not valid TOML: {}", error.message().trim_end().replace('\n', ", ")));
        Problem::carried_by(error.message()).unwrap_or_else(own).at(&place)
    })
}

/// Reads the text of a variable or flag that names an option, or a table as a JSON object.
pub(super) fn read_text(keys: &[String], text: &str) -> Result<Value, Problem> {
    match path::place(keys) {
        Some(Place::Option(row)) => {
            let value = (row.from_text)(text);
            row.check(keys, &value)?;
            Ok(value)
        }
        _ => {
            let refused = |what: String| {
                Problem::new(format!("`{}` must be a JSON object, {what}", path::join(keys)))
                    .with_hint("for example `{\"name\": \"value\"}`")
            };
            let json: serde_json::Value =
                serde_json::from_str(text).map_err(|error| refused(format!("but {error}")))?;
            if !json.is_object() {
                return Err(refused("found something else".to_owned()));
            }
            Node { keys: keys.to_vec() }.deserialize(json).map_err(|error| {
                let message = error.to_string();
                Problem::carried_by(&message).unwrap_or_else(|| Problem::new(message))
            })
        }
    }
}

/// Gives the line, from 1, of a byte.
fn line(text: &str, byte: usize) -> usize {
    1 + text.bytes().take(byte).filter(|byte| *byte == b'\n').count()
}

/// A whole file.
struct Document(Value);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Node { keys: Vec::new() }.deserialize(deserializer).map(Document)
    }
}

/// An option or table at a known path.
struct Node {
    keys: Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Node {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match path::place(&self.keys) {
            Some(Place::Option(row)) => {
                let value: Value = Deserialize::deserialize(deserializer)?;
                row.check(&self.keys, &value).map_err(Problem::carried)?;
                Ok(value)
            }
            _ => deserializer.deserialize_any(Table { keys: self.keys }),
        }
    }
}

/// A key inside a table.
struct Key<'a> {
    table: &'a [String],
    before: &'a Dict,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<String>, D::Error> {
        let key = String::deserialize(deserializer)?;
        if key == DATE_KEY {
            return Err(not_a_table(self.table, "a date").carried());
        }
        let keys = path::extend(self.table, &key).map_err(Problem::carried)?;
        if keys.last().is_some_and(|name| self.before.contains_key(name)) {
            let twice = format!("`{}` is given twice in different spellings", path::join(&keys));
            return Err(Problem::new(twice).with_hint("keep one of them").carried());
        }
        Ok(keys)
    }
}

struct Table {
    keys: Vec<String>,
}

impl Table {
    fn refuse<E: de::Error>(&self, found: &str) -> Result<Value, E> {
        Err(not_a_table(&self.keys, found).carried())
    }
}

impl<'de> Visitor<'de> for Table {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut dict = Dict::new();
        while let Some(keys) = map.next_key_seed(Key { table: &self.keys, before: &dict })? {
            let name = keys.last().cloned().unwrap_or_default();
            dict.insert(name, map.next_value_seed(Node { keys })?);
        }
        Ok(Value::from(dict))
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Value, E> {
        self.refuse("a text")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Value, E> {
        self.refuse("true or false")
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Value, E> {
        self.refuse("a number")
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Value, E> {
        self.refuse("a number")
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Value, E> {
        self.refuse("a number")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        self.refuse("nothing")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        self.refuse("a list")
    }
}

fn not_a_table(keys: &[String], found: &str) -> Problem {
    Problem::new(format!("`{}` must be a table, found {found}", path::join(keys)))
        .with_hint(format!("write its options below a line `[{}]`", path::join(keys)))
}
