//! Tools as Python sees them: names, signatures, and arguments by place or name.
//!
//! Calls nothing.

use std::sync::Arc;

use motet_core::{Result, Tool};
use serde_json::{Map, Value};

use super::configuration;
use crate::machine::ToolSet;

/// Words that cannot be names in Python.
const KEYWORDS: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def",
    "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is",
    "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

/// The tools that code may call.
pub(super) struct Functions {
    tools: Vec<Arc<dyn Tool>>,
    set: ToolSet,
    functions: Vec<Function>,
}

struct Function {
    name: String,
    /// Those that are required, then the others.
    parameters: Vec<Parameter>,
}

struct Parameter {
    name: String,
    kind: &'static str,
    required: bool,
}

impl Functions {
    pub(super) fn new(tools: Vec<Arc<dyn Tool>>) -> Result<Self> {
        let set = ToolSet::new(tools.iter().map(|tool| tool.spec().clone()).collect())?;
        let mut functions: Vec<Function> = Vec::with_capacity(tools.len());
        for spec in set.specs() {
            let name = identifier(&spec.name);
            if functions.iter().any(|other| other.name == name) {
                return Err(configuration(format!("two tools are named `{name}` in Python"))
                    .with_hint("give one of them another name"));
            }
            functions.push(Function { name, parameters: parameters(&spec.parameters) });
        }
        Ok(Self { tools, set, functions })
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.functions.iter().map(|function| function.name.clone()).collect()
    }

    /// Gives the signatures with their descriptions, as Python would have them.
    pub(super) fn described(&self) -> String {
        let described = self.functions.iter().zip(self.set.specs()).map(|(function, spec)| {
            let parameters: Vec<String> = function.parameters.iter().map(Parameter::signature).collect();
            let mut text = format!("def {}({})", function.name, parameters.join(", "));
            if !spec.description.is_empty() {
                text.push_str("\n    ");
                text.push_str(&spec.description.replace('\n', "\n    "));
            }
            text
        });
        described.collect::<Vec<_>>().join("\n")
    }

    /// Gives the tool of a function, and the arguments that its schema allows, or what to raise in the code.
    pub(super) fn prepare(
        &self,
        name: &str,
        positional: Vec<Value>,
        named: Vec<(String, Value)>,
    ) -> Result<(&Arc<dyn Tool>, Value), String> {
        let place = self.functions.iter().position(|function| function.name == name);
        let found = place.and_then(|place| Some((place, self.functions.get(place)?, self.tools.get(place)?)));
        let Some((place, function, tool)) = found else {
            return Err(format!("there is no function `{name}`"));
        };
        let most = function.parameters.len();
        if positional.len() > most {
            return Err(format!("`{name}` takes {most} arguments, and {} were given", positional.len()));
        }
        let mut arguments: Map<String, Value> =
            function.parameters.iter().map(|parameter| parameter.name.clone()).zip(positional).collect();
        for (parameter, value) in named {
            if arguments.insert(parameter.clone(), value).is_some() {
                return Err(format!("`{name}` was given `{parameter}` twice"));
            }
        }
        match self.set.check_arguments(place, Value::Object(arguments)) {
            Ok(arguments) => Ok((tool, arguments)),
            Err(findings) => Err(format!("the arguments of `{name}` do not match its schema: {findings}")),
        }
    }
}

impl Parameter {
    fn signature(&self) -> String {
        let default = if self.required { "" } else { " = None" };
        format!("{}: {}{default}", self.name, self.kind)
    }
}

fn parameters(schema: &Value) -> Vec<Parameter> {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let properties = schema.get("properties").and_then(Value::as_object);
    let mut parameters: Vec<Parameter> = properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| Parameter {
            name: name.clone(),
            kind: kind(schema),
            required: required.contains(&name.as_str()),
        })
        .collect();
    parameters.sort_by_key(|parameter| !parameter.required);
    parameters
}

fn kind(schema: &Value) -> &'static str {
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => "str",
        Some("integer") => "int",
        Some("number") => "float",
        Some("boolean") => "bool",
        Some("array") => "list",
        Some("object") => "dict",
        _ => "Any",
    }
}

/// Gives a name that Python can have.
fn identifier(name: &str) -> String {
    let mut identifier: String =
        name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect();
    if identifier.starts_with(|letter: char| letter.is_ascii_digit()) {
        identifier.insert(0, '_');
    }
    if KEYWORDS.contains(&identifier.as_str()) {
        identifier.push('_');
    }
    identifier
}
