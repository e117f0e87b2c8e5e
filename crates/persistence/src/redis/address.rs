//! Where a server is and under which names it keeps runs, read from the URL of the store.
//!
//! Connects to nothing. What it makes never shows the password.

use motet_core::error::{Error, ErrorKind, Result};
use redis::{Client, IntoConnectionInfo as _};

/// The namespace of stores whose URL names none.
pub(super) const NAMESPACE: &str = "motet";

/// A server and a namespace on it.
pub(super) struct Address {
    pub(super) client: Client,
    pub(super) namespace: String,
}

impl Address {
    /// Reads a URL without its scheme, such as `//:secret@localhost:6379/0?namespace=team`.
    pub(super) fn read(scheme: &str, rest: &str) -> Result<Self> {
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut namespace = NAMESPACE.to_owned();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("namespace", name)) if is_name(name) => name.clone_into(&mut namespace),
                Some(("namespace", name)) => {
                    return Err(configuration(format!("`{name}` cannot be the namespace of a store"))
                        .with_hint("use 1 to 64 letters, digits, `-`, `_`, and `.`"));
                }
                _ => {
                    let part = part.split('=').next().unwrap_or_default();
                    return Err(configuration(format!("the URL of the store has an unknown part `{part}`"))
                        .with_hint("known is `namespace=NAME`"));
                }
            }
        }
        let has_host =
            place.strip_prefix("//").is_some_and(|host| !host.is_empty() && !host.starts_with('/'));
        let info = if has_host { format!("{scheme}:{place}").into_connection_info().ok() } else { None };
        // The library's own error may repeat the URL and with it the password.
        let client = info.and_then(|info| Client::open(info).ok()).ok_or_else(|| {
            configuration(format!("the URL of the store is not one of a Redis server: `{scheme}:…`"))
                .with_hint("write `redis://HOST:PORT`, or `rediss://:PASSWORD@HOST:PORT/DB?namespace=NAME`")
        })?;
        Ok(Self { client, namespace })
    }
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(fits)
}

fn configuration(message: String) -> Error {
    Error::new(ErrorKind::Configuration, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_server_and_a_namespace() {
        let address = Address::read("redis", "//:s3cret@localhost:7000/2?namespace=team.a").unwrap();
        let info = address.client.get_connection_info();
        assert_eq!((info.addr().to_string().as_str(), info.redis_settings().db()), ("localhost:7000", 2));
        assert_eq!(address.namespace, "team.a");
        assert_eq!(Address::read("rediss", "//localhost").unwrap().namespace, "motet");
    }

    #[test]
    fn what_names_no_server_is_refused_without_the_password() {
        for rest in
            ["", "localhost", "//", "///0", "//:s3cret@host:x", "//h?name=s3cret", "//h?namespace=a{b}"]
        {
            let error = Address::read("redis", rest).err().unwrap_or_else(|| panic!("`{rest}` was read"));
            assert_eq!(error.kind(), ErrorKind::Configuration, "{rest}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
            assert!(error.hint().is_some(), "{rest}");
        }
    }
}
