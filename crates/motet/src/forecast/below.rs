//! What the runs that tasks start will do: workflows that are written out, and files as they lie there now.
//!
//! Starts nothing. A workflow that runs itself, or that is not known before the run, has no forecast.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

use motet_core::error::Error;
use motet_core::method::FileScope;
use motet_core::usage::Cost;
use motet_core::workflow::{TaskSpec, WorkflowSpec};
use motet_providers::files;
use motet_workflows::dag::plan;
use motet_workflows::methods::workflow_run::{MAX_DEPTH, NAME};
use serde_json::{Map, Value};

use super::size::Sizes;
use super::{CostEstimate, Estimate, Forecast, Forecaster, Recorded};

/// How many workflows below the first are looked at, so that a plan ends where files run each other in many ways.
const MAX_BELOW: usize = 256;

/// The files that are being looked at, the one at the top first, and how many were looked at so far.
pub(super) struct Below {
    path: RefCell<Vec<PathBuf>>,
    count: Cell<usize>,
}

impl Below {
    pub(super) fn of(file: &Path) -> Self {
        Self { path: RefCell::new(vec![file.to_owned()]), count: Cell::new(0) }
    }

    /// Steps into a workflow; `false` where it is being looked at already, or enough was looked at.
    fn enter(&self, file: PathBuf) -> bool {
        let mut path = self.path.borrow_mut();
        let depth = u32::try_from(path.len()).unwrap_or(u32::MAX);
        if depth >= MAX_DEPTH || self.count.get() >= MAX_BELOW || path.contains(&file) {
            return false;
        }
        self.count.set(self.count.get() + 1);
        path.push(file);
        true
    }

    fn leave(&self) {
        self.path.borrow_mut().pop();
    }
}

impl Forecaster<'_> {
    /// Forecasts one run of the workflow that a task runs; `None` where it runs none, or one that is not known yet.
    pub(super) fn below(&self, task: &TaskSpec) -> Option<Forecast> {
        if task.method != NAME {
            return None;
        }
        let (spec, place, files) = self.workflow_of(task)?;
        let inputs = plan::known_inputs(&spec, self.inputs_of(task)?).ok()?;
        if !self.below.enter(place) {
            return None;
        }
        let sizes = Sizes { inputs: &inputs, spec: &spec, files };
        let recorded = Recorded::default();
        let forecast = Forecaster { spec: &spec, sizes, recorded, ..*self }.forecast();
        self.below.leave();
        Some(forecast)
    }

    /// Gives the workflow that a task runs, what tells it from others, and the files that it may touch.
    fn workflow_of(&self, task: &TaskSpec) -> Option<(WorkflowSpec, PathBuf, FileScope)> {
        match (task.params.get("file"), task.params.get("workflow")) {
            (Some(Value::String(file)), None | Some(Value::Null)) => {
                let path = files::resolve(&self.sizes.files, &self.sizes.text(file)?).ok()?;
                let read = self.runtime.read_workflow(&path).map_err(Error::from).ok()?;
                let files = self.runtime.file_scope(read.path.parent().unwrap_or(Path::new("/")));
                Some((read.spec, read.path, files))
            }
            (None | Some(Value::Null), Some(written @ Value::Object(_))) => {
                let spec = self.runtime.read_workflow_value(written).ok()?;
                // What is written out ends, however deep; a name of its own keeps it from being taken for a file.
                let place = PathBuf::from(format!("{}\0{}", self.below.count.get(), task.id));
                Some((spec, place, self.sizes.files.clone()))
            }
            _ => None,
        }
    }

    /// Gives the inputs as far as they are known; the others are null, which stands for anything.
    fn inputs_of(&self, task: &TaskSpec) -> Option<Map<String, Value>> {
        match task.params.get("inputs") {
            None | Some(Value::Null) => Some(Map::new()),
            Some(Value::Object(inputs)) => {
                let known = |(name, value): (&String, &Value)| {
                    (name.clone(), self.sizes.value(value).unwrap_or(Value::Null))
                };
                Some(inputs.iter().map(known).collect())
            }
            Some(_) => None,
        }
    }
}

/// Multiplies what is guessed and what it is at most; nothing stays nothing, however often.
pub(super) fn times(each: Estimate, expected: u64, most: Option<u64>) -> Estimate {
    let product = || match (each.most, most) {
        (Some(0), _) | (_, Some(0)) => Some(0),
        (each, most) => each?.checked_mul(most?),
    };
    Estimate { expected: each.expected.saturating_mul(expected), most: product() }
}

/// Multiplies the same of money.
pub(super) fn times_cost(each: CostEstimate, expected: u64, most: Option<u64>) -> CostEstimate {
    let product = |cost: Option<Cost>, times: Option<u64>| match (cost, times) {
        (Some(Cost::ZERO), _) | (_, Some(0)) => Some(Cost::ZERO),
        (cost, times) => super::times_cost(cost?, times?),
    };
    CostEstimate { expected: product(each.expected, Some(expected)), most: product(each.most, most) }
}
