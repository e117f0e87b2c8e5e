//! Opens the store that a URL names, wherever it is: in this process, or behind a server.
//!
//! The only place where stores and connections meet.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::rpc::{Failure, Params};
use motet_core::settings::Settings;
use motet_core::store::SharedStore;
use motet_core::{RunContext, Secret};
use motet_persistence::remote::{Peer, RemoteStore};
use motet_persistence::{Opening, backend};
use motet_providers::rpc::{Address, RpcClient};
use serde_json::Value;

/// Where a server answers calls, below its address.
const PATH: &str = "rpc";
/// Largest answer that is read of a server, in bytes: 512 MiB. A list of a million tasks is a few hundred.
const MOST_BYTES: usize = 512 << 20;
/// What a server is called in errors.
const NAME: &str = "the server";

/// What opening a store takes beside its URL.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct StoreAccess {
    /// Token that is shown to a server.
    pub token: Option<Secret>,
}

impl StoreAccess {
    /// Takes what the settings say.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self { token: settings.server.token.clone() }
    }
}

/// Opens a store by its URL; a relative path in it starts at the directory.
///
/// # Errors
/// `Configuration` when the URL is wrong; `Store` when the store cannot be opened; `Connection` when its server cannot be
/// reached, and `Authentication` when it takes another token.
pub async fn open(url: &str, directory: &Path, access: &StoreAccess) -> Result<SharedStore> {
    if matches!(backend(url)?.0.opening, Opening::Server) {
        let peer = HttpPeer::new(url, access)?;
        return Ok(Arc::new(RemoteStore::connect(Arc::new(peer)).await?));
    }
    let (url, directory) = (url.to_owned(), directory.to_owned());
    let opened = tokio::task::spawn_blocking(move || motet_persistence::open_in(&url, &directory)).await;
    opened
        .map_err(|error| Error::new(ErrorKind::Internal, "opening the store broke off").with_source(error))?
}

/// A server by HTTP.
struct HttpPeer {
    client: RpcClient,
    context: RunContext,
}

impl HttpPeer {
    fn new(url: &str, access: &StoreAccess) -> Result<Self> {
        let mut headers = BTreeMap::new();
        if let Some(token) = &access.token {
            headers.insert("authorization".to_owned(), format!("Bearer {}", token.expose()));
        }
        let address = Address::Http { url: endpoint(url)?, headers };
        Ok(Self { client: RpcClient::reading(NAME, address, MOST_BYTES)?, context: RunContext::new() })
    }
}

#[async_trait]
impl Peer for HttpPeer {
    async fn call(
        &self,
        method: &'static str,
        params: Value,
        patience: Duration,
    ) -> Result<std::result::Result<Value, Failure>> {
        self.client.ask(&self.context, method, Params::read(params), patience).await
    }
}

/// Gives where a server answers calls.
fn endpoint(url: &str) -> Result<String> {
    let wrong = |why: &str| Error::new(ErrorKind::Configuration, format!("the address of the server {why}"));
    let (_, rest) = url.split_once("://").ok_or_else(|| wrong("names no host"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(wrong("holds a user or a password").with_hint("set `server.token` to the token it takes"));
    }
    if authority.is_empty() || rest.contains(['?', '#']) {
        return Err(wrong("is no address alone").with_hint("write it as `http://host:port`"));
    }
    Ok(format!("{}/{PATH}", url.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_go_below_the_address_and_what_is_none_is_refused() {
        assert_eq!(endpoint("http://box:7420").unwrap(), "http://box:7420/rpc");
        assert_eq!(endpoint("https://example.com/motet/").unwrap(), "https://example.com/motet/rpc");
        for (url, why) in [
            ("http:box", "names no host"),
            ("http://", "is no address alone"),
            ("http://:secret@box", "holds a user or a password"),
            ("http://box?token=secret", "is no address alone"),
        ] {
            let error = endpoint(url).unwrap_err();
            assert_eq!(error.to_string(), format!("the address of the server {why}"), "{url}");
        }
    }
}
