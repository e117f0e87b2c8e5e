//! Which proxy a request goes through.

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

/// The proxies of one client.
pub(in crate::driver) enum Proxies {
    /// None.
    Off,
    /// Those that match.
    Matching(Box<Matcher>),
}

impl Proxies {
    /// Takes those that the system or the usual environment variables name, as they are now.
    pub(in crate::driver) fn of_system() -> Self {
        Proxies::Matching(Box::new(Matcher::from_system()))
    }

    /// Takes one for every request; `None` when its address is malformed or its scheme is not known.
    pub(in crate::driver) fn of_address(address: &str) -> Option<Self> {
        let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
        let scheme = scheme.to_ascii_lowercase();
        let known = ["http", "https", "socks5", "socks5h"].contains(&&*scheme);
        let address = format!("{scheme}://{rest}");
        let uri: Uri = address.trim_end_matches('/').parse().ok().filter(|_| known)?;
        uri.host().filter(|host| !host.is_empty())?;
        let matcher = Matcher::builder().all(address).build();
        matcher.intercept(&Uri::from_static("http://example"))?;
        Some(Proxies::Matching(Box::new(matcher)))
    }

    /// Gives the one that an address is reached through, if any.
    pub(super) fn of(&self, address: &Uri) -> Option<Intercept> {
        match self {
            Proxies::Off => None,
            Proxies::Matching(matcher) => matcher.intercept(address),
        }
    }

    /// Gives what the proxy of an address wants to see with each request, if it reads requests at all.
    pub(super) fn forwarding_authorization(&self, address: &Uri) -> Option<HeaderValue> {
        let proxy = Some(address).filter(|address| address.scheme() == Some(&Scheme::HTTP));
        self.of(proxy?)?.basic_auth().cloned()
    }
}

/// Gives an address with its port, or with this one where it has none.
pub(super) fn with_port(address: &Uri, port: u16) -> Result<Uri, http::Error> {
    let mut parts = address.clone().into_parts();
    if let Some(authority) = parts.authority.take() {
        parts.authority = Some(match authority.port() {
            Some(_) => authority,
            None => Authority::try_from(format!("{authority}:{port}"))?,
        });
    }
    Ok(Uri::from_parts(parts)?)
}
