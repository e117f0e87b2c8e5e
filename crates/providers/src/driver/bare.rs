//! Requests that belong to no provider, over the same connections as all others.
//!
//! Knows no time limit but that of connecting, and reads no answer.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::{Request, Response};
use motet_core::Result;
use url::Url;

use super::Clients;
use super::transport::{Failure, Transport};
use crate::provider::{ProviderConfig, Timeouts};

/// The bytes of an answer as they come.
pub(crate) type Bytewise = BoxStream<'static, Result<Bytes, hyper::Error>>;

/// A client that keeps its connections open; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct BareClient(Transport);

impl BareClient {
    /// Makes a client for an address, by the system's proxies.
    ///
    /// # Errors
    /// `Configuration` when TLS cannot be set up.
    pub(crate) fn new(address: &Url, connect_timeout: Duration) -> Result<Self> {
        let timeouts = Timeouts { connect: Some(connect_timeout), ..Timeouts::default() };
        let config = ProviderConfig { timeouts, ..ProviderConfig::default() };
        Clients::default().client(address, &config).map(Self)
    }

    /// Sends a request and waits for the beginning of its answer.
    ///
    /// # Errors
    /// Whatever kept an answer from beginning.
    pub(crate) async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytewise>, Failure> {
        let address = request.uri().clone();
        self.0.complete(request.headers_mut(), &address);
        Ok(self.0.send(request).await?.map(|body| body.boxed()))
    }
}
