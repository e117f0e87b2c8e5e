//! The tables, and how a file becomes an open connection: checked to be ours, of a version we know, and set up.

use std::path::Path;
use std::time::Duration;

use motet_core::error::{Error, ErrorKind, Result};
use motet_core::store::{RunState, TaskState};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::Options;
use super::failure::OrStore as _;

/// `Mote` in ASCII: tells our files from those of other programs.
const APPLICATION_ID: i64 = 0x4d6f_7465;

/// Version of the tables. A file of a later one is refused, one of an earlier one is brought up to date.
pub(super) const VERSION: i64 = 1 + MIGRATIONS.len() as i64;

/// Statements that are kept prepared on each connection; more than there are.
const PREPARED: usize = 128;

/// The tables of version 1.
///
/// Rows that change often are kept apart from the long texts, because a change rewrites the whole row. States are
/// numbers, times are milliseconds since 1970-01-01 UTC, long texts are JSON. `run` is `run.key` in all tables. `parked`
/// is 1 for a ready task of a run that starts nothing, so that claiming never meets it. `due` is when a lease or a delay
/// ends.
const TABLES: &str = "
CREATE TABLE meta (k TEXT NOT NULL PRIMARY KEY, v) WITHOUT ROWID;

CREATE TABLE run (
    key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, kind TEXT NOT NULL, state INTEGER NOT NULL,
    tasks INTEGER NOT NULL, next INTEGER NOT NULL, open INTEGER NOT NULL, active INTEGER NOT NULL,
    done INTEGER NOT NULL, failed INTEGER NOT NULL, skipped INTEGER NOT NULL, fatal INTEGER NOT NULL,
    seq INTEGER NOT NULL, created_at INTEGER NOT NULL, ended_at INTEGER
);
CREATE TABLE definition (
    run INTEGER PRIMARY KEY, definition TEXT NOT NULL, inputs TEXT NOT NULL, settings TEXT NOT NULL
);

CREATE TABLE task (
    run INTEGER NOT NULL, n INTEGER NOT NULL, name TEXT NOT NULL, queue TEXT NOT NULL, prio INTEGER NOT NULL,
    state INTEGER NOT NULL, parked INTEGER NOT NULL, remaining INTEGER NOT NULL, attempt INTEGER NOT NULL,
    forgiven INTEGER NOT NULL, crashes INTEGER NOT NULL, parent INTEGER, open_children INTEGER NOT NULL,
    failed_children INTEGER NOT NULL, joining INTEGER NOT NULL, on_failure INTEGER NOT NULL, retry TEXT,
    not_before INTEGER NOT NULL, token TEXT, worker TEXT, lease_until INTEGER NOT NULL, started_at INTEGER,
    ended_at INTEGER, journal INTEGER NOT NULL, journal_after INTEGER NOT NULL, due INTEGER, error TEXT,
    PRIMARY KEY (run, n)
) WITHOUT ROWID;
CREATE INDEX ready ON task (queue, prio, not_before, run, n) WHERE state = 1 AND parked = 0;
CREATE INDEX ready_of_run ON task (run, queue, prio, not_before, n) WHERE state = 1 AND parked = 0;
CREATE INDEX due ON task (due) WHERE due IS NOT NULL;

CREATE TABLE payload (run INTEGER NOT NULL, n INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (run, n)) WITHOUT ROWID;
CREATE TABLE output (run INTEGER NOT NULL, task INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (run, task)) WITHOUT ROWID;

CREATE TABLE edge (run INTEGER NOT NULL, src INTEGER NOT NULL, dst INTEGER NOT NULL, PRIMARY KEY (run, src, dst)) WITHOUT ROWID;
CREATE INDEX edge_by_dst ON edge (run, dst, src);

CREATE TABLE journal (
    run INTEGER NOT NULL, seq INTEGER NOT NULL, task INTEGER NOT NULL, at INTEGER NOT NULL, step TEXT NOT NULL,
    kind TEXT AS (body ->> '$.entry') VIRTUAL, body TEXT NOT NULL, PRIMARY KEY (run, seq)
) WITHOUT ROWID;
CREATE INDEX journal_by_task ON journal (run, task, seq);
";

/// What each version adds to the one before it, from version 2 on; a new file gets them all.
const MIGRATIONS: &[&[&str]] = &[
    &[BOOKS],
    &[super::answers::TABLES],
    &[super::items::TABLE],
    &[super::questions::TABLE],
    &[super::conversations::TABLES],
    &[super::events::TABLES],
    &[super::blobs::TABLES, super::claim::INDEXES, super::upkeep::TABLES, ENTRIES],
];

