//! Makes the tree of a value that is no text: every key and value is numbered, and the number leads to its path.

use serde_json::Value;

use crate::dag::yaml::{Content, Fault, Field, MAX_DEPTH, Node, Place};

/// How a numbered key or value is reached from the one around it.
enum Link<'a> {
    Root,
    Key(usize, &'a str),
    Item(usize, usize),
}

/// The paths of all numbered keys and values.
pub(crate) struct Paths<'a>(Vec<Link<'a>>);

impl<'a> Paths<'a> {
    fn number(&mut self, link: Link<'a>) -> usize {
        self.0.push(link);
        self.0.len() - 1
    }

    /// Gives the path of a place, such as `tasks[2].params.model`; that of the whole is `workflow`.
    pub(crate) fn path(&self, place: Place) -> String {
        let mut pieces = Vec::new();
        let mut number = place.column;
        while let Some(link) = self.0.get(number) {
            let (around, piece) = match link {
                Link::Root => break,
                Link::Key(around, key) if is_plain(key) => (*around, format!(".{key}")),
                Link::Key(around, key) => (*around, format!("[{}]", Value::from(*key))),
                Link::Item(around, index) => (*around, format!("[{index}]")),
            };
            pieces.push(piece);
            number = around;
        }
        pieces.reverse();
        match pieces.concat() {
            path if path.is_empty() => "workflow".to_owned(),
            path => path.strip_prefix('.').map(str::to_owned).unwrap_or(path),
        }
    }
}

fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && key.chars().all(|character| character.is_alphanumeric() || matches!(character, '_' | '-'))
}

/// Makes the tree of a value; what is nested too deeply is left out and told.
pub(crate) fn tree(value: &Value) -> (Node, Paths<'_>, Vec<Fault>) {
    let (mut paths, mut faults) = (Paths(Vec::new()), Vec::new());
    let root = paths.number(Link::Root);
    let node = node(value, root, 1, &mut paths, &mut faults);
    (node, paths, faults)
}

fn node<'a>(
    value: &'a Value,
    number: usize,
    depth: usize,
    paths: &mut Paths<'a>,
    faults: &mut Vec<Fault>,
) -> Node {
    let place = Place { line: 0, column: number };
    let content = match value {
        Value::Array(_) | Value::Object(_) if depth > MAX_DEPTH => {
            let message = format!("lists and objects are nested more than {MAX_DEPTH} deep");
            faults.push(Fault { place, message, hint: None });
            Content::Null
        }
        Value::Null => Content::Null,
        Value::Bool(truth) => Content::Bool(*truth),
        Value::Number(number) => Content::Number(number.clone()),
        Value::String(text) => Content::String(text.clone()),
        Value::Array(items) => {
            let item = |(index, item)| {
                let own = paths.number(Link::Item(number, index));
                node(item, own, depth + 1, paths, faults)
            };
            Content::List(items.iter().enumerate().map(item).collect())
        }
        Value::Object(fields) => {
            let field = |(key, value): (&'a String, &'a Value)| {
                let own = paths.number(Link::Key(number, key));
                let node = node(value, own, depth + 1, paths, faults);
                Field { key: key.clone(), place: node.place, node }
            };
            Content::Map(fields.iter().map(field).collect())
        }
    };
    Node { content, place }
}
