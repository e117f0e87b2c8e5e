//! Prompts made of templates: strict about what is missing, and nothing of a value is ever read as a template.
//!
//! Reads no file: a template cannot include another. What it writes is plain text, nothing is escaped for HTML.

use std::fmt;
use std::io;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value as TemplateValue};
use minijinja::{Environment, UndefinedBehavior};
use motet_core::{Error, ErrorKind, Result, Tool};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Name of the only template of an environment.
const NAME: &str = "template";
/// Steps that writing a template may take, so that loops within loops end.
const FUEL: u64 = 1_000_000;
/// Bytes that a template may write.
const MAX_BYTES: usize = 4 << 20;

/// A prompt with places for variables, read once and written often; cheap to clone.
///
/// The language is that of Jinja: `{{ name }}`, `{% if … %}`, `{% for … %}`, and filters such as `trim`, `join`, `upper`,
/// and `json`. A variable that is missing is an error, unless the template asks whether it `is defined`.
///
/// ```
/// use motet_agents::PromptTemplate;
/// use serde_json::json;
///
/// let template = PromptTemplate::new("You help {{ customer.name }}.\n{% for rule in rules %}- {{ rule }}\n{% endfor %}")?;
/// assert_eq!(template.variables(), ["customer", "rules"]);
/// let text = template.render(&json!({"customer": {"name": "A & B"}, "rules": ["Be <brief>."]}))?;
/// assert_eq!(text, "You help A & B.\n- Be <brief>.\n");
/// # Ok::<(), motet_core::Error>(())
/// ```
#[derive(Clone)]
pub struct PromptTemplate(Arc<Template>);

struct Template {
    source: String,
    environment: Environment<'static>,
}

impl PromptTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// `Configuration` with line and column.
    pub fn new(source: impl Into<String>) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
        environment.set_syntax(syntax.map_err(|error| problem(&error, "", "the template cannot be read"))?);
        environment.set_debug(true);
        environment.set_fuel(Some(FUEL));
        environment.add_filter("json", to_json);
        environment.add_filter("tojson", to_json);
        let source = source.into();
        environment
            .add_template_owned(NAME, source.clone())
            .map_err(|error| problem(&error, &source, "the template cannot be read"))?;
        Ok(Self(Arc::new(Template { source, environment })))
    }

    /// Gives the template as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Gives the names of the variables that it uses, in the order of the alphabet; its own loop variables are not among
    /// them.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        let used = self.0.environment.get_template(NAME).map(|template| template.undeclared_variables(false));
        let is_ours = |name: &String| !self.0.environment.globals().any(|(global, _)| global == name);
        let mut names: Vec<String> = used.unwrap_or_default().into_iter().filter(is_ours).collect();
        names.sort_unstable();
        names
    }

    /// Writes the prompt; the variables are the fields of a struct or an object.
    ///
    /// # Errors
    /// `Configuration` naming what is missing, with line and column and the nearest name there is; also when the text
    /// grows beyond 4 MiB or takes more than a million steps.
    pub fn render(&self, variables: &impl Serialize) -> Result<String> {
        let variables = match serde_json::to_value(variables) {
            Ok(Value::Object(fields)) => fields,
            Ok(Value::Null) => Map::new(),
            Ok(_) => return Err(configuration("the variables of a template are no object")),
            Err(error) => {
                return Err(configuration("the variables of a template cannot be read").with_source(error));
            }
        };
        self.write(variables)
    }

    /// Writes the prompt as [`render`](Self::render) does, with the name and description of each tool as `tools`, unless
    /// the variables have a `tools` of their own.
    ///
    /// # Errors
    /// As [`render`](Self::render).
    pub fn render_with_tools(&self, variables: &Value, tools: &[Arc<dyn Tool>]) -> Result<String> {
        let mut fields = match variables {
            Value::Object(fields) => fields.clone(),
            Value::Null => Map::new(),
            _ => return Err(configuration("the variables of a template are no object")),
        };
        if !fields.contains_key("tools") {
            let listed = tools.iter().map(|tool| {
                let spec = tool.spec();
                json!({"name": spec.name, "description": spec.description})
            });
            fields.insert("tools".to_owned(), listed.collect());
        }
        self.write(fields)
    }

    fn write(&self, variables: Map<String, Value>) -> Result<String> {
        let unwritable = |error: &minijinja::Error| self.unwritable(error, &variables);
        let template = self.0.environment.get_template(NAME).map_err(|error| unwritable(&error))?;
        let mut text = Bounded(Vec::new());
        let values = TemplateValue::from(Serde(&variables));
        template.render_captured_to(values, &mut text).map_err(|error| unwritable(&error))?;
        String::from_utf8(text.0)
            .map_err(|error| configuration("a template wrote no text").with_source(error))
    }

    fn unwritable(&self, error: &minijinja::Error, variables: &Map<String, Value>) -> Error {
        match error.kind() {
            minijinja::ErrorKind::UndefinedError => self.undefined(error, variables),
            minijinja::ErrorKind::OutOfFuel => {
                configuration("the template was stopped after a million steps; it may never end")
            }
            minijinja::ErrorKind::WriteFailure => {
                configuration(format!("the template wrote more than {MAX_BYTES} bytes"))
            }
            _ => problem(error, self.source(), "the template cannot be written"),
        }
    }

    /// Names what is missing, which the engine itself does not.
    fn undefined(&self, error: &minijinja::Error, variables: &Map<String, Value>) -> Error {
        let source = self.source();
        let place = place(error, source);
        let shown = error.range().and_then(|range| source.get(range)).unwrap_or_default().trim();
        let paths = self.missing(variables);
        let told = paths.iter().find(|(path, _)| shown.contains(path.as_str())).or_else(|| paths.first());
        let Some((path, nearest)) = told else {
            return configuration(format!("the template uses a value that is missing at {place}: `{shown}`"));
        };
        let missing = configuration(format!("the template needs `{path}` at {place}, which is missing"));
        match nearest {
            Some(name) => missing.with_hint(format!("did you mean `{name}`?")),
            None => missing.with_hint("give it a value, or ask whether it `is defined`"),
        }
    }

    /// Gives the paths that the template uses and that lead nowhere, each with the nearest name there is in its place.
    fn missing(&self, variables: &Map<String, Value>) -> Vec<(String, Option<String>)> {
        let used = self.0.environment.get_template(NAME).map(|template| template.undeclared_variables(true));
        let mut used: Vec<String> = used.unwrap_or_default().into_iter().collect();
        used.sort_unstable_by_key(|path| std::cmp::Reverse(path.len()));
        let found = used.into_iter().filter_map(|path| {
            let mut fields = variables;
            let mut before = String::new();
            for segment in path.split('.') {
                match fields.get(segment) {
                    Some(Value::Object(inner)) => fields = inner,
                    Some(_) => return None,
                    None => {
                        let missing = format!("{before}{segment}");
                        let near = nearest(segment, fields.keys()).map(|name| format!("{before}{name}"));
                        return Some((missing, near));
                    }
                }
                before = format!("{before}{segment}.");
            }
            None
        });
        found.collect()
    }
}

