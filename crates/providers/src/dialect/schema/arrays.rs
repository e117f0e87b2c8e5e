//! Lists: what their items are, and tuples where every place has a type of its own.

use serde_json::{Map, Value};

use super::compiler::{Compiler, Node, Step};
use super::definitions::Way;
use super::place::Place;

impl Compiler<'_> {
    /// Writes what a list holds.
    pub(super) fn array(&mut self, node: &Node<'_>, out: &mut Map<String, Value>) -> Step<()> {
        let (fields, place) = (node.fields, &node.place);
        let items = fields.get("items");
        let tuple = fields.get("prefixItems").or(items.filter(|items| items.is_array()));
        let rest = if items.is_some_and(Value::is_array) { fields.get("additionalItems") } else { items };
        let way = self.definitions.way;
        self.definitions.way = way.max(Way::Nested);
        let written = match tuple.and_then(Value::as_array) {
            Some(tuple) if !tuple.is_empty() => self.tuple(node, tuple, rest, out),
            _ => self.items(rest, place, out),
        };
        self.definitions.way = way;
        written
    }

    fn items(&mut self, items: Option<&Value>, place: &Place<'_>, out: &mut Map<String, Value>) -> Step<()> {
        match items {
            None | Some(Value::Bool(true)) if self.rules.typed => {
                Err(format!("the list at {place} has no `items`"))
            }
            None | Some(Value::Bool(true)) => Ok(()),
            Some(items) => {
                let written = self.node(items, &place.child("items"))?;
                out.insert("items".to_owned(), written);
                Ok(())
            }
        }
    }

    fn tuple(
        &mut self,
        node: &Node<'_>,
        tuple: &[Value],
        rest: Option<&Value>,
        out: &mut Map<String, Value>,
    ) -> Step<()> {
        let place = &node.place;
        let longest = node.fields.get("maxItems").and_then(Value::as_u64);
        let length = tuple.len() as u64;
        let ends = rest == Some(&Value::Bool(false)) || longest.is_some_and(|longest| longest <= length);
        if ends && self.rules.constraints.contains(&"maxItems") {
            out.insert("maxItems".to_owned(), longest.map_or(length, |longest| longest.min(length)).into());
        } else if rest == Some(&Value::Bool(false)) {
            self.lose("items", place)?;
        }
        let all = place.child("prefixItems");
        let mut branches = Vec::with_capacity(tuple.len());
        for (number, schema) in tuple.iter().enumerate() {
            branches.push(self.node(schema, &all.child(&number.to_string()))?);
        }
        let mut same = branches.windows(2).all(|pair| pair.first() == pair.last());
        let rest = if ends { None } else { Some(rest) };
        if self.rules.tuples {
            out.insert("prefixItems".to_owned(), branches.into());
            return rest.map_or(Ok(()), |rest| self.items(rest, place, out));
        }
        let mut loses_rest = false;
        if let Some(rest) = rest {
            loses_rest = rest.is_some_and(Value::is_object);
            let mut others = Map::new();
            self.items(rest, place, &mut others)?;
            let Some(others) = others.shift_remove("items") else { return Ok(()) };
            same = same && branches.first() == Some(&others);
            branches.push(others);
        }
        if !same {
            self.lose("prefixItems", place)?;
            if loses_rest {
                self.lose("items", place)?;
            }
        }
        let items = self.joined(branches, false, None, &place.child("items"))?;
        out.insert("items".to_owned(), items);
        Ok(())
    }
}
