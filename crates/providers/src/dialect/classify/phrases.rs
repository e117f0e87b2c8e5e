//! The words and phrases by which providers name their errors.
//!
//! Holds tables only. Phrases are looked for in lower-cased text, and only after status, code, and type left it open.

use motet_core::ErrorKind;

/// Codes and types that mean one thing wherever they occur.
const WORDS: &[(&str, ErrorKind)] = &[
    ("context_length_exceeded", ErrorKind::TokenLimit),
    ("context_window_exceeded", ErrorKind::TokenLimit),
    ("exceed_context_size_error", ErrorKind::TokenLimit),
    ("insufficient_quota", ErrorKind::QuotaExceeded),
    ("billing_hard_limit_reached", ErrorKind::QuotaExceeded),
    ("billing_not_active", ErrorKind::QuotaExceeded),
    ("insufficient_balance", ErrorKind::QuotaExceeded),
    ("billing_error", ErrorKind::QuotaExceeded),
    ("rate_limit_exceeded", ErrorKind::RateLimit),
    ("rate_limit_error", ErrorKind::RateLimit),
    ("rate_limited", ErrorKind::RateLimit),
    ("too_many_requests", ErrorKind::RateLimit),
    ("resource_exhausted", ErrorKind::RateLimit),
    ("invalid_api_key", ErrorKind::Authentication),
    ("incorrect_api_key", ErrorKind::Authentication),
    ("authentication_error", ErrorKind::Authentication),
    ("unauthenticated", ErrorKind::Authentication),
    ("unauthorized", ErrorKind::Authentication),
    ("permission_error", ErrorKind::Permission),
    ("permission_denied", ErrorKind::Permission),
    ("forbidden", ErrorKind::Permission),
    ("model_not_found", ErrorKind::NotFound),
    ("not_found_error", ErrorKind::NotFound),
    ("content_filter", ErrorKind::ContentFilter),
    ("content_policy_violation", ErrorKind::ContentFilter),
    ("responsibleaipolicyviolation", ErrorKind::ContentFilter),
    ("moderation_blocked", ErrorKind::ContentFilter),
    ("tool_use_failed", ErrorKind::InvalidOutput),
    ("json_validate_failed", ErrorKind::InvalidOutput),
    ("overloaded_error", ErrorKind::Overloaded),
    ("engine_overloaded", ErrorKind::Overloaded),
    ("unavailable", ErrorKind::Overloaded),
    ("timeout_error", ErrorKind::Timeout),
    ("validationexception", ErrorKind::InvalidRequest),
    ("throttlingexception", ErrorKind::RateLimit),
    ("toomanyrequestsexception", ErrorKind::RateLimit),
    ("servicequotaexceededexception", ErrorKind::QuotaExceeded),
    ("unrecognizedclientexception", ErrorKind::Authentication),
    ("invalidsignatureexception", ErrorKind::Authentication),
    ("incompletesignatureexception", ErrorKind::Authentication),
    ("missingauthenticationtokenexception", ErrorKind::Authentication),
    ("expiredtokenexception", ErrorKind::Authentication),
    ("accessdeniedexception", ErrorKind::Permission),
    ("resourcenotfoundexception", ErrorKind::NotFound),
    ("modeltimeoutexception", ErrorKind::Timeout),
    ("modelerrorexception", ErrorKind::Overloaded),
    ("modelnotreadyexception", ErrorKind::Overloaded),
    ("serviceunavailableexception", ErrorKind::Overloaded),
    ("internalserverexception", ErrorKind::Overloaded),
];

/// Phrases of requests that do not fit into the context window. A phrase with `…` needs all its pieces in order.
const OVERFLOW: &[&str] = &[
    "prompt is too long",
    "maximum context length",
    "exceeds the context window",
    "exceeds the model's context",
    "context length exceeded",
    "input token count…exceeds the maximum",
    "maximum prompt length is",
    "reduce the length of the messages",
    "too large for model with",
    "exceeds the available context size",
    "greater than the context length",
    "exceeds the context length",
    "longer than the context length",
    "input is too long for requested model",
    "exceeded model token limit",
    "context window exceeds limit",
    "exceed context limit",
    "number of input tokens exceeds maximum length",
    "too many input tokens",
];

const CONTENT_POLICY: &[&str] = &[
    "violating our usage policy",
    "violates our usage policy",
    "content management policy",
    "content policy",
    "content filtering policy",
    "responsibleaipolicyviolation",
];

const BAD_KEY: &[&str] = &[
    "incorrect api key",
    "invalid api key",
    "api key not valid",
    "no auth credentials found",
    "authentication failed",
    "authentication fails",
];

const UNKNOWN_MODEL: &[&str] = &[
    "model…does not exist",
    "model…not found",
    "supported api model names are",
    "invalid model name",
    "unknown model",
    "provided model identifier",
    "model…isn't supported on this route",
];

const OUT_OF_QUOTA: &[&str] =
    &["insufficient balance", "insufficient credit", "insufficient_quota", "credit balance is too low"];

const RATE: &[&str] = &["rate limit", "too many requests"];

const CAPACITY: &[&str] = &["overloaded", "capacity", "temporarily unavailable"];

/// Gives the kind that a code or type means, whatever its case.
pub(super) fn kind_of_word(word: &str) -> Option<ErrorKind> {
    WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, kind)| *kind)
}

/// Gives the kind that a lower-cased text means, where nothing else tells.
pub(super) fn kind_of_text(text: &str) -> Option<ErrorKind> {
    [
        (OVERFLOW, ErrorKind::TokenLimit),
        (CONTENT_POLICY, ErrorKind::ContentFilter),
        (BAD_KEY, ErrorKind::Authentication),
        (UNKNOWN_MODEL, ErrorKind::NotFound),
        (OUT_OF_QUOTA, ErrorKind::QuotaExceeded),
        (RATE, ErrorKind::RateLimit),
        (CAPACITY, ErrorKind::Overloaded),
    ]
    .into_iter()
    .find(|(phrases, _)| any(phrases, text))
    .map(|(_, kind)| kind)
}

/// Tells whether a lower-cased text says that the context window is too small.
pub(super) fn is_overflow(text: &str) -> bool {
    any(OVERFLOW, text)
}

/// Tells whether a lower-cased text says that the request alone is above the allowance of a minute.
pub(super) fn is_above_allowance(text: &str) -> bool {
    text.starts_with("request too large")
}

/// Tells whether a lower-cased text says that the account has nothing left.
pub(super) fn is_out_of_quota(text: &str) -> bool {
    any(OUT_OF_QUOTA, text)
}

/// Tells whether a code complains of one field's length, which reads like an overflow and is none.
pub(super) fn names_field_length(code: Option<&str>) -> bool {
    code == Some("string_above_max_length")
}

fn any(phrases: &[&str], text: &str) -> bool {
    phrases.iter().any(|phrase| {
        let mut rest = Some(text);
        for piece in phrase.split('…') {
            rest = rest.and_then(|rest| rest.split_once(piece)).map(|(_, after)| after);
        }
        rest.is_some()
    })
}
