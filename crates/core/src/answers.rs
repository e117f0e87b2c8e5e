//! Kept answers: what a cache keeps beyond one process, and the short leases by which only one of several processes asks.
//!
//! Knows neither requests nor what the bodies mean.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// Keeps answers by the hash of what was asked.
#[async_trait]
pub trait AnswerStore: Send + Sync {
    /// Gives what is kept under keys, in the order asked; `None` where nothing is, or where its time is over.
    ///
    /// # Errors
    /// `Store` when it cannot be read.
    async fn find(&self, keys: &[String]) -> Result<Vec<Option<KeptAnswer>>>;

    /// Keeps answers, ends the leases on them, and removes the oldest ones until no more bytes are kept than allowed.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    async fn keep(&self, answers: Vec<NewAnswer>, rules: KeepRules) -> Result<()>;

    /// Takes the duty to ask for an answer, or tells who needs not; the holder renews its own lease by it.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    async fn lease(&self, key: &str, holder: &str, ttl: Duration) -> Result<AnswerClaim>;

    /// Gives a lease back; one that somebody else holds by now stays.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    async fn release(&self, key: &str, holder: &str) -> Result<()>;

    /// Removes what is over its time, then the oldest until no more bytes are kept than allowed.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    async fn prune(&self, most_bytes: u64) -> Result<Removed>;

    /// Removes everything.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    async fn clear(&self) -> Result<Removed>;

    /// Counts what is kept.
    ///
    /// # Errors
    /// `Store` when it cannot be read.
    async fn counts(&self) -> Result<AnswerCounts>;
}

/// An answer to be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAnswer {
    /// Hash of what was asked.
    pub key: String,
    /// The answer, in a form of the cache's own.
    #[serde(with = "body")]
    pub body: Vec<u8>,
    /// How long it may be given.
    pub max_age: Duration,
}

/// How answers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepRules {
    /// Bytes of all bodies together.
    pub most_bytes: u64,
    /// Whether a newer answer takes the place of one whose time is not over.
    pub replace: bool,
}

/// An answer that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAnswer {
    /// The answer as it was given to be kept.
    #[serde(with = "body")]
    pub body: Vec<u8>,
    /// Time since it was kept.
    pub age: Duration,
    /// Time for which it may still be given.
    pub left: Duration,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AnswerClaim {
    /// Nobody: the answer is there.
    Kept(KeptAnswer),
    /// Whoever claimed.
    Yours,
    /// Somebody else.
    Taken {
        /// Time until the lease is over unless it is renewed.
        left: Duration,
    },
}

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Removed {
    /// Number of answers.
    pub answers: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AnswerCounts {
    /// Number of answers, those over their time included.
    pub answers: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Number of answers whose time is over and that are not removed yet.
    pub expired: u64,
    /// Seconds since the oldest was kept; `None` where there is none.
    pub oldest_seconds: Option<u64>,
}

/// Sends a body as a text where it is one, and as a list of its bytes otherwise.
mod body {
    use serde::{Deserialize, Deserializer, Serialize as _, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Sent {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(body: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(body) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => body.serialize(serializer),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        Ok(match Sent::deserialize(deserializer)? {
            Sent::Text(text) => text.into_bytes(),
            Sent::Bytes(bytes) => bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_sent_as_a_text_where_it_is_one_and_comes_back_as_it_was() {
        for (body, sent) in
            [(b"{\"a\": 1}".to_vec(), r#""{\"a\": 1}""#), (vec![0xFF, 0], "[255,0]"), (vec![], "\"\"")]
        {
            let answer = KeptAnswer { body, age: Duration::ZERO, left: Duration::from_millis(5) };
            let text = serde_json::to_string(&answer).unwrap();
            assert!(text.starts_with(&format!("{{\"body\":{sent},")), "{text}");
            assert_eq!(serde_json::from_str::<KeptAnswer>(&text).unwrap(), answer);
        }
    }
}
