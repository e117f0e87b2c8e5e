//! What is wrong with a workflow: a list of problems, each with its place.

use std::fmt;

use motet_core::error::{Error, ErrorKind};
use serde::Serialize;

/// How many problems the message of an error lists.
const LISTED: usize = 50;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The line, from 1; 0 where the workflow is no text.
    pub line: usize,
    /// The column, from 1, in characters; 0 where the workflow is no text.
    pub column: usize,
    /// The path, such as `tasks[2].params.model`, where the workflow is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// Gives its place: `line:column`, or the path.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.path {
            Some(path) => path.clone(),
            None => format!("{}:{}", self.line, self.column),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.message)
    }
}

/// Everything that is wrong with a workflow, in the order of its text; at least one problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self(problems)
    }

    /// Gives the problems in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// Counts them.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always at least one problem")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().take(LISTED).map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))?;
        match self.0.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Problems {}

impl From<Problems> for Error {
    /// Makes one `InvalidRequest` of them; the message lists the first 50, one to a line.
    fn from(problems: Problems) -> Self {
        match problems.0.as_slice() {
            [problem] => {
                let error =
                    Error::new(ErrorKind::InvalidRequest, format!("the workflow is not valid: {problem}"));
                problem.hint.iter().fold(error, |error, hint| error.with_hint(hint))
            }
            several => {
                let message = format!("the workflow has {} problems:\n{problems}", several.len());
                let hints = several
                    .iter()
                    .filter_map(|problem| Some(format!("{}: {}", problem.place(), problem.hint.as_ref()?)));
                let hints: Vec<String> = hints.take(LISTED).collect();
                let error = Error::new(ErrorKind::InvalidRequest, message);
                if hints.is_empty() { error } else { error.with_hint(hints.join("\n")) }
            }
        }
    }
}
