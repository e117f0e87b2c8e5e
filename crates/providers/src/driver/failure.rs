//! What went wrong on the way: connections that fail, bodies that break off, and secrets that must not show.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use motet_core::{Error, ErrorKind, Retry, Secret};
use url::Url;

use super::transport::{Failure, TimedOut};
use crate::dialect::Origin;
use crate::provider::{ProviderRow, Timeouts};

/// Tells why no answer began.
pub(super) fn of_sending(error: Failure, row: &ProviderRow, base: &Url, timeouts: &Timeouts) -> Error {
    let host = shown_host(base);
    if error.is_connect() && chain(&error).any(is_timeout) {
        let limit = timeouts.connect.map_or_else(String::new, |limit| format!(" within {limit:?}"));
        return Error::new(ErrorKind::Timeout, format!("no connection to `{host}` could be made{limit}"))
            .with_hint(unreachable_hint(row))
            .with_unsent()
            .with_source(error);
    }
    let unsent = error.is_connect();
    let (message, hint, retry) = match cause(&error) {
        Cause::Refused => (format!("`{host}` refused the connection"), unreachable_hint(row), Retry::Backoff),
        Cause::UnknownHost => (
            format!("the address of `{host}` could not be found"),
            "check the base URL and the network".to_owned(),
            Retry::Backoff,
        ),
        Cause::PlainText => (
            format!("no secure connection to `{host}` could be made: it does not speak TLS"),
            "if the server speaks plain HTTP, begin the base URL with `http://`".to_owned(),
            Retry::Never,
        ),
        Cause::Tls(why) => (
            format!("no secure connection to `{host}` could be made: {why}"),
            "check that the base URL's host and scheme are right and that its certificate is trusted"
                .to_owned(),
            Retry::Never,
        ),
        Cause::Other(why) if error.is_connect() => {
            (format!("no connection to `{host}` could be made: {why}"), unreachable_hint(row), Retry::Backoff)
        }
        Cause::Other(why) => (
            format!("the connection to `{host}` broke before the answer began: {why}"),
            unreachable_hint(row),
            Retry::Backoff,
        ),
    };
    let failed = Error::new(ErrorKind::Connection, message).with_hint(hint).with_retry(retry);
    let error = failed.with_source(error);
    if unsent { error.with_unsent() } else { error }
}

/// Tells why an answer broke off.
pub(super) fn of_body(error: hyper::Error) -> Error {
    let why = deepest(&error);
    Error::new(ErrorKind::Truncated, format!("the answer broke off before its end: {why}")).with_source(error)
}

fn shown_host(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn unreachable_hint(row: &ProviderRow) -> String {
    row.unreachable_hint.unwrap_or("check the base URL, the network, and the proxy").to_owned()
}

enum Cause {
    Refused,
    UnknownHost,
    /// The other side answers without TLS.
    PlainText,
    Tls(String),
    Other(String),
}

/// Tells whether connecting took longer than allowed, or than the system waits.
fn is_timeout(link: &(dyn StdError + 'static)) -> bool {
    let system = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
    link.is::<TimedOut>() || link.downcast_ref::<io::Error>().is_some_and(system)
}

fn cause(error: &Failure) -> Cause {
    for link in chain(error) {
        if let Some(tls) = tls_error(link) {
            return match tls {
                rustls::Error::InvalidMessage(_) => Cause::PlainText,
                tls => Cause::Tls(tls.to_string()),
            };
        }
        if let Some(io) = link.downcast_ref::<io::Error>()
            && io.kind() == io::ErrorKind::ConnectionRefused
        {
            return Cause::Refused;
        }
        let text = link.to_string();
        if text.starts_with("dns error") || text.contains("failed to lookup address") {
            return Cause::UnknownHost;
        }
    }
    Cause::Other(deepest(error))
}

/// Finds a TLS error, which hides inside I/O errors that do not name it as their source.
fn tls_error<'a>(link: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = link.downcast_ref::<rustls::Error>() {
        return Some(tls);
    }
    let inner = link.downcast_ref::<io::Error>()?.get_ref()?;
    tls_error(inner)
}

