//! Walks a schema from its root and writes each node by the rules; whatever cannot be written ends the walk with why.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::assertions;
use super::definitions::Definitions;
use super::place::Place;
use super::rules::{References, SchemaRules, TypeLists};
use super::types::Types;
use super::{limits, merge, values};

/// Nodes that one schema may have once it is written, a long text counting for several.
const FUEL: usize = 20_000;
/// Bytes of text that count as one node.
const BYTES_OF_A_NODE: usize = 64;
/// Names between the root and a node.
const DEPTH: usize = 160;
/// References followed in a row.
const HOPS: usize = 32;

/// A result whose error says what is in the way, such as `its root is no object`.
pub(super) type Step<T> = Result<T, String>;

/// A node that has no union and no reference, and the types that its values have.
pub(super) struct Node<'n> {
    pub(super) fields: &'n Map<String, Value>,
    pub(super) types: Types,
    pub(super) place: Place<'n>,
}

/// The walk.
pub(super) struct Compiler<'a> {
    pub(super) root: &'a Value,
    pub(super) rules: &'a SchemaRules,
    pub(super) definitions: Definitions<'a>,
    lost: Vec<String>,
    fuel: usize,
    /// Pointers of the references that are being replaced by what they lead to.
    entered: Vec<String>,
}

/// Compiles a schema; gives what is written and what is lost.
pub(super) fn compile(root: &Value, rules: &SchemaRules) -> Step<(Value, Vec<String>)> {
    // From here on a value of the schema can be copied and compared without a stack of its own.
    check_depth(root)?;
    let mut compiler = Compiler {
        root,
        rules,
        definitions: Definitions::default(),
        lost: Vec::new(),
        fuel: FUEL,
        entered: Vec::new(),
    };
    let mut written = compiler.compile_root()?;
    let definitions = compiler.compile_definitions()?;
    if written.get("$ref").is_some() && !rules.reference_siblings {
        written = json!({"anyOf": [written]});
    }
    if let (Value::Object(fields), false) = (&mut written, definitions.is_empty()) {
        fields.insert("$defs".to_owned(), Value::Object(definitions));
    }
    limits::check(&written, &rules.limits)?;
    Ok((written, compiler.lost))
}

impl<'a> Compiler<'a> {
    fn compile_root(&mut self) -> Step<Value> {
        let Value::Object(fields) = self.root else { return Err("its root is no object".to_owned()) };
        check_base(fields, &Place::ROOT)?;
        let flat = self.flat(fields, &Place::ROOT)?;
        if !self.rules.root_object {
            return self.write(&flat, &Place::ROOT);
        }
        let types = declared(&flat, &Place::ROOT)?.unwrap_or_else(|| Types::implied(&flat));
        let mut kept = Map::new();
        for (name, value) in flat.iter() {
            match name.as_str() {
                "$defs" | "definitions" => {}
                "anyOf" | "oneOf" if !types.meets(Types::OBJECT) => {
                    return Err(format!("its root is `{name}`"));
                }
                // What stands beside it is a whole object, which allows more.
                "anyOf" | "oneOf" => self.lose(name, &Place::ROOT)?,
                _ => {
                    kept.insert(name.clone(), value.clone());
                }
            }
        }
        if !types.meets(Types::OBJECT) {
            return Err("its root is no object".to_owned());
        }
        kept.insert("type".to_owned(), "object".into());
        self.write(&kept, &Place::ROOT)
    }

    fn compile_definitions(&mut self) -> Step<Map<String, Value>> {
        let mut written = Map::new();
        while let Some((name, schema)) = self.definitions.next() {
            let all = Place::ROOT.child("$defs");
            let value = self.node(schema, &all.child(&name))?;
            written.insert(name, value);
        }
        self.definitions.check(self.rules.recursion)?;
        Ok(written)
    }

    /// Writes a node.
    pub(super) fn node(&mut self, schema: &Value, place: &Place<'_>) -> Step<Value> {
        self.spend(1)?;
        if place.depth > DEPTH {
            return Err(too_deep());
        }
        match schema {
            Value::Bool(true) => self.write(&Map::new(), place),
            Value::Bool(false) => Err(format!("nothing is valid at {place}")),
            Value::Object(fields) => {
                check_base(fields, place)?;
                let alone = |name: &String| name == "$ref" || assertions::is_annotation(name);
                if fields.contains_key("$ref") && fields.keys().all(alone) {
                    return self.reference(fields, place);
                }
                let flat = self.flat(fields, place)?;
                self.write(&flat, place)
            }
            _ => Err(format!("what stands at {place} is no schema")),
        }
    }

