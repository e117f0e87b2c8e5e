//! The one tool loop as a pure machine, its drivers, recorded model calls, structured output, and function tools.
//!
//! Knows nothing of stores, providers, workflows, or settings.

pub mod agent;
pub mod approval;
pub mod batch;
pub mod call;
pub mod driver;
mod feed;
pub mod function;
mod guard;
pub mod handoff;
pub mod hooks;
pub mod machine;
mod review;
pub mod routing;
mod schema;
pub mod structured;
#[cfg(test)]
mod test_double;
pub mod tool_set;

pub use agent::{Agent, AgentBuilder, Limits, Prompt};
pub use approval::ApprovalPolicy;
pub use batch::{Batch, BatchOptions, BatchRequest, BatchResult, BatchRun, BatchSummary};
pub use driver::{AgentStream, run, stream};
pub use function::{CallContext, FunctionTool, NoArguments, dynamic, function};
pub use handoff::Handoff;
pub use hooks::{Hook, HookEntry, Hooks, OnError, Payload, Reaction, Stage};
pub use machine::{AgentResult, Condense, Outcome, ToolUse};
pub use routing::ToolRouter;
pub use structured::structured;
pub use tool_set::Toolbox;
