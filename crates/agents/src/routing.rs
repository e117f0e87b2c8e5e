//! Selects those of many tools that a run is offered: a recorded question to a model, which falls back to all of them.

use std::sync::Arc;

use motet_core::{Message, Model, ModelId, Result, RunContext};

use crate::agent::Agent;

/// How tools are selected.
#[derive(Clone)]
pub struct ToolRouter {
    /// The model that selects.
    pub(crate) model: Arc<dyn Model>,
    /// Its id.
    pub(crate) id: ModelId,
    /// Up to so many tools are all offered without asking.
    pub(crate) threshold: usize,
}

/// Gives the places of the tools to offer; `None` for all.
pub(crate) async fn select_tools(
    _agent: &Agent,
    _context: &RunContext,
    _messages: &[Message],
) -> Result<Option<Vec<usize>>> {
    Ok(None)
}
