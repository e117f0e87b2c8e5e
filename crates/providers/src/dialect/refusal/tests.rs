//! Bodies of refusals as providers send them, and what is made of them.

use motet_core::{ErrorKind, Retry};
use serde_json::json;

use super::*;
use crate::rows;

fn origin() -> Origin {
    Origin::new(rows::find("openai").unwrap(), "openai:gpt-4o".parse().unwrap())
}

fn refused(status: u16, headers: &[(&str, &str)], body: &str) -> Error {
    let headers: Vec<(String, String)> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    of_answer(&Answer { status, headers: &headers, body: body.as_bytes() }, &origin())
}

#[test]
fn every_shape_of_body_gives_its_message() {
    for (body, expected) in [
        (
            r#"{"error":{"message":"bad","type":"t","code":"c","param":"p"}}"#,
            "bad (code: c, type: t, param: p)",
        ),
        (r#"{"error":{"message":"bad","type":"","code":"","param":""}}"#, "bad"),
        (r#"{"error":"text"}"#, "text"),
        (r#"{"error":"text","code":7}"#, "text (code: 7)"),
        (r#"{"error":["one","two"]}"#, "one; two"),
        (r#"{"errors":[{"message":"no route","code":7003}],"success":false}"#, "no route"),
        (r#"{"object":"error","message":"flat","code":400}"#, "flat (code: 400)"),
        (r#"{"id":"x1","message":"by id"}"#, "by id"),
        (r#"{"status":404,"title":"Not Found","detail":"no such thing"}"#, "no such thing"),
        (r#"{"detail":"not found"}"#, "not found"),
        (r#"{"detail":[{"loc":["body"]}]}"#, r#"[{"loc":["body"]}]"#),
        (
            r#"{"detail":[{"type":"missing","loc":["body","messages",0,"role"],"msg":"Field required"},
                          {"loc":["query","n"],"msg":"too large"},{"loc":[],"msg":"no"}]}"#,
            "messages.0.role: Field required; query.n: too large; no",
        ),
        (
            r#"{"object":"error","message":{"detail":[{"loc":["body","n"],"msg":"too small"}]},"type":"x"}"#,
            "n: too small (type: x)",
        ),
        (r#"{"detail":{"error":{"message":"deep"}}}"#, "deep"),
        (r#"[{"error":{"message":"wrapped","status":"INVALID"}}]"#, "wrapped (type: INVALID)"),
        (
            r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"no cats"}}}"#,
            "Provider returned error (code: 400, upstream: no cats)",
        ),
        (
            r#"{"__type":"com.amazon.coral.service#AccessDeniedException"}"#,
            "`openai` answered with status 400 and no message (type: AccessDeniedException)",
        ),
        (r#"{"unknown":"shape"}"#, r#"{"unknown":"shape"}"#),
        (r#""just text""#, "just text"),
        ("plain words\n", "plain words"),
        ("data: {\"error\":{\"message\":\"in an event\"}}\n\n", "in an event"),
        (
            "<html>\n<head><title lang=en>502\n Bad Gateway</title></head></html>",
            "a web page came instead of an answer: `502 Bad Gateway`",
        ),
        ("<p>", "a web page came instead of an answer"),
        ("", "`openai` answered with status 400 and no message"),
        ("null", "`openai` answered with status 400 and no message"),
        (r#"{"message":null}"#, "`openai` answered with status 400 and no message"),
    ] {
        assert_eq!(refused(400, &[], body).to_string(), expected, "{body}");
    }
}

#[test]
fn an_error_inside_an_answer_counts_only_when_it_says_something() {
    for harmless in ["null", "\"\"", "{}", "false", "0", "[]"] {
        assert!(of_value(serde_json::from_str(harmless).unwrap(), &origin()).is_none(), "{harmless}");
    }
    let error = of_value(json!({"message": "slow", "code": 429}), &origin()).unwrap();
    assert_eq!((error.kind(), error.status()), (ErrorKind::RateLimit, None));
    let kind = |value: Value| of_value(value, &origin()).unwrap().kind();
    assert_eq!(kind(json!({"type": "invalid_request_error", "message": "bad"})), ErrorKind::InvalidRequest);
    assert_eq!(kind(json!({"type": "overloaded_error", "message": "Overloaded"})), ErrorKind::Overloaded);
    assert_eq!(kind(json!("Rate limit reached")), ErrorKind::RateLimit);
}

fn google(status: u16, word: &str, details: Value) -> Error {
    let body = json!([{"error": {"code": status, "message": "no", "status": word, "details": details}}]);
    refused(status, &[], &body.to_string())
}

#[test]
fn googles_details_say_why_and_how_long() {
    let quota = |id: &str, value: &str| {
        json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [
            {"quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
             "quotaId": id, "quotaValue": value}]})
    };
    let retry =
        |delay: Value| json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay});
    let of_minute = || quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "10");
    for (details, kind, wait) in [
        (json!([of_minute(), retry(json!("31s"))]), ErrorKind::RateLimit, Some(31_000)),
        (json!([retry(json!("0.1s"))]), ErrorKind::RateLimit, Some(100)),
        (json!([retry(json!({"seconds": 3, "nanos": 500_000_000}))]), ErrorKind::RateLimit, Some(3_500)),
        (
            json!([quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "250"), retry(json!("31s"))]),
            ErrorKind::QuotaExceeded,
            None,
        ),
        (json!([quota("GenerateRequestsPerMinutePerProject", "0")]), ErrorKind::QuotaExceeded, None),
    ] {
        let error = google(429, "RESOURCE_EXHAUSTED", details.clone());
        let waited = error.retry_after().map(|wait| wait.as_millis());
        assert_eq!((error.kind(), waited), (kind, wait), "{details}");
        assert_eq!(error.retry().is_retryable(), kind == ErrorKind::RateLimit);
    }
    let reason =
        |reason: &str| json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]);
    let kind = |status, word, name| google(status, word, reason(name)).kind();
    assert_eq!(kind(400, "INVALID_ARGUMENT", "API_KEY_INVALID"), ErrorKind::Authentication);
    assert_eq!(kind(403, "PERMISSION_DENIED", "SERVICE_DISABLED"), ErrorKind::Permission);
    assert_eq!(kind(403, "PERMISSION_DENIED", "BILLING_DISABLED"), ErrorKind::QuotaExceeded);
}

#[test]
fn amazons_exceptions_are_known_from_header_and_body() {
    use ErrorKind as K;
    for (status, exception, message, kind) in [
        (429, "ThrottlingException", "Too many tokens, please wait before trying again.", K::RateLimit),
        (400, "ThrottlingException", "Rate exceeded", K::RateLimit),
        (
            429,
            "ThrottlingException",
            "Too many tokens per day, please wait before trying again.",
            K::QuotaExceeded,
        ),
        (429, "ModelNotReadyException", "The model is not ready.", K::Overloaded),
        (424, "ModelErrorException", "The model failed.", K::Overloaded),
        (408, "ModelTimeoutException", "Took too long.", K::Timeout),
        (400, "ValidationException", "Input is too long for requested model.", K::TokenLimit),
        (400, "ValidationException", "The provided model identifier is invalid.", K::NotFound),
        (400, "ValidationException", "Field required", K::InvalidRequest),
        (403, "AccessDeniedException", "You don't have access to the model.", K::Permission),
        (
            403,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
            K::Authentication,
        ),
        (400, "ServiceQuotaExceededException", "Too many.", K::QuotaExceeded),
        (404, "ResourceNotFoundException", "No such model.", K::NotFound),
        (500, "InternalServerException", "Sorry.", K::Overloaded),
        (503, "ServiceUnavailableException", "Sorry.", K::Overloaded),
    ] {
        let header = format!("{exception}:http://internal.amazon.com/coral/com.amazon.bedrock/");
        let by_header =
            refused(status, &[("x-amzn-errortype", &header)], &json!({"message": message}).to_string());
        assert_eq!(by_header.kind(), kind, "{exception} {message}");
        assert_eq!(by_header.to_string(), format!("{message} (type: {exception})"));
        let body = json!({"__type": format!("com.amazon.coral.service#{exception}"), "Message": message});
        let by_body = refused(status, &[], &body.to_string());
        assert_eq!((by_body.kind(), by_body.to_string()), (kind, by_header.to_string()), "{exception}");
    }
}

#[test]
fn gateways_tell_of_those_behind_them() {
    let behind = |metadata: Value| {
        let body =
            json!({"error": {"message": "Provider returned error", "code": 400, "metadata": metadata}});
        refused(400, &[], &body.to_string()).kind()
    };
    let overflow = r#"{"error":{"message":"This model's maximum context length is 8192 tokens"}}"#;
    assert_eq!(behind(json!({"raw": overflow, "provider_name": "X"})), ErrorKind::TokenLimit);
    assert_eq!(behind(json!({"reasons": ["violence"], "flagged_input": "…"})), ErrorKind::ContentFilter);
    let limited = |text: &str, reset: &str| {
        let headers =
            json!({"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset});
        let error = json!({"message": text, "code": 429, "metadata": {"headers": headers}});
        refused(429, &[], &json!({"error": error}).to_string())
    };
    let minute = limited("Rate limit exceeded: free-models-per-min.", "7");
    assert_eq!(minute.retry(), Retry::After(std::time::Duration::from_secs(7)));
    assert_eq!(minute.limits().unwrap().requests.unwrap().limit, Some(20));
    let day = limited("Rate limit exceeded: free-models-per-day.", "40000");
    assert_eq!((day.kind(), day.retry()), (ErrorKind::QuotaExceeded, Retry::Never));
    let filtered = json!({"error": {"code": "400", "message": "no", "innererror": {"code": "ResponsibleAIPolicyViolation"}}});
    assert_eq!(refused(400, &[], &filtered.to_string()).kind(), ErrorKind::ContentFilter);
}

#[test]
fn the_id_of_the_request_is_kept_from_header_or_body() {
    let id =
        |headers: &[(&str, &str)], body: &str| refused(400, headers, body).request_id().map(str::to_owned);
    let anthropic = r#"{"type":"error","error":{"type":"x","message":"m"},"request_id":"req_1"}"#;
    assert_eq!(id(&[], anthropic).as_deref(), Some("req_1"));
    assert_eq!(id(&[("request-id", "req_2"), ("cf-ray", "c1")], anthropic).as_deref(), Some("req_2"));
    assert_eq!(id(&[("cf-ray", "c1")], anthropic).as_deref(), Some("req_1"));
    assert_eq!(id(&[("cf-ray", "c1")], "").as_deref(), Some("c1"));
    assert_eq!(id(&[], r#"{"id":"co-1","message":"m"}"#).as_deref(), Some("co-1"));
    assert_eq!(id(&[], r#"{"request_id":null,"message":"m"}"#), None);
}
