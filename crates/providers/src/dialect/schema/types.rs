//! Sets of JSON types: declared, or told by the keywords that stand in a schema.

use serde_json::{Map, Value};

use super::assertions;

/// Names of the types, in the order they are written.
const NAMES: [&str; 7] = ["object", "array", "string", "number", "integer", "boolean", "null"];

/// A set of JSON types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Types(u8);

impl Types {
    pub(super) const OBJECT: Types = Types(1);
    pub(super) const ARRAY: Types = Types(2);
    pub(super) const STRING: Types = Types(4);
    pub(super) const NUMBER: Types = Types(8);
    pub(super) const INTEGER: Types = Types(16);
    pub(super) const NULL: Types = Types(64);
    /// Every type; a number may be an integer.
    pub(super) const ALL: Types = Types(127);

    /// Joins two sets.
    pub(super) const fn or(self, other: Types) -> Types {
        Types(self.0 | other.0)
    }

    /// Reads the `type` of a schema; `None` where there is none.
    pub(super) fn declared(fields: &Map<String, Value>) -> Option<Result<Types, ()>> {
        let named = |name: &Value| {
            let place = NAMES.iter().position(|known| name == known).ok_or(())?;
            Ok(Types(1 << place))
        };
        Some(match fields.get("type")? {
            Value::Array(names) => {
                names.iter().try_fold(Types(0), |all, name| named(name).map(|one| all.or(one)))
            }
            name => named(name),
        })
    }

    /// Guesses the type by the keywords: whoever writes `properties` means an object.
    pub(super) fn implied(fields: &Map<String, Value>) -> Types {
        let implied = fields.keys().map(|name| match name.as_str() {
            "properties" | "additionalProperties" | "required" | "patternProperties" => Types::OBJECT,
            "items" | "prefixItems" => Types::ARRAY,
            name => assertions::types_of(name).filter(|types| *types != Types::ALL).unwrap_or_default(),
        });
        implied.fold(Types(0), |all, one| all.or(one))
    }

    /// Gives the type of a value.
    pub(super) fn of(value: &Value) -> Types {
        match value {
            Value::Object(_) => Types::OBJECT,
            Value::Array(_) => Types::ARRAY,
            Value::String(_) => Types::STRING,
            Value::Number(number) if number.as_f64().is_some_and(|number| number.fract() == 0.0) => {
                Types::INTEGER
            }
            Value::Number(_) => Types::NUMBER,
            Value::Bool(_) => Types(32),
            Value::Null => Types::NULL,
        }
    }

    /// Tells whether a value has one of the types.
    pub(super) fn hold(self, value: &Value) -> bool {
        let own = Types::of(value);
        self.0 & own.0 != 0 || (own == Types::INTEGER && self.0 & Types::NUMBER.0 != 0)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Tells whether some value has a type of both sets.
    pub(super) fn meets(self, other: Types) -> bool {
        !self.both(other).is_empty()
    }

    /// Gives the types that values of both sets have; every integer is a number.
    pub(super) fn both(self, other: Types) -> Types {
        let widened = |types: Types| {
            if types.0 & Types::NUMBER.0 == 0 { types.0 } else { types.0 | Types::INTEGER.0 }
        };
        Types(widened(self) & widened(other)).without_excess()
    }

    pub(super) fn without(self, other: Types) -> Types {
        Types(self.0 & !other.0)
    }

    /// Gives the single types of the set.
    pub(super) fn each(self) -> impl Iterator<Item = Types> {
        (0..NAMES.len()).map(|place| Types(1 << place)).filter(move |one| self.0 & one.0 != 0)
    }

    /// Leaves out `integer` beside `number`, which says it all.
    pub(super) fn without_excess(self) -> Types {
        if self.0 & Types::NUMBER.0 == 0 { self } else { self.without(Types::INTEGER) }
    }

    /// Writes the set as a name, or as a list of several.
    pub(super) fn written(self) -> Value {
        let set = self.without_excess();
        let mut names = NAMES
            .iter()
            .enumerate()
            .filter(|(place, _)| set.0 & (1 << place) != 0)
            .map(|(_, name)| Value::from(*name));
        match (names.next(), names.next()) {
            (Some(one), None) => one,
            (first, second) => first.into_iter().chain(second).chain(names).collect(),
        }
    }
}
