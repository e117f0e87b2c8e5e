//! Sends requests, and owns all policy for unknown, corrupt, and cut-off frames.
//!
//! Knows no wire format: a dialect writes requests and reads answers. Retries nothing; that is a layer's work.

mod bare;
mod bill;
mod clients;
mod clock;
mod connection;
mod dry_run;
mod embedder;
mod failure;
mod live;
mod operations;
mod reading;
mod signing;
mod transport;

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream;
use http::HeaderMap;
use motet_core::usage::Price;
use motet_core::{
    ChatRequest, Delivery, Error, ErrorKind, EventStream, Model, ModelId, Result, RunContext, StreamEvent,
};

pub(crate) use bare::{BareClient, Bytewise};
pub use clients::Clients;
pub use dry_run::DryRun;
pub use embedder::HttpEmbedder;
pub use operations::Operations;
pub use reading::StreamReader;

use crate::dialect::lowering::Restoring;
use crate::dialect::{self, HttpRequest, Origin, Profile};
use crate::dialect::{content, limits, lowering};
use crate::provider::{ProviderConfig, ProviderRow};
use clock::Clock;
use connection::Connection;
use failure::Answered;

/// Largest plain answer that is read, in bytes.
const BODY_LIMIT: usize = 64 << 20;

/// Name of the operation in errors.
const CHAT: &str = "chat";

/// One model behind HTTP, without any layer.
pub struct HttpModel {
    connection: Connection,
    origin: Arc<Origin>,
    price: Option<Arc<Price>>,
}

impl HttpModel {
    /// Prepares calls of one model of a provider.
    ///
    /// # Errors
    /// `Configuration` when the key or base URL is missing, or when the base URL, a header, or the proxy is malformed.
    pub fn new(
        row: &'static ProviderRow,
        model: ModelId,
        config: &ProviderConfig,
        clients: &Clients,
    ) -> Result<Self> {
        let connection = Connection::new(row, config, clients)?;
        Ok(Self { connection, origin: Arc::new(Origin::new(row, model)), price: None })
    }

    /// Prepares requests for [`dry_run`](Self::dry_run) only, which needs no key.
    ///
    /// # Errors
    /// As [`new`](Self::new), but for the key.
    pub fn to_look_at(
        row: &'static ProviderRow,
        model: ModelId,
        config: &ProviderConfig,
        clients: &Clients,
    ) -> Result<Self> {
        let connection = Connection::without_key(row, config, clients)?;
        Ok(Self { connection, origin: Arc::new(Origin::new(row, model)), price: None })
    }

    /// Sets the price by which answers tell their cost.
    #[must_use]
    pub fn with_price(mut self, price: Option<Price>) -> Self {
        self.price = price.map(Arc::new);
        self
    }

