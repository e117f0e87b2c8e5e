//! Checks what a model writes when it calls a tool, and says what is wrong so that it can correct itself.

use std::cmp::Ordering;
use std::collections::HashMap;

use motet_core::message::ToolCall;
use motet_core::request::ToolSpec;
use motet_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

use crate::schema::Schema;

/// How many names are shown to a model that called an unknown tool.
const NEAREST: usize = 3;
/// Longest name that all large providers accept.
const MAX_NAME: usize = 64;

/// The tools of a run, with their schemas compiled.
#[derive(Debug, Default)]
pub struct ToolSet {
    specs: Vec<ToolSpec>,
    schemas: Vec<Schema>,
    places: HashMap<String, usize>,
}

impl ToolSet {
    /// Compiles the schemas of tools; a tool is later known by its place here.
    ///
    /// # Errors
    /// `Configuration` when a name is unusable or taken twice, or a schema is none or does not describe an object.
    pub fn new(specs: Vec<ToolSpec>) -> Result<Self> {
        let mut places = HashMap::with_capacity(specs.len());
        let mut schemas = Vec::with_capacity(specs.len());
        for (place, spec) in specs.iter().enumerate() {
            check_name(&spec.name)?;
            if places.insert(spec.name.clone(), place).is_some() {
                return Err(configuration(format!("two tools are named `{}`", spec.name))
                    .with_hint("give each tool of an agent a name of its own"));
            }
            schemas.push(compile(spec)?);
        }
        Ok(Self { specs, schemas, places })
    }

    /// Gives what the model sees of the tools.
    #[must_use]
    pub fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    /// Gives the tool's place and its arguments, or what to tell the model.
    ///
    /// `cut_off` says that the answer ended by force with this call, so that empty arguments are no arguments.
    pub(super) fn check(&self, call: &ToolCall, cut_off: bool) -> Result<(usize, Value), String> {
        let place = self.places.get(&call.name).copied().ok_or_else(|| self.unknown(&call.name))?;
        let schema = self.schemas.get(place).ok_or_else(|| self.unknown(&call.name))?;
        let arguments = match call.parsed_arguments() {
            _ if cut_off && call.arguments.trim().is_empty() => {
                return Err(cut("the call has no arguments yet"));
            }
            Err(error) if cut_off => return Err(cut(error.message())),
            Err(error) => return Err(format!("not run: {}", error.message())),
            // Some providers write `null` for a tool without arguments.
            Ok(Value::Null) => Value::Object(Map::new()),
            Ok(arguments) => arguments,
        };
        match schema.read(arguments) {
            Ok(arguments) => Ok((place, arguments)),
            Err(findings) => {
                Err(format!("not run: the arguments of `{}` do not match its schema: {findings}", call.name))
            }
        }
    }

    /// Checks arguments that somebody put in the place of the model's.
    pub(crate) fn check_arguments(&self, place: usize, arguments: Value) -> Result<Value, String> {
        match self.schemas.get(place) {
            Some(schema) => schema.read(arguments),
            None => Err(format!("there is no tool at place {place}")),
        }
    }

    fn unknown(&self, name: &str) -> String {
        let mut names: Vec<_> = self
            .specs
            .iter()
            .map(|spec| (strsim::jaro_winkler(name, &spec.name), spec.name.as_str()))
            .collect();
        if names.is_empty() {
            return format!("not run: there is no tool `{name}`, nor any other");
        }
        names.sort_by(|(one, a), (other, b)| {
            other.partial_cmp(one).unwrap_or(Ordering::Equal).then_with(|| a.cmp(b))
        });
        let nearest: Vec<_> = names.iter().take(NEAREST).map(|(_, name)| format!("`{name}`")).collect();
        format!("not run: there is no tool `{name}`; the nearest names are {}", nearest.join(", "))
    }
}

fn cut(problem: &str) -> String {
    format!("not run: the answer was cut off by its length limit within this call: {problem}")
}

fn check_name(name: &str) -> Result<()> {
    let fits = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if fits {
        return Ok(());
    }
    Err(configuration(format!("`{name}` cannot be the name of a tool"))
        .with_hint(format!("use 1 to {MAX_NAME} letters, digits, `_` and `-`, which every provider accepts")))
}

fn compile(spec: &ToolSpec) -> Result<Schema> {
    if spec.parameters.get("type").and_then(Value::as_str) != Some("object") {
        return Err(configuration(format!(
            "the parameters of tool `{}` are not an object schema",
            spec.name
        ))
        .with_hint("write `{\"type\": \"object\", \"properties\": {…}}`; a function tool takes a struct"));
    }
    Schema::compile(&spec.parameters).map_err(|problem| {
        configuration(format!("the parameters of tool `{}` are not a JSON schema: {problem}", spec.name))
    })
}

fn configuration(message: String) -> Error {
    Error::new(ErrorKind::Configuration, message)
}