/// Gives an error and all errors underneath.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let link = next?;
        next = link.source();
        Some(link)
    })
}

fn deepest(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

/// Masks the key in a body that will be shown.
pub(super) fn redacted<'a>(body: &'a [u8], key: Option<&Secret>) -> Cow<'a, [u8]> {
    redacted_if_needed(body, key).map_or(Cow::Borrowed(body), Cow::Owned)
}

/// Masks the key in a body; `None` when it is not there.
pub(super) fn redacted_if_needed(body: &[u8], key: Option<&Secret>) -> Option<Vec<u8>> {
    let key = key.filter(|key| !key.expose().is_empty())?;
    memchr::memmem::find(body, key.expose().as_bytes())?;
    Some(key.redact(&String::from_utf8_lossy(body)).into_bytes())
}

/// What the headers of an answer told, for the errors that come after them.
pub(super) struct Answered {
    pub(super) origin: Arc<Origin>,
    pub(super) key: Option<Secret>,
    pub(super) status: u16,
    pub(super) request_id: Option<String>,
    /// What was asked for.
    pub(super) operation: &'static str,
}

impl Answered {
    /// Adds to an error what is known of the answer.
    pub(super) fn complete(&self, mut error: Error) -> Error {
        if let (Some(id), None) = (&self.request_id, error.request_id()) {
            error = error.with_request_id(id.clone());
        }
        if error.status().is_none() {
            error = error.with_status(self.status);
        }
        // What the provider says itself in the midst of an answer comes with a code or type, and is no riddle.
        let is_ours = error.hint().is_none() && error.context().is_empty();
        if let Some(hint) = self.hint(error.kind()).filter(|_| is_ours) {
            error = error.with_hint(hint);
        }
        named(error, &self.origin, self.key.as_ref(), self.operation)
    }

    /// Tells what to do about an answer that cannot be read or is not all there.
    fn hint(&self, kind: ErrorKind) -> Option<String> {
        let row = self.origin.row;
        let speaks = format!("check the base URL, and that the server speaks `{}`", row.dialect);
        match kind {
            ErrorKind::InvalidOutput => Some(speaks),
            ErrorKind::Truncated => Some(format!("try again; if it happens every time, {speaks}")),
            _ => None,
        }
    }
}

/// Names provider, model, and operation in an error, and makes sure that it shows no key.
pub(super) fn named(error: Error, origin: &Origin, key: Option<&Secret>, operation: &'static str) -> Error {
    let error = match key {
        Some(key) if shows(&error, key) => without(&error, key),
        _ => error,
    };
    let error = match origin.asked() {
        Some(model) => error.with_model(model.clone()),
        None => error,
    };
    error.with_provider(origin.row.name).with_operation(operation)
}

fn shows(error: &Error, key: &Secret) -> bool {
    let key = key.expose();
    !key.is_empty()
        && (format!("{error:?}").contains(key) || chain(error).any(|link| link.to_string().contains(key)))
}

/// Makes the same error without the key, and without the errors underneath, which may show it too.
fn without(error: &Error, key: &Secret) -> Error {
    let mut clean = Error::new(error.kind(), key.redact(error.message())).with_retry(error.retry());
    if let Some(hint) = error.hint() {
        clean = clean.with_hint(key.redact(hint));
    }
    if let Some(limits) = error.limits() {
        clean = clean.with_limits(*limits);
    }
    if let Some(status) = error.status() {
        clean = clean.with_status(status);
    }
    if error.is_unsent() {
        clean = clean.with_unsent();
    }
    if let Some(id) = error.request_id() {
        clean = clean.with_request_id(key.redact(id));
    }
    error
        .context()
        .iter()
        .fold(clean, |clean, (name, value)| clean.with_context(name.clone(), key.redact(value)))
}
