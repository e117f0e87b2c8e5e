//! One call over a peer: values become JSON and back, and failures become the errors that they were.

use std::sync::Arc;
use std::time::Duration;

use motet_core::error::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Peer, failure};

/// How long calls of a kind take.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// Longest time until the answer is there.
    patience: Duration,
    /// Whether they wait for something to happen.
    pub(super) waits: bool,
}

/// Calls that touch little.
pub(super) const QUICK: Pace = Pace { patience: Duration::from_secs(30), waits: false };
/// Calls that may touch everything that is kept.
pub(super) const SLOW: Pace = Pace { patience: Duration::from_secs(600), waits: false };
/// Calls that wait for something to happen.
pub(super) const WAITING: Pace = Pace { patience: Duration::from_secs(60), waits: true };

/// The way to the server, as the rows use it.
#[derive(Clone)]
pub(super) struct Line(Arc<dyn Peer>);

impl Line {
    pub(super) fn new(peer: Arc<dyn Peer>) -> Self {
        Self(peer)
    }

    /// Calls a method and reads its result.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &impl Serialize,
        pace: Pace,
    ) -> Result<T> {
        let params = serde_json::to_value(params).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("a call of `{method}` cannot be written"))
                .with_source(error)
        })?;
        let result = self.0.call(method, params, pace.patience).await?.map_err(failure::error)?;
        serde_json::from_value(result).map_err(|error| {
            let message = format!("the answer of the server to `{method}` cannot be read: {error}");
            Error::new(ErrorKind::InvalidOutput, message).with_hint(
                "look whether it is a server of `motet serve`, of the same version as this command",
            )
        })
    }
}
