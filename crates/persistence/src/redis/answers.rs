//! Answers on the server, with the duty to ask for them as keys that end by themselves.

use std::time::Duration;

use async_trait::async_trait;
use motet_core::answers::{
    AnswerClaim, AnswerCounts, AnswerStore, KeepRules, KeptAnswer, NewAnswer, Removed,
};
use motet_core::error::{Error, Result};
use redis::Value;

use super::server::Server;
use super::{RedisStore, failure, fetch, row};

/// Keys that are looked up at once.
const BATCH: usize = 500;

#[async_trait]
impl AnswerStore for RedisStore {
    async fn find(&self, keys: &[String]) -> Result<Vec<Option<KeptAnswer>>> {
        let server = &self.server;
        let now = fetch::now(server).await?.0;
        let mut found = Vec::with_capacity(keys.len());
        for batch in keys.chunks(BATCH) {
            let mut pipe = redis::pipe();
            for key in batch {
                let key = server.key(format!("answer:{key}"));
                pipe.cmd("HMGET").arg(key).arg("kept").arg("till").arg("body");
            }
            let answers: Vec<(Option<i64>, Option<i64>, Option<Vec<u8>>)> = server.ask_all(&pipe).await?;
            for answer in answers {
                let (Some(kept), Some(till), Some(body)) = answer else {
                    found.push(None);
                    continue;
                };
                let answer = KeptAnswer { body, age: time(now - kept), left: time(till - now) };
                found.push(Some(answer).filter(|answer| !answer.left.is_zero()));
            }
        }
        Ok(found)
    }

    async fn keep(&self, answers: Vec<NewAnswer>, rules: KeepRules) -> Result<()> {
        let mut left = answers.into_iter().peekable();
        loop {
            let replace = if rules.replace { "1" } else { "0" };
            let mut words = words(["keep", &rules.most_bytes.to_string(), replace]);
            for answer in left.by_ref().take(BATCH / 5) {
                words.extend([
                    answer.key.into_bytes(),
                    row::milliseconds(answer.max_age).into_bytes(),
                    answer.body,
                ]);
            }
            let _: Value = self.server.run(&self.server.scripts.answers, &words).await?;
            if left.peek().is_none() {
                return Ok(());
            }
        }
    }

    async fn lease(&self, key: &str, holder: &str, ttl: Duration) -> Result<AnswerClaim> {
        let words = words(["lease", key, holder, &row::milliseconds(ttl)]);
        let answer: Vec<Value> = self.server.run(&self.server.scripts.answers, &words).await?;
        match answer.as_slice() {
            [Value::BulkString(word), Value::BulkString(body), Value::Int(age), Value::Int(left)]
                if word == b"kept" =>
            {
                Ok(AnswerClaim::Kept(KeptAnswer { body: body.clone(), age: time(*age), left: time(*left) }))
            }
            [_, Value::Int(left)] => Ok(AnswerClaim::Taken { left: time(*left) }),
            [_] => Ok(AnswerClaim::Yours),
            _ => Err(strange()),
        }
    }

    async fn release(&self, key: &str, holder: &str) -> Result<()> {
        let words = words(["release", key, holder]);
        let _: Value = self.server.run(&self.server.scripts.answers, &words).await?;
        Ok(())
    }

    async fn prune(&self, most_bytes: u64) -> Result<Removed> {
        remove(&self.server, words(["prune", &most_bytes.to_string()])).await
    }

    async fn clear(&self) -> Result<Removed> {
        remove(&self.server, words(["clear"])).await
    }

    async fn counts(&self) -> Result<AnswerCounts> {
        let counts: Vec<i64> = self.server.run(&self.server.scripts.answers, &words(["counts"])).await?;
        let [answers, bytes, expired, oldest] = counts.as_slice() else { return Err(strange()) };
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        Ok(AnswerCounts {
            answers: count(*answers),
            bytes: count(*bytes),
            expired: count(*expired),
            oldest_seconds: u64::try_from(*oldest).ok(),
        })
    }
}

/// Removes answers, a thousand in one script, until nothing is left to remove.
async fn remove(server: &Server, words: Vec<Vec<u8>>) -> Result<Removed> {
    let mut removed = Removed::default();
    loop {
        let (answers, bytes, more): (u64, u64, u8) = server.run(&server.scripts.answers, &words).await?;
        removed.answers += answers;
        removed.bytes += bytes;
        if more == 0 {
            return Ok(removed);
        }
    }
}

fn words<const N: usize>(words: [&str; N]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn time(milliseconds: i64) -> Duration {
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default())
}

fn strange() -> Error {
    failure::unreadable("an answer", "the answer of the script has another form")
}
