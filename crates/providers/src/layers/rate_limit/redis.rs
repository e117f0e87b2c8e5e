//! Limits that several processes share, kept by a script on a Redis server.
//!
//! Knows no settings. What it does while the server is away, the limits of this process alone do.

mod arguments;
mod server;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::event::StreamEvent;
use motet_core::limits::RateLimits;
use motet_core::{Result, RunContext};
use tokio::sync::oneshot;
use tokio::time::sleep;

use self::arguments::Names;
use self::server::Request;
use super::book::{Limits, Told, nanos};
use super::memory::MemoryLimiter;
use super::patience::Patience;
use super::{Granted, Limiter, Permit};

pub use self::server::{RedisServer, SCRIPT};

/// Keeps the limits of one model on a server: those it shares with other models, and those that its provider tells.
///
/// One in this process at a time reserves its room on the server, in the order of asking, and waits until it comes;
/// among processes, whoever reserves first comes first. So nobody has to ask twice, and no large request is starved.
#[derive(Debug)]
pub struct RedisLimiter {
    server: Arc<RedisServer>,
    names: Names,
    /// What this process knows of the limits, and what it keeps to while the server is away.
    local: MemoryLimiter,
    /// Held by the one whose turn it is; tokio hands it on in the order of asking.
    turn: tokio::sync::Mutex<()>,
}

/// What the server says to a request for room.
struct Booked {
    granted: bool,
    wait: Duration,
    permit: Permit,
}

impl RedisLimiter {
    /// Keeps limits under the name of those who share them, such as a provider and a group of keys, and for what is
    /// told of one model under its name too; `local` says what the limits are.
    #[must_use]
    pub fn new(server: Arc<RedisServer>, sharers: &str, model: &str, local: MemoryLimiter) -> Self {
        Self { server, names: Names::new(sharers, model), local, turn: tokio::sync::Mutex::new(()) }
    }

    fn limits(&self) -> [Limits; 2] {
        [self.local.shared().limits(), self.local.learnt()]
    }

    /// Reserves room that comes within a time; `None` while the server is away.
    async fn book(&self, tokens: u64, within: Option<Duration>) -> Option<Booked> {
        let request = self.names.book(self.limits(), tokens, within);
        let (sender, receiver) = oneshot::channel();
        let (server, names, limits) = (Arc::clone(&self.server), self.names.clone(), self.limits());
        // In a task of its own, so that room which comes after its caller went is given back.
        tokio::spawn(async move {
            let answer = server.run(&request).await;
            if let Err(Some(answer)) = sender.send(answer)
                && answer.first() == Some(&1)
            {
                server.run(&names.settle(limits, moment(answer.get(2)), tokens, None)).await;
            }
        });
        let answer = receiver.await.ok()??;
        let nanos = |place| Duration::from_nanos(moment(answer.get(place)));
        self.local.note([nanos(4), nanos(5)], [nanos(6), nanos(7)], nanos(3));
        let (wait, booked_at) = (nanos(1), moment(answer.get(2)));
        let comes_at =
            booked_at.saturating_add(u64::try_from(wait.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX));
        let permit = Permit { granted: Granted::There { booked_at, comes_at }, ..Permit::new(tokens) };
        Some(Booked { granted: answer.first() == Some(&1), wait, permit })
    }

    /// Waits until all of this process who asked before have their room, and then for its own.
    async fn in_turn(&self, patience: &Patience<'_>, tokens: u64) -> Result<Option<Permit>> {
        let places = self.local.places(tokens);
        let _turn = self.turn.lock().await;
        let booked = self.book(tokens, patience.left()).await;
        drop(places);
        let Some(booked) = booked else { return Ok(None) };
        if !booked.granted {
            return Err(patience.too_short_for(booked.wait));
        }
        if !booked.wait.is_zero() {
            patience.tell(booked.wait);
            let mut held = Held { limiter: self, permit: Some(booked.permit) };
            sleep(booked.wait).await;
            held.permit = None;
        }
        Ok(Some(booked.permit))
    }

    async fn without_server(
        &self,
        context: &RunContext,
        patience: &Patience<'_>,
        tokens: u64,
    ) -> Result<Permit> {
        if !self.server.may_be_away() {
            return Err(self.server.error());
        }
        if let Some(message) = self.server.warning() {
            context.emit(&StreamEvent::Warning { message });
        }
        self.local.admit_within(patience, tokens).await
    }

    /// Tells the server something that nobody waits for.
    fn tell(&self, request: Request) {
        let server = Arc::clone(&self.server);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { server.run(&request).await });
        }
    }
}

/// Reads a number of the script's answer.
fn moment(number: Option<&i64>) -> u64 {
    number.and_then(|number| u64::try_from(*number).ok()).unwrap_or(0)
}

#[async_trait]
impl Limiter for RedisLimiter {
    async fn admit(&self, context: &RunContext, tokens: u64, scope: &str) -> Result<Permit> {
        context.check()?;
        let patience = self.local.patience(context, scope);
        let expected = if self.turn.try_lock().is_ok() {
            match patience.while_running(self.book(tokens, Some(Duration::ZERO))).await? {
                Some(booked) if booked.granted => return Ok(booked.permit),
                Some(booked) => booked.wait.max(self.expected_wait(tokens)),
                None => return self.without_server(context, &patience, tokens).await,
            }
        } else {
            self.expected_wait(tokens)
        };
        patience.check(expected)?;
        if !expected.is_zero() {
            patience.tell(expected);
        }
        match patience.wait(self.in_turn(&patience, tokens)).await? {
            Some(permit) => Ok(permit),
            None => self.without_server(context, &patience, tokens).await,
        }
    }

    fn expected_wait(&self, tokens: u64) -> Duration {
        self.local.expected_wait(tokens)
    }

    fn settle(&self, permit: Permit, used: Option<u64>) {
        let Granted::There { booked_at, .. } = permit.granted else {
            return self.local.settle(permit, used);
        };
        if used != Some(permit.tokens) {
            self.tell(self.names.settle(self.limits(), booked_at, permit.tokens, used));
        }
    }

    fn learn(&self, limits: &RateLimits) {
        let told = self.local.told(limits);
        if told != Told::default() {
            self.local.mirror(&told);
            self.tell(self.names.lower(&told));
        }
    }

    fn pause(&self, time: Duration) {
        self.local.pause(time);
        self.tell(self.names.pause(nanos(time)));
    }
}

/// Gives room back unless it came.
struct Held<'a> {
    limiter: &'a RedisLimiter,
    permit: Option<Permit>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.limiter.settle(permit, None);
        }
    }
}
