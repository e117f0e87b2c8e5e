//! Finds the recorded model calls that ask the same as a request, and the nearest one where none does.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::{Cassette, Difference, RecordedStep, difference};
use crate::error::Result;
use crate::id::content_hash;
use crate::model_id::ModelId;
use crate::request::ChatRequest;
use crate::run_log::{StepKind, fingerprint};

/// Characters of a message by which likeness is judged.
const COMPARED: usize = 400;

/// Calls that are compared when none is at the same step; a hint is not worth more time.
const MOST_COMPARED: usize = 1_000;

/// The recorded model calls by what was asked.
#[derive(Debug)]
pub struct Steps {
    cassette: Arc<Cassette>,
    /// By hash without the model, as it was asked and as it is after masking.
    fingerprints: HashMap<String, Vec<usize>>,
    /// By hash with the model, of calls whose request was not kept.
    hashes: HashMap<String, Vec<usize>>,
    models: BTreeSet<ModelId>,
    /// The last attempt at each step, of whatever kind.
    last: HashMap<String, usize>,
}

impl Steps {
    /// Looks through a cassette.
    ///
    /// # Errors
    /// `Store` when a recorded request cannot be read.
    pub fn new(cassette: Arc<Cassette>) -> Result<Self> {
        let mut steps = Self {
            fingerprints: HashMap::new(),
            hashes: HashMap::new(),
            models: BTreeSet::new(),
            last: HashMap::new(),
            cassette: Arc::clone(&cassette),
        };
        for (number, step) in cassette.steps.iter().enumerate() {
            steps.last.insert(step.step.clone(), number);
            if step.kind != StepKind::Model || step.outcome.is_none() {
                continue;
            }
            match (&step.request, cassette.request(step)?) {
                (Some(kept), Some(request)) => {
                    let masked = fingerprint(&request)?;
                    if masked != kept.fingerprint {
                        steps.fingerprints.entry(masked).or_default().push(number);
                    }
                    steps.fingerprints.entry(kept.fingerprint.clone()).or_default().push(number);
                }
                _ => {
                    steps.models.insert(step.model()?);
                    steps.hashes.entry(step.request_hash.clone()).or_default().push(number);
                }
            }
        }
        Ok(steps)
    }

    /// Gives the recording.
    #[must_use]
    pub fn cassette(&self) -> &Arc<Cassette> {
        &self.cassette
    }

    /// Gives the numbers of the calls that ask the same, whatever model they ask, in the order they began.
    ///
    /// # Errors
    /// `Internal` when the request cannot be written as JSON.
    pub fn asking(&self, request: &ChatRequest) -> Result<Vec<usize>> {
        let mut found = self.fingerprints.get(&fingerprint(request)?).cloned().unwrap_or_default();
        for model in &self.models {
            let as_recorded = ChatRequest { model: model.clone(), ..request.clone() };
            found.extend(self.hashes.get(&content_hash(&as_recorded)?).into_iter().flatten());
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Gives the last attempt at a step.
    #[must_use]
    pub fn last(&self, step: &str) -> Option<&RecordedStep> {
        self.cassette.steps.get(*self.last.get(step)?)
    }

    /// Gives the call that asks most nearly the same, and where it differs first; one at the same step is preferred.
    ///
    /// # Errors
    /// `Store` when a recorded request cannot be read.
    pub fn nearest(&self, request: &ChatRequest, step: &str) -> Result<Option<(&RecordedStep, Difference)>> {
        let calls = || self.cassette.steps.iter().filter(|recorded| recorded.kind == StepKind::Model);
        let at_step = calls().rfind(|recorded| recorded.step == step);
        let mut best = None;
        for recorded in at_step.into_iter().chain(calls().take(MOST_COMPARED)) {
            let Some(asked) = self.cassette.request(recorded)? else { continue };
            let Some(first) = difference(request, &asked) else { continue };
            if recorded.step == step {
                return Ok(Some((recorded, first)));
            }
            let rank = likeness(request, &asked);
            if best.as_ref().is_none_or(|(better, _, _)| rank > *better) {
                best = Some((rank, recorded, first));
            }
        }
        Ok(best.map(|(_, recorded, difference)| (recorded, difference)))
    }
}

/// Orders requests by how like they are: equal messages at the beginning, then the likeness of the first other one.
fn likeness(now: &ChatRequest, recorded: &ChatRequest) -> (usize, u32, Reverse<usize>) {
    let equal = now.messages.iter().zip(&recorded.messages).take_while(|(new, old)| new == old).count();
    let text = |request: &ChatRequest| {
        let message = request.messages.get(equal).map(|message| message.visible_text());
        message.unwrap_or_default().chars().take(COMPARED).collect::<String>()
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "lies between 0 and 1000")]
    let like = (strsim::normalized_damerau_levenshtein(&text(now), &text(recorded)) * 1_000.0) as u32;
    (equal, like, Reverse(now.messages.len().abs_diff(recorded.messages.len())))
}
