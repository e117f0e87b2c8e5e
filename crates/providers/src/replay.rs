//! `replay:FILE`: answers model calls from a recorded run, without a network and without paying.
//!
//! Knows the cassette's format only by what `motet_core` reads of it, and no store.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use motet_core::cassette::{Cassette, Reader, RecordedStep, StepOutcome, Steps};
use motet_core::event::ready_stream;
use motet_core::run_log::StepKind;
use motet_core::{
    ChatRequest, ChatResponse, Cost, Delivery, Error, ErrorKind, EventStream, Model, ModelId, Result, Retry,
    RunContext, StreamEvent,
};
use serde_json::Value;

use crate::offline::reply::deliver;

/// Name of the provider in model ids such as `replay:run.jsonl`.
pub const PROVIDER: &str = "replay";

/// Name of the fact in an answer that tells which model gave it when it was recorded.
const RECORDED_MODEL: &str = "recorded_model";

/// A model whose answers were recorded.
///
/// A request is answered by the recorded ones that ask the same, whatever model they asked: first by one at the same step
/// of a run, then in the order they were recorded, each once. Recorded failures fail again. Answers cost nothing.
pub struct ReplayModel {
    steps: Arc<Steps>,
    strict: bool,
    /// Whether answers are given exactly as they were, for comparing, instead of telling what they are and cost now.
    as_recorded: bool,
    given: Mutex<HashSet<usize>>,
}

impl ReplayModel {
    /// Makes a model of a recording; in strict mode a call that was not recorded fails.
    #[must_use]
    pub fn new(steps: Arc<Steps>, strict: bool) -> Self {
        Self { steps, strict, as_recorded: false, given: Mutex::default() }
    }

    /// Gives the answers exactly as they were recorded, with what they cost then: for comparing a run with its recording.
    #[must_use]
    pub fn as_recorded(self) -> Self {
        Self { as_recorded: true, ..self }
    }

    /// Reads a cassette; the id is `replay:` and the path of the file, relative to `base_dir`.
    ///
    /// # Errors
    /// As [`read`].
    pub fn from_file(id: &ModelId, base_dir: &Path, strict: bool) -> Result<Self> {
        let cassette = read(&base_dir.join(id.model()))?;
        Ok(Self::new(Arc::new(Steps::new(Arc::new(cassette))?), strict))
    }

    /// Chooses the recorded call that answers a request, and says what is odd about the choice.
    fn choose(&self, request: &ChatRequest, step: &str) -> Result<(&RecordedStep, Option<String>)> {
        let same = self.steps.asking(request)?;
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = self.next(same.iter().copied(), &given, step) {
            given.insert(number);
            return Ok((self.at(number)?, None));
        }
        if self.strict {
            return Err(match same.len() {
                0 => self.unknown(request, step)?,
                count => exhausted(request, count),
            });
        }
        if let Some(last) = same.last() {
            let odd = "all recorded answers to this request have been given; the last one is given again";
            return Ok((self.at(*last)?, Some(odd.to_owned())));
        }
        let calls = self.steps.cassette().steps.iter().enumerate();
        let answered = calls.filter(|(_, call)| call.kind == StepKind::Model && call.outcome.is_some());
        let Some(number) = self.next(answered.map(|(number, _)| number), &given, step) else {
            return Err(self.unknown(request, step)?);
        };
        given.insert(number);
        let recorded = self.at(number)?;
        let odd = format!("this request was not recorded; the answer of step `{}` is given", recorded.step);
        Ok((recorded, Some(odd)))
    }

    /// Gives the next call that was not given, one at the same step first.
    fn next(&self, calls: impl Iterator<Item = usize>, given: &HashSet<usize>, step: &str) -> Option<usize> {
        let left: Vec<usize> = calls.filter(|number| !given.contains(number)).collect();
        let at_step = |number: &&usize| self.at(**number).is_ok_and(|recorded| recorded.step == step);
        left.iter().find(at_step).or(left.first()).copied()
    }

    fn at(&self, number: usize) -> Result<&RecordedStep> {
        let step = self.steps.cassette().steps.get(number);
        step.ok_or_else(|| Error::new(ErrorKind::Internal, "a recorded step is not at its place"))
    }

    fn unknown(&self, request: &ChatRequest, step: &str) -> Result<Error> {
        let error = Error::new(ErrorKind::NotFound, "this request was not recorded")
            .with_model(request.model.clone());
        let error = if step.is_empty() { error } else { error.with_context("step", step.to_owned()) };
        Ok(match self.steps.nearest(request, step)? {
            Some((recorded, first)) => error.with_hint(format!(
                "nearest is step `{}`: {first}; `replay.strict = false` answers it all the same",
                recorded.step
            )),
            None => error.with_hint("the recording holds no request that could be compared"),
        })
    }
}

fn exhausted(request: &ChatRequest, count: usize) -> Error {
    let answers = if count == 1 { "answer" } else { "answers" };
    let message = format!("the {count} recorded {answers} to this request have been given");
    Error::new(ErrorKind::NotFound, message).with_model(request.model.clone()).with_hint(
        "it was asked less often when it was recorded; `replay.strict = false` repeats the last answer",
    )
}

/// Reads a cassette from a file.
///
/// # Errors
/// `NotFound` and `InvalidRequest` when the file cannot be read or is no cassette, `Unsupported` when a newer Motet wrote
/// it; each names the file, and the line where there is one.
pub fn read(path: &Path) -> Result<Cassette> {
    let named = |error: Error| error.with_context("file", path.display().to_string());
    let unreadable = |error: std::io::Error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::InvalidRequest,
        };
        named(Error::new(kind, format!("the cassette cannot be read: {error}")).with_source(error))
            .with_hint("`motet log export RUN --to FILE` writes one")
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut reader = Reader::default();
    for line in BufReader::new(file).lines() {
        reader.line(&line.map_err(unreadable)?).map_err(named)?;
    }
    reader.finish().map_err(named)
}

/// Gives the recorded answer as it is given again: nothing is paid, and who gave it first is told.
fn replayed(
    recorded: &RecordedStep,
    result: &Value,
    asked: &ModelId,
    as_recorded: bool,
) -> Result<ChatResponse> {
    let mut response: ChatResponse = serde_json::from_value(result.clone()).map_err(|error| {
        Error::new(ErrorKind::Store, format!("the answer of step `{}` cannot be read", recorded.step))
            .with_source(error)
    })?;
    if !as_recorded {
        response.cost = Some(Cost::ZERO);
        response.model = asked.clone();
        response.metadata.insert(RECORDED_MODEL.to_owned(), Value::String(recorded.label.clone()));
    }
    Ok(response)
}

#[async_trait]
impl Model for ReplayModel {
    async fn open(
        &self,
        context: &RunContext,
        request: &ChatRequest,
        delivery: Delivery,
    ) -> Result<EventStream> {
        context.check()?;
        let (recorded, odd) = self.choose(request, context.step_name())?;
        let mut events: Vec<StreamEvent> =
            odd.into_iter().map(|message| StreamEvent::Warning { message }).collect();
        match &recorded.outcome {
            Some(StepOutcome::Finished(result)) => {
                events.extend(deliver(
                    &replayed(recorded, result, &request.model, self.as_recorded)?,
                    delivery,
                ));
                Ok(ready_stream(events))
            }
            Some(StepOutcome::Failed(report)) => Err(Error::from((**report).clone())),
            None => {
                Err(Error::new(ErrorKind::NotFound, "the recorded call was interrupted")
                    .with_retry(Retry::Never))
            }
        }
    }
}

#[cfg(test)]
mod tests;
