//! The keys of a pool as users see them.
//!
//! Shows names, states, and counts, and never a key.

use std::time::Duration;

use motet_core::error::ErrorReport;
use serde::Serialize;
use tokio::time::Instant;

use super::pool::KeyPool;
use super::rest::Quarantine;

/// How one key does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct KeySnapshot {
    /// Its name.
    pub name: String,
    /// Whose limits it shares; its own name where it shares none.
    pub group: String,
    /// Its share of the work.
    pub weight: u32,
    /// Whether it can be used; a key that rests for some models only is `cooling`.
    pub state: KeyStatus,
    /// What became of its calls; `None` for a provider's only key, which is not counted.
    #[serde(flatten)]
    pub counts: Option<KeyCounts>,
    /// What it rests for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rests: Vec<KeyRest>,
}

impl KeySnapshot {
    /// Shows a key that is not counted.
    #[must_use]
    pub fn uncounted(name: impl Into<String>, group: impl Into<String>, weight: u32) -> Self {
        Self {
            name: name.into(),
            group: group.into(),
            weight,
            state: KeyStatus::Ready,
            counts: None,
            rests: Vec::new(),
        }
    }
}

/// What became of the calls of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct KeyCounts {
    /// Calls on their way with it, those that wait for its limits included.
    pub in_flight: u32,
    /// Requests sent.
    pub sent: u64,
    /// Requests that were answered whole.
    pub succeeded: u64,
    /// Requests refused because there were too many.
    pub rate_limited: u64,
    /// Requests refused because the key is not taken, may not ask, or has nothing left.
    pub refused: u64,
}

/// Whether a key can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeyStatus {
    /// It can.
    Ready,
    /// It was asked too often and rests for a while.
    Cooling,
    /// It is not taken, and is tried again after a long while.
    Quarantined,
}

impl KeyStatus {
    /// Gives the word that is shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            KeyStatus::Ready => "ready",
            KeyStatus::Cooling => "cooling",
            KeyStatus::Quarantined => "quarantined",
        }
    }
}

/// One rest of a key.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct KeyRest {
    /// The model that it holds for; `None` where it holds for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What kind of rest it is.
    pub state: KeyStatus,
    /// Seconds until it is over, or until the next try.
    pub seconds: u64,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
}

impl KeyPool {
    /// Shows how every key does, in their order.
    #[must_use]
    pub fn snapshot(&self) -> Vec<KeySnapshot> {
        let now = Instant::now();
        let state = self.state();
        let shown = self.keys().iter().zip(&state.keys).map(|(key, record)| {
            let group = state.groups.get(record.group);
            let whole = [record.refused.as_ref(), group.and_then(|group| group.empty.as_ref())];
            let whole = whole.into_iter().flatten().map(|quarantine| resting(None, quarantine, now));
            let forbidden = record.forbidden.iter();
            let forbidden = forbidden.map(|(model, quarantine)| resting(Some(model), quarantine, now));
            let cooling = group.into_iter().flat_map(|group| &group.cooling);
            let cooling = cooling.filter(|(_, cooling)| cooling.is_active(now)).map(|(model, cooling)| {
                let seconds = seconds(cooling.until.saturating_duration_since(now));
                KeyRest { model: Some(model.clone()), state: KeyStatus::Cooling, seconds, error: None }
            });
            let rests: Vec<KeyRest> = whole.chain(cooling).chain(forbidden).collect();
            let state = match rests.first() {
                None => KeyStatus::Ready,
                Some(KeyRest { model: None, .. }) => KeyStatus::Quarantined,
                Some(_) => KeyStatus::Cooling,
            };
            KeySnapshot {
                state,
                counts: Some(record.counts),
                rests,
                ..KeySnapshot::uncounted(&key.name, &key.group, key.weight)
            }
        });
        shown.collect()
    }
}

fn resting(model: Option<&String>, quarantine: &Quarantine, now: Instant) -> KeyRest {
    KeyRest {
        model: model.cloned(),
        state: KeyStatus::Quarantined,
        seconds: seconds(quarantine.probe_at.saturating_duration_since(now)),
        error: Some(quarantine.why.clone()),
    }
}

fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
