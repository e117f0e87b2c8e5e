//! One request of a batch, and what stands for one that could not be read.
//!
//! Performs nothing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use motet_core::id::content_hash;
use motet_core::request::ToolSpec;
use motet_core::{ChatRequest, Error, Result, Tool};
use serde_json::{Map, Value};

/// One request of a batch.
///
/// A request that asks for JSON by a schema gets a checked value, and one with tools that can be run is answered by an
/// agent that runs them.
#[derive(Clone)]
#[non_exhaustive]
pub struct BatchRequest {
    /// Name in the results; the number of the request, from 1, where there is none.
    pub id: Option<String>,
    /// What is asked of which model.
    pub request: ChatRequest,
    /// Tools that are run when the model calls them; those in `request.tools` are only told to the model.
    pub tools: Vec<Arc<dyn Tool>>,
    /// Longest time of each try; the batch's own where `None`.
    pub timeout: Option<Duration>,
    /// Whatever the results are to carry.
    pub metadata: Map<String, Value>,
    /// Name under which a kept batch recognises the work; the id where `None`. Requests of one key must be the same, and
    /// the work is done once.
    pub key: Option<String>,
}

impl BatchRequest {
    /// Makes a request with nothing beside what is asked.
    #[must_use]
    pub fn new(request: ChatRequest) -> Self {
        Self { id: None, request, tools: Vec::new(), timeout: None, metadata: Map::new(), key: None }
    }

    /// Sets the name in the results.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Adds tools that are run when the model calls them.
    #[must_use]
    pub fn with_tools(mut self, tools: impl IntoIterator<Item = Arc<dyn Tool>>) -> Self {
        self.tools.extend(tools);
        self
    }

    /// Sets the longest time of each try.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Adds something that the result is to carry.
    #[must_use]
    pub fn with_metadata(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// Sets the name under which a kept batch recognises the work.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Hashes everything that the answer depends on.
    ///
    /// # Errors
    /// `Internal` when the request cannot be written as JSON.
    pub fn hash(&self) -> Result<String> {
        if self.tools.is_empty() {
            return content_hash(&self.request);
        }
        let specs: Vec<&ToolSpec> = self.tools.iter().map(|tool| tool.spec()).collect();
        content_hash(&(&self.request, specs))
    }
}

impl fmt::Debug for BatchRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tools: Vec<_> = self.tools.iter().map(|tool| tool.spec().name.as_str()).collect();
        f.debug_struct("BatchRequest")
            .field("id", &self.id)
            .field("request", &self.request)
            .field("tools", &tools)
            .finish_non_exhaustive()
    }
}

/// A request that could not be read, such as one whose file is gone; it fails without any other being disturbed.
#[derive(Debug)]
pub struct Unreadable {
    /// Name in the results; the number of the request, from 1, where there is none.
    pub id: Option<String>,
    /// Whatever the result is to carry.
    pub metadata: Map<String, Value>,
    /// Why it could not be read.
    pub error: Error,
}

impl From<Error> for Unreadable {
    fn from(error: Error) -> Self {
        Self { id: None, metadata: Map::new(), error }
    }
}
