//! The one tool loop as a pure machine, its drivers, recorded model calls, structured output, tools, prompts,
//! and records of what runs did.
//!
//! Knows nothing of stores, workflows, or settings, and of providers only the sandbox for code.

pub mod agent;
pub mod agent_tool;
pub mod approval;
pub mod batch;
pub mod call;
pub mod code;
pub mod conversation;
pub mod driver;
mod feed;
pub mod function;
mod guard;
pub mod guardrails;
pub mod handoff;
pub mod hooks;
mod inner;
pub mod machine;
pub mod partial;
pub mod prompt;
pub mod record;
mod review;
pub mod routing;
pub mod schema;
pub mod structured;
#[cfg(test)]
mod test_double;
pub mod tool_set;

pub use agent::{Agent, AgentBuilder, Limits, Prompt};
pub use agent_tool::AgentTool;
pub use approval::ApprovalPolicy;
pub use batch::{Batch, BatchOptions, BatchRequest, BatchResult, BatchRun, BatchSummary};
pub use code::CodeTool;
pub use conversation::{Compaction, Session};
pub use driver::{AgentStream, run, stream};
pub use function::{CallContext, FunctionTool, NoArguments, dynamic, function};
pub use guardrails::{Guardrails, GuardrailsSpec};
pub use handoff::Handoff;
pub use hooks::{Hook, HookEntry, HookRegistry, HookSpec, Hooks, OnError, Payload, Reaction, Stage};
pub use machine::{AgentResult, Condense, Outcome, ToolUse};
pub use motet_providers::sandbox;
pub use partial::{PartialJson, StructuredStream, structured_stream};
pub use prompt::PromptTemplate;
pub use record::{EvalRecord, RecordSink, RecordStore};
pub use routing::ToolRouter;
pub use structured::structured;
pub use tool_set::Toolbox;
