//! What is known of each key and each group, and how outcomes of calls change it.
//!
//! Holds no lock, reads no clock, and tells nobody: the pool does.

use std::collections::HashMap;

use motet_core::error::ErrorReport;
use tokio::time::Instant;

use super::affinity::Memory;
use super::refusal::Refusal;
use super::rest::{Cooling, Quarantine};
use super::snapshot::KeyCounts;

/// What is known of one key.
#[derive(Debug, Default)]
pub(super) struct KeyRecord {
    pub(super) group: usize,
    pub(super) weight: u32,
    /// When its next turn is, in turns of a key of weight 1.
    pub(super) turn: f64,
    /// Number of the choice that it was chosen by last.
    pub(super) chosen: u64,
    pub(super) counts: KeyCounts,
    /// The key itself is not taken.
    pub(super) refused: Option<Quarantine>,
    /// Models that it may not ask, although others of its provider may.
    pub(super) forbidden: HashMap<String, Quarantine>,
}

/// What is known of keys that share one quota.
#[derive(Debug, Default)]
pub(super) struct GroupRecord {
    /// Weights of its keys together.
    pub(super) weight: u32,
    /// Its account has nothing left.
    pub(super) empty: Option<Quarantine>,
    /// Models that were asked too often.
    pub(super) cooling: HashMap<String, Cooling>,
}

/// Whether a key can be used for a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Ready,
    /// Not before then.
    Until(Instant),
    /// Only to see whether it is taken again.
    Due,
    Gone,
}

/// A key chosen for one call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Use {
    pub(super) key: usize,
    pub(super) model: String,
    /// The call is to show whether the key is taken again.
    pub(super) is_probe: bool,
    /// The first call after a rest.
    pub(super) is_back: bool,
    /// The call carries what perhaps only another account can read.
    pub(super) is_foreign: bool,
}

/// How a use ended.
#[derive(Debug)]
pub(super) enum End {
    Done,
    Refused(Refusal, ErrorReport),
    /// Nothing was learnt about the key.
    Other,
}

/// The state of a provider's keys.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) keys: Vec<KeyRecord>,
    pub(super) groups: Vec<GroupRecord>,
    /// The turn that was taken last.
    pub(super) turn: f64,
    /// Choices so far.
    pub(super) choices: u64,
    pub(super) memory: Memory,
}