    /// Writes a node that has neither `allOf` nor a reference.
    pub(super) fn write(&mut self, fields: &Map<String, Value>, place: &Place<'_>) -> Step<Value> {
        if fields.contains_key("anyOf") || fields.contains_key("oneOf") {
            return self.union(fields, place);
        }
        let values = values::of(fields);
        let mut types = declared(fields, place)?.unwrap_or_else(|| Types::implied(fields));
        if let Some(values) = &values {
            types = values::narrowed(types, values);
            if types.is_empty() {
                return Err(format!("no value listed at {place} has its type"));
            }
        }
        if types.is_empty() {
            if self.rules.typed {
                return Err(format!("{place} has no type"));
            }
            let node = Node { fields, types: Types::ALL, place: *place };
            return self.untyped(&node);
        }
        let nullable = self.rules.types == TypeLists::Nullable && types.meets(Types::NULL);
        if nullable {
            types = types.without(Types::NULL);
            if types.is_empty() {
                return Err(format!("only null is valid at {place}"));
            }
        }
        if self.rules.types != TypeLists::List && types.each().count() > 1 {
            let branches: Step<Vec<Value>> =
                types.each().map(|types| self.single(&Node { fields, types, place: *place })).collect();
            return self.joined(branches?, nullable, None, place);
        }
        let mut written = self.single(&Node { fields, types, place: *place })?;
        if let (true, Value::Object(written)) = (nullable, &mut written) {
            written.insert("nullable".to_owned(), true.into());
        }
        Ok(written)
    }

    /// Writes a node whose values may be anything.
    fn untyped(&mut self, node: &Node<'_>) -> Step<Value> {
        let (mut out, mut hints) = (Map::new(), Vec::new());
        self.bounds(node, &mut out, &mut hints)?;
        self.describe(node.fields, &hints, &mut out)?;
        Ok(Value::Object(out))
    }

    /// Writes a node by its types.
    fn single(&mut self, node: &Node<'_>) -> Step<Value> {
        let (mut out, mut hints) = (Map::new(), Vec::new());
        out.insert("type".to_owned(), node.types.written());
        self.values(node, &mut out, &mut hints)?;
        self.bounds(node, &mut out, &mut hints)?;
        if node.types.meets(Types::OBJECT) {
            self.object(node, &mut out)?;
        }
        if node.types.meets(Types::ARRAY) {
            self.array(node, &mut out)?;
        }
        self.describe(node.fields, &hints, &mut out)?;
        Ok(Value::Object(out))
    }

    fn describe(
        &mut self,
        fields: &Map<String, Value>,
        hints: &[String],
        out: &mut Map<String, Value>,
    ) -> Step<()> {
        let own = fields.get("description").and_then(Value::as_str).unwrap_or_default().trim_end();
        let mut words = own.to_owned();
        if !hints.is_empty() {
            let lead = if own.is_empty() { "" } else { "\n" };
            words.push_str(&format!("{lead}Constraints: {}.", hints.join("; ")));
        }
        if !words.is_empty() {
            self.spend(words.len() / BYTES_OF_A_NODE)?;
            out.insert("description".to_owned(), words.into());
        }
        Ok(())
    }

    /// Writes a reference with nothing but a description beside it.
    fn reference(&mut self, fields: &Map<String, Value>, place: &Place<'_>) -> Step<Value> {
        let (pointer, target) = self.follow(fields, place)?;
        let description = fields.get("description").and_then(Value::as_str);
        let value = match self.rules.references {
            References::Definitions => {
                self.spend(pointer.len() / BYTES_OF_A_NODE)?;
                let reference = self.definitions.refer(pointer, target);
                Value::Object(Map::from_iter([("$ref".to_owned(), reference.into())]))
            }
            References::Inlined => {
                self.enter(pointer, place)?;
                let value = self.node(target, &place.child("$ref"))?;
                self.entered.pop();
                value
            }
        };
        self.described(value, description)
    }

