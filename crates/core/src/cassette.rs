//! A recorded run as a text of its own: what was run, what its tasks came to, and every step with what was asked.
//!
//! One JSON value a line: a header, then tasks, pieces of requests, and records, then an end. Reads and writes lines only;
//! where they are kept and what is masked in them is the caller's business.

mod difference;
mod reader;
mod replay_log;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use difference::{Difference, difference};
pub use reader::Reader;
pub use replay_log::ReplayLog;
pub use steps::Steps;

use crate::error::{Error, ErrorKind, ErrorReport, Result};
use crate::id::{Millis, RunId};
use crate::model_id::ModelId;
use crate::request::ChatRequest;
use crate::run_log::{Entry, KeptRequest, Piece, StepKind};
use crate::store::{RunState, Sequenced, TaskState};
use crate::tool::Effect;

/// The newest version of the format; every version that was ever written can be read.
pub const VERSION: u32 = 1;

/// What stands where something was masked.
pub const MASK: &str = "[redacted]";

/// The first line: what was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the format; it stands first, so that any reader can tell.
    pub cassette: u32,
    /// Version of Motet that wrote it.
    pub motet: String,
    /// The run.
    pub run: RunId,
    /// Its name.
    pub name: String,
    /// What kind of work: `workflow` or `call`.
    pub kind: String,
    /// How it ended.
    pub state: RunState,
    /// When it was stored.
    pub created_at: Millis,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Millis>,
    /// What was executed.
    pub definition: Value,
    /// The values given to it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub inputs: Map<String, Value>,
    /// Facts that its workers needed.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub settings: Map<String, Value>,
    /// What it gave back; empty unless it is completed.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub outputs: Map<String, Value>,
    /// What was masked; `None` where there was nothing to mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masked: Option<Masked>,
}

/// What was masked, in numbers: an expression may tell what it is to hide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Masked {
    /// How many expressions there were.
    pub expressions: usize,
    /// How many keys and passwords of the settings.
    pub secrets: usize,
}

/// A line after the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// What a task came to.
    Task(Box<RecordedTask>),
    /// A piece of the requests that follow.
    Piece {
        /// Its name in this cassette.
        key: String,
        /// The piece.
        value: Value,
    },
    /// An entry of the run's journal.
    Record(Box<Sequenced>),
    /// Nothing follows.
    End {
        /// Entries of the journal in this cassette.
        records: u64,
    },
}

impl Header {
    /// Writes the line, without its end.
    ///
    /// # Errors
    /// `Internal` when it cannot be written as JSON.
    pub fn write(&self) -> Result<String> {
        write(self)
    }
}

impl Line {
    /// Writes the line, without its end.
    ///
    /// # Errors
    /// `Internal` when it cannot be written as JSON.
    pub fn write(&self) -> Result<String> {
        write(self)
    }
}

fn write(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| {
        Error::new(ErrorKind::Internal, "a line of a cassette cannot be written").with_source(error)
    })
}

/// What a task of the recorded run came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedTask {
    /// Its number in the run.
    pub number: u32,
    /// Its name in the run.
    pub name: String,
    /// How it stands.
    pub state: TaskState,
    /// Attempts made.
    pub attempt: u32,
    /// Number of the `for_each` task that it is an item of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u32>,
    /// Its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why it failed or was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
    /// When its newest attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Millis>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Millis>,
}

/// One attempt at a step, with what came of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RecordedStep {
    /// Its full name.
    pub step: String,
    /// What kind of effect.
    pub kind: StepKind,
    /// What it is, for people; of a model call, the model.
    pub label: String,
    /// Hash of what was asked.
    pub request_hash: String,
    /// What happens when it runs twice.
    pub effect: Effect,
    /// What a model was asked, where the journal kept it.
    pub request: Option<KeptRequest>,
    /// What came of it; `None` when it was interrupted.
    pub outcome: Option<StepOutcome>,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum StepOutcome {
    /// Its result.
    Finished(Value),
    /// Why it failed.
    Failed(Box<ErrorReport>),
}

