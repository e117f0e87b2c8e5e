//! The backends as rows, and how a store is opened by its URL.

use std::path::Path;
use std::sync::Arc;

use motet_core::error::{Error, ErrorKind, Result};
use motet_core::store::SharedStore;

use crate::memory::MemoryStore;
use crate::redis::RedisStore;
use crate::sled::SledStore;
use crate::sqlite::{Options, SqliteStore, Synchronous};

/// One way to keep runs.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Backend {
    /// What its URLs begin with, before the colon.
    pub scheme: &'static str,
    /// What its URLs look like.
    pub url: &'static str,
    /// What it is, in one line.
    pub doc: &'static str,
    /// How it is opened.
    pub opening: Opening,
    /// Tells whether that store may hold something already; opens and makes nothing.
    pub is_there: fn(&str, &Path) -> bool,
}

/// How a store is opened.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Opening {
    /// In this process, by the part of the URL after the colon; relative paths start at the directory.
    Here(fn(&str, &Path) -> Result<SharedStore>),
    /// Behind a server, through [`RemoteStore::connect`](crate::remote::RemoteStore::connect) with a peer of the caller's.
    Server,
}

/// Every backend.
pub const BACKENDS: &[Backend] = &[
    Backend {
        scheme: "sqlite",
        url: "sqlite:PATH[?synchronous=full|normal]",
        doc: "A file that survives crashes and that several processes may share; `normal` is faster, but the loss of \
              power may cost the last writes.",
        opening: Opening::Here(open_sqlite),
        is_there: |rest, directory| directory.join(path_of(rest)).exists(),
    },
    Backend {
        scheme: "redis",
        url: "redis://[:PASSWORD@]HOST:PORT[/DB][?namespace=NAME]",
        doc: "A Redis server that several machines share; what it keeps when it crashes is set there (`appendfsync`).",
        opening: Opening::Here(open_redis),
        is_there: |_, _| true,
    },
    Backend {
        scheme: "rediss",
        url: "rediss://[:PASSWORD@]HOST:PORT[/DB][?namespace=NAME]",
        doc: "The same over TLS.",
        opening: Opening::Here(open_rediss),
        is_there: |_, _| true,
    },
    Backend {
        scheme: "memory",
        url: "memory:",
        doc: "Nothing is kept beyond the end of the process.",
        opening: Opening::Here(open_memory),
        is_there: |_, _| false,
    },
    Backend {
        scheme: "sled",
        url: "sled:PATH",
        doc: "A directory of sled's that one process at a time has; legacy, for those who have one.",
        opening: Opening::Here(open_sled),
        is_there: |rest, directory| directory.join(path_of(rest)).exists(),
    },
    Backend {
        scheme: "http",
        url: "http://HOST:PORT",
        doc: "A server of `motet serve`, whatever its store is; the setting `server.token` is shown to it.",
        opening: Opening::Server,
        is_there: |_, _| true,
    },
    Backend {
        scheme: "https",
        url: "https://HOST[:PORT]",
        doc: "The same behind something that speaks TLS.",
        opening: Opening::Server,
        is_there: |_, _| true,
    },
];

/// Opens a store by its URL, such as `sqlite:runs.db`, `sqlite:///var/lib/motet/runs.db`, or `memory:`.
///
/// Each call opens a store of its own; two of them share runs where they name the same file. It blocks while it reads
/// the file's first pages.
///
/// # Errors
/// `Configuration` when the URL names no backend or has a part that its backend does not know; `Store` when the store
/// cannot be opened.
pub fn open(url: &str) -> Result<SharedStore> {
    open_in(url, Path::new(""))
}

/// Opens a store by its URL; a relative path in it starts at this directory.
///
/// # Errors
/// As [`open`].
pub fn open_in(url: &str, directory: &Path) -> Result<SharedStore> {
    let (backend, rest) = backend(url)?;
    match backend.opening {
        Opening::Here(open) => open(rest, directory),
        Opening::Server => {
            Err(configuration("a store behind a server is not opened without a way there".to_owned())
                .with_hint("open it by `motet::store::open`, which connects to it"))
        }
    }
}

/// Tells whether the store that a URL names may hold something already; opens and makes nothing.
#[must_use]
pub fn is_there(url: &str, directory: &Path) -> bool {
    backend(url).is_ok_and(|(backend, rest)| (backend.is_there)(rest, directory))
}

/// Gives the path in the part of a URL after its colon.
fn path_of(rest: &str) -> &str {
    let path = rest.split_once('?').map_or(rest, |(path, _)| path);
    path.strip_prefix("//").unwrap_or(path)
}

/// Gives the backend that a URL names, and the part of the URL behind its colon; opens nothing.
///
/// # Errors
/// `Configuration` when the URL names no backend.
pub fn backend(url: &str) -> Result<(&'static Backend, &str)> {
    let Some((scheme, rest)) = url.split_once(':') else {
        return Err(configuration(format!("`{url}` is no URL of a store"))
            .with_hint(format!("a file is named by `sqlite:{url}`")));
    };
    let found = BACKENDS.iter().find(|backend| backend.scheme == scheme);
    found.map(|backend| (backend, rest)).ok_or_else(|| unknown(scheme))
}

fn unknown(scheme: &str) -> Error {
    let known: Vec<String> = BACKENDS.iter().map(|backend| format!("`{}`", backend.url)).collect();
    let likeness = |backend: &&Backend| (strsim::jaro_winkler(backend.scheme, scheme) * 1_000.0) as u32;
    let nearest = BACKENDS.iter().max_by_key(likeness).filter(|backend| likeness(backend) > 700);
    let meant = nearest.map(|backend| format!("did you mean `{}:`? ", backend.scheme)).unwrap_or_default();
    configuration(format!("there is no store `{scheme}:`"))
        .with_hint(format!("{meant}known are {}", known.join(", ")))
}

