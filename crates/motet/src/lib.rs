//! Motet: one engine for LLM work, from a single completion to a durable workflow.
//!
//! This crate is the only composition root: it turns settings into a wired [`Runtime`]. Nothing is global, and nothing is
//! opened before it is needed.
//!
//! ```
//! use motet::{ChatRequest, Message, RunContext, Runtime};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let runtime = Runtime::with_defaults()?;
//! let request = ChatRequest::new(
//!     "offline:extract".parse()?,
//!     vec![Message::user("Who wrote the letter?\n\nThe letter was written by Ada Brook on 3 May 2026.")],
//! );
//! let response = runtime.complete(&RunContext::new(), &request).await?;
//! assert!(response.text().contains("Ada Brook"));
//! # Ok::<(), motet::Error>(())
//! # }).unwrap();
//! ```

pub mod agent;
pub mod batch;
mod check;
mod child_runs;
mod conversation;
pub mod discover;
pub mod eval;
pub mod forecast;
pub mod health;
mod idle;
pub mod items_report;
mod layers;
mod lazy_store;
mod lease;
pub mod mcp;
mod methods;
mod models;
pub mod prices;
pub mod recording;
pub mod report;
pub mod runtime;
pub mod store;
pub mod watch;
pub mod workers;
pub mod workflow;
pub mod written;

pub use health::Health;
pub use motet_agents as agents;
pub use motet_core as core;
pub use motet_core::{
    ChatRequest, ChatResponse, Cost, Delivery, EmbedRequest, EmbedResponse, Error, ErrorKind, EventStream,
    FinishReason, Message, ModelId, Part, Result, Role, RunContext, RunId, Secret, Settings, StreamEvent,
    Tool, Usage,
};
pub use motet_persistence as persistence;
pub use motet_providers as providers;
pub use motet_workflows as workflows;
pub use report::RunReport;
pub use runtime::Runtime;
pub use workflow::WorkflowFile;

/// The examples of the guide to approvals, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/approvals.md")]
pub struct ApprovalsGuide;

/// The examples of the page about kept answers, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/cache.md")]
pub struct CacheGuide;

/// The examples of the page about servers, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/server.md")]
pub struct ServerGuide;

/// The examples of the page about stores, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/stores.md")]
pub struct StoresGuide;

/// The examples of the page about testing, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/testing.md")]
pub struct TestingGuide;

/// The examples of the guides to records, prompts, and the code tool, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/evals.md")]
#[doc = include_str!("../../../docs/guide/prompts.md")]
#[doc = include_str!("../../../docs/guide/code-tool.md")]
pub struct EvalsGuide;

/// The examples of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;

/// The examples of the guide to agents, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/agents.md")]
pub struct AgentsGuide;

/// The examples of the guide to retries, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/retries.md")]
pub struct RetriesGuide;

/// The examples of the guide to costs and budgets, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/costs.md")]
pub struct CostsGuide;

/// The examples of the guide to several keys, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/keys.md")]
pub struct KeysGuide;

/// The examples of the guide to rate limits, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/rate-limits.md")]
pub struct RateLimitsGuide;

/// The examples of the guide to conversations, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/conversations.md")]
pub struct ConversationsGuide;
/// The examples of the guide to guardrails, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/guardrails.md")]
pub struct GuardrailsGuide;

/// The examples of the guide to hooks, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/hooks.md")]
pub struct HooksGuide;
/// The examples of the guide to servers of tools, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/mcp.md")]
pub struct McpGuide;

/// The examples of the guide to tools, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/tools.md")]
pub struct ToolsGuide;
