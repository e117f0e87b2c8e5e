//! The seam behind which finished requests of a batch are kept, so that it can be run again without paying twice.
//!
//! Knows no store; without one, [`Unkept`] keeps nothing beyond a request.

use std::sync::Arc;

use async_trait::async_trait;
use motet_core::RunId;
use motet_core::error::{Error, Result};
use motet_core::run_log::{MemoryLog, RunLog};

use super::request::BatchRequest;
use super::result::{BatchResult, BatchSummary};

/// Keeps what is finished of a batch.
#[async_trait]
pub trait Keep: Send + Sync {
    /// Gives the run that the requests are parts of.
    fn run_id(&self) -> &RunId;

    /// Begins a request, or gives what was kept of it.
    ///
    /// # Errors
    /// What must end the batch: a store that cannot be read, or a batch that is somebody else's by now.
    async fn open(&self, key: &str, request: &BatchRequest) -> Result<Opened>;

    /// Ends the batch.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    async fn end(&self, summary: &BatchSummary) -> Result<()>;
}

/// How a request begins.
#[non_exhaustive]
pub enum Opened {
    /// It was answered before; id, place, and metadata are those of that time.
    Kept(Box<BatchResult>),
    /// It is to be performed, from where its log stands.
    Begun(Box<dyn Item>),
    /// Another request with the same key is being performed; this one is asked for again later.
    Busy,
    /// It must not be performed.
    Refused(Error),
}

/// A request that is being performed; dropped without being closed, it can be begun again.
#[async_trait]
pub trait Item: Send + Sync {
    /// Gives the log of its steps.
    fn log(&self) -> Arc<dyn RunLog>;

    /// Keeps what came of it.
    ///
    /// # Errors
    /// As [`Keep::open`].
    async fn close(self: Box<Self>, result: &BatchResult) -> Result<()>;
}

/// Keeps nothing beyond a request.
pub(super) struct Unkept(pub(super) RunId);

struct UnkeptItem(Arc<MemoryLog>);

#[async_trait]
impl Keep for Unkept {
    fn run_id(&self) -> &RunId {
        &self.0
    }

    async fn open(&self, _key: &str, _request: &BatchRequest) -> Result<Opened> {
        Ok(Opened::Begun(Box::new(UnkeptItem(Arc::default()))))
    }

    async fn end(&self, _summary: &BatchSummary) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Item for UnkeptItem {
    fn log(&self) -> Arc<dyn RunLog> {
        Arc::clone(&self.0) as Arc<dyn RunLog>
    }

    async fn close(self: Box<Self>, _result: &BatchResult) -> Result<()> {
        Ok(())
    }
}
