//! Kept answers: their times and sizes in memory, their bodies in the tree; leases end with the process.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::answers::{
    AnswerClaim, AnswerCounts, AnswerStore, KeepRules, KeptAnswer, NewAnswer, Removed,
};
use motet_core::error::Result;
use motet_core::id::Millis;
use serde::{Deserialize, Serialize};

use super::SledStore;
use super::files::failed;
use super::keys;
use super::session::Session;
use super::writer::Access;

/// What is known of kept answers without reading them.
#[derive(Debug, Default)]
pub(super) struct Kept {
    heads: HashMap<String, Head>,
    leases: HashMap<String, (String, Millis)>,
    bytes: u64,
    /// Number of the newest answer; a smaller one is older.
    newest: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Head {
    kept: Millis,
    max_age_ms: u64,
    bytes: u64,
    number: u64,
}

impl Head {
    /// Gives its age and the time that is left; `None` when that is over.
    fn times(&self, now: Millis) -> Option<(Duration, Duration)> {
        let age = now.since(self.kept);
        let left = Duration::from_millis(self.max_age_ms).checked_sub(age).filter(|left| !left.is_zero())?;
        Some((age, left))
    }
}

impl Session {
    pub(super) fn load_answers(&mut self) -> Result<()> {
        let heads: Vec<(String, Head)> = self.all_named(&keys::named(keys::ANSWER, ""))?;
        self.answers.bytes = heads.iter().map(|(_, head)| head.bytes).sum();
        self.answers.newest = heads.iter().map(|(_, head)| head.number).max().unwrap_or_default();
        self.answers.heads = heads.into_iter().collect();
        Ok(())
    }

    fn find(&mut self, key: &str, now: Millis) -> Result<Option<KeptAnswer>> {
        let Some((age, left)) = self.answers.heads.get(key).and_then(|head| head.times(now)) else {
            return Ok(None);
        };
        self.apply()?;
        let body = self.files.db.get(keys::named(keys::ANSWER_BODY, key)).map_err(|error| failed(&error))?;
        Ok(body.map(|body| KeptAnswer { body: body.to_vec(), age, left }))
    }

    fn keep(&mut self, answer: NewAnswer, rules: KeepRules, now: Millis) -> Result<()> {
        // Also where it is not kept: nobody asks any more.
        self.answers.leases.remove(&answer.key);
        let bytes = answer.body.len() as u64;
        let holds = self.answers.heads.get(&answer.key).is_some_and(|head| head.times(now).is_some());
        if bytes > rules.most_bytes || (holds && !rules.replace) {
            return Ok(());
        }
        self.remove_answer(&answer.key, &mut Removed::default())?;
        self.answers.newest += 1;
        self.answers.bytes += bytes;
        let max_age_ms = u64::try_from(answer.max_age.as_millis()).unwrap_or(u64::MAX);
        let head = Head { kept: now, max_age_ms, bytes, number: self.answers.newest };
        self.put(keys::named(keys::ANSWER, &answer.key), Some(&head))?;
        self.put_bytes(keys::named(keys::ANSWER_BODY, &answer.key), Some(&answer.body));
        self.answers.heads.insert(answer.key, head);
        Ok(())
    }

    fn remove_answer(&mut self, key: &str, removed: &mut Removed) -> Result<()> {
        let Some(head) = self.answers.heads.remove(key) else { return Ok(()) };
        self.answers.bytes = self.answers.bytes.saturating_sub(head.bytes);
        removed.answers += 1;
        removed.bytes += head.bytes;
        self.put_bytes(keys::named(keys::ANSWER_BODY, key), None);
        self.put(keys::named(keys::ANSWER, key), None::<&Head>)
    }