fn configuration(message: String) -> Error {
    Error::new(ErrorKind::Configuration, message)
}

fn open_memory(rest: &str, _directory: &Path) -> Result<SharedStore> {
    if !rest.is_empty() {
        return Err(configuration(format!("a store in memory has no name, but got `{rest}`"))
            .with_hint("write `memory:`, or `sqlite:PATH` for a store that is kept"));
    }
    Ok(Arc::new(MemoryStore::new()))
}

fn open_sled(rest: &str, directory: &Path) -> Result<SharedStore> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() {
        return Err(configuration("the URL of the store names no directory".to_owned())
            .with_hint("write `sled:PATH`, such as `sled:runs` or `sled:///var/lib/motet/runs`"));
    }
    Ok(Arc::new(SledStore::open(directory.join(path))?))
}

fn open_redis(rest: &str, _directory: &Path) -> Result<SharedStore> {
    Ok(Arc::new(RedisStore::open("redis", rest)?))
}

fn open_rediss(rest: &str, _directory: &Path) -> Result<SharedStore> {
    Ok(Arc::new(RedisStore::open("rediss", rest)?))
}

fn open_sqlite(rest: &str, directory: &Path) -> Result<SharedStore> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() {
        return Err(configuration("the URL of the store names no file".to_owned()).with_hint(
            "write `sqlite:PATH`, such as `sqlite:runs.db` or `sqlite:///var/lib/motet/runs.db`",
        ));
    }
    if path == ":memory:" {
        return Err(configuration("SQLite keeps runs in files only".to_owned())
            .with_hint("write `memory:` for a store that is not kept"));
    }
    let mut options = Options::default();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        options.synchronous = match part {
            "synchronous=full" => Synchronous::Full,
            "synchronous=normal" => Synchronous::Normal,
            _ => {
                return Err(configuration(format!("the URL of the store has an unknown part `{part}`"))
                    .with_hint("known are `synchronous=full` and `synchronous=normal`"));
            }
        };
    }
    Ok(Arc::new(SqliteStore::open(directory.join(path), &options)?))
}

#[cfg(test)]
mod tests {
    use motet_core::store::Durability;

    use super::*;

    /// Gives the error of a URL as `message | hint`.
    fn refused(url: &str) -> String {
        let error = open(url).err().unwrap_or_else(|| panic!("`{url}` was opened"));
        assert_eq!(error.kind(), ErrorKind::Configuration);
        format!("{error} | {}", error.hint().unwrap_or_default())
    }

    #[test]
    fn every_url_that_names_no_store_is_refused_with_what_to_write() {
        let known = "known are `sqlite:PATH[?synchronous=full|normal]`, \
                     `redis://[:PASSWORD@]HOST:PORT[/DB][?namespace=NAME]`, \
                     `rediss://[:PASSWORD@]HOST:PORT[/DB][?namespace=NAME]`, `memory:`, `sled:PATH`, \
                     `http://HOST:PORT`, `https://HOST[:PORT]`";
        assert_eq!(
            refused("sqlit:x.db"),
            format!("there is no store `sqlit:` | did you mean `sqlite:`? {known}")
        );
        assert_eq!(refused("zz:x"), format!("there is no store `zz:` | {known}"));
        assert_eq!(
            refused("runs.db"),
            "`runs.db` is no URL of a store | a file is named by `sqlite:runs.db`"
        );
        assert!(refused("http://h:1").ends_with("open it by `motet::store::open`, which connects to it"));
        assert!(refused("memory:x").starts_with("a store in memory has no name"));
        assert!(refused("sled:").starts_with("the URL of the store names no directory"));
        assert!(refused("sqlite:").starts_with("the URL of the store names no file"));
        assert!(refused("sqlite::memory:").ends_with("write `memory:` for a store that is not kept"));
        assert!(
            refused("sqlite:x?sync=full").starts_with("the URL of the store has an unknown part `sync=full`")
        );
    }

    #[test]
    fn whether_a_store_is_there_is_told_without_making_it() {
        let directory = tempfile::tempdir().unwrap();
        for url in ["sqlite:x.db?synchronous=full", "sled:runs"] {
            assert!(!is_there(url, directory.path()), "{url}");
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "{url}");
            drop(open_in(url, directory.path()).unwrap());
            assert!(is_there(url, directory.path()), "{url}");
            std::fs::remove_dir_all(directory.path()).unwrap();
            std::fs::create_dir(directory.path()).unwrap();
        }
        assert!(!is_there("memory:", directory.path()) && !is_there("x:y", directory.path()));
        assert!(is_there("redis://localhost", directory.path()));
    }

    #[test]
    fn every_form_of_a_url_opens_the_file_it_names() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().to_str().unwrap();
        for (url, file, durability) in [
            (format!("sqlite:{base}/a.db"), "a.db", Durability::Fsync),
            (format!("sqlite://{base}/deep/er/b.db"), "deep/er/b.db", Durability::Fsync),
            (format!("sqlite:{base}/c.db?synchronous=normal"), "c.db", Durability::Process),
            (format!("sqlite:{base}/d.db?synchronous=full"), "d.db", Durability::Fsync),
            (format!("sled:{base}/deep/e"), "deep/e/db", Durability::Fsync),
            (format!("sled://{base}/f"), "f/db", Durability::Fsync),
        ] {
            let store = open(&url).unwrap();
            assert!(directory.path().join(file).exists(), "{url}");
            assert_eq!(store.capabilities().durability, durability, "{url}");
        }
        assert_eq!(open("memory:").unwrap().capabilities().name, "memory");
    }
}