/// The books of budgets, since version 2: money in nano-dollars. `held` is a reservation; a `lost` one counts as spent,
/// because nobody settled it in time.
const BOOKS: &str = "
CREATE TABLE book (
    name TEXT NOT NULL PRIMARY KEY, spent_cost INTEGER NOT NULL, spent_tokens INTEGER NOT NULL,
    unknown_cost INTEGER NOT NULL, unknown_tokens INTEGER NOT NULL, reserved_cost INTEGER NOT NULL,
    reserved_tokens INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE held (
    id TEXT NOT NULL, book TEXT NOT NULL, cost INTEGER NOT NULL, tokens INTEGER NOT NULL, until INTEGER NOT NULL,
    lost INTEGER NOT NULL, PRIMARY KEY (id, book)
) WITHOUT ROWID;
CREATE INDEX held_until ON held (until) WHERE lost = 0;
CREATE VIEW books AS SELECT name, spent_cost / 1e9 AS spent, unknown_cost / 1e9 AS unknown,
    reserved_cost / 1e9 AS reserved, spent_tokens, unknown_tokens, reserved_tokens FROM book;
";

/// The journal as people read it, since version 8.
const ENTRIES: &str = "
CREATE VIEW entries AS SELECT run.id AS run, journal.seq, datetime(journal.at / 1000, 'unixepoch') AS at,
    journal.task AS n, task.name AS task, journal.step, journal.kind, journal.body
    FROM journal JOIN run ON run.key = journal.run LEFT JOIN task ON task.run = journal.run AND task.n = journal.task;
";

/// Opens the connection that writes; makes the file and its tables where they are missing.
pub(super) fn open_writer(path: &Path, options: &Options) -> Result<Connection> {
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_CREATE)?;
    wait_when_busy(&mut connection, options.busy_timeout)?;
    let found = check(&connection)?;
    if found == Found::Empty {
        // Both have no effect once there is a table.
        connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL").or_store()?;
    }
    write_ahead(&connection)?;
    // What is to survive the loss of power is flushed by a thread of its own.
    connection
        .execute_batch(
            "PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384;
             PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864;",
        )
        .or_store()?;
    if found == Found::Empty {
        create(&mut connection)?;
    }
    migrate(&mut connection)?;
    Ok(connection)
}

/// Opens a connection that only reads a file that [`open_writer`] has set up.
pub(super) fn open_reader(path: &Path, options: &Options) -> Result<Connection> {
    let mut connection = connect(path, OpenFlags::empty())?;
    wait_when_busy(&mut connection, options.busy_timeout)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA temp_store = MEMORY;").or_store()?;
    Ok(connection)
}

fn connect(path: &Path, more: OpenFlags) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    let connection = Connection::open_with_flags(path, flags).or_store()?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    // Without this guarantee many statements are prepared anew each time that they get other values.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).or_store()?;
    Ok(connection)
}

/// Tries again every millisecond; SQLite's own waiting sleeps ever longer, which starves one of two busy processes.
fn wait_when_busy(connection: &mut Connection, at_most: Duration) -> Result<()> {
    const PAUSE: Duration = Duration::from_millis(1);
    let tries = i32::try_from(at_most.as_millis()).unwrap_or(i32::MAX);
    let wait = move |tried: i32| {
        std::thread::sleep(PAUSE);
        tried < tries
    };
    connection.busy_handler(Some(wait)).or_store()
}

/// Switches to the write-ahead log; while another process does the same, SQLite says busy without waiting.
fn write_ahead(connection: &Connection) -> Result<()> {
    const TRIES: u32 = 500;
    let switch = || connection.execute_batch("PRAGMA journal_mode = WAL");
    for _ in 1..TRIES {
        match switch() {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                std::thread::sleep(Duration::from_millis(10));
            }
            other => return other.or_store(),
        }
    }
    switch().or_store()
}

#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// A new file, or one without tables.
    Empty,
    /// A store of a version that we read.
    Store(i64),
}

