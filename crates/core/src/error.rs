//! The one error of all seams: what kind of failure, whether trying again can help, and where it happened.
//!
//! Knows nothing of HTTP clients, stores, or terminals; hints are kept beside the message, never inside it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::RateLimits;
use crate::model_id::ModelId;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// What went wrong, in the words that users match on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum ErrorKind { $($(#[doc = $doc])+ $name,)+ }

        impl ErrorKind {
            /// Every kind, in the order of the documentation.
            pub const ALL: &'static [ErrorKind] = &[$(ErrorKind::$name,)+];

            /// Gives the name used in JSON, such as `rate_limit`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(ErrorKind::$name => $text,)+ }
            }
        }
    };
}

kinds! {
    /// The input and the wished output do not fit into the model's context window.
    TokenLimit = "token_limit",
    /// The provider asks to slow down; waiting helps.
    RateLimit = "rate_limit",
    /// The account or key has no quota left; waiting does not help.
    QuotaExceeded = "quota_exceeded",
    /// The connection could not be made or broke before the answer began.
    Connection = "connection",
    /// A deadline passed.
    Timeout = "timeout",
    /// The provider is out of capacity or failed on its side.
    Overloaded = "overloaded",
    /// The provider refused the request as malformed or unsupported.
    InvalidRequest = "invalid_request",
    /// The key is missing, wrong, or revoked.
    Authentication = "authentication",
    /// The key is known but may not do this.
    Permission = "permission",
    /// The model, run, file, or address does not exist.
    NotFound = "not_found",
    /// The provider's content policy stopped the request or the answer.
    ContentFilter = "content_filter",
    /// The answer does not have the shape that was asked for.
    InvalidOutput = "invalid_output",
    /// The answer broke off before its end; what came before it is incomplete.
    Truncated = "truncated",
    /// A tool or a task's method failed.
    ToolFailed = "tool_failed",
    /// An iteration or size limit ended the run.
    LimitReached = "limit_reached",
    /// The next call would cost more than the budget allows.
    BudgetExceeded = "budget_exceeded",
    /// A guardrail blocked the content.
    Blocked = "blocked",
    /// The caller cancelled the work.
    Cancelled = "cancelled",
    /// The state changed underneath: a stale lease, a changed definition, a name already taken.
    Conflict = "conflict",
    /// A setting is missing or wrong.
    Configuration = "configuration",
    /// The provider, model, or backend cannot do what was asked.
    Unsupported = "unsupported",
    /// The store failed to read or write.
    Store = "store",
    /// A defect of Motet itself.
    Internal = "internal",
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the same request may succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// The same request fails again.
    #[default]
    Never,
    /// The other side named the time to wait.
    After(#[serde(with = "duration_ms")] Duration),
    /// Trying again later may help; the caller chooses the delay.
    Backoff,
}

impl Retry {
    /// Tells whether a retry can help at all.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        !matches!(self, Retry::Never)
    }
}

/// Serialises a duration as whole milliseconds.
pub(crate) mod duration_ms {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Ok(Duration::from_millis(u64::deserialize(deserializer)?))
    }
}

/// What happened, told so that a program can act on it and a person can mend it.
pub struct Error(Box<Details>);

#[derive(Debug)]
struct Details {
    kind: ErrorKind,
    retry: Retry,
    message: String,
    hint: Option<String>,
    provider: Option<String>,
    model: Option<ModelId>,
    operation: Option<&'static str>,
    status: Option<u16>,
    request_id: Option<String>,
    context: Vec<(Cow<'static, str>, String)>,
    limits: Option<Box<RateLimits>>,
    unsent: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Makes an error of a kind; the message is lower case, without a final full stop, with values in backticks.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retry = match kind {
            ErrorKind::RateLimit
            | ErrorKind::Connection
            | ErrorKind::Timeout
            | ErrorKind::Overloaded
            | ErrorKind::Truncated => Retry::Backoff,
            _ => Retry::Never,
        };
        Self(Box::new(Details {
            kind,
            retry,
            message: message.into(),
            hint: None,
            provider: None,
            model: None,
            operation: None,
            status: None,
            request_id: None,
            context: Vec::new(),
            limits: None,
            unsent: false,
            source: None,
        }))
    }

    /// Sets whether trying again can help, where it differs from what the kind implies.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Adds what the user can do about it: one sentence without a final full stop.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Names the provider row that answered or was asked.
    #[must_use]
    pub fn with_provider(mut self, provider: impl Into<String>) -> Self {
        self.0.provider = Some(provider.into());
        self
    }

    /// Names the model that was asked.
    #[must_use]
    pub fn with_model(mut self, model: ModelId) -> Self {
        self.0.model = Some(model);
        self
    }

    /// Names the operation, such as `chat` or `python/execute`.
    #[must_use]
    pub fn with_operation(mut self, operation: &'static str) -> Self {
        self.0.operation = Some(operation);
        self
    }

    /// Keeps the HTTP status of the answer.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Keeps the provider's id of the request, which its support asks for.
    #[must_use]
    pub fn with_request_id(mut self, request_id: impl Into<String>) -> Self {
        self.0.request_id = Some(request_id.into());
        self
    }

    /// Adds a named fact, such as the task or the file concerned.
    #[must_use]
    pub fn with_context(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.0.context.push((name.into(), value.into()));
        self
    }

