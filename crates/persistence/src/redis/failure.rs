//! Errors of a Redis server as errors of the store, with what the user can do; passwords never show.

use motet_core::error::{Error, ErrorKind, Retry};
use redis::RedisError;

/// Makes the error of a store.
pub(super) fn of(error: &RedisError, address: &str) -> Error {
    let code = error.code().unwrap_or_default();
    let detail = error.detail().unwrap_or_default();
    let whole = error.to_string();
    let says = |part: &str| code == part || whole.contains(part);
    let new = |kind, message: String| Error::new(kind, message);
    let passing = |message: String| Error::new(ErrorKind::Store, message).with_retry(Retry::Backoff);
    if let Some(refused) = refused_password(&says, address) {
        return refused;
    }
    if says("without any password") {
        let message =
            format!("the Redis server `{address}` has no password, but the URL of the store names one");
        return new(ErrorKind::Authentication, message)
            .with_hint("leave it out, or set `requirepass` on the server");
    }
    if says("DENIED") || says("protected mode") {
        let message =
            format!("the Redis server `{address}` is in protected mode and takes only local clients");
        return new(ErrorKind::Permission, message)
            .with_hint("set a password on the server (`requirepass`), and name it in the URL of the store");
    }
    if says("NOPERM") {
        return new(ErrorKind::Permission, format!("the Redis server `{address}` forbids this: {detail}"))
            .with_hint("the user needs `+@all -@dangerous +info +config|get`, keys `~*`, and channels `&*`");
    }
    if says("READONLY") {
        return passing(format!("the Redis server `{address}` is a replica, which takes no writes"))
            .with_hint("name its primary in the setting `store`");
    }
    if says("OOM") {
        return passing(format!("the memory of the Redis server `{address}` is full"))
            .with_hint("raise its `maxmemory`, or remove old runs with `motet backend prune`");
    }
    if says("MISCONF") {
        return passing(format!("the Redis server `{address}` cannot write its file: {detail}"))
            .with_hint("make room on its disk; it takes writes again when it can save");
    }
    if error.is_unrecoverable_error() || error.is_io_error() || error.is_timeout() {
        return passing(format!("the Redis server `{address}` cannot be reached: {}", plain(error)))
            .with_hint("start it, and check host and port in the setting `store`");
    }
    let answered = format!("the Redis server `{address}` answered: {}", plain(error));
    if is_passing(error) { passing(answered) } else { new(ErrorKind::Store, answered) }
}

/// Tells what is wrong with the password, where that is what is wrong.
fn refused_password(says: &dyn Fn(&str) -> bool, address: &str) -> Option<Error> {
    let new = |message: String| Error::new(ErrorKind::Authentication, message);
    let words =
        ["WRONGPASS", "invalid password", "invalid username-password", "Password authentication failed"];
    if words.into_iter().any(says) {
        return Some(new(format!("the Redis server `{address}` refused the password")).with_hint(
            "write it in the URL: `redis://:PASSWORD@HOST:PORT` or `redis://USER:PASSWORD@HOST:PORT`",
        ));
    }
    if says("NOAUTH") || says("Authentication required") {
        return Some(
            new(format!("the Redis server `{address}` asks for a password"))
                .with_hint("write it in the URL: `redis://:PASSWORD@HOST:PORT`"),
        );
    }
    None
}

/// Tells whether the same may be asked again on a new connection.
pub(super) fn is_passing(error: &RedisError) -> bool {
    let code = error.code().unwrap_or_default();
    matches!(code, "LOADING" | "BUSY" | "TRYAGAIN" | "MASTERDOWN" | "CLUSTERDOWN")
        || error.is_io_error()
        || error.is_timeout()
        || error.is_connection_dropped()
        || (code.is_empty() && error.is_unrecoverable_error())
}

/// What the server or the system said, without what may hold a URL.
fn plain(error: &RedisError) -> String {
    match error.detail() {
        Some(detail) if !detail.contains("://") => format!("{}: {detail}", error.category()),
        _ => error.category().to_owned(),
    }
}

/// Makes the error of a record that is not what this program writes.
pub(super) fn unreadable(what: &str, problem: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Store, format!("{what} in the Redis store cannot be read: {problem}"))
        .with_hint("somebody else may have changed the keys; restore them from a copy")
}
