//! Headers of limits as providers send them, and what is told of them.

use std::fmt::Write as _;

use super::*;

/// Reads headers written one a line, 1,800,000,000 seconds after 1970, and tells all that was found.
fn told(headers: &str) -> String {
    let pairs: Vec<(&str, &str)> = headers.lines().filter_map(|line| line.trim().split_once(": ")).collect();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let date = pairs.iter().find(|(name, _)| *name == "date").map(|(_, value)| served_at(Some(value)));
    let limits = read(pairs.iter().map(|(name, value)| (*name, value.as_bytes())), || date.unwrap_or(now));
    let mut told = String::new();
    for (name, allowance) in [
        ("requests", limits.requests),
        ("tokens", limits.tokens),
        ("input", limits.input_tokens),
        ("output", limits.output_tokens),
        ("plan", limits.plan),
    ] {
        let Some(Allowance { limit, remaining, reset, window, .. }) = allowance else { continue };
        let number = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
        let reset = reset.map_or("-".to_owned(), |reset| format!("{reset:?}"));
        let window = window.map_or(String::new(), |window| format!(" in {window:?}"));
        write!(told, "{name} {}/{} {reset}{window}; ", number(remaining), number(limit)).unwrap();
    }
    told.trim_end_matches("; ").to_owned()
}

fn all_told(cases: &[(&str, &str)]) {
    for (headers, expected) in cases {
        assert_eq!(told(headers), *expected, "{headers}");
    }
}

#[test]
fn requests_and_tokens_are_read() {
    all_told(&[
        (
            "x-ratelimit-limit-requests: 60
             x-ratelimit-limit-tokens: 150000
             x-ratelimit-remaining-requests: 59
             x-ratelimit-remaining-tokens: 149984
             x-ratelimit-reset-requests: 1s
             x-ratelimit-reset-tokens: 6m0s",
            "requests 59/60 1s; tokens 149984/150000 360s",
        ),
        (
            "x-ratelimit-limit-requests: 14400
             x-ratelimit-remaining-requests: 14370
             x-ratelimit-reset-requests: 2m59.56s
             x-ratelimit-remaining-tokens: 17997
             x-ratelimit-reset-tokens: 12ms",
            "requests 14370/14400 179.56s; tokens 17997/- 12ms",
        ),
        (
            "anthropic-ratelimit-requests-limit: 4000
             anthropic-ratelimit-requests-remaining: 3999
             anthropic-ratelimit-requests-reset: 2027-01-15T08:00:01Z
             anthropic-ratelimit-input-tokens-limit: 400000
             anthropic-ratelimit-input-tokens-remaining: 399000
             anthropic-ratelimit-input-tokens-reset: 2027-01-15T08:00:00Z
             anthropic-ratelimit-output-tokens-remaining: 80000
             anthropic-ratelimit-tokens-remaining: 479000",
            "requests 3999/4000 1s; tokens 479000/- -; input 399000/400000 0ns; output 80000/- -",
        ),
    ]);
}

#[test]
fn plans_and_plain_counts_are_read() {
    all_told(&[
        (
            "anthropic-ratelimit-unified-status: allowed
             anthropic-ratelimit-unified-5h-utilization: 0.25
             anthropic-ratelimit-unified-5h-reset: 1800003600
             anthropic-ratelimit-unified-7d-utilization: 0.8
             anthropic-ratelimit-unified-7d-reset: 1800086400
             anthropic-ratelimit-unified-representative-claim: five_hour
             anthropic-ratelimit-unified-fallback-percentage: 0.5",
            "plan 20/100 86400s in 604800s",
        ),
        (
            "anthropic-ratelimit-unified-status: rejected
             anthropic-ratelimit-unified-reset: 1800003600",
            "plan 0/100 3600s",
        ),
        (
            "x-ratelimit-limit: 20
             x-ratelimit-remaining: 0
             x-ratelimit-reset: 1800000030000",
            "requests 0/20 30s",
        ),
        ("x-tokenlimit-limit: 180000\nx-tokenlimit-remaining: 179000", "tokens 179000/180000 -"),
        ("x-trial-endpoint-call-limit: 40\nx-trial-endpoint-call-remaining: 39", "requests 39/40 -"),
    ]);
}

