//! The methods of kept answers.

use std::time::Duration;

use async_trait::async_trait;
use motet_core::answers::{
    AnswerClaim, AnswerCounts, AnswerStore, KeepRules, KeptAnswer, NewAnswer, Removed,
};
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::store::Store;

use super::line::Line;
use super::millis;
use super::rows::table;

/// Kept answers behind a server.
pub(super) struct RemoteAnswers(pub(super) Line);

fn of(store: &dyn Store) -> Result<&dyn AnswerStore> {
    store.answers().ok_or_else(|| {
        Error::new(
            ErrorKind::Unsupported,
            format!("the store `{}` keeps no answers", store.capabilities().name),
        )
    })
}

table! { ROWS:
    "Gives the answers that are kept under keys, in the order asked."
    "answer.find" QUICK find(keys: Vec<String>) -> Vec<Option<KeptAnswer>> { |store| of(store)?.find(&keys).await }
    "Keeps answers, and ends the leases on them."
    "answer.keep" SLOW keep(answers: Vec<NewAnswer>, rules: KeepRules) -> () {
        |store| of(store)?.keep(answers, rules).await
    }
    "Takes the duty to ask for an answer, or tells who needs not."
    "answer.lease" QUICK lease(key: String, holder: String, ttl_ms: u64) -> AnswerClaim {
        |store| of(store)?.lease(&key, &holder, Duration::from_millis(ttl_ms)).await
    }
    "Gives the duty to ask for an answer back."
    "answer.release" QUICK release(key: String, holder: String) -> () { |store| of(store)?.release(&key, &holder).await }
    "Removes answers whose time is over, and the oldest beyond so many bytes."
    "answer.prune" SLOW prune(most_bytes: u64) -> Removed { |store| of(store)?.prune(most_bytes).await }
    "Removes all answers."
    "answer.clear" SLOW clear() -> Removed { |store| of(store)?.clear().await }
    "Counts what is kept."
    "answer.counts" SLOW counts() -> AnswerCounts { |store| of(store)?.counts().await }
}

#[async_trait]
impl AnswerStore for RemoteAnswers {
    async fn find(&self, keys: &[String]) -> Result<Vec<Option<KeptAnswer>>> {
        find(&self.0, keys.to_vec()).await
    }

    async fn keep(&self, answers: Vec<NewAnswer>, rules: KeepRules) -> Result<()> {
        keep(&self.0, answers, rules).await
    }

    async fn lease(&self, key: &str, holder: &str, ttl: Duration) -> Result<AnswerClaim> {
        lease(&self.0, key.to_owned(), holder.to_owned(), millis(ttl)).await
    }

    async fn release(&self, key: &str, holder: &str) -> Result<()> {
        release(&self.0, key.to_owned(), holder.to_owned()).await
    }

    async fn prune(&self, most_bytes: u64) -> Result<Removed> {
        prune(&self.0, most_bytes).await
    }

    async fn clear(&self) -> Result<Removed> {
        clear(&self.0).await
    }

    async fn counts(&self) -> Result<AnswerCounts> {
        counts(&self.0).await
    }
}