/// Tells what a file is without changing it.
fn check(connection: &Connection) -> Result<Found> {
    // One transaction, or the tables that another process makes just now would seem to be those of another program.
    connection.execute_batch("SAVEPOINT look").or_store()?;
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get::<_, i64>(0));
    let read = tables.and_then(|tables| Ok((tables, number("application_id")?, number("user_version")?)));
    connection.execute_batch("RELEASE look").or_store()?;
    let (tables, application, version) = read.or_store()?;
    match (application, tables) {
        (APPLICATION_ID, _) if version > VERSION => {
            let message = format!("the store has version {version}; this Motet reads up to {VERSION}");
            Err(Error::new(ErrorKind::Store, message)
                .with_hint("use the newer Motet that wrote it, or another file"))
        }
        (APPLICATION_ID, 1..) => Ok(Found::Store(version)),
        (0 | APPLICATION_ID, 0) => Ok(Found::Empty),
        _ => Err(Error::new(ErrorKind::Store, "the database belongs to another program")
            .with_hint("give the path of a store, or of a file that does not exist yet")),
    }
}

fn create(connection: &mut Connection) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).or_store()?;
    // Another process may have been faster.
    if check(&transaction)? == Found::Empty {
        transaction.execute_batch(TABLES).or_store()?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).or_store()?;
        transaction.pragma_update(None, "user_version", 1).or_store()?;
    }
    transaction.commit().or_store()
}

/// Brings the tables of an earlier version up to date.
fn migrate(connection: &mut Connection) -> Result<()> {
    let version = |connection: &Connection| {
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).or_store()
    };
    if version(connection)? == VERSION {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).or_store()?;
    // Another process may have been faster.
    let known = usize::try_from(version(&transaction)?).unwrap_or(1).saturating_sub(1);
    for tables in MIGRATIONS.iter().skip(known).copied().flatten() {
        transaction.execute_batch(tables).or_store()?;
    }
    // Made anew, as they name every state that there is by now.
    transaction.execute_batch("DROP VIEW IF EXISTS runs; DROP VIEW IF EXISTS tasks;").or_store()?;
    transaction.execute_batch(&views()).or_store()?;
    transaction.pragma_update(None, "user_version", VERSION).or_store()?;
    transaction.commit().or_store()
}

/// Makes the views that people query: with names instead of numbers.
fn views() -> String {
    let names = |states: Vec<&str>| {
        let cases = states.iter().enumerate().map(|(number, name)| format!(" WHEN {number} THEN '{name}'"));
        cases.collect::<String>()
    };
    let runs = names(RunState::ALL.iter().map(|state| state.as_str()).collect());
    let tasks = names(TaskState::ALL.iter().map(|state| state.as_str()).collect());
    let ended: Vec<String> = places(RunState::ALL, |state| state.is_ended());
    let open: Vec<String> = places(TaskState::ALL, |state| !state.is_ended());
    let (ended, open) = (ended.join(", "), open.join(", "));
    format!(
        "CREATE VIEW runs AS SELECT id, name, kind, CASE state{runs} END AS state, tasks, open, active, done, failed,
             skipped, error ->> '$.message' AS error, parent, root, submit_key AS key,
             datetime(created_at / 1000, 'unixepoch') AS created_at,
             datetime(ended_at / 1000, 'unixepoch') AS ended_at,
             datetime(deadline / 1000, 'unixepoch') AS deadline FROM run;
         CREATE VIEW tasks AS SELECT run.id AS run, task.n, task.name, task.queue, task.prio,
             CASE WHEN run.state IN ({ended}) AND task.state IN ({open}) THEN 'cancelled'
                 ELSE CASE task.state{tasks} END END AS state,
             task.remaining, task.attempt, task.crashes, task.worker, task.limit_key, task.awaits,
             datetime(task.not_before / 1000, 'unixepoch') AS not_before,
             datetime(task.started_at / 1000, 'unixepoch') AS started_at,
             datetime(task.ended_at / 1000, 'unixepoch') AS ended_at, task.error,
             coalesce(long_payload.body, payload.body) AS payload, coalesce(long_output.body, output.body) AS output
             FROM task JOIN run ON run.key = task.run
             LEFT JOIN payload ON payload.run = task.run AND payload.n = task.n
             LEFT JOIN blob AS long_payload ON long_payload.hash = payload.blob
             LEFT JOIN output ON output.run = task.run AND output.task = task.n
             LEFT JOIN blob AS long_output ON long_output.hash = output.blob;"
    )
}

/// Gives the numbers of those states that are asked for.
fn places<T: super::columns::Places>(states: &[T], is_wanted: impl Fn(T) -> bool) -> Vec<String> {
    states.iter().filter(|state| is_wanted(**state)).map(|state| state.place().to_string()).collect()
}
