//! Which calls of tools a person must agree to.

use std::fmt;
use std::sync::Arc;

use motet_core::Tool;
use serde_json::Value;

/// Picks calls by the tool's name and the arguments.
pub type Picks = Arc<dyn Fn(&str, &Value) -> bool + Send + Sync>;

/// Says which calls need a person's agreement.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum ApprovalPolicy {
    /// Those whose tool says so.
    #[default]
    AsTools,
    /// All.
    Always,
    /// None, whatever the tools say.
    Never,
    /// Those of these tools, and those whose tool says so.
    Named(Vec<String>),
    /// Those that a function picks by the tool's name and the arguments, and those whose tool says so.
    Where(Picks),
}

impl ApprovalPolicy {
    /// Tells whether a person must agree to a call.
    #[must_use]
    pub fn asks(&self, tool: &dyn Tool, arguments: &Value) -> bool {
        let name = tool.spec().name.as_str();
        match self {
            ApprovalPolicy::Always => true,
            ApprovalPolicy::Never => false,
            ApprovalPolicy::AsTools => tool.needs_approval(arguments),
            ApprovalPolicy::Named(names) => {
                names.iter().any(|named| named == name) || tool.needs_approval(arguments)
            }
            ApprovalPolicy::Where(picks) => picks(name, arguments) || tool.needs_approval(arguments),
        }
    }
}

impl fmt::Debug for ApprovalPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ApprovalPolicy::AsTools => f.write_str("AsTools"),
            ApprovalPolicy::Always => f.write_str("Always"),
            ApprovalPolicy::Never => f.write_str("Never"),
            ApprovalPolicy::Named(names) => f.debug_tuple("Named").field(names).finish(),
            ApprovalPolicy::Where(_) => f.write_str("Where"),
        }
    }
}
