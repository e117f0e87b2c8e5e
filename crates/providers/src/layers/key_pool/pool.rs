//! The keys of one provider as all its models share them for the life of the runtime.
//!
//! Sends nothing. Its lock is never held while anything is waited for.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use motet_core::error::ErrorReport;
use motet_core::{Error, ErrorKind, Retry, RunContext, StreamEvent};
use tokio::sync::watch;
use tokio::time::Instant;

use super::choice::{Choice, Wish};
use super::refusal::Refusal;
use super::state::{End, GroupRecord, KeyRecord, QUARANTINED, READY, Standing, State, Use};

/// A key of a pool, without the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PooledKey {
    /// Its name, which may be shown.
    pub name: String,
    /// Name of the account or organisation whose limits and caches it shares; its own name where it shares none.
    pub group: String,
    /// Its share of the work beside the others; at least 1.
    pub weight: u32,
}

impl PooledKey {
    /// Makes a key that shares nothing, of weight 1.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self { group: name.clone(), name, weight: 1 }
    }

    /// Lets it share the limits of a group.
    #[must_use]
    pub fn in_group(mut self, group: impl Into<String>) -> Self {
        self.group = group.into();
        self
    }

    /// Sets its share of the work.
    #[must_use]
    pub fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight.max(1);
        self
    }
}

/// The state of a provider's keys.
pub struct KeyPool {
    provider: String,
    keys: Vec<PooledKey>,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

impl fmt::Debug for KeyPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPool")
            .field("provider", &self.provider)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

impl KeyPool {
    /// Makes a pool whose keys are all ready.
    #[must_use]
    pub fn new(provider: impl Into<String>, keys: Vec<PooledKey>) -> Self {
        let mut state = State::default();
        let mut names: Vec<&str> = Vec::new();
        for key in &keys {
            let group = names.iter().position(|name| *name == key.group).unwrap_or_else(|| {
                names.push(&key.group);
                state.groups.push(GroupRecord::default());
                names.len() - 1
            });
            let weight = key.weight.max(1);
            if let Some(record) = state.groups.get_mut(group) {
                record.weight = record.weight.saturating_add(weight);
            }
            state.keys.push(KeyRecord { group, weight, ..KeyRecord::default() });
        }
        let changed = watch::Sender::new(());
        Self { provider: provider.into(), keys, state: Mutex::new(state), changed }
    }

    /// Gives the provider's name.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Gives the keys in their order.
    #[must_use]
    pub fn keys(&self) -> &[PooledKey] {
        &self.keys
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn name(&self, key: usize) -> &str {
        self.keys.get(key).map_or("", |key| &key.name)
    }

    pub(super) fn choose(&self, wish: &Wish<'_>) -> Choice {
        self.state().choose(wish, Instant::now())
    }

    /// Gives what tells of keys that went to rest or came back.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(super) fn is_usable(&self, using: &Use) -> bool {
        self.state().is_usable(using, Instant::now())
    }

    /// Gives when the first key can be used for a model.
    pub(super) fn outlook(&self, model: &str) -> Outlook {
        let now = Instant::now();
        let state = self.state();
        let standings = state.keys.iter().map(|key| state.standing(key, model, now));
        standings.fold(Outlook::Never, |outlook, standing| match (outlook, standing) {
            (_, Standing::Ready) | (Outlook::Now, _) => Outlook::Now,
            (Outlook::At(one), Standing::Until(other)) => Outlook::At(one.min(other)),
            (Outlook::Never, Standing::Until(until)) => Outlook::At(until),
            (outlook, _) => outlook,
        })
    }

    /// Keeps keys from a model that another key was allowed to ask.
    pub(super) fn forbid(
        &self,
        model: &str,
        keys: impl Iterator<Item = (usize, ErrorReport)>,
        context: &RunContext,
    ) {
        for (key, why) in keys {
            if self.state().forbid(key, model, why.clone(), Instant::now()) {
                self.tell(key, QUARANTINED, Some(why), context);
            }
        }
    }

    /// Tells those who wait, who listen, and who read the log that a key changed.
    fn tell(&self, key: usize, state: &'static str, error: Option<ErrorReport>, context: &RunContext) {
        self.changed.send_replace(());
        let (provider, name) = (self.provider.as_str(), self.name(key));
        match &error {
            Some(error) if state == QUARANTINED => {
                tracing::warn!(provider, key = name, state, kind = error.kind.as_str(), "key changed");
            }
            _ => tracing::debug!(provider, key = name, state, "key changed"),
        }
        let (provider, key, error) = (provider.to_owned(), name.to_owned(), error.map(Box::new));
        context.emit(&StreamEvent::KeyChanged { provider, key, state: state.to_owned(), error });
    }

