//! One option as data: what help, reference, `config show`, and error messages are made from.
//!
//! Names no option; the rows are in the table.

use figment::value::Value;

use super::kind::{found, number_text};
use super::path;
use super::problem::Problem;
use super::table::Settings;

/// One option. Options that exist once per provider or model have placeholders such as `<name>` in their path.
#[non_exhaustive]
pub struct OptionRow {
    /// Its place in the settings, such as `python.timeout`.
    pub path: &'static str,
    /// Name of the kind of value it takes, such as `duration`.
    pub kind: &'static str,
    /// Whether its value is hidden from everybody.
    pub secret: bool,
    /// A value that differs from the default, as written in a variable or on a command line.
    pub example: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
    pub(super) expected: &'static str,
    pub(super) repeatable: bool,
    pub(super) from_text: fn(&str) -> Value,
    pub(super) accepts: fn(&Value) -> bool,
    pub(super) assign: fn(&mut Settings, &[String], &Value) -> Option<()>,
    pub(super) current: fn(&Settings) -> Values,
}

/// What settings hold for an option: the names in the place of its path's placeholders, and the shown value.
type Values = Vec<(Vec<String>, String)>;

impl OptionRow {
    /// Gives the name of its environment variable.
    ///
    /// Names of models, headers, and keys cannot be spelled in one, so there the variable holds all of them as a JSON object.
    #[must_use]
    pub fn environment(&self) -> String {
        format!("MOTET_{}", self.environment_keys().join("_").to_uppercase())
    }

    /// Tells whether the environment variable holds a JSON object of which this option is a part.
    #[must_use]
    pub fn environment_is_object(&self) -> bool {
        self.environment_keys().len() < path::segments(self.path).count()
    }

    /// Gives the default as text; `None` when nothing is set by default.
    #[must_use]
    pub fn default_text(&self) -> Option<String> {
        (self.current)(&Settings::default()).into_iter().next().map(|(_, text)| text)
    }

    /// Gives the example as a line of `motet.toml`, with examples in place of placeholders.
    #[must_use]
    pub fn example_toml(&self) -> String {
        format!("{} = {}", path::join(&path::example(self.path)), toml_text(&(self.from_text)(self.example)))
    }

    /// Gives the path and the shown text of every value that the settings hold for this option.
    pub(super) fn values(&self, settings: &Settings) -> Vec<(String, String)> {
        let filled =
            |(names, text): (Vec<String>, String)| (path::join(&path::fill(self.path, &names)), text);
        (self.current)(settings).into_iter().map(filled).collect()
    }

    /// Gives the part of the path that the environment variable spells.
    pub(super) fn environment_keys(&self) -> Vec<&'static str> {
        path::segments(self.path)
            .take_while(|key| !matches!(*key, "<model>" | "<header>" | "<key>"))
            .collect()
    }

    /// Refuses a value of another kind.
    pub(super) fn check(&self, keys: &[String], value: &Value) -> Result<(), Problem> {
        if (self.accepts)(value) {
            return Ok(());
        }
        let (path, found) = (path::join(keys), found(value, self.repeatable));
        Err(Problem::new(format!("`{path}` must be {}, found {found}", self.expected))
            .with_hint(format!("for example `{}` in `motet.toml`", self.example_toml())))
    }
}

/// Writes a value as TOML; basic strings of TOML and JSON are the same.
fn toml_text(value: &Value) -> String {
    match value {
        Value::Num(_, number) => number_text(*number),
        Value::Array(_, items) => format!("[{}]", items.iter().map(toml_text).collect::<Vec<_>>().join(", ")),
        Value::Bool(_, truth) => truth.to_string(),
        other => serde_json::Value::from(other.as_str().unwrap_or_default()).to_string(),
    }
}
