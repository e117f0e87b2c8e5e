//! What the integration tests share: the real command, a provider on loopback, recorded traffic.
#![expect(clippy::indexing_slicing, reason = "a test that panics has found something")]

pub mod chaos;
pub mod command;
pub mod conformance;
pub mod corpus;
pub mod mcp;
pub mod mock;
pub mod neutral;
pub mod redis;
pub mod requests;
pub mod server;
pub mod sessions;
pub mod skip;

pub use skip::skip;
