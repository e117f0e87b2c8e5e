//! The way to the server: connected when first needed, left alone for a while when it is away.
//!
//! Knows no limit; it runs the one script.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use motet_core::settings::Outage;
use motet_core::{Error, ErrorKind, Result};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, Script};
use tokio::time::Instant;

use crate::layers::held_back::held_back;

/// The program that keeps the limits on the server.
pub const SCRIPT: &str = include_str!("limits.lua");

/// Longest time that connecting, and an answer, may take; a server that is slower counts as away.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time after which a server that went away is looked for, and the longest between two looks.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A Redis server, which keeps limits for all processes that share it.
pub struct RedisServer {
    client: Client,
    on_outage: Outage,
    script: Script,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connection: Option<MultiplexedConnection>,
    away: Option<Away>,
}

/// Since it went away.
struct Away {
    why: String,
    /// Nobody looks for it before.
    look_at: Instant,
    pause: Duration,
    told: bool,
}

/// What a script is given: its keys and its arguments.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) keys: Arc<[String]>,
    pub(super) arguments: Vec<String>,
}

impl RedisServer {
    /// Reads where the server is; connects to nothing yet.
    ///
    /// # Errors
    /// `Configuration` when the URL is not one of a Redis server.
    pub fn new(url: &str, on_outage: Outage) -> Result<Arc<Self>> {
        let client = Client::open(url).map_err(|_| {
            // The library's own error may repeat the URL and with it the password.
            Error::new(ErrorKind::Configuration, "the URL in `rate_limit.store` is not one of a Redis server")
                .with_hint("write it as `redis://host:6379`, or as `rediss://user:password@host:6379/0`")
        })?;
        Ok(Arc::new(Self { client, on_outage, script: Script::new(SCRIPT), state: Mutex::default() }))
    }

    /// Gives host and port, without user and password.
    fn address(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    /// Tells whether calls go on without the server while it is away.
    pub(super) fn may_be_away(&self) -> bool {
        self.on_outage != Outage::Fail
    }

    /// Gives the warning that the server is away, once each time it goes.
    pub(super) fn warning(&self) -> Option<String> {
        let mut state = self.state();
        let away = state.away.as_mut().filter(|away| !away.told)?;
        away.told = true;
        Some(format!(
            "the server `{}` that keeps the rate limits is away, so this process keeps them by itself until it is \
             back: {}",
            self.address(),
            away.why
        ))
    }

    /// Makes the error of calls that must not go on without the server.
    pub(super) fn error(&self) -> Error {
        let why = self.state().away.as_ref().map(|away| format!(": {}", away.why)).unwrap_or_default();
        let message = format!("the server `{}` that keeps the rate limits is away{why}", self.address());
        held_back(Error::new(ErrorKind::Connection, message).with_hint(
            "start it, check `rate_limit.store`, or set `rate_limit.on_outage` to `local`, so that each process keeps \
             the limits by itself until it is back",
        ))
    }

    /// Runs the script; `None` while the server is away.
    pub(super) async fn run(self: &Arc<Self>, request: &Request) -> Option<Vec<i64>> {
        if !self.may_try() {
            return None;
        }
        match self.invoke(request).await {
            Ok(answer) => {
                self.is_back();
                Some(answer)
            }
            Err(error) => {
                self.went_away(&error);
                None
            }
        }
    }

    /// Tells whether the server may be asked now; where calls go on without it, another task looks for it meanwhile.
    fn may_try(self: &Arc<Self>) -> bool {
        let mut state = self.state();
        let Some(away) = &mut state.away else { return true };
        let now = Instant::now();
        if now < away.look_at {
            return false;
        }
        away.pause = (away.pause * 2).min(LOOK_AGAIN.1);
        away.look_at = now + PATIENCE * 2 + away.pause;
        if self.may_be_away() {
            let server = Arc::clone(self);
            tokio::spawn(async move {
                match server.connect().await {
                    Ok(_) => server.is_back(),
                    Err(error) => server.went_away(&error),
                }
            });
            return false;
        }
        true
    }

    async fn invoke(&self, request: &Request) -> RedisResult<Vec<i64>> {
        let known = self.state().connection.clone();
        if let Some(connection) = known {
            match self.invoke_on(connection, request).await {
                // A connection that was idle may have been closed long ago; a new one tells whether the server is there.
                Err(error) if error.is_unrecoverable_error() && !error.is_timeout() => {}
                answer => return answer,
            }
        }
        let connection = self.connect().await?;
        self.invoke_on(connection, request).await
    }

    async fn invoke_on(
        &self,
        mut connection: MultiplexedConnection,
        request: &Request,
    ) -> RedisResult<Vec<i64>> {
        let mut invocation = self.script.prepare_invoke();
        for key in request.keys.iter() {
            invocation.key(key);
        }
        for argument in &request.arguments {
            invocation.arg(argument);
        }
        invocation.invoke_async(&mut connection).await
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        self.state().connection = Some(connection.clone());
        Ok(connection)
    }

    fn is_back(&self) {
        let was_away = self.state().away.take().is_some();
        if was_away {
            tracing::info!(server = self.address(), "the server that keeps the rate limits is back");
        }
    }

    fn went_away(&self, error: &RedisError) {
        let mut state = self.state();
        state.connection = None;
        let why = error.to_string();
        match &mut state.away {
            Some(away) => {
                away.why = why;
                away.look_at = Instant::now() + away.pause;
            }
            None => {
                tracing::warn!(server = self.address(), why, "the server that keeps the rate limits is away");
                let pause = LOOK_AGAIN.0;
                state.away = Some(Away { why, look_at: Instant::now() + pause, pause, told: false });
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisServer").field("address", &self.address()).finish_non_exhaustive()
    }
}
