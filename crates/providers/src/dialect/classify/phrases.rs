//! The words and phrases by which providers name their errors.
//!
//! Holds tables only. Phrases are looked for in lower-cased text, and only after status, code, and type left it open.

use motet_core::ErrorKind;

/// Codes and types that mean one thing wherever they occur; case, marks, and an ending `error` or `exception` of a
/// word make no difference.
const WORDS: &[(ErrorKind, &[&str])] = &[
    (
        ErrorKind::TokenLimit,
        &[
            "context_length_exceeded",
            "context_window_exceeded",
            "model_context_window_exceeded",
            "exceed_context_size",
            "tokens_limit_reached",
        ],
    ),
    (
        ErrorKind::QuotaExceeded,
        &[
            "insufficient_quota",
            "insufficient_balance",
            "insufficient_credits",
            "billing",
            "billing_hard_limit_reached",
            "billing_not_active",
            "billing_disabled",
            "exceeded_current_quota",
            "service_quota_exceeded",
            "usage_limit_reached",
            "usage_limit_exceeded",
            "usage_not_included",
            "payment_required",
            "arrearage",
        ],
    ),
    (
        ErrorKind::RateLimit,
        &[
            "rate_limit",
            "rate_limited",
            "rate_limit_exceeded",
            "rate_limit_reached",
            "too_many_requests",
            "request_limit_exceeded",
            "resource_exhausted",
            "throttling",
            "throttled",
            "throttling_rate_quota",
            "throttling_burst_rate",
            "limit_requests",
        ],
    ),
    (
        ErrorKind::Authentication,
        &[
            "invalid_api_key",
            "incorrect_api_key",
            "wrong_api_key",
            "api_key_invalid",
            "api_key_expired",
            "authentication",
            "invalid_authentication",
            "missing_authentication_token",
            "unauthenticated",
            "unauthorized",
            "unrecognized_client",
            "invalid_signature",
            "incomplete_signature",
            "expired_token",
            "access_token_expired",
            "token_expired",
            "invalid_token",
            "credentials_missing",
        ],
    ),
    (
        ErrorKind::Permission,
        &[
            "permission",
            "permission_denied",
            "insufficient_permissions",
            "forbidden",
            "access_denied",
            "access_token_scope_insufficient",
            "api_key_service_blocked",
            "service_disabled",
            "consumer_suspended",
            "unsupported_country_region_territory",
        ],
    ),
    (
        ErrorKind::NotFound,
        &[
            "model_not_found",
            "model_not_exist",
            "invalid_model",
            "unknown_model",
            "not_found",
            "resource_not_found",
            "deployment_not_found",
        ],
    ),
    (
        ErrorKind::ContentFilter,
        &[
            "content_filter",
            "content_policy_violation",
            "responsible_ai_policy_violation",
            "moderation_blocked",
            "data_inspection_failed",
            "invalid_prompt",
        ],
    ),
    (ErrorKind::InvalidOutput, &["tool_use_failed", "json_validate_failed", "output_parse_failed"]),
    (
        ErrorKind::Overloaded,
        &[
            "overloaded",
            "engine_overloaded",
            "unavailable",
            "service_unavailable",
            "service_tier_capacity_exceeded",
            "model_not_ready",
            "model_error",
        ],
    ),
    (
        ErrorKind::Timeout,
        &["timeout", "request_timeout", "gateway_timeout", "deadline_exceeded", "model_timeout"],
    ),
    (ErrorKind::Unsupported, &["unimplemented", "not_implemented"]),
];

/// Codes and types that are used for so much that they count only where there is no status.
const WEAK_WORDS: &[&str] =
    &["invalid_request", "invalid_argument", "bad_request", "validation", "unprocessable_entity"];

/// Phrases of requests that do not fit into the context window. A phrase with `…` needs all its pieces in order.
const OVERFLOW: &[&str] = &[
    "prompt is too long",
    "prompt exceeds max length",
    "maximum context length",
    "maximum context size",
    "maximum model length",
    "exceeds the context window",
    "exceeds the model's context",
    "exceed context limit",
    "context length exceeded",
    "context size has been exceeded",
    "context the overflows",
    "input token count…exceeds the maximum",
    "prompt token count…exceeds the limit",
    "maximum prompt length is",
    "reduce the length of the messages",
    "too large for model with",
    "exceeds the available context size",
    "greater than the context length",
    "exceeds the context length",
    "longer than the context length",
    "longer than the model's context length",
    "input is too long for requested model",
    "exceeded model token limit",
    "context window exceeds limit",
    "`inputs` tokens + `max_new_tokens` must be",
    "range of input length should be",
    "too many tokens: ",
    "too many input tokens",
    "number of input tokens exceeds maximum length",
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
    "api key not found",
    "api key expired",
    "api key was reported as leaked",
    "no auth credentials found",
    "authentication failed",
    "authentication fails",
    "unregistered callers",
    "security token included in the request is invalid",
    "security token included in the request is expired",
];