impl fmt::Debug for PromptTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PromptTemplate").field(&self.source()).finish()
    }
}

/// Takes what a template writes, up to a bound.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_BYTES {
            return Err(io::Error::other("the text is too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a value as JSON: on one line, or indented by a number of spaces.
fn to_json(value: &TemplateValue, options: Kwargs) -> Result<String, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    options.assert_all_used()?;
    let unwritable = |error: serde_json::Error| {
        minijinja::Error::new(minijinja::ErrorKind::BadSerialization, "a value cannot be written as JSON")
            .with_source(error)
    };
    let Some(indent) = indent else { return serde_json::to_string(value).map_err(unwritable) };
    let (mut bytes, spaces) = (Vec::new(), " ".repeat(indent.min(16)));
    let formatter = serde_json::ser::PrettyFormatter::with_indent(spaces.as_bytes());
    value
        .serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))
        .map_err(unwritable)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> Option<&'a str> {
    let scored = known.map(|known| (strsim::jaro_winkler(name, known), known.as_str()));
    let best = scored.max_by(|(one, _), (other, _)| one.total_cmp(other));
    best.filter(|(score, _)| *score >= 0.7).map(|(_, known)| known)
}

/// Tells line and column, both from 1.
fn place(error: &minijinja::Error, source: &str) -> String {
    let line = error.line().unwrap_or(1);
    let start = error.range().and_then(|range| source.get(..range.start));
    match start {
        Some(before) => {
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            format!("line {line}, column {column}")
        }
        None => format!("line {line}"),
    }
}

fn problem(error: &minijinja::Error, source: &str, what: &str) -> Error {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    configuration(format!("{what}: {detail} at {}", place(error, source)))
}

fn configuration(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Configuration, message.into())
}

#[cfg(test)]
mod tests;
