//! Long payloads and results, stored once however many tasks have the same.
//!
//! Knows nothing of tasks: who names a blob is counted by triggers, so that no removal can forget it.

use motet_core::error::Result;
use rusqlite::Connection;

use super::failure::OrStore as _;

/// Longer texts are blobs, in bytes.
const LONG: usize = 16 * 1024;

/// The tables since version 8. `refs` counts who names a blob; the last one takes it along.
pub(super) const TABLES: &str = "
CREATE TABLE blob (hash TEXT NOT NULL PRIMARY KEY, refs INTEGER NOT NULL, body TEXT NOT NULL);
ALTER TABLE payload ADD COLUMN blob TEXT;
ALTER TABLE output ADD COLUMN blob TEXT;
CREATE TRIGGER payload_names_blob AFTER INSERT ON payload WHEN NEW.blob IS NOT NULL BEGIN
    UPDATE blob SET refs = refs + 1 WHERE hash = NEW.blob;
END;
CREATE TRIGGER payload_leaves_blob AFTER DELETE ON payload WHEN OLD.blob IS NOT NULL BEGIN
    UPDATE blob SET refs = refs - 1 WHERE hash = OLD.blob;
    DELETE FROM blob WHERE hash = OLD.blob AND refs = 0;
END;
CREATE TRIGGER output_names_blob AFTER INSERT ON output WHEN NEW.blob IS NOT NULL BEGIN
    UPDATE blob SET refs = refs + 1 WHERE hash = NEW.blob;
END;
CREATE TRIGGER output_leaves_blob AFTER DELETE ON output WHEN OLD.blob IS NOT NULL BEGIN
    UPDATE blob SET refs = refs - 1 WHERE hash = OLD.blob;
    DELETE FROM blob WHERE hash = OLD.blob AND refs = 0;
END;
CREATE TRIGGER output_changes_blob AFTER UPDATE OF blob ON output WHEN OLD.blob IS NOT NEW.blob BEGIN
    UPDATE blob SET refs = refs + 1 WHERE hash = NEW.blob;
    UPDATE blob SET refs = refs - 1 WHERE hash = OLD.blob;
    DELETE FROM blob WHERE hash = OLD.blob AND refs = 0;
END;
";

/// Stores a long text as a blob; gives what stands in the row itself, and the blob's hash.
pub(super) fn place(connection: &Connection, body: String) -> Result<(String, Option<String>)> {
    if body.len() <= LONG {
        return Ok((body, None));
    }
    const SQL: &str = "INSERT INTO blob (hash, refs, body) VALUES (?1, 0, ?2) ON CONFLICT (hash) DO NOTHING";
    let hash = blake3::hash(body.as_bytes()).to_hex().to_string();
    connection.prepare_cached(SQL).or_store()?.execute((&hash, body)).or_store()?;
    Ok((String::new(), Some(hash)))
}
