//! Answers that live as long as the process.
//!
//! Counts time by tokio's clock, so that tests can pause it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use motet_core::answers::{
    AnswerClaim, AnswerCounts, AnswerStore, KeepRules, KeptAnswer, NewAnswer, Removed,
};
use motet_core::error::Result;
use tokio::time::Instant;

/// Keeps answers in a map.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    answers: HashMap<String, Answer>,
    leases: HashMap<String, (String, Instant)>,
    bytes: u64,
    /// Number of the newest answer; a smaller one is older.
    newest: u64,
}

#[derive(Debug)]
struct Answer {
    body: Vec<u8>,
    kept: Instant,
    max_age: Duration,
    number: u64,
}

impl Answer {
    fn view(&self) -> Option<KeptAnswer> {
        let age = self.kept.elapsed();
        let left = self.max_age.checked_sub(age).filter(|left| !left.is_zero())?;
        Some(KeptAnswer { body: self.body.clone(), age, left })
    }
}

impl State {
    fn remove(&mut self, key: &str, removed: &mut Removed) {
        if let Some(answer) = self.answers.remove(key) {
            let bytes = answer.body.len() as u64;
            self.bytes = self.bytes.saturating_sub(bytes);
            removed.answers += 1;
            removed.bytes += bytes;
        }
    }

    fn keep(&mut self, answer: NewAnswer, rules: KeepRules) {
        // Also where it is not kept: nobody asks any more.
        self.leases.remove(&answer.key);
        let bytes = answer.body.len() as u64;
        let holds = self.answers.get(&answer.key).is_some_and(|kept| kept.view().is_some());
        if bytes > rules.most_bytes || (holds && !rules.replace) {
            return;
        }
        self.remove(&answer.key, &mut Removed::default());
        self.newest += 1;
        self.bytes += bytes;
        let kept =
            Answer { body: answer.body, kept: Instant::now(), max_age: answer.max_age, number: self.newest };
        self.answers.insert(answer.key, kept);
    }

    /// Removes the oldest until no more bytes are left than allowed.
    fn shrink(&mut self, most_bytes: u64, removed: &mut Removed) {
        if self.bytes <= most_bytes {
            return;
        }
        let mut by_age: Vec<(u64, String)> =
            self.answers.iter().map(|(key, answer)| (answer.number, key.clone())).collect();
        by_age.sort_unstable();
        for (_, key) in by_age {
            if self.bytes <= most_bytes {
                break;
            }
            self.remove(&key, removed);
        }
    }
}

impl Answers {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl AnswerStore for Answers {
    async fn find(&self, keys: &[String]) -> Result<Vec<Option<KeptAnswer>>> {
        let state = self.state();
        Ok(keys.iter().map(|key| state.answers.get(key).and_then(Answer::view)).collect())
    }

    async fn keep(&self, answers: Vec<NewAnswer>, rules: KeepRules) -> Result<()> {
        let mut state = self.state();
        answers.into_iter().for_each(|answer| state.keep(answer, rules));
        state.shrink(rules.most_bytes, &mut Removed::default());
        Ok(())
    }

    async fn lease(&self, key: &str, holder: &str, ttl: Duration) -> Result<AnswerClaim> {
        let mut state = self.state();
        if let Some(kept) = state.answers.get(key).and_then(Answer::view) {
            return Ok(AnswerClaim::Kept(kept));
        }
        let now = Instant::now();
        match state.leases.get(key) {
            Some((other, until)) if other != holder && *until > now => {
                Ok(AnswerClaim::Taken { left: *until - now })
            }
            _ => {
                state.leases.insert(key.to_owned(), (holder.to_owned(), now + ttl));
                Ok(AnswerClaim::Yours)
            }
        }
    }

    async fn release(&self, key: &str, holder: &str) -> Result<()> {
        let mut state = self.state();
        if state.leases.get(key).is_some_and(|(own, _)| own == holder) {
            state.leases.remove(key);
        }
        Ok(())
    }

    async fn prune(&self, most_bytes: u64) -> Result<Removed> {
        let mut state = self.state();
        let over = state.answers.iter().filter(|(_, answer)| answer.view().is_none());
        let over: Vec<String> = over.map(|(key, _)| key.clone()).collect();
        let mut removed = Removed::default();
        over.iter().for_each(|key| state.remove(key, &mut removed));
        state.shrink(most_bytes, &mut removed);
        let now = Instant::now();
        state.leases.retain(|_, (_, until)| *until > now);
        Ok(removed)
    }

    async fn clear(&self) -> Result<Removed> {
        let mut state = self.state();
        let removed = Removed { answers: state.answers.len() as u64, bytes: state.bytes };
        state.answers.clear();
        state.bytes = 0;
        Ok(removed)
    }

    async fn counts(&self) -> Result<AnswerCounts> {
        let state = self.state();
        let all = state.answers.values();
        Ok(AnswerCounts {
            answers: state.answers.len() as u64,
            bytes: state.bytes,
            expired: all.clone().filter(|answer| answer.view().is_none()).count() as u64,
            oldest_seconds: all.map(|answer| answer.kept.elapsed().as_secs()).max(),
        })
    }
}