    /// Gives a node without `allOf` and without a reference: what they say is merged into it.
    pub(super) fn flat<'f>(
        &mut self,
        fields: &'f Map<String, Value>,
        place: &Place<'_>,
    ) -> Step<Cow<'f, Map<String, Value>>> {
        if !fields.contains_key("allOf") && !fields.contains_key("$ref") {
            return Ok(Cow::Borrowed(fields));
        }
        if place.depth > DEPTH {
            return Err(too_deep());
        }
        let own = fields
            .iter()
            .filter(|(name, _)| !["allOf", "$ref", "$defs", "definitions"].contains(&name.as_str()));
        let mut merged = Map::new();
        for (name, value) in own {
            self.spend(weight(value)?)?;
            merged.insert(name.clone(), value.clone());
        }
        if fields.contains_key("$ref") {
            let (pointer, target) = self.follow(fields, place)?;
            self.enter(pointer, place)?;
            merged = self.merged(merged, target, place)?;
            self.entered.pop();
        }
        for part in fields.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            merged = self.merged(merged, part, place)?;
        }
        Ok(Cow::Owned(merged))
    }

    /// Merges what must be valid as well into a node.
    pub(super) fn merged(
        &mut self,
        base: Map<String, Value>,
        part: &Value,
        place: &Place<'_>,
    ) -> Step<Map<String, Value>> {
        self.spend(1)?;
        let part = match part {
            Value::Bool(true) => return Ok(base),
            Value::Object(part) => part,
            _ => return Err(format!("nothing is valid at {place}")),
        };
        check_base(part, &place.child("allOf"))?;
        let part = self.flat(part, &place.child("allOf"))?;
        for (name, value) in part.iter().filter(|(name, _)| *name != "$defs" && *name != "definitions") {
            self.spend(weight(value)? + name.len() / BYTES_OF_A_NODE)?;
        }
        merge::both(base, &part).map_err(|what| format!("what must be valid together at {place} {what}"))
    }

    /// Gives the last of a chain of references, with its pointer.
    pub(super) fn follow(&self, fields: &Map<String, Value>, place: &Place<'_>) -> Step<(String, &'a Value)> {
        let mut reference = fields.get("$ref");
        for _ in 0..HOPS {
            let pointer = reference.and_then(Value::as_str).and_then(motet_core::schema::pointer_of);
            let found = pointer.and_then(|pointer| Some((self.root.pointer(&pointer)?, pointer)));
            let Some((target, pointer)) = found else {
                return Err(format!("a `$ref` at {place} leads outside or nowhere"));
            };
            match target.as_object().filter(|target| target.contains_key("$ref")) {
                Some(next) if next.keys().all(|name| name == "$ref" || assertions::is_annotation(name)) => {
                    reference = next.get("$ref");
                }
                _ => return Ok((pointer, target)),
            }
        }
        Err(format!("a `$ref` at {place} leads in a circle"))
    }

    fn enter(&mut self, pointer: String, place: &Place<'_>) -> Step<()> {
        if self.entered.contains(&pointer) {
            return Err(format!("a `$ref` at {place} leads in a circle"));
        }
        self.entered.push(pointer);
        Ok(())
    }

    /// Notes that something is not enforced.
    pub(super) fn lose(&mut self, what: &str, place: &Place<'_>) -> Step<()> {
        let lost = format!("{what} at {place}");
        self.spend(1 + lost.len() / BYTES_OF_A_NODE)?;
        // One node may be written several times, once for each of its types.
        if self.lost.last() != Some(&lost) {
            self.lost.push(lost);
        }
        Ok(())
    }

    /// Tries what may fail without ending the walk.
    pub(super) fn attempt<T>(&mut self, work: impl FnOnce(&mut Self) -> Step<T>) -> Step<T> {
        let entered = self.entered.len();
        let result = work(self);
        self.entered.truncate(entered);
        result
    }

    /// Pays for what is written.
    pub(super) fn spend(&mut self, nodes: usize) -> Step<()> {
        self.fuel = self.fuel.checked_sub(nodes).ok_or("it grows too large")?;
        Ok(())
    }
}

fn declared(fields: &Map<String, Value>, place: &Place<'_>) -> Step<Option<Types>> {
    let declared = Types::declared(fields).transpose();
    declared.map_err(|()| format!("the `type` at {place} is none"))
}

/// Refuses what changes the meaning of references.
fn check_base(fields: &Map<String, Value>, place: &Place<'_>) -> Step<()> {
    for name in ["$dynamicRef", "$recursiveRef"] {
        if fields.contains_key(name) {
            return Err(format!("it uses `{name}`"));
        }
    }
    if place.depth > 0 && fields.contains_key("$id") {
        return Err(format!("a part of it has an `$id`, at {place}"));
    }
    Ok(())
}

/// Refuses a schema that is nested deeper than any may be.
fn check_depth(root: &Value) -> Step<()> {
    let mut open = vec![(root, 0)];
    while let Some((value, depth)) = open.pop() {
        if depth > 2 * DEPTH {
            return Err(too_deep());
        }
        match value {
            Value::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(fields) => open.extend(fields.values().map(|value| (value, depth + 1))),
            _ => {}
        }
    }
    Ok(())
}

fn too_deep() -> String {
    format!("it is nested deeper than {} levels", DEPTH / 2)
}

/// Counts the nodes of a value as far as they may be paid for.
pub(super) fn weight(value: &Value) -> Step<usize> {
    let mut weight = 0;
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        weight += 1;
        match value {
            Value::String(text) => weight += text.len() / BYTES_OF_A_NODE,
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => {
                weight += fields.keys().map(|name| name.len() / BYTES_OF_A_NODE).sum::<usize>();
                open.extend(fields.values());
            }
            _ => {}
        }
        if weight > FUEL {
            return Err("it grows too large".to_owned());
        }
    }
    Ok(weight)
}
