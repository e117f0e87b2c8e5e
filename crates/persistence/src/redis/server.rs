//! The way to the server: one shared connection, made anew with growing pauses when it breaks, and the scripts.
//!
//! Knows no runs. Whatever it is asked may reach the server twice; scripts are written so that this does no harm.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use motet_core::error::Result;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisError, RedisResult, Script};
use tokio::time::Instant;

use super::failure;

/// Longest time for connecting, and for one answer.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// How long a server that went away is looked for, and the pauses between two looks.
const AWAY: (Duration, Duration, Duration) =
    (Duration::from_secs(20), Duration::from_millis(10), Duration::from_millis(500));

/// The programs that run on the server.
pub(super) struct Scripts {
    pub(super) hot: Script,
    pub(super) commit: Script,
    pub(super) submit: Script,
    pub(super) release: Script,
    pub(super) lock: Script,
    pub(super) books: Script,
    pub(super) answers: Script,
    pub(super) conversations: Script,
}

const COMMON: &str = include_str!("scripts/common.lua");

impl Scripts {
    fn new() -> Self {
        let with_common = |own: &str| Script::new(&format!("{COMMON}\n{own}"));
        Self {
            hot: with_common(include_str!("scripts/hot.lua")),
            commit: with_common(include_str!("scripts/commit.lua")),
            submit: with_common(include_str!("scripts/submit.lua")),
            release: with_common(include_str!("scripts/release.lua")),
            lock: with_common(include_str!("scripts/lock.lua")),
            books: with_common(include_str!("scripts/books.lua")),
            answers: with_common(include_str!("scripts/answers.lua")),
            conversations: with_common(include_str!("scripts/conversations.lua")),
        }
    }
}

/// A server, and the namespace that is used on it.
pub(super) struct Server {
    client: Client,
    pub(super) scripts: Scripts,
    /// What every key begins with.
    pub(super) prefix: String,
    /// Names this process in what it tells others.
    pub(super) me: String,
    connection: Mutex<Option<MultiplexedConnection>>,
    connecting: tokio::sync::Mutex<()>,
}

impl Server {
    pub(super) fn new(client: Client, namespace: &str) -> Arc<Self> {
        let prefix = format!("{{{namespace}}}:");
        Arc::new(Self {
            client,
            scripts: Scripts::new(),
            me: format!("{prefix}process:{}", name()),
            prefix,
            connection: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Gives host and port, without user and password.
    pub(super) fn address(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    /// Gives a key of the namespace.
    pub(super) fn key(&self, rest: impl fmt::Display) -> String {
        format!("{}{rest}", self.prefix)
    }

    /// Asks one command, again and again while the server is away.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        let mut patience = Patience::new();
        loop {
            let answer = match self.connected().await {
                Ok(mut connection) => command.query_async(&mut connection).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => self.again(&error, &mut patience).await?,
            }
        }
    }

    /// Asks several commands at once, again and again while the server is away.
    pub(super) async fn ask_all<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T> {
        let mut patience = Patience::new();
        loop {
            let answer = match self.connected().await {
                Ok(mut connection) => commands.query_async(&mut connection).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => self.again(&error, &mut patience).await?,
            }
        }
    }

    /// Runs a script, again and again while the server is away.
    pub(super) async fn run<T: FromRedisValue>(&self, script: &Script, arguments: &[Vec<u8>]) -> Result<T> {
        let mut patience = Patience::new();
        loop {
            match self.run_once(script, arguments).await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.again(&error, &mut patience).await?,
            }
        }
    }

    /// Runs a script once; one that the server has not, or has forgotten, is sent first.
    pub(super) async fn run_once<T: FromRedisValue>(
        &self,
        script: &Script,
        arguments: &[Vec<u8>],
    ) -> RedisResult<T> {
        let mut connection = self.connected().await?;
        let mut invocation = script.prepare_invoke();
        invocation.key(&self.prefix).key(&self.me);
        for argument in arguments {
            invocation.arg(argument.as_slice());
        }
        invocation.invoke_async(&mut connection).await
    }

    /// Waits before the same is asked again.
    ///
    /// # Errors
    /// When asking again would not help, or the server is away for too long.
    pub(super) async fn again(&self, error: &RedisError, patience: &mut Patience) -> Result<()> {
        if !failure::is_passing(error) || patience.begun.elapsed() > AWAY.0 {
            return Err(failure::of(error, &self.address()));
        }
        if patience.pause == AWAY.1 {
            tracing::warn!(address = self.address(), %error, "the Redis server is away");
        }
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
        tokio::time::sleep(patience.pause).await;
        patience.pause = (patience.pause * 2).min(AWAY.2);
        Ok(())
    }

    async fn connected(&self) -> RedisResult<MultiplexedConnection> {
        let known = || self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(connection) = known() {
            return Ok(connection);
        }
        let _turn = self.connecting.lock().await;
        if let Some(connection) = known() {
            return Ok(connection);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE.0))
            .set_response_timeout(Some(PATIENCE.1));
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection.clone());
        Ok(connection)
    }
}

/// How long the server was looked for.
pub(super) struct Patience {
    begun: Instant,
    pause: Duration,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), pause: AWAY.1 }
    }
}

/// Makes a name that was never used before.
pub(super) fn name() -> String {
    motet_core::store::Nonce::new().into()
}
