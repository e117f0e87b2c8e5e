//! Limits in the headers that a draft standard proposes: `ratelimit` and `ratelimit-policy`, as lists of parameters.
//!
//! Both of its spellings are read: `limit=100, remaining=50, reset=5` and `"default";r=50;t=5` with `"default";q=100`.

use std::time::Duration;

use motet_core::limits::Allowance;

use super::{Gathered, Subject, count, entry};

/// Tells whether a header holds a list of parameters.
pub(super) fn is_list(name: &str) -> bool {
    matches!(name, "ratelimit" | "ratelimit-policy")
}

/// Takes what one such header says.
pub(super) fn gather<'a>(gathered: &mut Vec<Gathered<'a>>, header: &str, value: &'a str) {
    for member in value.split(',') {
        let pieces = || member.split(';').map(str::trim);
        if pieces()
            .any(|piece| piece.strip_prefix("qu=").is_some_and(|unit| unit.trim_matches('"') != "requests"))
        {
            continue;
        }
        // The older spelling divides the parameters of its one allowance by commas and names none.
        let name = pieces().rfind(|piece| piece.starts_with('"')).unwrap_or_default();
        for piece in pieces() {
            let (key, text) = piece.split_once('=').unwrap_or(("q", piece));
            if !(header == "ratelimit" || matches!(key, "q" | "w")) {
                continue;
            }
            if let Some(number) = count(text) {
                set(entry(gathered, ("ratelimit ", name), Subject::Requests), key, number);
            }
        }
    }
}

fn set(allowance: &mut Allowance, key: &str, number: u64) {
    match key {
        "limit" | "q" => allowance.limit = Some(number),
        "remaining" | "r" => allowance.remaining = Some(number),
        "reset" | "t" => allowance.reset = Some(Duration::from_secs(number)),
        "w" => allowance.window = Some(Duration::from_secs(number)),
        _ => {}
    }
}

/// Reads the time over which a limit counts from a list such as `100, 100;w=60`.
pub(super) fn window(value: &str) -> Option<Duration> {
    let seconds = value.split([',', ';']).find_map(|piece| piece.trim().strip_prefix("w="))?;
    Some(Duration::from_secs(count(seconds)?))
}
