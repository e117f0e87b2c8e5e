//! Finds a kept answer, or takes the duty to ask for it: one call of this process, and one process of those that share
//! a store.
//!
//! A cache that fails is no reason for a call to fail: it is told as a warning, once, and the provider is asked.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use motet_core::answers::{AnswerClaim, AnswerStore, KeepRules, KeptAnswer, NewAnswer};
use motet_core::{Error, Result, RunContext, StreamEvent};
use tokio::task::AbortHandle;

use super::flight::{Landed, Lead, Seat, unless_ended};
use super::kept::Kept;
use super::{Cache, Key, Replace, Use};
use crate::layers::Call;

/// How long another process is taken to be asking without a sign of life.
const LEASE: Duration = Duration::from_secs(15);

/// How often the sign is given.
const RENEWAL: Duration = Duration::from_secs(5);

/// First and longest pause between two looks for what another process asks for.
const PAUSES: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(400));

/// What looking for an answer came to.
pub(super) enum Found {
    /// It is there.
    Kept(Kept),
    /// It must be asked for.
    Ask(Duty),
}

/// The duty to ask. Dropped without an answer, it goes to whoever waits.
pub(super) struct Duty {
    cache: Arc<Cache>,
    key: Key,
    keeps: Option<Replace>,
    lead: Option<Lead>,
    lease: Option<Lease>,
}

impl Use<'_> {
    /// Finds an answer or takes the duty to ask; waits while somebody else asks.
    ///
    /// # Errors
    /// `Cancelled` and `Timeout` while it waits.
    pub(super) async fn look(self, key: Key, call: &Call<'_>) -> Result<Found> {
        let cache = Arc::clone(self.cache);
        if !self.reads() {
            return Ok(Found::Ask(Duty { cache, key, keeps: self.keeps(), lead: None, lease: None }));
        }
        let mut told = false;
        loop {
            if let Some(kept) = cache.memory().find(&key) {
                return Ok(Found::Kept(kept));
            }
            let wait = match cache.flights.join(key) {
                Seat::Lead(lead) => return self.lead(key, lead, call).await,
                Seat::Wait(wait) => wait,
            };
            if !std::mem::replace(&mut told, true) {
                tell_waiting(call);
            }
            if let Some(landed) = wait.landed(&call.context).await? {
                return Ok(Found::Kept(self.shared(key, landed, &call.context).await));
            }
        }
    }

    /// Takes over an answer that another call asked for.
    pub(super) async fn shared(self, key: Key, landed: Landed, context: &RunContext) -> Kept {
        // The other call may have been told to keep nothing, this one may not.
        if let (true, Some(replace)) = (landed.unkept, self.keeps()) {
            let new = self.cache.remember(key, &landed.kept, replace);
            self.cache.keep(new.into_iter().collect(), replace, context).await;
        }
        landed.kept
    }

    /// Leads the calls of this process: looks into the store, or waits for another process.
    async fn lead(self, key: Key, lead: Lead, call: &Call<'_>) -> Result<Found> {
        let cache = self.cache;
        // Between the look and the lead, another call may have landed.
        let known = cache.memory().find(&key);
        let (kept, lease) = match (known, &cache.store) {
            (Some(kept), _) => (Some(kept), None),
            (None, None) => (None, None),
            (None, Some(store)) if self.keeps().is_none() => (cache.find(store, key, call).await, None),
            (None, Some(store)) => self.claim(store, key, call).await?,
        };
        if let Some(kept) = kept {
            lead.land(Landed { kept: kept.clone(), unkept: false });
            return Ok(Found::Kept(kept));
        }
        let duty = Duty { cache: Arc::clone(cache), key, keeps: self.keeps(), lead: Some(lead), lease };
        Ok(Found::Ask(duty))
    }

    /// Finds the answer in the store, or becomes the process that asks, waiting while another does.
    async fn claim(
        self,
        store: &Arc<dyn AnswerStore>,
        key: Key,
        call: &Call<'_>,
    ) -> Result<(Option<Kept>, Option<Lease>)> {
        let cache = self.cache;
        // Reading is much cheaper than the write that a lease is.
        if let Some(kept) = cache.find(store, key, call).await {
            return Ok((Some(kept), None));
        }
        let (name, mut pause) = (key.to_string(), PAUSES.0);
        loop {
            match store.lease(&name, &cache.holder, LEASE).await {
                Ok(AnswerClaim::Kept(found)) => {
                    let kept = cache.take(key, &found);
                    // What cannot be read is asked for again, by everybody at once if it must be.
                    return Ok((kept, None));
                }
                Ok(AnswerClaim::Taken { left }) => {
                    if pause == PAUSES.0 {
                        tell_waiting(call);
                    }
                    unless_ended(&call.context, tokio::time::sleep(pause.min(left))).await?;
                    pause = (pause * 2).min(PAUSES.1);
                }
                Ok(_) => return Ok((None, Some(Lease::hold(store, name, &cache.holder)))),
                Err(error) => {
                    cache.warn(&error, &call.context);
                    return Ok((None, None));
                }
            }
        }
    }
}

fn tell_waiting(call: &Call<'_>) {
    let scope = call.ask.model().to_string();
    call.context.emit(&StreamEvent::Waiting { reason: "single_flight".to_owned(), delay_ms: 0, scope });
}

