//! Circuit breakers by the settings, one for each model and what is asked of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use motet_core::ModelId;
use motet_core::error::Result;
use motet_core::settings::{Loaded, Settings};
use motet_providers::layers::Layer;
use motet_providers::layers::breaker::{BreakerLayer, Circuit, CircuitSnapshot, Limits};
use tokio::time::Instant;

use super::Task;

/// What all models share.
pub(super) struct Parts {
    limits: Option<Limits>,
    circuits: Mutex<BTreeMap<(ModelId, Task), Arc<Circuit>>>,
}

impl Parts {
    pub(super) fn new(loaded: &Loaded) -> Result<Self> {
        let settings = &loaded.settings;
        let limits = settings.breaker.enabled.then(|| limits(settings));
        Ok(Self { limits, circuits: Mutex::default() })
    }

    pub(super) fn layer(&self, id: &ModelId, task: Task) -> Option<Arc<dyn Layer>> {
        let limits = self.limits?;
        let mut circuits = self.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        let circuit = circuits
            .entry((id.clone(), task))
            .or_insert_with(|| Arc::new(Circuit::new(limits, Instant::now())));
        Some(Arc::new(BreakerLayer::new(Arc::clone(circuit), scope(id, task))))
    }

    /// Gives every circuit as it stands, by its scope.
    pub(super) fn snapshots(&self) -> Vec<(String, CircuitSnapshot)> {
        let circuits = self.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        circuits.iter().map(|((id, task), circuit)| (scope(id, *task), circuit.snapshot(now))).collect()
    }
}

fn limits(settings: &Settings) -> Limits {
    let settings = &settings.breaker;
    let mut limits = Limits::default();
    limits.failure_rate = settings.failure_rate;
    limits.min_calls = settings.min_calls;
    limits.window = settings.window;
    limits.open_for = settings.open_for;
    limits.probes = settings.probes;
    limits
}

/// Gives when circuits of other programs open; where breakers are off, never.
pub(crate) fn remote_limits(settings: &Settings) -> Limits {
    let mut limits = limits(settings);
    if !settings.breaker.enabled {
        limits.min_calls = u32::MAX;
    }
    limits
}

fn scope(id: &ModelId, task: Task) -> String {
    match task {
        Task::Chat => id.to_string(),
        Task::Embed => format!("{id} embed"),
        Task::Rerank => format!("{id} rerank"),
    }
}