    /// Gives what is known about the model.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.origin.profile
    }

    /// Gives the request that a call would send, with its secrets masked, and sends nothing.
    ///
    /// # Errors
    /// What keeps the request from being written.
    pub fn dry_run(&self, request: &ChatRequest, delivery: Delivery) -> Result<DryRun> {
        let (wire, _) = self.encode(request, delivery)?;
        self.connection.shown(wire).map_err(|error| self.named(error))
    }

    /// Writes a request, and tells how its answer is turned back.
    fn encode(&self, request: &ChatRequest, delivery: Delivery) -> Result<(HttpRequest, Restoring)> {
        same_model(&request.model, &self.origin)?;
        self.write(request, delivery).map_err(|error| self.named(error))
    }

    fn write(&self, request: &ChatRequest, delivery: Delivery) -> Result<(HttpRequest, Restoring)> {
        content::check(request, &self.origin)?;
        let lowered = lowering::lower(request, &self.origin.profile, delivery);
        let mut wire = self.connection.dialect.encode(&lowered.request, &self.origin.profile, delivery)?;
        wire.warnings.extend(lowered.warnings);
        Ok((wire, lowered.restoring))
    }

    /// Reads an answer that came whole, in whichever of the two forms it came.
    fn decode(&self, body: &[u8]) -> Result<Vec<StreamEvent>> {
        let decode = |body: &[u8]| {
            if reading::is_event_stream(body) {
                let mut events = Vec::new();
                let mut reader = StreamReader::new(self.connection.dialect, &self.origin);
                reader.feed(body, &mut events)?;
                reader.finish(&mut events)?;
                return Ok(events);
            }
            self.connection
                .dialect
                .decode(body, &self.origin)
                .map_err(|error| reading::foreign_page(body).unwrap_or(error))
        };
        decode(body).map_err(|error| match failure::redacted_if_needed(body, self.connection.key.as_ref()) {
            Some(clean) => decode(&clean).err().unwrap_or(error),
            None => error,
        })
    }

    /// Names provider, model, and operation in an error.
    fn named(&self, error: Error) -> Error {
        failure::named(error, &self.origin, self.connection.key.as_ref(), CHAT)
    }

    async fn open_answer(
        &self,
        request: &ChatRequest,
        delivery: Delivery,
        clock: Clock,
    ) -> Result<EventStream> {
        let (wire, mut restoring) = self.encode(request, delivery)?;
        let response = self.connection.send(&wire, &clock).await?;
        if !response.status().is_success() {
            return Err(self.connection.refused(response, &self.origin, &clock).await);
        }
        let request_id = request_id(response.headers());
        let mut events: Vec<StreamEvent> =
            wire.warnings.into_iter().map(|message| StreamEvent::Warning { message }).collect();
        if request_id.is_some() {
            events.push(StreamEvent::ResponseStarted {
                response_id: None,
                request_id: request_id.clone(),
                served_model: None,
            });
        }
        let limits = limits_of(response.headers());
        if !limits.is_empty() {
            events.push(StreamEvent::Limits { limits: Box::new(limits) });
        }
        let status = response.status().as_u16();
        let answered = || Answered {
            origin: Arc::clone(&self.origin),
            key: self.connection.key.clone(),
            status,
            request_id: request_id.clone(),
            operation: CHAT,
        };
        if delivery == Delivery::Streamed {
            let decoding =
                live::Decoding::new(self.connection.dialect, &self.origin, restoring, self.price.clone());
            return Ok(live::events(response.into_body(), decoding, clock, events, answered()));
        }
        let body = clock.body(response.into_body(), BODY_LIMIT).await;
        let decoded = body.and_then(|body| self.decode(&body)).map_err(|error| answered().complete(error));
        let mut decoded = decoded?;
        restoring.apply(&mut decoded, 0);
        live::add_cost(&mut decoded, self.price.as_deref());
        Ok(Box::pin(stream::iter(events.into_iter().chain(decoded).map(Ok))))
    }
}

#[async_trait]
impl Model for HttpModel {
    async fn open(
        &self,
        context: &RunContext,
        request: &ChatRequest,
        delivery: Delivery,
    ) -> Result<EventStream> {
        context.check()?;
        let clock = Clock::new(context, self.connection.timeouts);
        self.open_answer(request, delivery, clock).await.map_err(|error| self.named(error))
    }
}

/// Tells what is missing before a provider can be called: its key, its base URL, or a part of it.
///
/// # Errors
/// `Configuration` with what to set.
pub fn check(row: &ProviderRow, config: &ProviderConfig) -> Result<()> {
    if config.lacks_key(row) {
        return Err(clients::missing_key(row));
    }
    clients::base_url(row, config).map(|_| ())
}

/// Refuses a request for another model than the one that is called.
fn same_model(asked: &ModelId, origin: &Origin) -> Result<()> {
    if *asked == origin.model {
        return Ok(());
    }
    let message = format!("a request for `{asked}` was given to model `{}`", origin.model);
    Err(Error::new(ErrorKind::InvalidRequest, message)
        .with_hint("set the request's model to the one that is called"))
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    dialect::request_id(|name| headers.get(name)?.to_str().ok()).map(str::to_owned)
}

fn limits_of(headers: &HeaderMap) -> motet_core::limits::RateLimits {
    let date = || headers.get("date").and_then(|date| date.to_str().ok());
    let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    limits::read(pairs, || limits::served_at(date()))
}

#[cfg(test)]
mod tests;
