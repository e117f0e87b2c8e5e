//! Puts the layers of every model together by the settings, in the order that their rows are in.
//!
//! What several models share, such as breakers, keys, limits, and kept answers, lives here as long as the runtime.

pub(crate) mod breaker;
mod budget;
mod cache;
mod fallback;
mod keys;
mod limits;
mod retry;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use motet_core::ModelId;
use motet_core::error::Result;
use motet_core::settings::Loaded;
use motet_providers::layers::breaker::CircuitSnapshot;
use motet_providers::layers::key_pool::KeySnapshot;
use motet_providers::layers::retry::RetryJudge;
use motet_providers::layers::{Bottom, Chain, Layer, Place, Stack};

pub(crate) use keys::Key;

use crate::lazy_store::LazyStore;
use crate::models::Table;

/// What is asked of the model that a stack is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Task {
    Chat,
    Embed,
    Rerank,
}

/// The layers of one runtime.
pub(crate) struct Layers {
    loaded: Loaded,
    table: Weak<Table>,
    own: Mutex<Vec<(Place, Arc<dyn Layer>)>>,
    retry: retry::Parts,
    fallback: fallback::Parts,
    breaker: breaker::Parts,
    keys: keys::Parts,
    budget: budget::Parts,
    cache: cache::Parts,
}

impl Layers {
    pub(crate) fn new(loaded: &Loaded, store: &LazyStore) -> Result<Self> {
        Ok(Self {
            retry: retry::Parts::new(loaded)?,
            fallback: fallback::Parts::new(loaded),
            breaker: breaker::Parts::new(loaded)?,
            keys: keys::Parts::new(loaded)?,
            budget: budget::Parts::new(loaded, store)?,
            cache: cache::Parts::new(loaded, store)?,
            loaded: loaded.clone(),
            table: Weak::new(),
            own: Mutex::default(),
        })
    }

    /// Tells the layers where the other models are that one may fall back to.
    pub(crate) fn of(self, table: Weak<Table>) -> Self {
        Self { table, ..self }
    }

    /// Adds a user's own layer; those added later stand further in.
    pub(crate) fn add(&self, place: Place, layer: Arc<dyn Layer>) {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).push((place, layer));
    }

    /// Has a user's own judge decide what is tried again.
    pub(crate) fn judge_retries(&self, judge: Arc<dyn RetryJudge>) {
        self.retry.judge(judge);
    }

    /// Gives every circuit breaker as it stands, by what it stands before.
    pub(crate) fn circuits(&self) -> Vec<(String, CircuitSnapshot)> {
        self.breaker.snapshots()
    }

    fn own(&self, place: Place) -> Vec<Arc<dyn Layer>> {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.iter().filter(|(at, _)| *at == place).map(|(_, layer)| Arc::clone(layer)).collect()
    }

    /// Makes a model callable with all its layers.
    pub(crate) fn stack(&self, id: &ModelId, task: Task, keys: Vec<(Key, Bottom)>) -> Result<Stack> {
        let mut layers = self.own(Place::Outermost);
        layers.push(self.budget.layer(self, id, task));
        layers.push(self.cache.layer(self, id));
        layers.extend(self.fallback.layer(id, &self.table, task)?);
        let (more, bottom) = self.below(id, task, keys)?;
        layers.extend(more);
        let retry = &self.loaded.settings.retry;
        Ok(Stack::new(Chain::new(layers, bottom), retry.max_attempts, Some(retry.max_time)))
    }

    /// Gives the kept answers of a model alone; what is not kept is refused, and nobody is asked.
    pub(crate) fn kept(&self, id: &ModelId) -> Stack {
        Stack::new(Chain::new(vec![self.cache.layer(self, id)], Bottom::None), 1, None)
    }

    /// Puts the layers together that every model has of its own, also one that another falls back to.
    pub(crate) fn model_chain(&self, id: &ModelId, task: Task, keys: Vec<(Key, Bottom)>) -> Result<Chain> {
        let (layers, bottom) = self.below(id, task, keys)?;
        Ok(Chain::new(layers, bottom))
    }

    /// Shows how a provider's keys do.
    pub(crate) fn key_snapshots(&self, provider: &str, keys: &[&Key]) -> Vec<KeySnapshot> {
        match self.keys.pool(provider, keys) {
            Some(pool) => pool.snapshot(),
            None => {
                keys.iter().map(|key| KeySnapshot::uncounted(&key.name, &key.group, key.weight)).collect()
            }
        }
    }

    fn below(
        &self,
        id: &ModelId,
        task: Task,
        keys: Vec<(Key, Bottom)>,
    ) -> Result<(Vec<Arc<dyn Layer>>, Bottom)> {
        let mut layers = self.own(Place::AroundRetry);
        layers.push(self.retry.layer());
        layers.extend(self.own(Place::InsideRetry));
        layers.extend(self.breaker.layer(id, task));
        let (pool, bottom) = self.keys.layers(id, keys)?;
        layers.extend(pool);
        Ok((layers, bottom))
    }
}
