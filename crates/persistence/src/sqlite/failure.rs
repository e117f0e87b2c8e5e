//! Turns what SQLite reports into the one error of all seams, with what a person can do about it.

use motet_core::error::{Error, ErrorKind, Result, Retry};
use rusqlite::ErrorCode;

/// Turns the errors of SQLite into ours.
pub(super) trait OrStore<T> {
    /// Gives the value, or the error in our words.
    fn or_store(self) -> Result<T>;
}

impl<T> OrStore<T> for rusqlite::Result<T> {
    fn or_store(self) -> Result<T> {
        self.map_err(translate)
    }
}

/// Makes the same error for another caller; only the error underneath is not repeated.
pub(super) fn copy(error: &Error) -> Error {
    let mut copy = Error::new(error.kind(), error.message()).with_retry(error.retry());
    if let Some(hint) = error.hint() {
        copy = copy.with_hint(hint);
    }
    error.context().iter().fold(copy, |copy, (name, value)| copy.with_context(name.clone(), value.clone()))
}

/// What each failure means and what helps; the first row with the code counts.
const FAILURES: &[(ErrorCode, &str, &str)] = &[
    (
        ErrorCode::DiskFull,
        "the disk of the store is full",
        "free some space and go on; everything accepted so far is kept",
    ),
    (
        ErrorCode::ReadOnly,
        "the store may only be read",
        "the file, its directory, and the files beside it must be writable",
    ),
    (
        ErrorCode::PermissionDenied,
        "access to the store is denied",
        "the file and its directory must be readable and writable for this user",
    ),
    (
        ErrorCode::CannotOpen,
        "the store cannot be opened",
        "the path must name a file in a directory that is writable for this user",
    ),
    (
        ErrorCode::NotADatabase,
        "the file is no SQLite database",
        "give the path of a store, or of a file that does not exist yet",
    ),
    (
        ErrorCode::DatabaseCorrupt,
        "the store is damaged",
        "restore a backup, or save what is left with `sqlite3 FILE .recover`",
    ),
    (
        ErrorCode::DatabaseBusy,
        "another process holds the store for too long",
        "end the program that keeps a transaction open, such as a database browser",
    ),
    (
        ErrorCode::DatabaseLocked,
        "the store is locked",
        "end the program that keeps a transaction open, such as a database browser",
    ),
    (
        ErrorCode::SystemIoFailure,
        "the disk of the store failed to read or write",
        "check the disk and its mount; network file systems are not supported",
    ),
    (ErrorCode::TooBig, "a value is too big for the store", "keep values under 1 GB"),
];

fn translate(error: rusqlite::Error) -> Error {
    let known = error.sqlite_error_code().and_then(|code| FAILURES.iter().find(|(known, ..)| *known == code));
    let translated = match (known, &error) {
        (Some((code, message, hint)), _) => {
            let passes = matches!(
                code,
                ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::DiskFull
                    | ErrorCode::SystemIoFailure
            );
            let retry = if passes { Retry::Backoff } else { Retry::Never };
            Error::new(ErrorKind::Store, *message).with_hint(*hint).with_retry(retry)
        }
        (None, rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..)) => {
            Error::new(ErrorKind::Store, "a stored value cannot be read")
                .with_hint("the file was changed by another program; restore a backup")
        }
        (None, _) => Error::new(ErrorKind::Store, "the store failed"),
    };
    translated.with_context("sqlite", error.to_string()).with_source(error)
}
