//! Who may call: tokens, and, where there are none, programs of this machine that mean this server.
//!
//! Knows no call. No token is ever shown.

use std::path::Path;

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HOST};
use motet::{Error, ErrorKind, Result, Secret};

/// Characters below which a token could be guessed.
const SHORTEST: usize = 16;

/// What callers must show.
#[derive(Debug)]
pub(crate) struct Access {
    /// Hashes, which are compared in the same time whatever they hold.
    tokens: Vec<blake3::Hash>,
}

impl Access {
    pub(crate) fn new(tokens: &[Secret]) -> Result<Self> {
        if tokens.iter().any(|token| token.expose().chars().count() < SHORTEST) {
            let message = format!("a token of the server has fewer than {SHORTEST} characters");
            return Err(Error::new(ErrorKind::Configuration, message)
                .with_hint("make one up by chance, such as `openssl rand -hex 16` does"));
        }
        Ok(Self { tokens: tokens.iter().map(|token| blake3::hash(token.expose().as_bytes())).collect() })
    }

    /// Tells whether no token is asked for.
    pub(crate) fn is_open(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Tells who may not call.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<()> {
        if self.is_open() {
            return check_host(headers);
        }
        let Some(token) = shown(headers) else {
            return Err(Error::new(
                ErrorKind::Authentication,
                "the server asks for a token, and none was shown",
            )
            .with_hint(
                "set `server.token`, or the variable `MOTET_SERVER_TOKEN`, to a token that it takes",
            ));
        };
        let hash = blake3::hash(token.as_bytes());
        // All of them are looked at, so that the time does not tell which one is near.
        if self.tokens.iter().fold(false, |fits, known| fits | (*known == hash)) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Authentication, "the server does not take the token that was shown")
            .with_hint("look at `server.token`, or the variable `MOTET_SERVER_TOKEN`, here and `server.tokens` there"))
    }
}

fn shown(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Refuses calls by another name than this machine's own: a page in a browser could have its name resolved to here.
fn check_host(headers: &HeaderMap) -> Result<()> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let is_own = bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if is_own {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Permission,
        "the server has no token and answers only by this machine's own address",
    )
    .with_hint("call it as `127.0.0.1` or `localhost`, or give it a token by `server.tokens`"))
}

/// Reads tokens, one a line; empty lines and those that begin with `#` are left out.
pub(crate) fn read_tokens(file: &Path) -> Result<Vec<Secret>> {
    let wrong = |why: String| {
        Error::new(ErrorKind::Configuration, format!("the file of tokens `{}` {why}", file.display()))
            .with_hint("write one token a line")
    };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let tokens: Vec<Secret> = lines.map(Secret::new).collect();
    if tokens.is_empty() { Err(wrong("holds no token".to_owned())) } else { Ok(tokens) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "0123456789abcdef";
    const TWO: &str = "fedcba9876543210";

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(axum::http::HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[test]
    fn one_of_the_tokens_must_be_shown_whole() {
        let access = Access::new(&[Secret::new(ONE), Secret::new(TWO)]).unwrap();
        let check = |value: &str| access.check(&headers("authorization", value));
        for value in [format!("Bearer {ONE}"), format!("bearer {TWO} ")] {
            check(&value).unwrap();
        }
        for value in
            [format!("Bearer {ONE}0"), "Bearer 0123456789abcde".into(), ONE.into(), format!("Basic {ONE}")]
        {
            let error = check(&value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Authentication, "{value}");
            assert!(!format!("{error:?}").contains("0123456789"), "{error:?}");
        }
        assert_eq!(
            access.check(&headers("host", "localhost")).unwrap_err().kind(),
            ErrorKind::Authentication
        );
        assert!(!format!("{access:?}").contains(ONE));
        assert_eq!(Access::new(&[Secret::new("short")]).unwrap_err().kind(), ErrorKind::Configuration);
    }

    #[test]
    fn without_tokens_only_the_machines_own_names_are_answered() {
        let access = Access::new(&[]).unwrap();
        for (host, taken) in [
            ("127.0.0.1:7420", true),
            ("localhost", true),
            ("[::1]:7420", true),
            ("LOCALHOST:1", true),
            ("evil.example:7420", false),
            ("192.168.0.1:7420", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
        ] {
            assert_eq!(access.check(&headers("host", host)).is_ok(), taken, "{host}");
        }
        assert!(access.check(&HeaderMap::new()).is_err());
    }

    #[test]
    fn tokens_are_read_line_by_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("# first\n{ONE}\n\n  {TWO}\n")).unwrap();
        let read: Vec<_> =
            read_tokens(file.path()).unwrap().iter().map(|token| token.expose().to_owned()).collect();
        assert_eq!(read, [ONE, TWO]);
        std::fs::write(file.path(), "# none\n").unwrap();
        assert!(read_tokens(file.path()).unwrap_err().to_string().ends_with("holds no token"));
    }
}
