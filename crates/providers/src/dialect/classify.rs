//! What a refusal means, in one place for all formats: by status, then by code and type, and by text last.
//!
//! Knows no format: a dialect reads the body into a [`Complaint`] first.

mod advice;
mod hint;
mod phrases;

use std::time::Duration;

use motet_core::limits::RateLimits;
use motet_core::{Error, ErrorKind, Retry};

pub(crate) use advice::request_id;

use super::{Answer, Origin};

/// Longest text of a provider that is shown.
const MESSAGE_LIMIT: usize = 2_000;

/// Longest time to wait after which an allowance of a day still counts as one that comes back.
const SOON: Duration = Duration::from_hours(1);

/// What a provider said went wrong, as far as it said so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Complaint {
    /// HTTP status by which to judge: the answer's, or one named inside an answer that itself says all is well.
    pub status: Option<u16>,
    /// The provider's text.
    pub message: String,
    /// The provider's code, such as `context_length_exceeded`.
    pub code: Option<String>,
    /// The provider's type of error, such as `invalid_request_error`.
    pub error_type: Option<String>,
    /// The field complained of.
    pub param: Option<String>,
    /// A narrower code than the others, such as `API_KEY_INVALID`; it is judged first and not shown.
    pub reason: Option<String>,
    /// What the provider behind a gateway said.
    pub upstream: Option<String>,
    /// How long the body asks to wait.
    pub retry_after: Option<Duration>,
    /// What is used up does not come back within minutes.
    pub exhausted: bool,
    /// The id of the request, where the body has one.
    pub request_id: Option<String>,
    /// What the body tells of limits.
    pub limits: RateLimits,
    /// The body is a web page, which no provider sends to a program.
    pub is_page: bool,
}

/// Makes the error of a complaint, with what the headers add and what the user can do.
#[must_use]
pub fn error_from(complaint: Complaint, answer: Option<&Answer<'_>>, origin: &Origin) -> Error {
    let wait = advice::wait(&complaint, answer);
    let verdict = verdict(&complaint, wait);
    let name = origin.row.name;
    let message = match (complaint.message.trim(), complaint.status) {
        ("", Some(status)) => format!("`{name}` answered with status {status} and no message"),
        ("", None) => format!("`{name}` reported an error without a message"),
        (text, _) => shortened(text, MESSAGE_LIMIT),
    };
    let mut error = Error::new(verdict.kind, message).with_provider(name);
    if let Some(model) = origin.asked() {
        error = error.with_model(model.clone());
    }
    if let Some(retry) = verdict.retry {
        error = error.with_retry(retry);
    }
    error = advice::told(error, &complaint, answer, wait);
    let elsewhere = answer.and_then(|answer| answer.header("location"));
    if let Some(hint) = hint::of(&error, &complaint, verdict.above_allowance, elsewhere, origin) {
        error = error.with_hint(hint);
    }
    for (name, value) in [
        ("code", complaint.code),
        ("type", complaint.error_type),
        ("param", complaint.param),
        ("upstream", complaint.upstream),
    ] {
        if let Some(value) = value {
            error = error.with_context(name, shortened(&value, 200));
        }
    }
    error
}

/// Cuts a text to a number of bytes at most, between characters.
pub(crate) fn shortened(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = (0..=limit).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}

struct Verdict {
    kind: ErrorKind,
    /// `None` where the kind says it.
    retry: Option<Retry>,
    /// The request alone is larger than what the key may send in a minute.
    above_allowance: bool,
}

impl From<ErrorKind> for Verdict {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, retry: None, above_allowance: false }
    }
}

fn verdict(complaint: &Complaint, wait: Option<Duration>) -> Verdict {
    let mut text = complaint.message.to_lowercase();
    if let Some(upstream) = &complaint.upstream {
        text = format!("{text} {}", upstream.to_lowercase());
    }
    let is_empty = text.trim().is_empty();
    match first_kind(complaint, &text) {
        ErrorKind::RateLimit if phrases::is_above_allowance(&text) => {
            Verdict { above_allowance: true, ..ErrorKind::TokenLimit.into() }
        }
        ErrorKind::RateLimit if complaint.exhausted || is_used_up(&text, wait) => {
            ErrorKind::QuotaExceeded.into()
        }
        ErrorKind::RateLimit if phrases::is_out_of_capacity(&text) => ErrorKind::Overloaded.into(),
        kind @ ErrorKind::Permission => phrases::kind_of_forbidden(&text).unwrap_or(kind).into(),
        kind @ ErrorKind::InvalidOutput => Verdict { retry: Some(Retry::Backoff), ..kind.into() },
        kind @ ErrorKind::InvalidRequest if phrases::names_field_length(complaint.code.as_deref()) => {
            kind.into()
        }
        ErrorKind::InvalidRequest if complaint.status == Some(413) && is_empty => {
            ErrorKind::TokenLimit.into()
        }
        kind @ ErrorKind::InvalidRequest => phrases::kind_of_refused(&text).unwrap_or(kind).into(),
        ErrorKind::Overloaded if phrases::is_overflow(&text) => ErrorKind::TokenLimit.into(),
        ErrorKind::Overloaded if matches!(complaint.status, Some(501 | 505)) => {
            Verdict { retry: Some(Retry::Never), ..ErrorKind::Unsupported.into() }
        }
        kind @ ErrorKind::Conflict => Verdict { retry: Some(Retry::Backoff), ..kind.into() },
        kind => kind.into(),
    }
}

/// Tells whether an account has nothing left that waiting would bring back soon.
fn is_used_up(text: &str, wait: Option<Duration>) -> bool {
    let soon = wait.is_some_and(|wait| wait <= SOON);
    phrases::is_out_of_quota(text) || (phrases::is_daily(text) && !soon)
}

/// Gives the kind by the words that mean one thing, then by status, then by words that mean little, then by text.
fn first_kind(complaint: &Complaint, text: &str) -> ErrorKind {
    let words = || [&complaint.reason, &complaint.code, &complaint.error_type].into_iter().flatten();
    words()
        .find_map(|word| phrases::kind_of_word(word))
        .or_else(|| complaint.status.and_then(kind_of_status))
        .or_else(|| phrases::kind_of_refused(text))
        .or_else(|| words().find_map(|word| phrases::kind_of_weak_word(word)))
        .or_else(|| phrases::kind_of_trouble(text))
        .unwrap_or(ErrorKind::Overloaded)
}

fn kind_of_status(status: u16) -> Option<ErrorKind> {
    Some(match status {
        401 => ErrorKind::Authentication,
        402 => ErrorKind::QuotaExceeded,
        403 | 451 => ErrorKind::Permission,
        404 | 410 => ErrorKind::NotFound,
        408 | 504 | 522 | 524 => ErrorKind::Timeout,
        409 => ErrorKind::Conflict,
        425 | 429 => ErrorKind::RateLimit,
        424 | 498 | 500..=599 => ErrorKind::Overloaded,
        300..=499 => ErrorKind::InvalidRequest,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