    /// Removes the oldest until no more bytes are left than allowed.
    fn shrink_answers(&mut self, most_bytes: u64, removed: &mut Removed) -> Result<()> {
        if self.answers.bytes <= most_bytes {
            return Ok(());
        }
        let mut by_age: Vec<(u64, String)> =
            self.answers.heads.iter().map(|(key, head)| (head.number, key.clone())).collect();
        by_age.sort_unstable();
        for (_, key) in by_age {
            if self.answers.bytes <= most_bytes {
                break;
            }
            self.remove_answer(&key, removed)?;
        }
        Ok(())
    }

    fn lease_answer(&mut self, key: &str, holder: &str, ttl: Duration, now: Millis) -> Result<AnswerClaim> {
        if let Some(kept) = self.find(key, now)? {
            return Ok(AnswerClaim::Kept(kept));
        }
        match self.answers.leases.get(key) {
            Some((other, until)) if other != holder && *until > now => {
                Ok(AnswerClaim::Taken { left: until.since(now) })
            }
            _ => {
                self.answers.leases.insert(key.to_owned(), (holder.to_owned(), now.after(ttl)));
                Ok(AnswerClaim::Yours)
            }
        }
    }
}

#[async_trait]
impl AnswerStore for SledStore {
    async fn find(&self, keys: &[String]) -> Result<Vec<Option<KeptAnswer>>> {
        let keys = keys.to_vec();
        self.with(Access::Read, move |session, now| keys.iter().map(|key| session.find(key, now)).collect())
            .await
    }

    async fn keep(&self, answers: Vec<NewAnswer>, rules: KeepRules) -> Result<()> {
        let keep = move |session: &mut Session, now| {
            answers.into_iter().try_for_each(|answer| session.keep(answer, rules, now))?;
            session.shrink_answers(rules.most_bytes, &mut Removed::default())
        };
        self.with(Access::Write, keep).await
    }

    async fn lease(&self, key: &str, holder: &str, ttl: Duration) -> Result<AnswerClaim> {
        let (key, holder) = (key.to_owned(), holder.to_owned());
        self.with(Access::Read, move |session, now| session.lease_answer(&key, &holder, ttl, now)).await
    }

    async fn release(&self, key: &str, holder: &str) -> Result<()> {
        let (key, holder) = (key.to_owned(), holder.to_owned());
        let release = move |session: &mut Session, _| {
            if session.answers.leases.get(&key).is_some_and(|(own, _)| *own == holder) {
                session.answers.leases.remove(&key);
            }
            Ok(())
        };
        self.with(Access::Read, release).await
    }

    async fn prune(&self, most_bytes: u64) -> Result<Removed> {
        let prune = move |session: &mut Session, now| {
            let mut removed = Removed::default();
            let over = session.answers.heads.iter().filter(|(_, head)| head.times(now).is_none());
            let over: Vec<String> = over.map(|(key, _)| key.clone()).collect();
            over.iter().try_for_each(|key| session.remove_answer(key, &mut removed))?;
            session.shrink_answers(most_bytes, &mut removed)?;
            session.answers.leases.retain(|_, (_, until)| *until > now);
            Ok(removed)
        };
        self.with(Access::Write, prune).await
    }

    async fn clear(&self) -> Result<Removed> {
        let clear = |session: &mut Session, _| {
            let mut removed = Removed::default();
            let all: Vec<String> = session.answers.heads.keys().cloned().collect();
            all.iter().try_for_each(|key| session.remove_answer(key, &mut removed))?;
            Ok(removed)
        };
        self.with(Access::Write, clear).await
    }

    async fn counts(&self) -> Result<AnswerCounts> {
        let count = |session: &mut Session, now: Millis| {
            let heads = session.answers.heads.values();
            Ok(AnswerCounts {
                answers: heads.len() as u64,
                bytes: session.answers.bytes,
                expired: heads.clone().filter(|head| head.times(now).is_none()).count() as u64,
                oldest_seconds: heads.map(|head| now.since(head.kept).as_secs()).max(),
            })
        };
        self.with(Access::Read, count).await
    }
}