    /// Keeps what the refusal told of the provider's limits, unless it told nothing.
    #[must_use]
    pub fn with_limits(mut self, limits: RateLimits) -> Self {
        self.0.limits = (!limits.is_empty()).then(|| Box::new(limits));
        self
    }

    /// Tells that the request never left, so that nobody can have billed it.
    #[must_use]
    pub fn with_unsent(mut self) -> Self {
        self.0.unsent = true;
        self
    }

    /// Keeps the error underneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Tells whether it is known that the request never left.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        self.0.unsent
    }

    /// Gives the kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Tells whether and when trying again can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// Gives the time to wait that the other side named.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.0.retry {
            Retry::After(duration) => Some(duration),
            Retry::Never | Retry::Backoff => None,
        }
    }

    /// Gives the message without hint or context.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Gives what the user can do.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Gives the provider's name.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.0.provider.as_deref()
    }

    /// Gives the model.
    #[must_use]
    pub fn model(&self) -> Option<&ModelId> {
        self.0.model.as_ref()
    }

    /// Gives the operation.
    #[must_use]
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    /// Gives the HTTP status.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// Gives the provider's request id.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// Gives the named facts in the order they were added.
    #[must_use]
    pub fn context(&self) -> &[(Cow<'static, str>, String)] {
        &self.0.context
    }

    /// Gives what the refusal told of the provider's limits.
    #[must_use]
    pub fn limits(&self) -> Option<&RateLimits> {
        self.0.limits.as_deref()
    }

    /// Gives the form that is printed as JSON and stored in the run log.
    #[must_use]
    pub fn report(&self) -> ErrorReport {
        ErrorReport {
            kind: self.0.kind,
            status: self.0.status,
            message: self.0.message.clone(),
            hint: self.0.hint.clone(),
            retry_after: self.retry_after().map(|duration| duration.as_secs_f64()),
            provider: self.0.provider.clone(),
            request_id: self.0.request_id.clone(),
            context: self.0.context.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
            retry: self.0.retry,
            limits: self.0.limits.clone(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (index, (name, value)) in self.0.context.iter().enumerate() {
            write!(f, "{}{name}: {value}", if index == 0 { " (" } else { ", " })?;
        }
        if !self.0.context.is_empty() {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

/// An error as data: the shape of `{"error": …}` in JSON output and of failures in the run log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorReport {
    /// What went wrong.
    pub kind: ErrorKind,
    /// HTTP status of the answer, if there was one.
    pub status: Option<u16>,
    /// The message without its context; of a provider's refusal, the provider's own words.
    pub message: String,
    /// What the user can do.
    pub hint: Option<String>,
    /// Seconds to wait that the provider named.
    pub retry_after: Option<f64>,
    /// Provider row concerned.
    pub provider: Option<String>,
    /// The provider's request id.
    pub request_id: Option<String>,
    /// Named facts, such as the provider's error code or the file concerned.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<String, String>,
    /// Whether trying again can help; stored, but not part of the printed shape.
    #[serde(default, skip_serializing_if = "is_never")]
    pub retry: Retry,
    /// What the provider still allows, as far as it said; stored, but not part of the printed shape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Box<RateLimits>>,
}

fn is_never(retry: &Retry) -> bool {
    *retry == Retry::Never
}

impl From<ErrorReport> for Error {
    fn from(report: ErrorReport) -> Self {
        let mut error = Error::new(report.kind, report.message).with_retry(report.retry);
        error.0.status = report.status;
        error.0.hint = report.hint;
        error.0.provider = report.provider;
        error.0.request_id = report.request_id;
        error.0.limits = report.limits;
        error.0.context = report.context.into_iter().map(|(name, value)| (Cow::Owned(name), value)).collect();
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Allowance;

    #[test]
    fn every_kind_formats_and_reads_back_by_its_name() {
        for kind in ErrorKind::ALL {
            let json = serde_json::to_string(kind).unwrap();
            assert_eq!(json, format!("\"{}\"", kind.as_str()));
            assert_eq!(serde_json::from_str::<ErrorKind>(&json).unwrap(), *kind);
        }
    }

    #[test]
    fn context_is_shown_and_the_hint_is_not() {
        let error = Error::new(ErrorKind::NotFound, "no file `a.md`")
            .with_context("task", "summarise")
            .with_hint("check the path");
        assert_eq!(error.to_string(), "no file `a.md` (task: summarise)");
        assert_eq!(error.hint(), Some("check the path"));
    }

    #[test]
    fn a_report_keeps_what_a_caller_acts_on() {
        let error = Error::new(ErrorKind::RateLimit, "slow down")
            .with_retry(Retry::After(Duration::from_millis(1500)))
            .with_status(429)
            .with_provider("openai")
            .with_request_id("req_1")
            .with_limits(RateLimits {
                requests: Some(Allowance::new(Some(60), Some(0), None)),
                ..RateLimits::default()
            });
        let report = error.report();
        assert_eq!(report.retry_after, Some(1.5));
        let back = Error::from(
            serde_json::from_str::<ErrorReport>(&serde_json::to_string(&report).unwrap()).unwrap(),
        );
        assert_eq!(back.report(), report);
        assert_eq!(back.limits().unwrap().requests.unwrap().remaining, Some(0));
        assert!(
            Error::new(ErrorKind::RateLimit, "slow down")
                .with_limits(RateLimits::default())
                .limits()
                .is_none()
        );
    }
}
