//! Dialects, provider rows, the HTTP driver, built-in models, and the Python task provider.
//!
//! Knows nothing of agents, workflows, stores, or settings files.

pub mod command;
pub mod counters;
pub mod dialect;
pub mod dialects;
pub mod driver;
pub mod embeddings;
pub mod files;
pub mod framing;
pub mod http_request;
pub mod images;
pub mod layers;
pub mod listings;
pub mod mcp;
pub mod offline;
pub mod provider;
pub mod python;
pub mod remote;
pub mod replay;
pub mod rerankers;
pub mod rows;
pub mod rpc;
pub mod sandbox;
pub mod scripted;
pub mod simulated;
