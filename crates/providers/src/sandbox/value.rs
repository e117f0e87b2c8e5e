//! Values on their way between JSON and the interpreter.

use monty_types::MontyObject;
use serde_json::{Map, Number, Value};

/// How deep a value may be nested on its way out.
const MAX_DEPTH: usize = 100;

/// Gives a JSON value as the interpreter knows it.
pub(super) fn inward(value: &Value) -> MontyObject {
    match value {
        Value::Null => MontyObject::None,
        Value::Bool(value) => MontyObject::Bool(*value),
        Value::Number(number) => number_inward(number),
        Value::String(text) => MontyObject::String(text.clone()),
        Value::Array(items) => MontyObject::List(items.iter().map(inward).collect()),
        Value::Object(fields) => {
            let pairs: Vec<_> = fields
                .iter()
                .map(|(name, value)| (MontyObject::String(name.clone()), inward(value)))
                .collect();
            MontyObject::dict(pairs)
        }
    }
}

fn number_inward(number: &Number) -> MontyObject {
    if let Some(whole) = number.as_i64() {
        return MontyObject::Int(whole);
    }
    match (number.as_u64(), number.to_string().parse()) {
        (Some(_), Ok(large)) => MontyObject::BigInt(large),
        _ => MontyObject::Float(number.as_f64().unwrap_or(f64::NAN)),
    }
}

/// Gives what came out of the interpreter as JSON, of at most about so many bytes.
///
/// Tuples and sets become arrays, keys of other types than text their text, and what JSON has no word for, such as a
/// date, the text that Python shows.
///
/// # Errors
/// A message when the value is larger or deeper than it may be.
pub(super) fn outward(object: MontyObject, bytes: usize) -> Result<Value, String> {
    let mut outward = Outward { left: bytes, bytes };
    outward.value(object, 0)
}

struct Outward {
    left: usize,
    bytes: usize,
}

impl Outward {
    fn spend(&mut self, bytes: usize) -> Result<(), String> {
        self.left = self
            .left
            .checked_sub(bytes)
            .ok_or_else(|| format!("the value is larger than {} bytes", self.bytes))?;
        Ok(())
    }

    fn value(&mut self, object: MontyObject, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(format!("the value is nested deeper than {MAX_DEPTH} levels"));
        }
        self.spend(1)?;
        Ok(match object {
            MontyObject::None => Value::Null,
            MontyObject::Bool(value) => Value::Bool(value),
            MontyObject::Int(whole) => Value::from(whole),
            MontyObject::BigInt(large) => self.large(&large.to_string())?,
            MontyObject::Float(number) => match Number::from_f64(number) {
                Some(number) => Value::Number(number),
                None => Value::String(MontyObject::Float(number).to_string()),
            },
            MontyObject::String(text) => self.text(text)?,
            MontyObject::List(items)
            | MontyObject::Tuple(items)
            | MontyObject::Set(items)
            | MontyObject::FrozenSet(items) => {
                let items = items.into_iter().map(|item| self.value(item, depth + 1));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            MontyObject::NamedTuple { field_names, values, .. } => {
                let fields = field_names.into_iter().zip(values);
                let fields = fields.map(|(name, value)| Ok((name, self.value(value, depth + 1)?)));
                Value::Object(fields.collect::<Result<_, String>>()?)
            }
            MontyObject::Dict(pairs) => {
                let mut fields = Map::new();
                for (key, value) in pairs {
                    let key = self.key(key)?;
                    fields.insert(key, self.value(value, depth + 1)?);
                }
                Value::Object(fields)
            }
            other => self.text(other.to_string())?,
        })
    }

    fn text(&mut self, text: String) -> Result<Value, String> {
        self.spend(text.len())?;
        Ok(Value::String(text))
    }

    /// Gives a whole number exactly: as a number where JSON's readers keep it, as its digits where they do not.
    fn large(&mut self, digits: &str) -> Result<Value, String> {
        self.spend(digits.len())?;
        Ok(digits.parse::<u64>().map_or_else(|_| Value::String(digits.to_owned()), Value::from))
    }

    fn key(&mut self, key: MontyObject) -> Result<String, String> {
        let key = match key {
            MontyObject::String(text) => text,
            MontyObject::None => "null".to_owned(),
            MontyObject::Bool(value) => value.to_string(),
            other => other.to_string(),
        };
        self.spend(key.len())?;
        Ok(key)
    }
}