    /// Makes the error for calls that no key is left for.
    pub(super) fn no_key(&self, model: &str, last: Option<Error>) -> Error {
        let now = Instant::now();
        let state = self.state();
        let mut refused: Vec<(&str, &ErrorReport, Instant)> = Vec::new();
        for (key, record) in self.keys.iter().zip(&state.keys) {
            let why = state.quarantines(record, model).next();
            refused.extend(why.map(|why| (key.name.as_str(), &why.why, why.probe_at)));
        }
        let named: Vec<String> =
            refused.iter().map(|(name, why, _)| format!("`{name}` ({})", why.kind)).collect();
        let provider = &self.provider;
        let mut hint = format!("`{provider}` takes none of its keys: {}", named.join(", "));
        if let Some(probe) = refused.iter().map(|(.., probe)| probe).min() {
            let seconds = probe.saturating_duration_since(now).as_secs();
            hint.push_str(&format!("; one is tried again in {seconds} s"));
        }
        hint.push_str(&format!("; mend them under `providers.{provider}.keys`"));
        let first = refused.iter().map(|(_, why, _)| *why).min_by_key(|why| gravity(why.kind));
        let error = last.or_else(|| first.cloned().map(Error::from)).unwrap_or_else(|| {
            Error::new(ErrorKind::Authentication, "no key is taken").with_provider(provider.clone())
        });
        error.with_retry(Retry::Never).with_hint(hint)
    }
}

/// Orders what keys were refused for by how much it tells.
fn gravity(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Authentication => 0,
        ErrorKind::QuotaExceeded => 1,
        _ => 2,
    }
}

/// When a key can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outlook {
    Now,
    At(Instant),
    Never,
}

/// A key in use by one call; given back when dropped.
pub(super) struct Lease {
    pub(super) pool: Arc<KeyPool>,
    pub(super) using: Use,
    pub(super) context: RunContext,
    /// When the request was sent, once it was.
    sent: Arc<OnceLock<Instant>>,
    is_over: bool,
}

impl Lease {
    pub(super) fn new(pool: &Arc<KeyPool>, using: Use, context: &RunContext) -> Self {
        if using.is_back {
            pool.tell(using.key, READY, None, context);
        }
        let (pool, context) = (Arc::clone(pool), context.clone());
        Self { pool, using, context, sent: Arc::default(), is_over: false }
    }

    pub(super) fn name(&self) -> &str {
        self.pool.name(self.using.key)
    }

    /// Gives what the one who sends the request notes it by.
    pub(super) fn sending(&self) -> Sending {
        Sending { pool: Arc::clone(&self.pool), key: self.using.key, at: Arc::clone(&self.sent) }
    }

    pub(super) fn is_sent(&self) -> bool {
        self.sent.get().is_some()
    }

    /// Notes that the provider takes the key, before the answer is complete.
    pub(super) fn accepted(&self) {
        if self.using.is_probe && self.pool.state().accepted(&self.using) {
            self.pool.tell(self.using.key, READY, None, &self.context);
        }
    }

    /// Remembers that a conversation or a payload belongs to the key's account.
    pub(super) fn remember(&self, print: Option<u64>) {
        let Some(print) = print else { return };
        let mut state = self.pool.state();
        if let Some(group) = state.keys.get(self.using.key).map(|key| key.group) {
            state.memory.keep(print, group);
        }
    }

    pub(super) fn done(mut self) {
        self.end(End::Done, None);
    }

    pub(super) fn failed(mut self, error: &Error) -> Option<Refusal> {
        let refusal = Refusal::of(error, self.using.is_foreign).filter(|_| self.is_sent());
        match refusal {
            Some(refusal) => self.end(End::Refused(refusal, error.report()), Some(error)),
            None => self.end(End::Other, None),
        }
        refusal
    }

    fn end(&mut self, end: End, error: Option<&Error>) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let sent = self.sent.get().copied();
        let changed = self.pool.state().end(&self.using, sent, end, Instant::now());
        if let Some(state) = changed {
            self.pool.tell(self.using.key, state, error.map(Error::report), &self.context);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.end(End::Other, None);
    }
}

/// Notes when a request is sent.
pub(super) struct Sending {
    pool: Arc<KeyPool>,
    key: usize,
    at: Arc<OnceLock<Instant>>,
}

impl Sending {
    pub(super) fn now(&self) {
        if self.at.set(Instant::now()).is_ok() {
            self.pool.state().sent(self.key);
        }
    }
}
