//! A run log whose steps were recorded before: nothing that it holds is performed, and nothing else is let through unseen.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use super::{RecordedStep, StepOutcome, Steps, difference};
use crate::error::{Error, ErrorKind, Result};
use crate::request::ChatRequest;
use crate::run_log::{MemoryLog, Record, RunLog, Step, StepKind, StepState};

/// Answers the steps of a run from a recording of it.
///
/// In strict mode a step that was not recorded, or that asks something else, fails before anything is sent. Otherwise such
/// a model call is let through, to whatever model the caller has put in place; tools never are.
pub struct ReplayLog {
    steps: Arc<Steps>,
    strict: bool,
    /// What is performed although it was not recorded.
    fresh: MemoryLog,
    answered: AtomicU64,
}

impl ReplayLog {
    /// Makes a log of a recording.
    #[must_use]
    pub fn new(steps: Arc<Steps>, strict: bool) -> Self {
        Self { steps, strict, fresh: MemoryLog::default(), answered: AtomicU64::new(0) }
    }

    /// Gives how many steps were answered from the recording so far.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Tells what is wrong with the request of a step, if it is not the recorded one.
    fn changed(
        &self,
        recorded: &RecordedStep,
        step: &Step<'_>,
        request: Option<&ChatRequest>,
    ) -> Result<Option<String>> {
        if recorded.kind != step.kind {
            return Ok(Some("another kind of step was recorded there".to_owned()));
        }
        let cassette = self.steps.cassette();
        // What a step other than a model call asks is only known by its hash, which masking changes.
        if recorded.request_hash == step.request_hash
            || (request.is_none() && cassette.header.masked.is_some())
        {
            return Ok(None);
        }
        let asked = cassette.request(recorded)?;
        Ok(match (request, asked) {
            // What was masked is no difference: the recorded request was masked in the same way as what it is made of.
            (Some(now), Some(asked)) => difference(now, &asked).map(|first| first.to_string()),
            _ => Some(format!("`{}` was asked something else", recorded.label)),
        })
    }

    fn refused(&self, key: &str, step: &Step<'_>, request: Option<&ChatRequest>) -> Result<Error> {
        let error = Error::new(ErrorKind::NotFound, format!("step `{key}` was not recorded"))
            .with_context("step", step.label);
        let nearest = match request {
            Some(request) => self.steps.nearest(request, key)?,
            None => None,
        };
        Ok(match nearest {
            Some((recorded, first)) => {
                error.with_hint(format!("nearest is step `{}`: {first}", recorded.step))
            }
            None => error.with_hint("the definition does something that the recorded run did not"),
        })
    }
}

#[async_trait]
impl RunLog for ReplayLog {
    /// Gives what is known of a fresh step, or of a recorded one: what people decided, and calls of unknown outcome, decide
    /// about others.
    fn lookup(&self, step: &str) -> Option<StepState> {
        self.fresh.lookup(step).or_else(|| {
            let recorded = self.steps.last(step)?;
            let (result, failed) = match &recorded.outcome {
                Some(StepOutcome::Finished(result)) => (Some(result.clone()), false),
                Some(StepOutcome::Failed(_)) => (None, true),
                None => (None, false),
            };
            let (request_hash, effect) = (recorded.request_hash.clone(), recorded.effect);
            Some(StepState { request_hash, effect, result, failed })
        })
    }

    fn find(&self, key: &str, step: &Step<'_>, request: Option<&ChatRequest>) -> Result<Option<StepState>> {
        if let Some(fresh) = self.fresh.lookup(key) {
            return Ok(Some(fresh));
        }
        let may_be_fresh = !self.strict && matches!(step.kind, StepKind::Model | StepKind::Value);
        let Some(recorded) = self.steps.last(key) else {
            return if may_be_fresh { Ok(None) } else { Err(self.refused(key, step, request)?) };
        };
        if let Some(change) = self.changed(recorded, step, request)? {
            if may_be_fresh {
                return Ok(None);
            }
            return Err(Error::new(ErrorKind::NotFound, format!("step `{key}` was recorded otherwise: {change}"))
                .with_hint("the definition, its inputs, or Motet changed since; `--no-strict` goes on with the recorded answers"));
        }
        match &recorded.outcome {
            Some(StepOutcome::Finished(result)) => {
                self.answered.fetch_add(1, Ordering::Relaxed);
                Ok(Some(StepState {
                    request_hash: step.request_hash.to_owned(),
                    effect: step.effect,
                    result: Some(result.clone()),
                    failed: false,
                }))
            }
            Some(StepOutcome::Failed(report)) => {
                self.answered.fetch_add(1, Ordering::Relaxed);
                Err(Error::from((**report).clone()))
            }
            None => Err(Error::new(
                ErrorKind::NotFound,
                format!("step `{key}` was interrupted and has no outcome"),
            )
            .with_hint("resume the recorded run to its end first")),
        }
    }

    async fn append(&self, records: Vec<Record>) -> Result<()> {
        self.fresh.append(records).await
    }

    fn records(&self) -> Vec<Record> {
        self.fresh.records()
    }
}
