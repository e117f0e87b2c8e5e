//! Kept answers and the leases of those who ask for them.
//!
//! The sum of all bodies is kept beside them, so that keeping an answer never counts them all.

use std::time::Duration;

use async_trait::async_trait;
use motet_core::answers::{
    AnswerClaim, AnswerCounts, AnswerStore, KeepRules, KeptAnswer, NewAnswer, Removed,
};
use motet_core::error::Result;
use motet_core::id::Millis;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::SqliteStore;
use super::failure::OrStore as _;
use super::read;
use super::writer::Session;

/// What version 2 added. The body stands last, so that reading the other columns never touches its pages.
pub(super) const TABLES: &str = "
CREATE TABLE answer (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, kept_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    bytes INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX answer_by_expiry ON answer (expires_at);
CREATE TABLE answer_lease (
    key TEXT NOT NULL PRIMARY KEY, holder TEXT NOT NULL, until INTEGER NOT NULL
) WITHOUT ROWID;
";

/// Oldest answers that one removal looks at.
const SWEEP: i64 = 256;

#[async_trait]
impl AnswerStore for SqliteStore {
    async fn find(&self, keys: &[String]) -> Result<Vec<Option<KeptAnswer>>> {
        let (keys, shared) = (keys.to_vec(), std::sync::Arc::clone(&self.shared));
        self.readers
            .run(move |connection| {
                let now = shared.clock.at_least(read::clock(connection)?);
                keys.iter().map(|key| find(connection, key, now)).collect()
            })
            .await
    }

    async fn keep(&self, answers: Vec<NewAnswer>, rules: KeepRules) -> Result<()> {
        self.writer.run(move |session| keep(session, answers, rules)).await
    }

    async fn lease(&self, key: &str, holder: &str, ttl: Duration) -> Result<AnswerClaim> {
        let (key, holder) = (key.to_owned(), holder.to_owned());
        self.writer.run(move |session| claim(session, &key, &holder, ttl)).await
    }

    async fn release(&self, key: &str, holder: &str) -> Result<()> {
        const SQL: &str = "DELETE FROM answer_lease WHERE key = ?1 AND holder = ?2";
        let (key, holder) = (key.to_owned(), holder.to_owned());
        self.writer.run(move |session| execute(session.connection, SQL, [&key, &holder])).await
    }

    async fn prune(&self, most_bytes: u64) -> Result<Removed> {
        self.writer.run(move |session| prune(session, most_bytes)).await
    }

    async fn clear(&self) -> Result<Removed> {
        self.writer.run(clear).await
    }

    async fn counts(&self) -> Result<AnswerCounts> {
        let shared = std::sync::Arc::clone(&self.shared);
        self.readers
            .run(move |connection| counts(connection, shared.clock.at_least(read::clock(connection)?)))
            .await
    }
}

fn execute(connection: &Connection, sql: &str, values: impl rusqlite::Params) -> Result<()> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute(values)).or_store()?;
    Ok(())
}

fn find(connection: &Connection, key: &str, now: Millis) -> Result<Option<KeptAnswer>> {
    const SQL: &str = "SELECT kept_at, expires_at, body FROM answer WHERE key = ?1 AND expires_at > ?2";
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    let row = statement.query_row(params![key, now.0], |row| {
        let (kept, expires) = (Millis(row.get(0)?), Millis(row.get(1)?));
        Ok(KeptAnswer { age: now.since(kept), left: expires.since(now), body: row.get(2)? })
    });
    row.optional().or_store()
}

/// Removes one answer, whatever its age; gives the bytes that are free by it.
fn remove(connection: &Connection, key: &str) -> Result<i64> {
    const SQL: &str = "DELETE FROM answer WHERE key = ?1 RETURNING bytes";
    let mut statement = connection.prepare_cached(SQL).or_store()?;
    Ok(statement.query_row([key], |row| row.get(0)).optional().or_store()?.unwrap_or(0))
}

fn keep(session: &Session<'_>, answers: Vec<NewAnswer>, rules: KeepRules) -> Result<()> {
    const INSERT: &str =
        "INSERT INTO answer (key, kept_at, expires_at, bytes, body) VALUES (?1, ?2, ?3, ?4, ?5)";
    const HOLDS: &str = "SELECT 1 FROM answer WHERE key = ?1 AND expires_at > ?2";
    let (connection, now) = (session.connection, session.now);
    let mut sum = total(connection)?;
    for answer in answers {
        // Also where it is not kept: nobody asks any more.
        execute(connection, "DELETE FROM answer_lease WHERE key = ?1", [&answer.key])?;
        let holds = || {
            let mut statement = connection.prepare_cached(HOLDS).or_store()?;
            statement.exists(params![answer.key, now.0]).or_store()
        };
        let bytes = signed(answer.body.len() as u64);
        if bytes > signed(rules.most_bytes) || (!rules.replace && holds()?) {
            continue;
        }
        sum += bytes - remove(connection, &answer.key)?;
        let until = now.after(answer.max_age);
        execute(connection, INSERT, params![answer.key, now.0, until.0, bytes, answer.body])?;
    }
    shrink(connection, sum, rules.most_bytes).map(|_| ())
}

