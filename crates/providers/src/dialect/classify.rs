//! What a refusal means, in one place for all formats: by status, then by code and type, and by text last.
//!
//! Knows no format: a dialect reads the body into a [`Complaint`] first.

mod phrases;

use std::time::{Duration, SystemTime};

use motet_core::{Error, ErrorKind, Retry};

use super::{Answer, Origin};

/// Longest text of a provider that is shown.
const MESSAGE_LIMIT: usize = 2_000;

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
}

/// Makes the error of a complaint, with what the headers add and what the user can do.
#[must_use]
pub fn error_from(complaint: Complaint, answer: Option<&Answer<'_>>, origin: &Origin) -> Error {
    let verdict = verdict(&complaint);
    let message = if complaint.message.trim().is_empty() {
        match complaint.status {
            Some(status) => format!("`{}` answered with status {status} and no message", origin.row.name),
            None => format!("`{}` reported an error without a message", origin.row.name),
        }
    } else {
        shortened(complaint.message.trim(), MESSAGE_LIMIT)
    };
    let mut error =
        Error::new(verdict.kind, message).with_provider(origin.row.name).with_model(origin.model.clone());
    error = match verdict.retry {
        Some(retry) => error.with_retry(retry),
        None => error,
    };
    if let Some(answer) = answer {
        error = with_headers(error.with_status(answer.status), answer);
    }
    if let Some(hint) = hint(&error, &verdict, origin) {
        error = error.with_hint(hint);
    }
    for (name, value) in
        [("code", complaint.code), ("type", complaint.error_type), ("param", complaint.param)]
    {
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

fn verdict(complaint: &Complaint) -> Verdict {
    let text = complaint.message.to_lowercase();
    let words = [&complaint.code, &complaint.error_type];
    let by_word = words.into_iter().flatten().find_map(|word| phrases::kind_of_word(word));
    let kind = match (by_word, complaint.status.and_then(kind_of_status)) {
        (Some(kind), _) | (None, Some(kind)) => kind,
        (None, None) => phrases::kind_of_text(&text).unwrap_or(match complaint.error_type.as_deref() {
            // Some send it with every status, so that it counts only where there is none.
            Some("invalid_request_error") => ErrorKind::InvalidRequest,
            _ => ErrorKind::Overloaded,
        }),
    };
    match kind {
        ErrorKind::RateLimit if phrases::is_above_allowance(&text) => {
            Verdict { above_allowance: true, ..ErrorKind::TokenLimit.into() }
        }
        ErrorKind::RateLimit if phrases::is_out_of_quota(&text) => ErrorKind::QuotaExceeded.into(),
        ErrorKind::InvalidOutput => Verdict { retry: Some(Retry::Backoff), ..kind.into() },
        ErrorKind::InvalidRequest if phrases::names_field_length(complaint.code.as_deref()) => kind.into(),
        ErrorKind::InvalidRequest if complaint.status == Some(413) && text.trim().is_empty() => {
            ErrorKind::TokenLimit.into()
        }
        ErrorKind::InvalidRequest => phrases::kind_of_text(&text).unwrap_or(kind).into(),
        ErrorKind::Overloaded if phrases::is_overflow(&text) => ErrorKind::TokenLimit.into(),
        ErrorKind::Overloaded if matches!(complaint.status, Some(501 | 505)) => {
            Verdict { retry: Some(Retry::Never), ..ErrorKind::Unsupported.into() }
        }
        ErrorKind::Conflict => Verdict { retry: Some(Retry::Backoff), ..kind.into() },
        other => other.into(),
    }
}

fn kind_of_status(status: u16) -> Option<ErrorKind> {
    Some(match status {
        401 => ErrorKind::Authentication,
        402 => ErrorKind::QuotaExceeded,
        403 => ErrorKind::Permission,
        404 | 410 => ErrorKind::NotFound,
        408 | 504 | 522 | 524 => ErrorKind::Timeout,
        409 => ErrorKind::Conflict,
        425 | 429 => ErrorKind::RateLimit,
        424 | 498 | 500..=599 => ErrorKind::Overloaded,
        300..=499 => ErrorKind::InvalidRequest,
        _ => return None,
    })
}

fn with_headers(mut error: Error, answer: &Answer<'_>) -> Error {
    let ids = ["x-request-id", "request-id", "x-amzn-requestid"];
    if let Some(id) = ids.iter().find_map(|name| answer.header(name)) {
        error = error.with_request_id(id);
    }
    let should_retry = answer.header("x-should-retry");
    if should_retry == Some("false") {
        return error.with_retry(Retry::Never);
    }
    if should_retry == Some("true") && !error.retry().is_retryable() {
        error = error.with_retry(Retry::Backoff);
    }
    match retry_after(answer) {
        Some(wait) if error.retry().is_retryable() => error.with_retry(Retry::After(wait)),
        _ => error,
    }
}

/// Reads how long the provider asks to wait: milliseconds, seconds, or a date.
fn retry_after(answer: &Answer<'_>) -> Option<Duration> {
    let number = |name: &str| answer.header(name)?.trim().parse::<f64>().ok();
    let wait = |seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).ok();
    if let Some(milliseconds) = number("retry-after-ms") {
        return wait(milliseconds / 1_000.0);
    }
    if let Some(seconds) = number("retry-after") {
        return wait(seconds);
    }
    let until = httpdate::parse_http_date(answer.header("retry-after")?.trim()).ok()?;
    let served = answer.header("date").and_then(|date| httpdate::parse_http_date(date.trim()).ok());
    Some(until.duration_since(served.unwrap_or_else(SystemTime::now)).unwrap_or_default())
}

fn hint(error: &Error, verdict: &Verdict, origin: &Origin) -> Option<String> {
    let row = origin.row;
    Some(match error.kind() {
        ErrorKind::Authentication => match row.key_names.first() {
            Some(name) => format!("set `{name}` to a valid key of `{}`", row.name),
            None => format!("give the key that `{}` expects", row.name),
        },
        ErrorKind::Permission => "check that the key may use this model and that its project allows it".to_owned(),
        ErrorKind::NotFound => match row.unknown_model_hint {
            Some(hint) => hint.replace("{model}", origin.model.model()),
            None => format!("check the name of model `{}` and the base URL", origin.model.model()),
        },
        ErrorKind::QuotaExceeded => {
            format!("add credit to the account or raise its spending limit at `{}`", row.name)
        }
        ErrorKind::TokenLimit if verdict.above_allowance => {
            "the request alone is larger than the key's allowance of tokens per minute: shorten it, or have the \
             allowance raised"
                .to_owned()
        }
        ErrorKind::TokenLimit => "shorten the conversation or take a model with a larger context window".to_owned(),
        ErrorKind::ContentFilter => "the provider's policy refuses this content: rephrase it".to_owned(),
        ErrorKind::InvalidRequest if error.status().is_some_and(|status| (300..400).contains(&status)) => {
            "the address redirects elsewhere: set the base URL to where it leads".to_owned()
        }
        ErrorKind::InvalidRequest if error.status() == Some(405) => "check the base URL".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
