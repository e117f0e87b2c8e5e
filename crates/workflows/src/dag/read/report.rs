//! Collects problems while a workflow is read, and says where they are in the end.

use motet_core::workflow::WorkflowSpec;

use super::problem::{Problem, Problems};
use super::value::Paths;
use crate::dag::reference::{list_of, nearest};
use crate::dag::yaml::{Fault, Place};

/// How many problems are kept; a file with more is wrong as a whole.
const MAX_PROBLEMS: usize = 1_000;

/// How many names are compared in all for suggestions, so that a large file full of mistakes is still checked at once.
const MAX_COMPARISONS: usize = 1_000_000;

pub(crate) struct Report<'a> {
    faults: Vec<Fault>,
    omitted: usize,
    comparisons: usize,
    /// The paths of a workflow that is no text.
    paths: Option<Paths<'a>>,
}

impl<'a> Report<'a> {
    pub(crate) fn of_text(faults: Vec<Fault>) -> Self {
        Self { faults, omitted: 0, comparisons: 0, paths: None }
    }

    pub(crate) fn of_value(paths: Paths<'a>, faults: Vec<Fault>) -> Self {
        Self { faults, omitted: 0, comparisons: 0, paths: Some(paths) }
    }

    /// Adds a problem without advice.
    pub(crate) fn add(&mut self, place: Place, message: impl Into<String>) {
        self.add_with(place, message, None);
    }

    /// Adds a problem with what to do about it.
    pub(crate) fn hint(&mut self, place: Place, message: impl Into<String>, hint: impl Into<String>) {
        self.add_with(place, message, Some(hint.into()));
    }

    /// Adds a problem with what to do about it, if anything is known.
    pub(crate) fn add_with(&mut self, place: Place, message: impl Into<String>, hint: Option<String>) {
        if !self.is_full() {
            self.faults.push(Fault { place, message: message.into(), hint });
        } else {
            self.omitted += 1;
        }
    }

    /// Tells whether further problems are only counted, so that their advice need not be found.
    pub(crate) fn is_full(&self) -> bool {
        self.faults.len() >= MAX_PROBLEMS
    }

    /// Asks whether a name near the unknown one was meant, or lists what is known.
    pub(crate) fn advice<'n>(
        &mut self,
        name: &str,
        known: impl Iterator<Item = &'n str> + Clone,
    ) -> Option<String> {
        if self.is_full() {
            return None;
        }
        if let Some(near) = self.nearest(name, known.clone()) {
            return Some(format!("did you mean `{near}`?"));
        }
        known.clone().next()?;
        Some(format!("known are {}", list_of(known)))
    }

    /// Gives the known name that was probably meant.
    pub(crate) fn nearest<'n>(
        &mut self,
        name: &str,
        known: impl Iterator<Item = &'n str>,
    ) -> Option<&'n str> {
        let left = if self.is_full() { 0 } else { MAX_COMPARISONS.saturating_sub(self.comparisons) };
        let comparisons = &mut self.comparisons;
        nearest(name, known.take(left).inspect(|_| *comparisons += 1))
    }

    /// Gives a place in words, for messages about another place.
    pub(crate) fn at(&self, place: Place) -> String {
        match &self.paths {
            Some(paths) => format!("`{}`", paths.path(place)),
            None => format!("line {}, column {}", place.line, place.column),
        }
    }

    /// Tells whether nothing is wrong so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// Gives the specification if nothing is wrong.
    pub(crate) fn result(mut self, spec: Option<WorkflowSpec>) -> Result<WorkflowSpec, Problems> {
        match spec {
            Some(spec) if self.faults.is_empty() => Ok(spec),
            _ => {
                if self.faults.is_empty() {
                    self.add(Place::START, "the workflow cannot be read");
                }
                Err(self.problems())
            }
        }
    }

    /// Gives the problems in the order of the text, each once.
    pub(crate) fn problems(mut self) -> Problems {
        self.faults.sort_by_key(|fault| fault.place);
        self.faults.dedup();
        let last = self.faults.last().map(|fault| fault.place);
        if let (Some(place), true) = (last, self.omitted > 0) {
            let message = format!("{} further problems are not listed", self.omitted);
            self.faults.push(Fault { place, message, hint: None });
        }
        let paths = self.paths;
        let problem = |fault: Fault| {
            let path = paths.as_ref().map(|paths| paths.path(fault.place));
            let (line, column) = if path.is_some() { (0, 0) } else { (fault.place.line, fault.place.column) };
            Problem { line, column, path, message: fault.message, hint: fault.hint }
        };
        Problems::new(self.faults.into_iter().map(problem).collect())
    }
}
