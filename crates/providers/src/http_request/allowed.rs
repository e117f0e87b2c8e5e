//! Which hosts may be asked: patterns of names, and a closer look at addresses that lie inside a network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use motet_core::{Error, ErrorKind, Result};
use url::{Host, Url};

/// Patterns of hosts; none allows nothing.
///
/// `example.com` is that host, `*.example.com` every host below it, `*` every host, and `example.com:8080` one port of it.
/// What lies inside a network, such as `127.0.0.1`, `10.0.0.7`, or a name that leads there, is allowed only by its own name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    host: String,
    port: Option<u16>,
}

/// How far a host is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Wherever it lies.
    Anywhere,
    /// Where it lies outside of any network of one's own.
    Public,
}

impl Allowed {
    /// Reads patterns.
    ///
    /// # Errors
    /// `Configuration` when one of them is no pattern of a host.
    pub fn new<T: AsRef<str>>(patterns: impl IntoIterator<Item = T>) -> Result<Self> {
        patterns.into_iter().map(|pattern| Pattern::read(pattern.as_ref())).collect::<Result<_>>().map(Self)
    }

    /// Tells how far the host of an address is allowed.
    ///
    /// # Errors
    /// `Permission` when it is not, with what to set.
    pub(super) fn reach(&self, url: &Url) -> Result<Reach> {
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let port = url.port_or_known_default();
        let fitting = || self.0.iter().filter(|pattern| pattern.port.is_none() || pattern.port == port);
        if fitting().any(|pattern| pattern.host == host) {
            return Ok(Reach::Anywhere);
        }
        if !fitting().any(|pattern| pattern.covers(&host)) {
            return Err(refused(&host, "its host is not allowed"));
        }
        match url.host() {
            Some(Host::Ipv4(address)) => check(&host, IpAddr::V4(address))?,
            Some(Host::Ipv6(address)) => check(&host, IpAddr::V6(address))?,
            _ if host == "localhost" || host.ends_with(".localhost") => {
                return Err(refused(&host, "it lies inside this machine"));
            }
            _ => {}
        }
        Ok(Reach::Public)
    }
}

impl Pattern {
    fn read(written: &str) -> Result<Self> {
        let wrong = || {
            Error::new(
                ErrorKind::Configuration,
                format!("`{written}` in `http.allow` is no pattern of a host"),
            )
            .with_hint("write `example.com`, `*.example.com`, `example.com:8080`, or `*`")
        };
        let text = written.trim().to_ascii_lowercase();
        let (host, port) = match (text.strip_prefix('['), text.rsplit_once(':')) {
            // An address of version 6 stands in brackets where a port follows.
            (Some(rest), _) => {
                let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
                (host.to_owned(), rest.strip_prefix(':').map(str::to_owned))
            }
            (None, Some((host, port))) if !host.contains(':') => (host.to_owned(), Some(port.to_owned())),
            _ => (text.clone(), None),
        };
        let port = port.map(|port| port.parse::<u16>().map_err(|_| wrong())).transpose()?;
        let name = host.strip_prefix("*.").unwrap_or(&host);
        let is_plain = !name.is_empty()
            && name.chars().all(|letter| letter.is_alphanumeric() || "-._:".contains(letter))
            && !name.starts_with('.');
        if host != "*" && !is_plain {
            return Err(wrong());
        }
        Ok(Self { host: host.trim_end_matches('.').to_owned(), port })
    }

    fn covers(&self, host: &str) -> bool {
        if self.host == "*" {
            return true;
        }
        let Some(parent) = self.host.strip_prefix('*') else { return false };
        host.len() > parent.len() && host.ends_with(parent)
    }
}

/// Refuses an address inside a network for a host that is not allowed by its own name.
pub(super) fn check(host: &str, address: IpAddr) -> Result<()> {
    if is_inside(address) {
        return Err(refused(host, &format!("its address `{address}` lies inside a network")));
    }
    Ok(())
}

fn refused(host: &str, why: &str) -> Error {
    Error::new(ErrorKind::Permission, format!("`{host}` may not be asked: {why}"))
        .with_unsent()
        .with_hint(format!("set `http.allow` to a list that names `{host}`"))
}

/// Tells whether an address belongs to this machine, to a network of one's own, or to nobody.
fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_inside_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped().or_else(|| embedded(address)) {
            Some(embedded) => is_inside_v4(embedded),
            None => {
                let first = address.segments()[0];
                address.is_loopback()
                    || address.is_unspecified()
                    || address.is_multicast()
                    || (first & 0xfe00) == 0xfc00
                    || (first & 0xffc0) == 0xfe80
            }
        },
    }
}

/// Gives the address of version 4 that one of version 6 leads to through a translator: `64:ff9b::/96` and `2002::/16`.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b, c, d, e, f) {
        (0x64, 0xff9b, 0, 0, 0, 0) => Some(join(g, h)),
        (0x2002, high, low, ..) => Some(join(high, low)),
        _ => None,
    }
}

fn is_inside_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_unspecified()
        || address.is_broadcast()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && (18..20).contains(&b))
        || (a == 192 && b == 0 && address.octets()[2] == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(patterns: &[&str], url: &str) -> Option<Reach> {
        Allowed::new(patterns).unwrap().reach(&Url::parse(url).unwrap()).ok()
    }

    #[test]
    fn hosts_are_allowed_by_pattern_and_those_inside_by_name() {
        let (public, anywhere) = (Some(Reach::Public), Some(Reach::Anywhere));
        for (patterns, url, expected) in [
            (&[][..], "https://example.com", None),
            (&["example.com"], "https://example.com/x", anywhere),
            (&["example.com"], "https://EXAMPLE.com./x", anywhere),
            (&["example.com"], "https://sub.example.com", None),
            (&["example.com"], "https://example.com.evil.org", None),
            (&["example.com"], "https://evil.org/example.com", None),
            (&["example.com"], "https://example.com@evil.org/", None),
            (&["*.example.com"], "https://a.b.example.com", public),
            (&["*.example.com"], "https://example.com", None),
            (&["*.example.com"], "https://notexample.com", None),
            (&["example.com:8080"], "http://example.com:8080", anywhere),
            (&["example.com:8080"], "http://example.com", None),
            (&["example.com:443"], "https://example.com", anywhere),
            (&["*"], "https://example.com", public),
            (&["*"], "http://127.0.0.1:80", None),
            (&["*"], "http://2130706433/", None),
            (&["*"], "http://localhost", None),
            (&["*"], "http://[::1]/", None),
            (&["*"], "http://[::ffff:10.0.0.1]/", None),
            (&["*"], "http://169.254.169.254/", None),
            (&["*", "127.0.0.1"], "http://127.0.0.1:9", anywhere),
            (&["[::1]:99"], "http://[::1]:99", anywhere),
            (&["::1"], "http://[::1]:99", anywhere),
        ] {
            assert_eq!(reach(patterns, url), expected, "{patterns:?} {url}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for wrong in ["", "https://example.com", "a b", "*.*", "ex*mple.com", "example.com:x", "[::1"] {
            assert_eq!(Allowed::new([wrong]).unwrap_err().kind(), ErrorKind::Configuration, "{wrong}");
        }
    }

    #[test]
    fn addresses_of_translators_are_seen_through() {
        for inside in ["64:ff9b::7f00:1", "2002:a00:1::", "fd00::1", "fe80::1", "100.64.0.1", "0.0.0.0"] {
            assert!(is_inside(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"] {
            assert!(!is_inside(outside.parse().unwrap()), "{outside}");
        }
    }
}
