//! Words that all Motet crates share: messages, requests, events, errors, tools, run log, stores, settings.
//!
//! Does no I/O: it opens no file, no socket, and no database, and imports no async runtime.

pub mod accumulate;
pub mod answers;
pub mod attempts;
pub mod budget;
mod canonical;
pub mod cassette;
pub mod context;
pub mod conversation;
pub mod decision;
pub mod embedding;
pub mod error;
pub mod event;
pub mod id;
pub mod limits;
pub mod mcp;
pub mod message;
pub mod method;
pub mod model;
pub mod model_id;
pub mod model_list;
pub mod price;
pub mod request;
pub mod rerank;
pub mod response;
pub mod rpc;
pub mod run_log;
pub mod schedule;
pub mod schema;
pub mod secret;
pub mod settings;
pub mod store;
pub mod tool;
pub mod usage;
pub mod workflow;

pub use context::{Attribution, RunContext};
pub use conversation::{Conversation, ConversationId};
pub use embedding::{EmbedRequest, EmbedResponse};
pub use error::{Error, ErrorKind, Result, Retry};
pub use event::{EventStream, StreamEvent};
pub use id::{Millis, RunId, WorkerId};
pub use message::{Message, Part, Role};
pub use model::{Delivery, Model};
pub use model_id::ModelId;
pub use request::ChatRequest;
pub use response::{ChatResponse, FinishReason};
pub use secret::Secret;
pub use settings::Settings;
pub use tool::{Tool, ToolContext, ToolOutput};
pub use usage::{Cost, Usage};
