//! The one tool loop as a pure machine, its drivers, recorded model calls, structured output, and function tools.
//!
//! Knows nothing of stores, providers, workflows, or settings.

pub mod agent;
pub mod batch;
pub mod call;
pub mod driver;
mod feed;
pub mod function;
mod guard;
pub mod machine;
mod schema;
pub mod structured;
#[cfg(test)]
mod test_double;

pub use agent::{Agent, AgentBuilder, Limits, Prompt};
pub use batch::{Batch, BatchOptions, BatchRequest, BatchResult, BatchRun, BatchSummary};
pub use driver::{AgentStream, run, stream};
pub use function::{CallContext, FunctionTool, dynamic, function};
pub use machine::{AgentResult, Outcome, ToolUse};
pub use structured::structured;
