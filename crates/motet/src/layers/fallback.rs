//! The fallback layer by the settings; vectors of another model mean something else, so only chats fall back.

use std::sync::{Arc, Weak};

use motet_core::error::Result;
use motet_core::settings::Loaded;
use motet_providers::layers::Layer;
use motet_providers::layers::fallback::FallbackLayer;

use super::Task;
use crate::models::Table;

pub(super) fn layer(loaded: &Loaded, _table: &Weak<Table>, task: Task) -> Result<Option<Arc<dyn Layer>>> {
    if loaded.settings.fallback.models.is_empty() || task != Task::Chat {
        return Ok(None);
    }
    Ok(Some(Arc::new(FallbackLayer::default())))
}