const UNKNOWN_MODEL: &[&str] = &[
    "model…does not exist",
    "model…not found",
    "supported api model names are",
    "invalid model:",
    "invalid model name",
    "is not a valid model id",
    "provided model identifier",
    "model…isn't supported on this route",
    "could not resolve the foundation model",
    "unknown model",
];

const OUT_OF_QUOTA: &[&str] = &[
    "insufficient balance",
    "insufficient credit",
    "insufficient_quota",
    "credit balance is too low",
    "used all available credits",
    "monthly spending limit",
    "monthly included credits",
];

/// Phrases of allowances that are counted by the day.
const DAILY: &[&str] = &["per-day", "per day"];

const PLACE: &[&str] =
    &["user location is not supported", "not available in your country", "country, region, or territory"];

const RATE: &[&str] = &["rate limit", "rate-limit", "too many requests"];

const CAPACITY: &[&str] = &["overloaded", "over capacity", "capacity exceeded", "temporarily unavailable"];

/// Gives the kind that a code or type means.
pub(super) fn kind_of_word(word: &str) -> Option<ErrorKind> {
    let word = essence(word);
    WORDS.iter().find(|(_, known)| known.iter().any(|known| is_same(known, &word))).map(|(kind, _)| *kind)
}

/// Gives the kind that a code or type means where nothing better tells.
pub(super) fn kind_of_weak_word(word: &str) -> Option<ErrorKind> {
    let word = essence(word);
    WEAK_WORDS.iter().any(|known| is_same(known, &word)).then_some(ErrorKind::InvalidRequest)
}

/// Gives the letters and digits of a word, in lower case, without the ending that says that it is an error.
fn essence(word: &str) -> String {
    let letters = word.chars().filter(|c| c.is_ascii_alphanumeric()).map(|c| c.to_ascii_lowercase());
    let word: String = letters.collect();
    let ended = word.strip_suffix("exception").or_else(|| word.strip_suffix("error"));
    ended.unwrap_or(&word).to_owned()
}

fn is_same(known: &str, essence: &str) -> bool {
    known.chars().filter(|c| *c != '_').eq(essence.chars())
}

/// Gives the kind that the lower-cased text of a refused request means.
///
/// Texts of refused requests repeat what users wrote, so only phrases count that hardly anybody writes.
pub(super) fn kind_of_refused(text: &str) -> Option<ErrorKind> {
    first_of(
        &[
            (OVERFLOW, ErrorKind::TokenLimit),
            (CONTENT_POLICY, ErrorKind::ContentFilter),
            (BAD_KEY, ErrorKind::Authentication),
            (UNKNOWN_MODEL, ErrorKind::NotFound),
            (OUT_OF_QUOTA, ErrorKind::QuotaExceeded),
            (PLACE, ErrorKind::Permission),
        ],
        text,
    )
}

/// Gives the kind that a lower-cased text means which comes without any status.
pub(super) fn kind_of_trouble(text: &str) -> Option<ErrorKind> {
    first_of(&[(RATE, ErrorKind::RateLimit), (CAPACITY, ErrorKind::Overloaded)], text)
}

/// Gives the kind that the lower-cased text of a forbidden request means, where it is not about permissions.
pub(super) fn kind_of_forbidden(text: &str) -> Option<ErrorKind> {
    first_of(&[(BAD_KEY, ErrorKind::Authentication), (OUT_OF_QUOTA, ErrorKind::QuotaExceeded)], text)
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

/// Tells whether a lower-cased text says that an allowance of a day is used up.
pub(super) fn is_daily(text: &str) -> bool {
    any(DAILY, text)
}

/// Tells whether a lower-cased text says that the provider itself has no capacity left.
pub(super) fn is_out_of_capacity(text: &str) -> bool {
    any(CAPACITY, text)
}

/// Tells whether a code complains of one field's length, which reads like an overflow and is none.
pub(super) fn names_field_length(code: Option<&str>) -> bool {
    code == Some("string_above_max_length")
}

fn first_of(tables: &[(&[&str], ErrorKind)], text: &str) -> Option<ErrorKind> {
    tables.iter().find(|(phrases, _)| any(phrases, text)).map(|(_, kind)| *kind)
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
