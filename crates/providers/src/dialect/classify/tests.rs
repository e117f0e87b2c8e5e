//! Refusals and what is made of them.

use super::*;
use crate::rows;

fn origin() -> Origin {
    Origin::new(rows::find("openai").unwrap(), "openai:gpt-4o".parse().unwrap())
}

fn kind(status: u16, code: &str, message: &str) -> (ErrorKind, Retry) {
    let complaint = Complaint {
        status: (status > 0).then_some(status),
        message: message.to_owned(),
        code: (!code.is_empty()).then(|| code.to_owned()),
        ..Complaint::default()
    };
    let error = error_from(complaint, None, &origin());
    (error.kind(), error.retry())
}

#[test]
fn status_code_and_text_decide_in_this_order() {
    use ErrorKind as K;
    for (status, code, message, expected) in [
        (400, "", "This model's maximum context length is 8192 tokens", K::TokenLimit),
        (400, "context_length_exceeded", "too long", K::TokenLimit),
        (400, "string_above_max_length", "string too long; the maximum context length is", K::InvalidRequest),
        (400, "", "The input token count (9) exceeds the maximum number of tokens", K::TokenLimit),
        (
            400,
            "",
            "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
            K::TokenLimit,
        ),
        (400, "", "Output blocked by content filtering policy", K::ContentFilter),
        (413, "", "", K::TokenLimit),
        (413, "request_too_large", "Request exceeds the maximum size", K::InvalidRequest),
        (401, "", "maximum context length", K::Authentication),
        (400, "", "API key not valid. Please pass a valid API key.", K::Authentication),
        (402, "", "Insufficient Balance", K::QuotaExceeded),
        (403, "forbidden", "Forbidden", K::Permission),
        (404, "", "nothing here", K::NotFound),
        (400, "", "The supported API model names are a or b, but you passed c.", K::NotFound),
        (429, "", "slow down", K::RateLimit),
        (429, "", "Service tier capacity exceeded for this model.", K::Overloaded),
        (429, "", "Rate limit reached on requests per day (RPD): Limit 200.", K::QuotaExceeded),
        (429, "", "Rate limit reached on tokens per day (TPD). Please try again in 7m12s.", K::RateLimit),
        (403, "", "Your team has used all available credits.", K::QuotaExceeded),
        (403, "", "Method doesn't allow unregistered callers.", K::Authentication),
        (400, "", "Output blocked by content filtering policy", K::ContentFilter),
        (400, "", "User location is not supported for the API use.", K::Permission),
        (529, "overloaded_error", "Overloaded", K::Overloaded),
        (400, "InvalidApiKey", "no", K::Authentication),
        (413, "tokens_limit_reached", "Request body too large for model", K::TokenLimit),
        (413, "rate_limit_exceeded", "Request too large for model `x` on tokens per minute", K::TokenLimit),
        (400, "", "the user wrote: explain rate limits when overloaded", K::InvalidRequest),
        (429, "insufficient_quota", "You exceeded your current quota", K::QuotaExceeded),
        (429, "rate_limit_exceeded", "Request too large for gpt-4 on tokens per min", K::TokenLimit),
        (400, "", "the user wrote: 429, and that is fine", K::InvalidRequest),
        (400, "content_policy_violation", "no", K::ContentFilter),
        (400, "", "Invalid prompt: flagged as potentially violating our usage policy", K::ContentFilter),
        (400, "tool_use_failed", "Failed to call a function", K::InvalidOutput),
        (500, "", "boom", K::Overloaded),
        (500, "", "the request exceeds the available context size", K::TokenLimit),
        (501, "", "not implemented", K::Unsupported),
        (503, "", "", K::Overloaded),
        (504, "", "", K::Timeout),
        (302, "", "", K::InvalidRequest),
        (0, "", "Rate limit reached", K::RateLimit),
        (0, "", "something broke", K::Overloaded),
    ] {
        assert_eq!(kind(status, code, message).0, expected, "{status} {code} {message}");
    }
}

