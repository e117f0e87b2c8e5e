//! The fallback layer by the settings; vectors of another model mean something else, so only chats fall back.

use std::sync::{Arc, Weak};

use motet_core::ModelId;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::settings::Loaded;
use motet_providers::layers::Layer;
use motet_providers::layers::fallback::{FallbackLayer, Memory, Rules};

use super::Task;
use crate::models::Table;

/// What all models share.
pub(super) struct Parts {
    rules: Rules,
    memory: Arc<Memory>,
    models: Vec<ModelId>,
}

impl Parts {
    pub(super) fn new(loaded: &Loaded) -> Self {
        let settings = &loaded.settings.fallback;
        let mut rules = Rules::default();
        rules.on.clone_from(&settings.on);
        rules.recover_streams = loaded.settings.retry.recover_streams;
        let mut models: Vec<ModelId> = Vec::new();
        for model in &settings.models {
            if !models.contains(model) {
                models.push(model.clone());
            }
        }
        Self { rules, memory: Arc::new(Memory::new(settings.remember)), models }
    }

    /// Gives the layer for a model, unless there is no other one to fall back to.
    ///
    /// # Errors
    /// `Configuration` when one of the others cannot be called, so that it is known before it is needed.
    pub(super) fn layer(
        &self,
        id: &ModelId,
        table: &Weak<Table>,
        task: Task,
    ) -> Result<Option<Arc<dyn Layer>>> {
        let others: Vec<&ModelId> = self.models.iter().filter(|model| *model != id).collect();
        if others.is_empty() || task != Task::Chat {
            return Ok(None);
        }
        let table = table.upgrade().ok_or_else(|| {
            Error::new(ErrorKind::Internal, "a model was put together after its runtime was gone")
        })?;
        let chain = |id: &ModelId| {
            let chain = table.model_chain(id);
            chain.map(|chain| (id.clone(), chain)).map_err(|error| unusable(error, id))
        };
        let others = others.into_iter().map(chain).collect::<Result<Vec<_>>>()?;
        Ok(Some(Arc::new(FallbackLayer::new(self.rules.clone(), Arc::clone(&self.memory), others))))
    }
}

fn unusable(error: Error, id: &ModelId) -> Error {
    error.with_context("setting", "fallback.models").with_context("fallback", format!("`{id}`"))
}
