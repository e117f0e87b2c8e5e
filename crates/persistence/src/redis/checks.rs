//! Whether a server may keep runs: that it never drops keys by itself, may be written, and how often it syncs its log.
//!
//! Asks on a connection of its own, once, before the store is used.

use std::collections::HashMap;
use std::time::Duration;

use motet_core::error::{Error, ErrorKind, Result};
use motet_core::store::Durability;
use redis::{Client, Connection, RedisError, RedisResult};

use super::failure;

/// Longest time that connecting takes.
const PATIENCE: Duration = Duration::from_secs(5);

/// The version of what this program writes; a store with a higher one is refused.
pub(super) const FORMAT: u32 = 1;

/// The major version of the oldest server that is taken.
const OLDEST: u32 = 7;

/// What a server is found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) durability: Durability,
}

/// Looks at a server and at what a namespace on it holds; blocks.
pub(super) fn look(client: &Client, namespace: &str) -> Result<Found> {
    let address = client.get_connection_info().addr().to_string();
    let failed = |error: RedisError| failure::of(&error, &address);
    let mut connection = client.get_connection_with_timeout(PATIENCE).map_err(failed)?;
    connection.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let info: String = redis::cmd("INFO").query(&mut connection).map_err(failed)?;
    let info: HashMap<&str, &str> = info.lines().filter_map(|line| line.split_once(':')).collect();
    check_version(&info, &address)?;
    if info.get("role") == Some(&"slave") {
        return Err(refused(format!("the Redis server `{address}` is a replica, which takes no writes"))
            .with_hint("name its primary in the setting `store`"));
    }
    check_memory(&mut connection, &info, &address)?;
    let found = Found { durability: durability(&mut connection, &info, &address) };
    check_format(&mut connection, namespace).map_err(failed)??;
    Ok(found)
}

/// Refuses a server that takes no command of more than a million words, which changes of large runs have.
fn check_version(info: &HashMap<&str, &str>, address: &str) -> Result<()> {
    let version = info.get("redis_version").copied().unwrap_or_default();
    match version.split('.').next().map(str::parse::<u32>) {
        Some(Ok(major)) if major < OLDEST => Err(refused(format!(
            "the Redis server `{address}` has version {version}, which cannot change large runs"
        ))
        .with_hint(format!("use Redis {OLDEST}.0 or newer"))),
        _ => Ok(()),
    }
}

/// Refuses a server that makes room by dropping keys: it would drop tasks and results.
fn check_memory(connection: &mut Connection, info: &HashMap<&str, &str>, address: &str) -> Result<()> {
    // INFO tells it without the right to CONFIG.
    let told = info.get("maxmemory_policy").map(|policy| (*policy).to_owned());
    let policy = told.or_else(|| config(connection, "maxmemory-policy").ok().flatten());
    let is_unlimited = info.get("maxmemory") == Some(&"0");
    match policy.as_deref() {
        Some("noeviction") => Ok(()),
        _ if is_unlimited => Ok(()),
        Some(policy) => {
            let message = format!(
                "the Redis server `{address}` drops keys when its memory is full (`maxmemory-policy` is `{policy}`), \
                 and with them tasks and results"
            );
            Err(refused(message).with_hint(
                "set it with `redis-cli CONFIG SET maxmemory-policy noeviction` and in redis.conf",
            ))
        }
        None => {
            tracing::warn!(
                address,
                "the Redis server does not tell its `maxmemory-policy`; it must be `noeviction`"
            );
            Ok(())
        }
    }
}

/// Gives what an accepted write survives.
fn durability(connection: &mut Connection, info: &HashMap<&str, &str>, address: &str) -> Durability {
    if info.get("aof_enabled") != Some(&"1") {
        tracing::warn!(
            address,
            "the Redis server writes no append-only file: what it accepts may be lost when it ends; set `appendonly yes`"
        );
        return Durability::None;
    }
    match config(connection, "appendfsync") {
        Ok(Some(value)) if value == "always" => Durability::Fsync,
        Ok(Some(value)) if value == "no" => Durability::None,
        Ok(_) => Durability::Process,
        Err(_) => {
            tracing::warn!(
                address,
                "the Redis server does not tell its `appendfsync`, so the last second of writes may be lost with its power"
            );
            Durability::Process
        }
    }
}

fn config(connection: &mut Connection, name: &str) -> RedisResult<Option<String>> {
    let found: HashMap<String, String> = redis::cmd("CONFIG").arg("GET").arg(name).query(connection)?;
    Ok(found.into_values().next())
}

/// Refuses what a newer program wrote, and marks an empty namespace.
fn check_format(connection: &mut Connection, namespace: &str) -> RedisResult<Result<()>> {
    let key = format!("{{{namespace}}}:meta");
    let known: Option<u32> = redis::cmd("HGET").arg(&key).arg("format").query(connection)?;
    let format = match known {
        Some(format) => format,
        // Asked only here, because a server whose memory is full refuses it, and must be opened to remove runs.
        None => {
            let () = redis::cmd("HSETNX").arg(&key).arg("format").arg(FORMAT).query(connection)?;
            redis::cmd("HGET").arg(&key).arg("format").query(connection)?
        }
    };
    if format > FORMAT {
        let message = format!(
            "the namespace `{namespace}` holds runs in format {format}, and this program knows formats up to {FORMAT}"
        );
        return Ok(Err(refused(message).with_hint("use the version of Motet that wrote it, or a newer one")));
    }
    Ok(Ok(()))
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::Configuration, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_too_old_is_refused_with_what_to_do() {
        let look = |version| check_version(&HashMap::from([("redis_version", version)]), "host:6379");
        for version in ["2.8.24", "5.0.14", "6.2.14"] {
            let error = look(version).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains(version), "{error}");
            assert_eq!(error.hint(), Some("use Redis 7.0 or newer"));
        }
        for version in ["7.0.0", "7.2.4", "8.0.1", "10.0", "unstable"] {
            look(version).unwrap();
        }
        check_version(&HashMap::new(), "host:6379").unwrap();
    }
}