#[test]
fn requests_that_do_not_fit_are_known_by_their_texts() {
    for text in [
        "prompt is too long: 200001 tokens > 200000 maximum",
        "This model's maximum context length is 8192 tokens, however you requested 9000",
        "Your input exceeds the context window of this model.",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "This model's maximum prompt length is 131072 but the request contains 200000 tokens.",
        "Please reduce the length of the messages or completion.",
        "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
        "the request exceeds the available context size, try increasing it",
        "tokens to keep from the initial prompt is greater than the context length",
        "Input is too long for requested model.",
        "Your request exceeded model token limit: 8192",
        "invalid params, context window exceeds limit",
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
        "too many tokens: size limit exceeded by 100 tokens.",
        "the input length exceeds the context length",
        "Too many input tokens. Max input tokens: 8192, request input token count: 9001",
        "`inputs` tokens + `max_new_tokens` must be <= 4096",
    ] {
        assert_eq!(kind(400, "", text).0, ErrorKind::TokenLimit, "{text}");
        assert_eq!(kind(0, "", text).0, ErrorKind::TokenLimit, "{text}");
    }
}

#[test]
fn only_what_may_pass_later_is_tried_again() {
    assert_eq!(kind(429, "", "slow down").1, Retry::Backoff);
    assert_eq!(kind(429, "insufficient_quota", "").1, Retry::Never);
    assert_eq!(kind(429, "", "Request too large for model").1, Retry::Never);
    assert_eq!(kind(409, "", "locked").1, Retry::Backoff);
    assert_eq!(kind(400, "tool_use_failed", "").1, Retry::Backoff);
    assert_eq!(kind(400, "", "bad").1, Retry::Never);
}

fn retry_of(status: u16, headers: &[(&str, &str)]) -> Retry {
    let headers: Vec<(String, String)> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let answer = Answer { status, headers: &headers, body: b"" };
    error_from(Complaint { status: Some(status), ..Complaint::default() }, Some(&answer), &origin()).retry()
}

#[test]
fn the_time_to_wait_is_read_in_every_form() {
    let after = |milliseconds| Retry::After(Duration::from_millis(milliseconds));
    assert_eq!(retry_of(429, &[("retry-after", "2")]), after(2_000));
    assert_eq!(retry_of(429, &[("retry-after", "0")]), after(0));
    assert_eq!(retry_of(429, &[("retry-after", "7"), ("retry-after-ms", "250")]), after(250));
    let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(retry_of(503, &[date, ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")]), after(30_000));
    assert_eq!(retry_of(503, &[date, ("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), after(0));
    assert_eq!(retry_of(429, &[("x-ms-retry-after-ms", "40")]), after(40));
    assert_eq!(retry_of(429, &[("retry-after", "1.5s")]), after(1_500));
    assert_eq!(retry_of(429, &[("retry-after", "soon")]), Retry::Backoff);
    assert_eq!(retry_of(400, &[("retry-after", "2")]), Retry::Never);
    assert_eq!(retry_of(503, &[("x-should-retry", "false"), ("retry-after", "2")]), Retry::Never);
    assert_eq!(retry_of(400, &[("x-should-retry", "true"), ("retry-after", "2")]), after(2_000));
}

#[test]
fn hints_name_what_to_change() {
    let hint = |status: u16| {
        let answer = Answer { status, headers: &[], body: b"" };
        let complaint = Complaint { status: Some(status), ..Complaint::default() };
        let error = error_from(complaint, Some(&answer), &origin());
        (error.message().to_owned(), error.hint().unwrap().to_owned())
    };
    assert_eq!(hint(401).0, "`openai` answered with status 401 and no message");
    assert_eq!(hint(401).1, "set `OPENAI_API_KEY` to a valid key of `openai`");
    assert!(hint(404).1.starts_with("check the name of model `gpt-4o` and the base URL"));
    assert!(
        hint(429).1.contains("fewer requests at once") && hint(503).1.contains("on the side of `openai`")
    );
    assert!(hint(400).1.contains("--dry-run"));
    assert!(hint(302).1.contains("base URL"));
}

#[test]
fn long_texts_are_cut_between_characters() {
    assert_eq!(shortened("héllo", 2), "h…");
    assert_eq!(shortened("héllo", 6), "héllo");
}
