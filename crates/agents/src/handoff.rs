//! Agents that another agent may give its run away to.
//!
//! Each is offered to the model as a tool without effect of its own; the driver goes on as the other agent.

use std::sync::Arc;

use motet_core::Model;
use motet_core::request::ToolSpec;
use serde_json::json;

use crate::agent::Agent;

/// An agent that takes over, and the model that it asks.
#[derive(Clone)]
pub struct Handoff {
    /// The agent.
    pub agent: Agent,
    /// Its model.
    pub model: Arc<dyn Model>,
}

impl Handoff {
    /// Gives what the model sees: a tool `transfer_to_NAME`.
    pub(crate) fn spec(&self) -> ToolSpec {
        let name = format!("transfer_to_{}", tool_name(self.agent.name()));
        let description = match self.agent.description() {
            "" => format!("Hands the conversation over to the agent `{}`.", self.agent.name()),
            what => format!("Hands the conversation over to the agent `{}`: {what}", self.agent.name()),
        };
        let parameters = json!({
            "type": "object",
            "properties": {"reason": {"type": "string", "description": "Why, for the other agent."}},
            "additionalProperties": false,
        });
        ToolSpec::new(name, description, parameters)
    }
}

/// Makes the name of an agent one that every provider takes for a tool.
pub(crate) fn tool_name(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    name.chars().map(allowed).take(50).collect()
}