impl Cache {
    /// Finds answers in memory, then in the store; the places are those of the keys.
    pub(super) async fn find_all(&self, keys: &[Key], context: &RunContext) -> Vec<Option<Kept>> {
        let mut found: Vec<Option<Kept>> = keys.iter().map(|key| self.memory().find(key)).collect();
        let Some(store) = &self.store else { return found };
        let missing: Vec<(&Key, &mut Option<Kept>)> =
            keys.iter().zip(&mut found).filter(|(_, kept)| kept.is_none()).collect();
        if missing.is_empty() {
            return found;
        }
        let names: Vec<String> = missing.iter().map(|(key, _)| key.to_string()).collect();
        match store.find(&names).await {
            Ok(answers) => {
                for ((key, place), answer) in missing.into_iter().zip(answers) {
                    *place = answer.and_then(|answer| self.take(*key, &answer));
                }
            }
            Err(error) => self.warn(&error, context),
        }
        found
    }

    async fn find(&self, store: &Arc<dyn AnswerStore>, key: Key, call: &Call<'_>) -> Option<Kept> {
        match store.find(&[key.to_string()]).await {
            Ok(answers) => self.take(key, answers.first()?.as_ref()?),
            Err(error) => {
                self.warn(&error, &call.context);
                None
            }
        }
    }

    /// Takes what the store gave into memory, unless it is too old by this cache's own limit.
    fn take(&self, key: Key, found: &KeptAnswer) -> Option<Kept> {
        if found.age >= self.limits.max_age {
            return None;
        }
        let kept = Kept::decode(&found.body)?;
        // It may be given no longer than both limits allow.
        let age = found.age.max(self.limits.max_age.saturating_sub(found.left));
        self.memory().keep(key, kept.clone(), found.body.len(), age);
        Some(kept)
    }

    /// Keeps an answer in memory, and gives what the store is to keep.
    pub(super) fn remember(&self, key: Key, kept: &Kept, replace: Replace) -> Option<NewAnswer> {
        // An answer is made of what came as JSON, so it can be written; one that cannot is just not kept.
        let body = kept.encode().ok()?;
        if replace.0 || self.memory().find(&key).is_none() {
            self.memory().keep(key, kept.clone(), body.len(), Duration::ZERO);
        }
        let max_age = self.limits.max_age;
        self.store.as_ref().map(|_| NewAnswer { key: key.to_string(), body, max_age })
    }

    /// Keeps answers in the store.
    pub(super) async fn keep(&self, new: Vec<NewAnswer>, replace: Replace, context: &RunContext) {
        let Some(store) = self.store.as_ref().filter(|_| !new.is_empty()) else { return };
        let rules = KeepRules { most_bytes: self.limits.store_bytes, replace: replace.0 };
        if let Err(error) = store.keep(new, rules).await {
            self.warn(&error, context);
        }
    }

    fn warn(&self, error: &Error, context: &RunContext) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            let message = format!("answers are not kept in the store: {error}");
            context.emit(&StreamEvent::Warning { message });
        }
    }
}

impl Duty {
    /// Gives the answer to all who wait, and keeps it where it is worth it and this call may.
    pub(super) async fn done(mut self, kept: Kept, is_good: bool, context: &RunContext) {
        match (self.land(kept, is_good), self.keeps) {
            (Some(new), Some(replace)) => {
                self.cache.keep(vec![new], replace, context).await;
                // With the answer the store forgot the lease.
                self.lease.take().into_iter().for_each(Lease::forget);
            }
            _ => self.give_up().await,
        }
    }

    /// Does the same without waiting for the store, for those who cannot wait.
    pub(super) fn done_later(mut self, kept: Kept, is_good: bool, context: RunContext) {
        let (new, keeps) = (self.land(kept, is_good), self.keeps);
        if let (Some(new), Some(replace), Ok(runtime)) = (new, keeps, tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                self.cache.keep(vec![new], replace, &context).await;
                self.lease.take().into_iter().for_each(Lease::forget);
            });
        }
    }

    /// Leaves the duty to others, and waits until those of other processes can take it.
    pub(super) async fn give_up(mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back().await;
        }
    }

    fn land(&mut self, kept: Kept, is_good: bool) -> Option<NewAnswer> {
        let keeps = self.keeps.filter(|_| is_good);
        let new = keeps.and_then(|replace| self.cache.remember(self.key, &kept, replace));
        if let Some(lead) = self.lead.take() {
            lead.land(Landed { kept, unkept: is_good && keeps.is_none() });
        }
        new
    }
}

/// The store's word that this process asks, renewed while it does.
pub(super) struct Lease {
    store: Arc<dyn AnswerStore>,
    name: String,
    holder: String,
    renewal: AbortHandle,
    held: bool,
}

impl Lease {
    fn hold(store: &Arc<dyn AnswerStore>, name: String, holder: &str) -> Self {
        let (store, holder) = (Arc::clone(store), holder.to_owned());
        let (kept, key, own) = (Arc::clone(&store), name.clone(), holder.clone());
        let renewal = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEWAL).await;
                // A lease that is lost costs a second question at worst.
                let _ = kept.lease(&key, &own, LEASE).await;
            }
        });
        Self { store, name, holder, renewal: renewal.abort_handle(), held: true }
    }

    fn forget(mut self) {
        self.held = false;
    }

    async fn give_back(mut self) {
        self.renewal.abort();
        // What cannot be given back ends by itself.
        let _ = self.store.release(&self.name, &self.holder).await;
        self.held = false;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
        if let (true, Ok(runtime)) = (self.held, tokio::runtime::Handle::try_current()) {
            let (store, name, holder) =
                (Arc::clone(&self.store), std::mem::take(&mut self.name), std::mem::take(&mut self.holder));
            runtime.spawn(async move { store.release(&name, &holder).await });
        }
    }
}