#[test]
fn of_several_allowances_the_one_that_binds_is_told() {
    all_told(&[
        (
            "x-ratelimit-limit-req-minute: 60
             x-ratelimit-remaining-req-minute: 58
             x-ratelimit-limit-tokens-minute: 500000
             x-ratelimit-remaining-tokens-minute: 499900
             x-ratelimit-limit-tokens-month: 1000000000
             x-ratelimit-remaining-tokens-month: 99
             x-ratelimit-tokens-query-cost: 24",
            "requests 58/60 - in 60s; tokens 99/1000000000 - in 2592000s",
        ),
        (
            "x-ratelimitbysize-limit-minute: 500000
             x-ratelimitbysize-remaining-minute: 499985
             x-ratelimitbysize-limit-month: 1000000000
             x-ratelimitbysize-remaining-month: 999999985
             ratelimitbysize-reset: 38
             ratelimitbysize-query-cost: 15",
            "tokens 499985/500000 - in 60s",
        ),
        (
            "x-ratelimit-limit-requests-day: 14400
             x-ratelimit-remaining-requests-day: 5
             x-ratelimit-reset-requests-day: 33011.382867
             x-ratelimit-limit-tokens-minute: 60000
             x-ratelimit-remaining-tokens-minute: 60000.0
             x-ratelimit-reset-tokens-minute: 11.382867",
            "requests 5/14400 33011.382867s in 86400s; tokens 60000/60000 11.382867s in 60s",
        ),
        (
            "x-ratelimit-limit-tokens-prompt: 60000
             x-ratelimit-remaining-tokens-prompt: 59000
             x-ratelimit-limit-tokens-generated: 6000
             x-ratelimit-remaining-tokens-generated: 5900
             x-ratelimit-over-limit: no",
            "input 59000/60000 -; output 5900/6000 -",
        ),
        (
            "x-ratelimit-remaining-tokens: 149984
             x-ratelimit-limit-project-tokens: 5000
             x-ratelimit-remaining-project-tokens: 4000
             x-ratelimit-limit-input-images: 7",
            "tokens 4000/5000 -",
        ),
    ]);
}

#[test]
fn the_spellings_of_the_draft_standard_are_read() {
    all_told(&[
        ("ratelimit-limit: 100, 100;w=60\nratelimit-remaining: 50\nratelimit-reset: 5", "requests 50/100 5s in 60s"),
        ("ratelimit: limit=100, remaining=50, reset=5\nratelimit-policy: 100;w=60", "requests 50/100 5s in 60s"),
        (
            "ratelimit: \"api\";r=499;t=83\nratelimit-policy: \"fixed window\";\"api\";q=500;w=300",
            "requests 499/500 83s in 300s",
        ),
        (
            "ratelimit: \"burst\";r=9;t=1, \"daily\";r=3;t=400
             ratelimit-policy: \"burst\";q=10;w=1, \"daily\";q=1000;w=86400, \"size\";q=9;qu=\"content-bytes\"",
            "requests 3/1000 400s in 86400s",
        ),
    ]);
}

#[test]
fn what_makes_no_sense_tells_nothing() {
    for headers in [
        "",
        "content-type: application/json\nretry-after: 3\nx-request-id: 1",
        "x-ratelimit-limit-requests: many\nx-ratelimit-reset-requests: later",
        "x-ratelimit-limit-requests-day: many",
        "x-ratelimit-limit: -1",
        "ratelimit: nonsense\nratelimit-policy: ;;=,",
        "x-ratelimit-exceeded: true\nx-ratelimit-user-retry-after: 3",
    ] {
        assert_eq!(told(headers), "", "{headers}");
    }
    assert_eq!(told("x-ratelimit-remaining-tokens: -20"), "tokens 0/- -");
}

#[test]
fn a_point_in_time_is_measured_by_the_providers_own_clock() {
    let headers =
        "date: Fri, 15 Jan 2027 07:59:50 GMT\nx-ratelimit-remaining: 0\nx-ratelimit-reset: 1800000000";
    assert_eq!(told(headers), "requests 0/- 10s");
}

#[test]
fn every_word_for_a_time_narrows_an_allowance() {
    assert!(
        WINDOWS.iter().all(|(word, _)| SCOPES.contains(word)),
        "names without a scope are not searched for times"
    );
    assert!(FAMILIES.iter().all(|(prefix, _)| family(prefix).is_some()), "the first letter is let through");
    assert!(
        FAMILIES.iter().all(|(prefix, _)| window(prefix).is_none()),
        "times stand in the rest of a name alone"
    );
}
