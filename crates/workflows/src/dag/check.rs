//! Finds what can be known to go wrong before a run: types along references, files, models, scripts, and risky uses.
//!
//! Everything outside of the file is asked of [`Surroundings`]: nothing here opens a file, reads a setting, or runs a
//! program.

mod files;
mod flow;
mod models;
mod places;
mod rules;
mod secrets;
#[cfg(test)]
mod tests;
mod types;
mod unused;
mod values;

use motet_core::ModelId;
use motet_core::method::Parameter;
use motet_core::workflow::WorkflowSpec;
use serde::Serialize;
use serde_json::{Map, Value};

pub use rules::{RULES, Rule, Severity};

use self::places::View;
use super::read::{Problem, Rules, examine};
use super::yaml::Place;

/// One thing that is wrong or doubtful.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Id of the rule, such as `result-field`; see [`RULES`].
    pub rule: &'static str,
    /// Whether the workflow can run all the same.
    pub severity: Severity,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What a check came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Checked {
    /// The workflow, if it has no error that keeps it from being read.
    pub spec: Option<WorkflowSpec>,
    /// Everything found, in the order of the text.
    pub findings: Vec<Finding>,
}

impl Checked {
    /// Tells whether it holds no error; warnings do not count.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }
}

/// What is known of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelStanding {
    /// It can be called, as far as is known.
    Ready,
    /// It cannot: why, and what to do about it.
    Wrong {
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Its provider needs a key that is not there; the name of its variable or setting.
    NoKey(String),
    /// Its provider's models are listed, and it is not among them; the nearest that is.
    Unlisted(Option<String>),
}

/// What is known of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileStanding {
    /// It is there.
    Found,
    /// It is not there.
    Missing,
    /// It may not be touched: why, and what to do about it.
    Refused {
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

/// A fault in the syntax of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxFault {
    /// The line in the script, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// What a check asks of the world around the file. Paths start in the workflow's directory.
pub trait Surroundings {
    /// Gives the schema of a method's result for these parameters.
    fn result_schema(&self, method: &str, params: &Map<String, Value>) -> Value;

    /// Gives the table of a method's parameters; empty for a method that there is not.
    fn parameters(&self, method: &str) -> &[Parameter];

    /// Gives the model of tasks where neither they nor the workflow name one.
    fn default_model(&self) -> Option<ModelId>;

    /// Tells what is known of a model.
    fn model(&self, id: &ModelId) -> ModelStanding;

    /// Tells what is known of a path that is read, or written.
    fn file(&self, path: &str, access: Access) -> FileStanding;

    /// Counts the files that match a pattern; `None` where it is no pattern or leads outside.
    fn matches(&self, pattern: &str) -> Option<usize>;

    /// Reads a file of the workflow's directory, such as a script.
    fn text(&self, path: &str) -> Option<String>;

    /// Looks at the syntax of Python scripts; `None` for each that is sound, for all where no interpreter is there.
    fn python(&self, scripts: &[String]) -> Vec<Option<SyntaxFault>>;

    /// Gives the names of the MCP servers that are configured.
    fn mcp_servers(&self) -> Vec<String>;

    /// Tells whether an environment variable is set.
    fn is_set(&self, variable: &str) -> bool;
}

/// What a task does with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It reads it.
    Read,
    /// It writes it.
    Write,
}

/// Checks a workflow file.
#[must_use]
pub fn check(bytes: &[u8], rules: &Rules<'_>, around: &dyn Surroundings) -> Checked {
    let examined = examine(bytes, rules);
    let read = examined.problems.is_empty();
    let mut found = Found { findings: examined.problems.iter().map(of_reading).collect() };
    if let (Some(spec), Some(root)) = (&examined.spec, &examined.root) {
        let view = View::new(spec, root, around);
        types::check(&view, around, &mut found);
        flow::check(&view, around, &mut found);
        values::check(&view, around, &mut found);
        models::check(&view, around, &mut found);
        files::check(&view, around, &mut found);
        unused::check(&view, around, &mut found);
        secrets::check(root, &mut found);
    }
    let mut findings = found.findings;
    findings.sort_by_key(|finding| (finding.line, finding.column));
    findings.dedup();
    Checked { spec: examined.spec.filter(|_| read), findings }
}

fn of_reading(problem: &Problem) -> Finding {
    Finding {
        rule: rules::INVALID.id,
        severity: Severity::Error,
        line: problem.line,
        column: problem.column,
        message: problem.message.clone(),
        hint: problem.hint.clone(),
    }
}

/// Collects findings.
struct Found {
    findings: Vec<Finding>,
}

impl Found {
    fn add(&mut self, rule: &Rule, place: Place, message: impl Into<String>, hint: impl Into<String>) {
        self.add_with(rule, place, message, Some(hint.into()));
    }

    fn add_with(&mut self, rule: &Rule, place: Place, message: impl Into<String>, hint: Option<String>) {
        self.findings.push(Finding {
            rule: rule.id,
            severity: rule.severity,
            line: place.line,
            column: place.column,
            message: message.into(),
            hint,
        });
    }
}