/// A whole recording in memory.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Cassette {
    /// What was run.
    pub header: Header,
    /// What its tasks came to.
    pub tasks: Vec<RecordedTask>,
    /// Its steps in the order they began, each attempt by itself.
    pub steps: Vec<RecordedStep>,
    pieces: HashMap<String, Value>,
    /// Steps that began and have not ended, by task and name.
    open: HashMap<(u32, String), usize>,
    records: u64,
}

impl Cassette {
    /// Begins a cassette in memory; its lines are added one by one.
    #[must_use]
    pub fn new(header: Header) -> Self {
        Self {
            header,
            tasks: Vec::new(),
            steps: Vec::new(),
            pieces: HashMap::new(),
            open: HashMap::new(),
            records: 0,
        }
    }

    /// Adds a line.
    ///
    /// # Errors
    /// `InvalidRequest` when the end tells of another number of records than there are.
    pub fn add(&mut self, line: Line) -> Result<()> {
        match line {
            Line::Task(task) => self.tasks.push(*task),
            Line::Piece { key, value } => {
                self.pieces.insert(key, value);
            }
            Line::Record(record) => self.record(*record),
            Line::End { records } if records == self.records => {}
            Line::End { records } => {
                let found = self.records;
                let message = format!("there are {found} records where {records} were written");
                return Err(Error::new(ErrorKind::InvalidRequest, message)
                    .with_hint("lines were lost or added; export the run again"));
            }
        }
        Ok(())
    }

    fn record(&mut self, sequenced: Sequenced) {
        self.records += 1;
        let place = (sequenced.task, sequenced.record.step().to_owned());
        match sequenced.record.entry().clone() {
            Entry::Started { kind, request_hash, effect, label, request } => {
                let step = RecordedStep {
                    step: place.1.clone(),
                    kind,
                    label,
                    request_hash,
                    effect,
                    request: request.map(|request| self.take_pieces(*request)),
                    outcome: None,
                };
                self.open.insert(place, self.steps.len());
                self.steps.push(step);
            }
            Entry::Finished { result } => self.end(&place, StepOutcome::Finished(result)),
            Entry::Failed { error } => self.end(&place, StepOutcome::Failed(error)),
        }
    }

    fn take_pieces(&mut self, mut request: KeptRequest) -> KeptRequest {
        for piece in request.pieces_mut() {
            if let Piece::First { key, value } = piece {
                self.pieces.insert(key.clone(), value.take());
                *piece = Piece::Again(std::mem::take(key));
            }
        }
        request
    }

    fn end(&mut self, place: &(u32, String), outcome: StepOutcome) {
        let step = self.open.remove(place).and_then(|number| self.steps.get_mut(number));
        if let Some(step) = step {
            step.outcome = Some(outcome);
        }
    }

    /// Gives what a model was asked at a step; `None` where the journal did not keep it.
    ///
    /// # Errors
    /// `Store` when a piece of the request is missing or cannot be read.
    pub fn request(&self, step: &RecordedStep) -> Result<Option<ChatRequest>> {
        let Some(kept) = &step.request else { return Ok(None) };
        kept.whole(&step.model()?, |key| self.pieces.get(key)).map(Some)
    }

    /// Gives the task of this name.
    #[must_use]
    pub fn task(&self, name: &str) -> Option<&RecordedTask> {
        self.tasks.iter().find(|task| task.name == name)
    }
}

impl RecordedStep {
    /// Gives the model that was called; one that stands for any where its name was masked.
    ///
    /// # Errors
    /// `Configuration` never in practice; the name that stands for any is one.
    pub fn model(&self) -> Result<ModelId> {
        self.label.parse().or_else(|_| ModelId::new("redacted", "redacted"))
    }
}
