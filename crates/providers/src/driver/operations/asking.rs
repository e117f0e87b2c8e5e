//! One request whose answer comes whole: sent, refused or read, with what its headers tell.
//!
//! Knows no operation.

use motet_core::limits::RateLimits;
use motet_core::{Result, RunContext, StreamEvent};

use crate::dialect::{Answer, HttpRequest, Origin};
use crate::driver::clock::Clock;
use crate::driver::connection::pairs;
use crate::driver::{BODY_LIMIT, Connection, failure, limits_of, reading, request_id};

/// Who asks whom, and until when.
pub(in crate::driver) struct Asking<'a> {
    connection: &'a Connection,
    origin: &'a Origin,
    operation: &'static str,
    context: &'a RunContext,
    clock: Clock,
}

/// What came back.
pub(in crate::driver) struct Came<T> {
    pub(in crate::driver) read: T,
    pub(in crate::driver) request_id: Option<String>,
}

impl<'a> Asking<'a> {
    /// Starts the clock; all that is asked shares it.
    pub(in crate::driver) fn new(
        connection: &'a Connection,
        origin: &'a Origin,
        operation: &'static str,
        context: &'a RunContext,
    ) -> Self {
        let clock = Clock::new(context, connection.timeouts);
        Self { connection, origin, operation, context, clock }
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// What kept the answer from coming or from being read; it shows no key.
    pub(in crate::driver) async fn ask<T>(
        &self,
        wire: &HttpRequest,
        decode: impl Fn(&Answer<'_>) -> Result<T>,
    ) -> Result<Came<T>> {
        self.context.check()?;
        let response = self.connection.send(wire, &self.clock).await?;
        self.tell(limits_of(response.headers()));
        if !response.status().is_success() {
            return Err(self.connection.refused(response, self.origin, &self.clock).await);
        }
        let status = response.status().as_u16();
        let (headers, request_id) = (pairs(response.headers()), request_id(response.headers()));
        let key = self.connection.key.as_ref();
        let answered = failure::Answered {
            origin: std::sync::Arc::new(self.origin.clone()),
            key: key.cloned(),
            status,
            request_id: request_id.clone(),
            operation: self.operation,
        };
        let body = self
            .clock
            .body(response.into_body(), BODY_LIMIT)
            .await
            .map_err(|error| answered.complete(error))?;
        let decode = |body: &[u8]| {
            decode(&Answer { status, headers: &headers, body })
                .map_err(|error| reading::foreign_page(body).unwrap_or(error))
        };
        let read = decode(&body).map_err(|error| {
            let clean = failure::redacted_if_needed(&body, key);
            let error = clean.and_then(|clean| decode(&clean).err()).unwrap_or(error);
            answered.complete(error)
        });
        Ok(Came { read: read?, request_id })
    }

    /// Tells what the provider still allows to whoever listens to the run.
    fn tell(&self, limits: RateLimits) {
        if !limits.is_empty() {
            self.context.emit(&StreamEvent::Limits { limits: Box::new(limits) });
        }
    }
}