impl State {
    /// Gives what keeps a key from a model until it is tried again.
    pub(super) fn quarantines<'a>(
        &'a self,
        key: &'a KeyRecord,
        model: &str,
    ) -> impl Iterator<Item = &'a Quarantine> {
        let empty = self.groups.get(key.group).and_then(|group| group.empty.as_ref());
        [key.refused.as_ref(), empty, key.forbidden.get(model)].into_iter().flatten()
    }

    pub(super) fn standing(&self, key: &KeyRecord, model: &str, now: Instant) -> Standing {
        let cooling = self.groups.get(key.group).and_then(|group| group.cooling.get(model));
        let until = cooling.filter(|cooling| cooling.is_active(now)).map(|cooling| cooling.until);
        let mut quarantines = self.quarantines(key, model).peekable();
        match (quarantines.peek().is_some(), until) {
            (false, None) => Standing::Ready,
            (false, Some(until)) => Standing::Until(until),
            (true, None) if quarantines.all(|quarantine| quarantine.is_due(now)) => Standing::Due,
            (true, _) => Standing::Gone,
        }
    }

    /// Tells whether a call that waits to be sent with a key still should be.
    pub(super) fn is_usable(&self, using: &Use, now: Instant) -> bool {
        let Some(key) = self.keys.get(using.key) else { return false };
        match self.standing(key, &using.model, now) {
            Standing::Ready | Standing::Due => true,
            Standing::Until(_) => false,
            // A probe's own quarantine holds until it ends.
            Standing::Gone => using.is_probe,
        }
    }

    /// Takes a key for a call.
    pub(super) fn begin(&mut self, key: usize, model: &str, now: Instant) -> Option<Use> {
        let record = self.keys.get(key)?;
        let is_probe = self.standing(record, model, now) == Standing::Due;
        let record = self.keys.get_mut(key)?;
        let group = self.groups.get_mut(record.group)?;
        record.counts.in_flight += 1;
        // A key that rested does not catch up on the turns that it missed.
        self.turn = self.turn.max(record.turn);
        record.turn = self.turn + 1.0 / f64::from(record.weight);
        self.choices += 1;
        record.chosen = self.choices;
        if is_probe {
            let slots = [record.refused.as_mut(), group.empty.as_mut(), record.forbidden.get_mut(model)];
            slots.into_iter().flatten().for_each(|quarantine| quarantine.probing = true);
        }
        let cooling = group.cooling.get_mut(model).filter(|cooling| cooling.announced);
        let is_back = cooling.map(|cooling| cooling.announced = false).is_some();
        Some(Use { key, model: model.to_owned(), is_probe, is_back, is_foreign: false })
    }

    /// Counts that a call with a key was sent.
    pub(super) fn sent(&mut self, key: usize) {
        if let Some(record) = self.keys.get_mut(key) {
            record.counts.sent += 1;
        }
    }

    /// Lifts what a probe showed to be over; tells whether it did.
    pub(super) fn accepted(&mut self, using: &Use) -> bool {
        let Some(record) = self.keys.get_mut(using.key).filter(|_| using.is_probe) else { return false };
        let is_probing = |quarantine: &mut Quarantine| quarantine.probing;
        let mut lifted = record.refused.take_if(is_probing).is_some();
        let empty = self.groups.get_mut(record.group).map(|group| &mut group.empty);
        lifted |= empty.is_some_and(|empty| empty.take_if(is_probing).is_some());
        if record.forbidden.get(&using.model).is_some_and(|quarantine| quarantine.probing) {
            lifted |= record.forbidden.remove(&using.model).is_some();
        }
        lifted
    }

    /// Gives a key back; tells its new state where it changed.
    pub(super) fn end(
        &mut self,
        using: &Use,
        sent: Option<Instant>,
        end: End,
        now: Instant,
    ) -> Option<&'static str> {
        let lifted = matches!(end, End::Done) && self.accepted(using);
        let record = self.keys.get_mut(using.key)?;
        let group = self.groups.get_mut(record.group)?;
        record.counts.in_flight = record.counts.in_flight.saturating_sub(1);
        let changed = match (end, sent) {
            (End::Done, Some(sent)) => {
                record.counts.succeeded += 1;
                change(&mut group.cooling, &using.model, |cooling| Cooling::succeed(cooling, sent));
                lifted.then_some(READY)
            }
            (End::Refused(Refusal::TooMany(advice), _), Some(sent)) => {
                record.counts.rate_limited += 1;
                change(&mut group.cooling, &using.model, |cooling| {
                    Cooling::refuse(cooling, sent, now, advice)
                })
                .then_some(COOLING)
            }
            (End::Refused(refusal, why), Some(_)) => {
                record.counts.refused += 1;
                let refuse = |slot: &mut Option<Quarantine>| {
                    let is_probe = using.is_probe && slot.as_ref().is_some_and(|slot| slot.probing);
                    Quarantine::refuse(slot, now, is_probe, why)
                };
                let is_new = match refusal {
                    Refusal::Key => refuse(&mut record.refused),
                    Refusal::Account => refuse(&mut group.empty),
                    // Held against the key only where it had been confirmed before; see `forbid`.
                    Refusal::Perhaps if record.forbidden.contains_key(&using.model) => {
                        change(&mut record.forbidden, &using.model, refuse)
                    }
                    Refusal::Perhaps | Refusal::TooMany(_) => false,
                };
                is_new.then_some(QUARANTINED)
            }
            _ => None,
        };
        if using.is_probe {
            let slots =
                [record.refused.as_mut(), group.empty.as_mut(), record.forbidden.get_mut(&using.model)];
            slots.into_iter().flatten().for_each(|quarantine| quarantine.probing = false);
        }
        changed
    }

    /// Keeps a key from a model that another key was allowed to ask; tells whether that is new.
    pub(super) fn forbid(&mut self, key: usize, model: &str, why: ErrorReport, now: Instant) -> bool {
        self.keys.get_mut(key).is_some_and(|record| {
            change(&mut record.forbidden, model, |slot| Quarantine::refuse(slot, now, false, why))
        })
    }
}

/// The states of a key in events.
pub(super) const READY: &str = "ready";
pub(super) const COOLING: &str = "cooling";
pub(super) const QUARANTINED: &str = "quarantined";

/// Changes what is kept under a name, which may not be there before or after.
fn change<T, R>(map: &mut HashMap<String, T>, name: &str, how: impl FnOnce(&mut Option<T>) -> R) -> R {
    let mut slot = if map.is_empty() { None } else { map.remove(name) };
    let result = how(&mut slot);
    if let Some(value) = slot {
        map.insert(name.to_owned(), value);
    }
    result
}
