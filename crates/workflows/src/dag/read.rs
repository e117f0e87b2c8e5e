//! Reads workflow files into specifications, with every problem and its place.
//!
//! Text or a JSON value in, specification out: nothing here opens a file, and methods are known only by their names and
//! parameters.

mod batch;
pub(crate) mod describe;
mod fields;
mod for_each;
mod graph;
mod limits;
mod params;
mod policy;
mod problem;
mod references;
pub(crate) mod report;
mod schema;
mod task;
#[cfg(test)]
mod tests;
pub(crate) mod value;
mod workflow;

use std::collections::BTreeMap;
use std::sync::Arc;

use motet_core::Error;
use motet_core::method::{Method, Parameter};
use motet_core::workflow::WorkflowSpec;
use serde_json::Value;

pub use limits::RESERVED_QUEUES;
pub use problem::{Problem, Problems};
pub use schema::schema;

use self::report::Report;
use super::yaml;

/// How many tasks a workflow may have.
pub const MAX_TASKS: usize = 100_000;

/// What workflows are checked against: the methods that exist, with their parameters.
#[derive(Debug, Clone, Default)]
pub struct Rules<'a> {
    methods: BTreeMap<&'a str, &'a [Parameter]>,
    limits: BTreeMap<String, u32>,
    missing: BTreeMap<String, Reason>,
    providers: BTreeMap<String, Reason>,
}

/// Why something that is written cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reason {
    message: String,
    hint: Option<String>,
}

impl From<&Error> for Reason {
    fn from(error: &Error) -> Self {
        Self { message: error.message().to_owned(), hint: error.hint().map(str::to_owned) }
    }
}

impl<'a> Rules<'a> {
    /// Makes the rules of a runtime's methods.
    #[must_use]
    pub fn new(methods: &'a [Arc<dyn Method>]) -> Self {
        Self::from_tables(methods.iter().map(|method| (method.name(), method.parameters())))
    }

    /// Makes the rules of methods that are given by name and parameters.
    pub fn from_tables(tables: impl IntoIterator<Item = (&'a str, &'a [Parameter])>) -> Self {
        Self { methods: tables.into_iter().collect(), ..Self::default() }
    }

    /// Adds limits that tasks may name though their file does not set them, such as those of the settings.
    #[must_use]
    pub fn with_limits(mut self, limits: BTreeMap<String, u32>) -> Self {
        self.limits = limits;
        self
    }

    /// Adds why methods cannot be had that are known by rule, such as tools of servers, by the names of the methods.
    #[must_use]
    pub fn with_missing<'e>(mut self, reasons: impl IntoIterator<Item = (&'e String, &'e Error)>) -> Self {
        self.missing = reasons.into_iter().map(|(name, error)| (name.clone(), error.into())).collect();
        self
    }

    /// Adds what is wrong with providers that the workflow names itself, by their names.
    #[must_use]
    pub fn with_wrong_providers<'e>(
        mut self,
        reasons: impl IntoIterator<Item = (&'e String, &'e Error)>,
    ) -> Self {
        self.providers = reasons.into_iter().map(|(name, error)| (name.clone(), error.into())).collect();
        self
    }

    /// Gives why a method that is not known cannot be had, where that is known.
    fn missing(&self, name: &str, protocol: Option<&str>) -> Option<&Reason> {
        let family = protocol.map(|protocol| protocol.split('/').next().unwrap_or(protocol));
        let full = family.and_then(|family| self.missing.get(&format!("{family}/{name}")));
        full.or_else(|| self.missing.get(name))
    }

    /// Gives the name by which a method is known, and its parameters; `protocol` completes a name without a `/`.
    fn method(&self, name: &str, protocol: Option<&str>) -> Option<(&'a str, &'a [Parameter])> {
        let known = |name: &str| self.methods.get_key_value(name).map(|(name, table)| (*name, *table));
        let family = protocol.map(|protocol| protocol.split('/').next().unwrap_or(protocol));
        known(name).or_else(|| known(&format!("{}/{name}", family?)))
    }

    fn names(&self) -> impl Iterator<Item = &'a str> + Clone + '_ {
        self.methods.keys().copied()
    }
}

/// Reads a workflow file: YAML 1.2 or JSON in UTF-8, at most [`yaml::MAX_BYTES`] long.
///
/// # Errors
/// Everything that is wrong with it, by place. What is wrong with the text as such, such as a bracket that is not closed,
/// hides what comes after it.
pub fn read(bytes: &[u8], rules: &Rules<'_>) -> Result<WorkflowSpec, Problems> {
    let document = yaml::parse_bytes(bytes).map_err(|fault| Report::of_text(vec![fault]).problems())?;
    let mut report = Report::of_text(document.faults);
    let spec = workflow::read(&document.root, rules, &mut report);
    report.result(spec)
}

/// A workflow file as far as it can be read, for checks that go beyond its text.
#[derive(Debug)]
pub(crate) struct Examined {
    /// What could be read; parts that are wrong are left out.
    pub(crate) spec: Option<WorkflowSpec>,
    /// The tree that it was read from; `None` where the text as such cannot be read.
    pub(crate) root: Option<yaml::Node>,
    /// Everything that is wrong with it, by place.
    pub(crate) problems: Vec<Problem>,
}

/// Reads a workflow file as far as that is possible.
pub(crate) fn examine(bytes: &[u8], rules: &Rules<'_>) -> Examined {
    let document = match yaml::parse_bytes(bytes) {
        Ok(document) => document,
        Err(fault) => {
            let problems = Report::of_text(vec![fault]).problems();
            return Examined { spec: None, root: None, problems: problems.iter().cloned().collect() };
        }
    };
    let mut report = Report::of_text(document.faults);
    let spec = workflow::read(&document.root, rules, &mut report);
    let problems = if report.is_empty() { Vec::new() } else { report.problems().iter().cloned().collect() };
    Examined { spec, root: Some(document.root), problems }
}

/// Gives what a workflow file holds as far as it can be read, for a look at the methods that it names; null where that is
/// not worth while, since only tools of servers and methods of providers are not known without it.
#[must_use]
pub fn outline(bytes: &[u8], has_remotes: bool) -> Value {
    let text = String::from_utf8_lossy(bytes);
    // What the file itself cannot name, the settings may.
    let may_name = has_remotes || ["mcp", "providers", "tool."].iter().any(|word| text.contains(word));
    if !may_name {
        return Value::Null;
    }
    yaml::parse_bytes(bytes).map_or(Value::Null, |document| document.root.to_json())
}

/// Reads a workflow that is a value already, such as a Python dictionary; problems tell paths instead of lines.
///
/// # Errors
/// Everything that is wrong with it, in the order of the value.
pub fn read_value(value: &Value, rules: &Rules<'_>) -> Result<WorkflowSpec, Problems> {
    let (root, paths, faults) = value::tree(value);
    let mut report = Report::of_value(paths, faults);
    let spec = workflow::read(&root, rules, &mut report);
    report.result(spec)
}