fn claim(session: &Session<'_>, key: &str, holder: &str, ttl: Duration) -> Result<AnswerClaim> {
    const FIND: &str = "SELECT holder, until FROM answer_lease WHERE key = ?1";
    const TAKE: &str = "INSERT OR REPLACE INTO answer_lease (key, holder, until) VALUES (?1, ?2, ?3)";
    let (connection, now) = (session.connection, session.now);
    if let Some(kept) = find(connection, key, now)? {
        return Ok(AnswerClaim::Kept(kept));
    }
    let mut statement = connection.prepare_cached(FIND).or_store()?;
    let lease = statement.query_row([key], |row| Ok((row.get::<_, String>(0)?, Millis(row.get(1)?))));
    match lease.optional().or_store()? {
        Some((other, until)) if other != holder && until > now => {
            Ok(AnswerClaim::Taken { left: until.since(now) })
        }
        _ => {
            execute(connection, TAKE, params![key, holder, now.after(ttl).0])?;
            Ok(AnswerClaim::Yours)
        }
    }
}

fn prune(session: &Session<'_>, most_bytes: u64) -> Result<Removed> {
    const OVER: &str = "DELETE FROM answer WHERE expires_at <= ?1 RETURNING bytes";
    let (connection, now) = (session.connection, session.now);
    let mut removed = Removed::default();
    {
        let mut statement = connection.prepare_cached(OVER).or_store()?;
        for bytes in statement.query_map([now.0], |row| row.get::<_, i64>(0)).or_store()? {
            removed.answers += 1;
            removed.bytes += unsigned(bytes.or_store()?);
        }
    }
    execute(connection, "DELETE FROM answer_lease WHERE until <= ?1", [now.0])?;
    let left = total(connection)? - signed(removed.bytes);
    let more = shrink(connection, left, most_bytes)?;
    Ok(Removed { answers: removed.answers + more.answers, bytes: removed.bytes + more.bytes })
}

fn clear(session: &Session<'_>) -> Result<Removed> {
    let connection = session.connection;
    let count = "SELECT count(*) FROM answer";
    let answers: i64 = connection.query_row(count, (), |row| row.get(0)).or_store()?;
    let removed = Removed { answers: unsigned(answers), bytes: unsigned(total(connection)?) };
    execute(connection, "DELETE FROM answer", ())?;
    set_total(connection, 0)?;
    Ok(removed)
}

/// Removes the oldest answers until their sum, which was `sum`, is no more than allowed, and writes the sum.
fn shrink(connection: &Connection, mut sum: i64, most_bytes: u64) -> Result<Removed> {
    const OLDEST: &str = "SELECT id, bytes FROM answer ORDER BY id LIMIT ?1";
    const REMOVE: &str = "DELETE FROM answer WHERE id <= ?1";
    let (most, mut removed) = (signed(most_bytes), Removed::default());
    while sum > most {
        let mut statement = connection.prepare_cached(OLDEST).or_store()?;
        let rows = statement.query_map([SWEEP], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
        let mut last = None;
        for row in rows.or_store()? {
            if sum <= most {
                break;
            }
            let (id, bytes) = row.or_store()?;
            last = Some(id);
            sum -= bytes;
            removed.answers += 1;
            removed.bytes += unsigned(bytes);
        }
        // Without rows the sum is wrong, and nothing is left to remove.
        let Some(last) = last else {
            sum = 0;
            break;
        };
        execute(connection, REMOVE, [last])?;
    }
    set_total(connection, sum)?;
    Ok(removed)
}

fn counts(connection: &Connection, now: Millis) -> Result<AnswerCounts> {
    const SQL: &str = "SELECT count(*), count(*) FILTER (WHERE expires_at <= ?1), min(kept_at) FROM answer";
    let row = connection.query_row(SQL, [now.0], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<i64>>(2)?))
    });
    let (answers, expired, oldest) = row.or_store()?;
    Ok(AnswerCounts {
        answers: unsigned(answers),
        bytes: unsigned(total(connection)?),
        expired: unsigned(expired),
        oldest_seconds: oldest.map(|kept| now.since(Millis(kept)).as_secs()),
    })
}

fn total(connection: &Connection) -> Result<i64> {
    let mut statement =
        connection.prepare_cached("SELECT v FROM meta WHERE k = 'answer_bytes'").or_store()?;
    Ok(statement.query_row((), |row| row.get(0)).optional().or_store()?.unwrap_or(0))
}

fn set_total(connection: &Connection, sum: i64) -> Result<()> {
    execute(connection, "INSERT OR REPLACE INTO meta (k, v) VALUES ('answer_bytes', ?1)", [sum])
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
