//! HTTP clients, shared by all models that are reached alike, and what every request of a model has in common.
//!
//! Installs nothing process-wide: each client carries its own TLS settings.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use motet_core::{Error, ErrorKind, Result};
use rustls::{ClientConfig, RootCertStore};
use url::Url;

use super::transport::{Proxies, Transport};
use crate::dialect::{Dialect, KeyHeader};
use crate::provider::{AWS_CREDENTIAL_NAMES, Auth, ProviderConfig, ProviderRow, Proxy};

/// Names of headers that hold secrets, beside the key's own.
const SECRET_NAMES: [&str; 5] = ["auth", "cookie", "key", "secret", "token"];

/// HTTP clients by how they connect; each keeps its connections open for the next call.
#[derive(Default)]
pub struct Clients {
    known: Mutex<HashMap<Connecting, Transport>>,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}

/// What two models must have in common to share connections.
#[derive(PartialEq, Eq, Hash)]
struct Connecting {
    /// The address of a proxy; empty for none, `None` for the system's.
    proxy: Option<String>,
    timeout: Option<Duration>,
    /// Certificates are needed; reading the system's takes milliseconds that plain HTTP need not spend.
    secure: bool,
}

impl Clients {
    /// Gives the client for an address.
    pub(super) fn client(&self, base: &Url, config: &ProviderConfig) -> Result<Transport> {
        let proxy = match &config.proxy {
            Proxy::System => None,
            Proxy::Off => Some(String::new()),
            Proxy::Address(address) => Some(address.expose().to_owned()),
        };
        let direct = proxy.as_deref().is_some_and(|address| !address.starts_with("https:"));
        let secure = base.scheme() == "https" || !(direct || no_system_proxy());
        let connecting = Connecting { proxy, timeout: config.timeouts.connect, secure };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = known.get(&connecting) {
            return Ok(client.clone());
        }
        let client = build(&connecting)?;
        known.insert(connecting, client.clone());
        Ok(client)
    }
}

/// Tells whether the environment names no proxy that is itself reached by TLS.
fn no_system_proxy() -> bool {
    let names = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    names.iter().all(|name| std::env::var_os(name).is_none())
}

fn build(connecting: &Connecting) -> Result<Transport> {
    let malformed = || {
        Error::new(ErrorKind::Configuration, "the proxy's address is malformed")
            .with_hint("write it as `http://host:port` or `http://user:password@host:port`")
    };
    let proxies = match connecting.proxy.as_deref() {
        None => Proxies::of_system(),
        Some("") => Proxies::Off,
        Some(address) => Proxies::of_address(address).ok_or_else(malformed)?,
    };
    Ok(Transport::new(proxies, tls(connecting.secure)?, connecting.timeout))
}

