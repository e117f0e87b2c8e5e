//! Enumerated values: `enum` and `const`.

use serde_json::{Map, Value};

use super::assertions::in_words;
use super::compiler::{Compiler, Node, Step, weight};
use super::rules::Enums;
use super::types::Types;

/// Gives the only values that a node allows; `None` where it lists none.
pub(super) fn of(fields: &Map<String, Value>) -> Option<Vec<&Value>> {
    let constant = fields.get("const");
    let listed = fields.get("enum").and_then(Value::as_array);
    match (constant, listed) {
        (None, None) => None,
        (Some(constant), None) => Some(vec![constant]),
        (None, Some(values)) => Some(values.iter().collect()),
        (Some(constant), Some(values)) => Some(values.iter().filter(|value| *value == constant).collect()),
    }
}

/// Leaves the types that some listed value has; where there were none, gives those of the values.
pub(super) fn narrowed(types: Types, values: &[&Value]) -> Types {
    if types.is_empty() {
        let all = values.iter().fold(Types::default(), |all, value| all.or(Types::of(value)));
        return all.without_excess();
    }
    let found = types.each().filter(|one| values.iter().any(|value| one.hold(value)));
    found.fold(Types::default(), Types::or)
}

impl Compiler<'_> {
    /// Writes the values that a node lists.
    pub(super) fn values(
        &mut self,
        node: &Node<'_>,
        out: &mut Map<String, Value>,
        hints: &mut Vec<String>,
    ) -> Step<()> {
        let Some(values) = of(node.fields) else { return Ok(()) };
        if values.len() > self.rules.limits.enum_values {
            return Err(format!("{} lists more than {} values", node.place, self.rules.limits.enum_values));
        }
        let values: Vec<&Value> = values.into_iter().filter(|value| node.types.hold(value)).collect();
        for value in &values {
            self.spend(weight(value)?)?;
        }
        if self.rules.enums != Enums::Any && values.iter().any(|value| value.is_object() || value.is_array())
        {
            return Err(format!("{} lists values that are objects or lists", node.place));
        }
        let all: Value = values.iter().map(|value| (*value).clone()).collect();
        if self.rules.enums == Enums::Strings && !values.iter().all(|value| value.is_string()) {
            for name in ["const", "enum"].iter().filter(|name| node.fields.contains_key(**name)) {
                self.lose(name, &node.place)?;
            }
            hints.extend(in_words("one of {}", &all));
            return Ok(());
        }
        match values.as_slice() {
            [one] if self.rules.constants && node.fields.contains_key("const") => {
                out.insert("const".to_owned(), (*one).clone());
            }
            _ => {
                out.insert("enum".to_owned(), all);
            }
        }
        Ok(())
    }
}
