//! Conversations: a row for each, for each turn, for each message, and for each summary. A turn adds rows; only the one
//! row above the conversation is written anew.

use async_trait::async_trait;
use motet_core::conversation::{
    Addition, Conversation, ConversationFilter, ConversationHead, ConversationId, ConversationStore,
    NewConversation, StoredSummary, StoredTurn, Summary, Turn, bad_cut, check_turns, conversation_exists,
    may_cut, no_such_conversation,
};
use motet_core::error::{Error, Result};
use motet_core::id::Millis;
use motet_core::message::Message;
use motet_core::usage::{Cost, Usage};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::SqliteStore;
use super::columns::{Json, json, signed, unsigned};
use super::failure::OrStore as _;
use super::writer::Session;

/// The tables. `changed` counts the changes of all conversations, so that the newest stands first; `first` is the number
/// of a turn's first message, `through` that of the message behind those that a summary stands for.
pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS conversation (
    key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, title TEXT NOT NULL, created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL, changed INTEGER NOT NULL, version INTEGER NOT NULL, turns INTEGER NOT NULL,
    messages INTEGER NOT NULL, instructions TEXT NOT NULL, agent TEXT, model TEXT, usage TEXT NOT NULL, cost INTEGER
);
CREATE INDEX IF NOT EXISTS conversation_changed ON conversation (changed);
CREATE TABLE IF NOT EXISTS conversation_turn (
    conversation INTEGER NOT NULL, first INTEGER NOT NULL, agent TEXT AS (body ->> '$.agent') VIRTUAL,
    model TEXT AS (body ->> '$.model') VIRTUAL, run TEXT AS (body ->> '$.run') VIRTUAL, body TEXT NOT NULL,
    PRIMARY KEY (conversation, first)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS conversation_message (
    conversation INTEGER NOT NULL, n INTEGER NOT NULL, role TEXT AS (body ->> '$.role') VIRTUAL, body TEXT NOT NULL,
    PRIMARY KEY (conversation, n)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS conversation_summary (
    conversation INTEGER NOT NULL, n INTEGER NOT NULL, through INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (conversation, n)
) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS conversations AS SELECT id, title, datetime(created_at / 1000, 'unixepoch') AS created_at,
    datetime(updated_at / 1000, 'unixepoch') AS updated_at, version, turns, messages, agent, model,
    usage ->> '$.input' AS input, usage ->> '$.output' AS output, cost / 1e9 AS cost FROM conversation;
";

const HEAD: &str =
    "SELECT key, id, title, created_at, updated_at, version, turns, messages, instructions, agent,
    model, usage, cost FROM conversation";

#[async_trait]
impl ConversationStore for SqliteStore {
    async fn create(&self, new: NewConversation) -> Result<ConversationHead> {
        self.writer.run(move |session| create(session, &new)).await
    }

    async fn load(&self, id: &ConversationId) -> Result<Option<Conversation>> {
        let id = id.clone();
        self.readers.run(move |connection| load(connection, &id)).await
    }

    async fn head(&self, id: &ConversationId) -> Result<Option<ConversationHead>> {
        let id = id.clone();
        self.readers.run(move |connection| Ok(find(connection, &id)?.map(|found| found.1))).await
    }

    async fn append(&self, id: &ConversationId, expect: u64, addition: Addition) -> Result<ConversationHead> {
        let id = id.clone();
        self.writer.run(move |session| append(session, &id, expect, &addition)).await
    }

    async fn fork(
        &self,
        id: &ConversationId,
        keep: Option<u32>,
        new: ConversationId,
    ) -> Result<ConversationHead> {
        let id = id.clone();
        self.writer.run(move |session| fork(session, &id, keep, new)).await
    }

    async fn list(&self, filter: &ConversationFilter) -> Result<Vec<ConversationHead>> {
        let filter = filter.clone();
        self.readers.run(move |connection| list(connection, &filter)).await
    }

    async fn rename(&self, id: &ConversationId, title: &str) -> Result<()> {
        let (id, title) = (id.clone(), title.to_owned());
        self.writer.run(move |session| rename(session.connection, &id, &title)).await
    }

    async fn delete(&self, id: &ConversationId) -> Result<bool> {
        let id = id.clone();
        self.writer.run(move |session| delete(session.connection, &id)).await
    }
}

fn create(session: &Session<'_>, new: &NewConversation) -> Result<ConversationHead> {
    check_turns(&new.turns)?;
    let head = new.head(session.now);
    let key = insert(session.connection, &head)?;
    add_turns(session.connection, key, 0, &new.turns)?;
    add_summaries(session.connection, key, &new.summaries)?;
    Ok(head)
}

fn append(
    session: &Session<'_>,
    id: &ConversationId,
    expect: u64,
    addition: &Addition,
) -> Result<ConversationHead> {
    let connection = session.connection;
    check_turns(&addition.turns)?;
    let (key, mut head) = found(connection, id)?;
    if head.version != expect {
        return Err(head.conflict(expect));
    }
    if let Some(keep) = addition.keep {
        take_back(connection, key, &mut head, keep)?;
    }
    add_turns(connection, key, head.messages, &addition.turns)?;
    add_summaries(connection, key, &addition.summaries)?;
    addition.count_in(&mut head, session.now);
    update(connection, key, &head)?;
    Ok(head)
}

/// Removes what follows so many messages.
fn take_back(connection: &Connection, key: i64, head: &mut ConversationHead, keep: u32) -> Result<()> {
    check_cut(connection, key, head, keep)?;
    for sql in [
        "DELETE FROM conversation_message WHERE conversation = ?1 AND n >= ?2",
        "DELETE FROM conversation_turn WHERE conversation = ?1 AND first >= ?2",
        "DELETE FROM conversation_summary WHERE conversation = ?1 AND through > ?2",
    ] {
        execute(connection, sql, (key, keep))?;
    }
    const COUNT: &str = "SELECT count(*) FROM conversation_turn WHERE conversation = ?1";
    const LAST: &str =
        "SELECT agent, model FROM conversation_turn WHERE conversation = ?1 ORDER BY first DESC LIMIT 1";
    head.messages = keep;
    head.turns = one(connection, COUNT, [key], |row| row.get(0))?.unwrap_or(0);
    let last = one(connection, LAST, [key], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (agent, model): (Option<String>, Option<String>) = last.unwrap_or_default();
    head.agent = agent;
    head.model = model.map(|model| model.parse()).transpose()?;
    Ok(())
}

fn check_cut(connection: &Connection, key: i64, head: &ConversationHead, keep: u32) -> Result<()> {
    const ONE: &str = "SELECT body FROM conversation_message WHERE conversation = ?1 AND n = ?2";
    if keep == head.messages {
        return Ok(());
    }
    let message = |n: Option<u32>| -> Result<Option<Message>> {
        let Some(n) = n else { return Ok(None) };
        one(connection, ONE, (key, n), |row| Ok(row.get::<_, Json<Message>>(0)?.0))
    };
    let (before, after) = (message(keep.checked_sub(1))?, message(Some(keep))?);
    if keep > head.messages || !may_cut(before.as_ref(), after.as_ref()) {
        return Err(bad_cut(keep, head.messages));
    }
    Ok(())
}

fn fork(
    session: &Session<'_>,
    id: &ConversationId,
    keep: Option<u32>,
    new: ConversationId,
) -> Result<ConversationHead> {
    let connection = session.connection;
    let (from, mut head) = found(connection, id)?;
    (head.id, head.version) = (new, 0);
    (head.created_at, head.updated_at) = (session.now, session.now);
    (head.usage, head.cost) = (Usage::default(), Some(Cost::ZERO));
    let to = insert(connection, &head)?;
    for sql in [
        "INSERT INTO conversation_message (conversation, n, body)
            SELECT ?2, n, body FROM conversation_message WHERE conversation = ?1",
        "INSERT INTO conversation_turn (conversation, first, body)
            SELECT ?2, first, body FROM conversation_turn WHERE conversation = ?1",
        "INSERT INTO conversation_summary (conversation, n, through, body)
            SELECT ?2, n, through, body FROM conversation_summary WHERE conversation = ?1",
    ] {
        execute(connection, sql, (from, to))?;
    }
    if let Some(keep) = keep {
        take_back(connection, to, &mut head, keep)?;
        update(connection, to, &head)?;
    }
    Ok(head)
}

fn rename(connection: &Connection, id: &ConversationId, title: &str) -> Result<()> {
    let (key, _) = found(connection, id)?;
    execute(connection, "UPDATE conversation SET title = ?2 WHERE key = ?1", params![key, title])
}

fn delete(connection: &Connection, id: &ConversationId) -> Result<bool> {
    let Some((key, _)) = find(connection, id)? else { return Ok(false) };
    for sql in [
        "DELETE FROM conversation_message WHERE conversation = ?1",
        "DELETE FROM conversation_turn WHERE conversation = ?1",
        "DELETE FROM conversation_summary WHERE conversation = ?1",
        "DELETE FROM conversation WHERE key = ?1",
    ] {
        execute(connection, sql, [key])?;
    }
    Ok(true)
}

fn load(connection: &Connection, id: &ConversationId) -> Result<Option<Conversation>> {
    const MESSAGES: &str = "SELECT body FROM conversation_message WHERE conversation = ?1 ORDER BY n";
    const TURNS: &str = "SELECT first, body FROM conversation_turn WHERE conversation = ?1 ORDER BY first";
    const SUMMARIES: &str = "SELECT body FROM conversation_summary WHERE conversation = ?1 ORDER BY n";
    let Some((key, head)) = find(connection, id)? else { return Ok(None) };
    let mut messages =
        all(connection, MESSAGES, key, |row| Ok(row.get::<_, Json<Message>>(0)?.0))?.into_iter();
    let stored =
        all(connection, TURNS, key, |row| Ok((row.get::<_, u32>(0)?, row.get::<_, Json<StoredTurn>>(1)?.0)))?;
    let ends: Vec<u32> = stored.iter().skip(1).map(|(first, _)| *first).chain([u32::MAX]).collect();
    let turns = stored.into_iter().zip(ends).map(|((first, turn), end)| {
        turn.with_messages(messages.by_ref().take(end.saturating_sub(first) as usize).collect())
    });
    let turns = turns.collect();
    let summaries = all(connection, SUMMARIES, key, |row| Ok(row.get::<_, Json<StoredSummary>>(0)?.0))?;
    let summaries = summaries.into_iter().map(StoredSummary::into_summary).collect();
    Ok(Some(Conversation { head, turns, summaries }))
}

fn list(connection: &Connection, filter: &ConversationFilter) -> Result<Vec<ConversationHead>> {
    let sql = format!(
        "{HEAD} WHERE ?1 IS NULL OR instr(id, ?1) > 0 OR instr(title, ?1) > 0 ORDER BY changed DESC LIMIT ?2"
    );
    let limit = if filter.limit == 0 { -1 } else { i64::from(filter.limit) };
    let mut statement = connection.prepare_cached(&sql).or_store()?;
    let rows = statement.query_map(params![filter.text, limit], |row| Ok(head(row)?.1)).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

fn find(connection: &Connection, id: &ConversationId) -> Result<Option<(i64, ConversationHead)>> {
    one(connection, &format!("{HEAD} WHERE id = ?1"), [id.as_str()], head)
}

fn found(connection: &Connection, id: &ConversationId) -> Result<(i64, ConversationHead)> {
    find(connection, id)?.ok_or_else(|| no_such_conversation(id))
}

fn head(row: &Row<'_>) -> rusqlite::Result<(i64, ConversationHead)> {
    let id: String = row.get(1)?;
    let id = id.parse().map_err(|error: Error| rusqlite::types::FromSqlError::other(error))?;
    let mut head = ConversationHead::new(id, Millis(row.get(3)?));
    head.title = row.get(2)?;
    head.updated_at = Millis(row.get(4)?);
    head.version = unsigned(row.get(5)?);
    head.turns = row.get(6)?;
    head.messages = row.get(7)?;
    head.instructions = row.get(8)?;
    head.agent = row.get(9)?;
    let model: Option<String> = row.get(10)?;
    head.model = model
        .map(|model| model.parse().map_err(|error: Error| rusqlite::types::FromSqlError::other(error)))
        .transpose()?;
    head.usage = row.get::<_, Json<Usage>>(11)?.0;
    head.cost = row.get::<_, Option<i64>>(12)?.map(|nanos| Cost::from_nanos(unsigned(nanos)));
    Ok((row.get(0)?, head))
}

fn insert(connection: &Connection, head: &ConversationHead) -> Result<i64> {
    const SQL: &str =
        "INSERT INTO conversation (id, title, created_at, changed, updated_at, version, turns, messages,
        instructions, agent, model, usage, cost) VALUES (?1, ?2, ?3, 0, 0, 0, 0, 0, '', NULL, NULL, '{}', 0)
        ON CONFLICT (id) DO NOTHING RETURNING key";
    let key =
        one(connection, SQL, params![head.id.as_str(), head.title, head.created_at.0], |row| row.get(0))?;
    let key = key.ok_or_else(|| conversation_exists(&head.id))?;
    update(connection, key, head)?;
    Ok(key)
}

fn update(connection: &Connection, key: i64, head: &ConversationHead) -> Result<()> {
    const SQL: &str = "UPDATE conversation SET updated_at = ?2, version = ?3, turns = ?4, messages = ?5,
        instructions = ?6, agent = ?7, model = ?8, usage = ?9, cost = ?10,
        changed = (SELECT max(changed) + 1 FROM conversation) WHERE key = ?1";
    let values = params![
        key,
        head.updated_at.0,
        signed(head.version),
        head.turns,
        head.messages,
        head.instructions,
        head.agent,
        head.model.as_ref().map(ToString::to_string),
        json(&head.usage)?,
        head.cost.map(|cost| signed(cost.nanos())),
    ];
    execute(connection, SQL, values)
}

fn add_turns(connection: &Connection, key: i64, from: u32, turns: &[Turn]) -> Result<()> {
    const TURN: &str = "INSERT INTO conversation_turn (conversation, first, body) VALUES (?1, ?2, ?3)";
    const MESSAGE: &str = "INSERT INTO conversation_message (conversation, n, body) VALUES (?1, ?2, ?3)";
    let mut next = from;
    for turn in turns {
        execute(connection, TURN, params![key, next, json(&StoredTurn::of(turn))?])?;
        for message in &turn.messages {
            execute(connection, MESSAGE, params![key, next, json(message)?])?;
            next += 1;
        }
    }
    Ok(())
}

fn add_summaries(connection: &Connection, key: i64, summaries: &[Summary]) -> Result<()> {
    const SQL: &str = "INSERT INTO conversation_summary (conversation, n, through, body) VALUES (?1,
        (SELECT coalesce(max(n) + 1, 0) FROM conversation_summary WHERE conversation = ?1), ?2, ?3)";
    for summary in summaries {
        let body = json(&StoredSummary::V1(summary.clone()))?;
        execute(connection, SQL, params![key, summary.through, body])?;
    }
    Ok(())
}

fn execute(connection: &Connection, sql: &str, values: impl rusqlite::Params) -> Result<()> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute(values)).or_store()?;
    Ok(())
}

fn one<T>(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>> {
    let mut statement = connection.prepare_cached(sql).or_store()?;
    statement.query_row(values, read).optional().or_store()
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    key: i64,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    let mut statement = connection.prepare_cached(sql).or_store()?;
    let rows = statement.query_map([key], read).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}