fn tls(secure: bool) -> Result<ClientConfig> {
    let failed = |error: rustls::Error| {
        Error::new(ErrorKind::Configuration, format!("TLS cannot be set up: {error}"))
            .with_hint("install the system's root certificates, or name them in `SSL_CERT_FILE`")
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let mut config = if secure {
        let verifier = rustls_platform_verifier::Verifier::new(provider).map_err(failed)?;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
    } else {
        builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Gives the address that paths are joined to.
pub(super) fn base_url(row: &ProviderRow, config: &ProviderConfig) -> Result<Url> {
    let Some(address) = config.base_url.clone().or_else(|| row.base_url_for(config).map(str::to_owned))
    else {
        return Err(Error::new(ErrorKind::Configuration, format!("provider `{}` has no base URL", row.name))
            .with_provider(row.name)
            .with_hint(format!(
                "set `providers.{}.base_url`, for example to `http://localhost:8000/v1`, or give `--base-url`",
                row.name
            )));
    };
    let address = filled(row, address, config)?;
    let malformed = |why: &str| {
        Error::new(ErrorKind::Configuration, format!("the base URL of provider `{}` {why}", row.name))
            .with_provider(row.name)
            .with_hint("write it as `https://host/path` or `http://host:port/path`")
    };
    let mut url = Url::parse(address.trim()).map_err(|error| malformed(&format!("is malformed: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(malformed("is not an address of HTTP"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    url.set_fragment(None);
    Ok(url)
}

/// Puts the values of variables, such as a region, into an address.
fn filled(row: &ProviderRow, address: String, config: &ProviderConfig) -> Result<String> {
    row.variables.iter().try_fold(address, |address, variable| {
        let place = format!("{{{}}}", variable.name);
        if !address.contains(&place) {
            return Ok(address);
        }
        let value = row.variable(variable.name, config).ok_or_else(|| {
            let sources: Vec<String> = variable.sources.iter().map(|name| format!("`{name}`")).collect();
            let text = format!("the base URL of provider `{}` needs its `{}`", row.name, variable.name);
            Error::new(ErrorKind::Configuration, text)
                .with_provider(row.name)
                .with_hint(format!("set {}, or the whole `base_url`", sources.join(" or ")))
        })?;
        Ok(address.replace(&place, value.trim_end_matches('/')))
    })
}

/// Joins a path, which may bring a query, to the base address, which may have one too.
pub(super) fn joined(base: &Url, path: &str) -> Url {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    if let Some(query) = query {
        let whole = base.query().map_or(query.to_owned(), |own| format!("{own}&{query}"));
        url.set_query(Some(&whole));
    }
    url
}

/// Gives an address as it is sent: without user and password, which are a header's to carry.
///
/// # Errors
/// `Configuration` when it holds what HTTP cannot send.
pub(super) fn sent(address: &Url) -> Result<Uri> {
    let mut bare = address.clone();
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    bare.as_str().parse().map_err(|_| {
        Error::new(
            ErrorKind::Configuration,
            "the address of the request holds characters that cannot be sent",
        )
        .with_hint("look for a stray character in the base URL and in the model's name")
    })
}

/// Gives the header in which a provider wants its key.
pub(super) fn key_header(row: &ProviderRow, dialect: &dyn Dialect) -> KeyHeader {
    match row.auth {
        Auth::Header(header) => header,
        Auth::AwsSigV4 { .. } => KeyHeader { name: "authorization", prefix: "Bearer " },
        Auth::Key => dialect.key_header(),
    }
}

/// Tells whether a header holds a secret, by its name.
pub(super) fn is_secret(name: &HeaderName) -> bool {
    SECRET_NAMES.iter().any(|secret| name.as_str().contains(secret))
}

/// Gives the headers that every request carries.
pub(super) fn headers(
    row: &ProviderRow,
    key_header: KeyHeader,
    config: &ProviderConfig,
) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    for (name, value) in row.headers {
        headers.insert(*name, HeaderValue::from_static(value));
    }
    if let Some(key) = &config.api_key {
        let text = format!("{}{}", key_header.prefix, key.expose());
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            Error::new(ErrorKind::Configuration, "the API key holds characters that cannot be sent")
                .with_hint("look for a line break or a stray character around the key")
        })?;
        value.set_sensitive(true);
        headers.insert(key_header.name, value);
    }
    for (name, text) in &config.headers {
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad_header(name))?;
        let mut value = HeaderValue::from_str(text).map_err(|_| bad_header(name))?;
        value.set_sensitive(is_secret(&parsed));
        headers.insert(parsed, value);
    }
    Ok(headers)
}

/// Tells of a header that cannot be sent, without its value.
pub(super) fn bad_header(name: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("header `{name}` has a name or value that cannot be sent"))
        .with_hint("use letters, digits, and `-` in the name, and one line of text as the value")
}

/// Tells that the key is missing and where it is looked for.
pub(super) fn missing_key(row: &ProviderRow) -> Error {
    let quoted = |names: &[&str]| -> Vec<String> { names.iter().map(|name| format!("`{name}`")).collect() };
    let keys = quoted(row.key_names).join(" or ");
    let (what, hint) = match row.auth {
        Auth::AwsSigV4 { .. } => (
            "an API key, or credentials to sign with",
            format!("set {keys}, or {}", quoted(&AWS_CREDENTIAL_NAMES).join(" and ")),
        ),
        Auth::Key | Auth::Header(_) => ("an API key", format!("set {keys}")),
    };
    Error::new(ErrorKind::Configuration, format!("provider `{}` needs {what}", row.name))
        .with_provider(row.name)
        .with_hint(format!("{hint} in the environment or in `.env`"))
}

#[cfg(test)]
mod tests {
    use motet_core::Secret;

    use super::*;
    use crate::rows;

    #[test]
    fn an_address_may_be_given_whole_or_by_the_name_in_it() {
        let azure = rows::find("azure").unwrap();
        let at = |name: &'static str, value: &str| {
            let variables = vec![(name, value.to_owned())];
            base_url(azure, &ProviderConfig { variables, ..ProviderConfig::default() })
        };
        let expected = "https://mine.openai.azure.com/openai/v1";
        assert_eq!(at("resource", "mine").unwrap().as_str(), expected);
        assert_eq!(at("endpoint", "https://mine.openai.azure.com/").unwrap().as_str(), expected);
        let error = at("other", "").unwrap_err();
        assert_eq!(error.hint(), Some("set `AZURE_OPENAI_RESOURCE`, or the whole `base_url`"));
    }

    #[test]
    fn paths_are_joined_to_any_base() {
        for (base, path, expected) in [
            ("http://h/v1", "/chat", "http://h/v1/chat"),
            ("http://h/v1/", "/chat", "http://h/v1/chat"),
            ("http://h", "/chat", "http://h/chat"),
            ("http://h/a?v=1", "/chat?alt=sse", "http://h/a/chat?v=1&alt=sse"),
            ("http://h/a?v=1", "/chat", "http://h/a/chat?v=1"),
            ("http://h/a/v2", "/../v1/models?n=1", "http://h/a/v1/models?n=1"),
            ("http://h", "/../v1/models", "http://h/v1/models"),
        ] {
            let config = ProviderConfig { base_url: Some(base.into()), ..ProviderConfig::default() };
            let base = base_url(rows::find("custom").unwrap(), &config).unwrap();
            assert_eq!(joined(&base, path).as_str(), expected);
        }
    }

    #[test]
    fn variables_fill_the_address_and_may_choose_another() {
        let vertex = rows::find("vertex").unwrap();
        let with = |variables: &[(&'static str, &str)]| ProviderConfig {
            variables: variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            ..ProviderConfig::default()
        };
        for (location, expected) in [
            (None, "https://aiplatform.googleapis.com/v1beta1/projects/p/locations/global/publishers/google"),
            (
                Some("global"),
                "https://aiplatform.googleapis.com/v1beta1/projects/p/locations/global/publishers/google",
            ),
            (
                Some("us-central1"),
                "https://us-central1-aiplatform.googleapis.com/v1beta1/projects/p/locations/us-central1/publishers/google",
            ),
            (
                Some("eu"),
                "https://aiplatform.eu.rep.googleapis.com/v1beta1/projects/p/locations/eu/publishers/google",
            ),
        ] {
            let mut variables = vec![("project", "p")];
            variables.extend(location.map(|location| ("location", location)));
            assert_eq!(base_url(vertex, &with(&variables)).unwrap().as_str(), expected);
        }
        let error = base_url(vertex, &with(&[])).unwrap_err();
        assert_eq!(error.hint(), Some("set `GOOGLE_CLOUD_PROJECT`, or the whole `base_url`"));
        let own = ProviderConfig { base_url: Some("http://h/v1".into()), ..ProviderConfig::default() };
        assert_eq!(base_url(vertex, &own).unwrap().as_str(), "http://h/v1");
    }

    #[test]
    fn a_wrong_configuration_is_named_and_shows_no_secret() {
        let custom = rows::find("custom").unwrap();
        let with = |base: &str| ProviderConfig { base_url: Some(base.into()), ..ProviderConfig::default() };
        let key = |key: &str| ProviderConfig { api_key: Some(Secret::new(key)), ..ProviderConfig::default() };
        let header = |name: &str, value: &str| ProviderConfig {
            headers: vec![(name.into(), value.into())],
            ..ProviderConfig::default()
        };
        let bearer = KeyHeader { name: "authorization", prefix: "Bearer " };
        let proxy = Proxy::Address(Secret::new("http://me:hunter2@[bad"));
        let proxied = ProviderConfig { proxy, ..ProviderConfig::default() };
        for error in [
            base_url(custom, &ProviderConfig::default()).unwrap_err(),
            base_url(custom, &with("localhost:8000")).unwrap_err(),
            base_url(custom, &with("hunter2")).unwrap_err(),
            base_url(custom, &with("ftp://hunter2@host/")).unwrap_err(),
            headers(custom, bearer, &key("hunter2\n")).unwrap_err(),
            headers(custom, bearer, &header("x y", "v")).unwrap_err(),
            headers(custom, bearer, &header("x-secret", "hunter2\n")).unwrap_err(),
            Clients::default().client(&Url::parse("http://h").unwrap(), &proxied).unwrap_err(),
            missing_key(rows::find("openai").unwrap()),
        ] {
            assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
            assert!(error.hint().is_some(), "{error}");
            assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
        }
        assert_eq!(
            missing_key(rows::find("openai").unwrap()).hint(),
            Some("set `OPENAI_API_KEY` in the environment or in `.env`")
        );
    }

    #[test]
    fn models_that_connect_alike_share_a_client() {
        let clients = Clients::default();
        let config = ProviderConfig { proxy: Proxy::Off, ..ProviderConfig::default() };
        for base in ["http://a/v1", "http://b/v1", "https://c/v1"] {
            clients.client(&Url::parse(base).unwrap(), &config).unwrap();
        }
        assert_eq!(clients.known.lock().unwrap().len(), 2);
    }
}
