//! What the headers of an answer tell about the provider's limits.
//!
//! Knows how such headers are built, not who sends them: a name says which allowance, of what, and which of its numbers.

mod structured;
mod time;

use std::ops::Range;
use std::time::{Duration, SystemTime};

use motet_core::limits::{Allowance, RateLimits};

use time::reset_after;
pub(crate) use time::{duration, reset_in};

/// How the names of such headers begin, and what they count where the rest does not say.
const FAMILIES: &[(&str, Subject)] = &[
    ("x-ratelimitbysize-", Subject::Tokens),
    ("ratelimitbysize-", Subject::Tokens),
    ("x-ratelimit-", Subject::Requests),
    ("x-rate-limit-", Subject::Requests),
    ("anthropic-ratelimit-unified-", Subject::Plan),
    ("anthropic-ratelimit-", Subject::Requests),
    ("x-tokenlimit-", Subject::Tokens),
    ("x-trial-endpoint-call-", Subject::Requests),
    ("ratelimit-", Subject::Requests),
];

/// Words that narrow an allowance without changing what it counts: windows of time, and who shares it.
const SCOPES: &[&str] = &[
    "second", "minute", "hour", "day", "month", "1s", "1m", "1h", "1d", "5h", "7d", "project", "user",
    "based", "usage", "uncached", "opus", "sonnet", "overage",
];

/// Words that tell the time over which an allowance counts, in seconds.
const WINDOWS: &[(&str, u64)] = &[
    ("second", 1),
    ("1s", 1),
    ("minute", 60),
    ("1m", 60),
    ("hour", 3_600),
    ("1h", 3_600),
    ("5h", 18_000),
    ("day", 86_400),
    ("1d", 86_400),
    ("7d", 604_800),
    ("month", 2_592_000),
];

/// What an allowance counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Requests,
    Tokens,
    InputTokens,
    OutputTokens,
    Plan,
}

/// Which number of an allowance a header gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Limit,
    Remaining,
    Reset,
    /// A share of a subscription that is used, 1 being all of it.
    Used,
    /// A word that says whether a subscription still allows anything.
    Status,
}

/// One allowance while its numbers are gathered.
struct Gathered<'a> {
    /// What stands in the header's name before and after the word for the number, so that the numbers of one allowance
    /// find each other.
    name: (&'a str, &'a str),
    subject: Subject,
    allowance: Allowance,
}

/// Reads the limits that an answer's headers tell of; names are in lower case.
///
/// `now` gives when the answer came, best by the provider's own clock as [`served_at`] has it; it is asked only where
/// there are limits. Where several allowances count the same, such as requests in a minute and in a day, the one of
/// which least is left is told, as it is the one that binds.
#[must_use]
pub fn read<'a>(
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    now: impl FnOnce() -> SystemTime,
) -> RateLimits {
    let mut told = headers.filter_map(|(name, value)| {
        let teller = teller(name)?;
        Some((name, teller, std::str::from_utf8(value).ok()?.trim()))
    });
    let Some(first) = told.next() else { return RateLimits::default() };
    let now = now();
    let mut gathered: Vec<Gathered<'_>> = Vec::with_capacity(4);
    for (name, teller, value) in std::iter::once(first).chain(told) {
        match teller {
            Teller::List => structured::gather(&mut gathered, name, value),
            Teller::Number(rest, subject) => gather(&mut gathered, (name, rest, subject), value, now),
        }
    }
    merged(gathered)
}

/// Gives the time of an answer by its `date` header, and by the clock of this machine where it has none.
#[must_use]
pub fn served_at(date: Option<&str>) -> SystemTime {
    date.and_then(|date| httpdate::parse_http_date(date.trim()).ok()).unwrap_or_else(SystemTime::now)
}

/// How a header tells of limits.
enum Teller<'a> {
    /// All of them in one value.
    List,
    /// One number, which the rest of the name and what is counted by default say more of.
    Number(&'a str, Subject),
}

fn teller(name: &str) -> Option<Teller<'_>> {
    if structured::is_list(name) {
        return Some(Teller::List);
    }
    family(name).map(|(rest, subject)| Teller::Number(rest, subject))
}

fn family(name: &str) -> Option<(&str, Subject)> {
    // Most headers are none of these, which their first letter tells.
    if !matches!(name.as_bytes().first(), Some(b'x' | b'r' | b'a')) {
        return None;
    }
    FAMILIES.iter().find_map(|(prefix, subject)| Some((name.strip_prefix(prefix)?, *subject)))
}

fn gather<'a>(
    gathered: &mut Vec<Gathered<'a>>,
    (name, rest, default): (&'a str, &'a str, Subject),
    value: &str,
    now: SystemTime,
) {
    let Some(Meaning { subject, number, word, scoped }) = meaning(rest, default) else { return };
    // What stands before the word begins with the family, as the rest is the end of the name.
    let place = name.len() - rest.len() + word.start;
    let (before, after) = (name.get(..place).unwrap_or(name), rest.get(word.end..).unwrap_or_default());
    let window = if scoped { window(name) } else { None };
    let allowance = entry(gathered, (before.trim_end_matches('-'), after), subject);
    allowance.window = allowance.window.or(window);
    match number {
        Number::Limit => {
            allowance.limit = count(value);
            allowance.window = allowance.window.or_else(|| structured::window(value));
        }
        Number::Remaining => allowance.remaining = remaining(value),
        Number::Reset => allowance.reset = reset_after(value, now),
        Number::Used => {
            allowance.limit = Some(100);
            allowance.remaining = unused_percent(value);
        }
        Number::Status if value == "rejected" => {
            allowance.limit = Some(100);
            allowance.remaining = Some(0);
        }
        Number::Status => {}
    }
}

/// Reads the time over which an allowance of this name counts.
fn window(name: &str) -> Option<Duration> {
    let found = |word| WINDOWS.iter().find(|(name, _)| *name == word);
    name.split('-').find_map(found).map(|(_, seconds)| Duration::from_secs(*seconds))
}

/// What the rest of a name means.
struct Meaning {
    subject: Subject,
    number: Number,
    /// Where the word for the number stands.
    word: Range<usize>,
    /// A word narrows the allowance, as every word for a time does.
    scoped: bool,
}

/// Reads what the rest of a name means; `None` where it counts something else, such as images, or is no number.
fn meaning(rest: &str, default: Subject) -> Option<Meaning> {
    let (mut subject, mut number) = (None, None);
    let (mut input, mut output, mut scoped) = (false, false, false);
    let mut start = 0;
    for word in rest.split(['-', '_']) {
        let place = start..start + word.len();
        start = place.end + 1;
        let mut set = |what| number = Some((what, place.clone()));
        match word {
            "limit" => set(Number::Limit),
            "remaining" => set(Number::Remaining),
            "reset" => set(Number::Reset),
            "utilization" => set(Number::Used),
            "status" => set(Number::Status),
            "requests" | "request" | "req" => subject = Some(Subject::Requests),
            "tokens" | "token" => subject = Some(Subject::Tokens),
            "input" | "prompt" => input = true,
            "output" | "generated" | "completion" => output = true,
            scope if SCOPES.contains(&scope) => scoped = true,
            _ => return None,
        }
    }
    let subject = match (subject, input, output) {
        (Some(Subject::Tokens), true, false) => Subject::InputTokens,
        (Some(Subject::Tokens), false, true) => Subject::OutputTokens,
        (subject, false, false) => subject.unwrap_or(default),
        _ => return None,
    };
    let (number, word) = number?;
    let of_plan = matches!(number, Number::Used | Number::Status);
    (!of_plan || subject == Subject::Plan).then_some(Meaning { subject, number, word, scoped })
}

fn entry<'a, 'b>(
    gathered: &'b mut Vec<Gathered<'a>>,
    name: (&'a str, &'a str),
    subject: Subject,
) -> &'b mut Allowance {
    let known = gathered.iter().position(|one| is_same(one.name, name)).unwrap_or_else(|| {
        gathered.push(Gathered { name, subject, allowance: Allowance::default() });
        gathered.len() - 1
    });
    #[expect(clippy::indexing_slicing, reason = "the place was found or made on the line above")]
    &mut gathered[known].allowance
}

/// Compares two names that lie in two pieces each.
fn is_same(one: (&str, &str), other: (&str, &str)) -> bool {
    one == other || one.0.bytes().chain(one.1.bytes()).eq(other.0.bytes().chain(other.1.bytes()))
}

/// Reads a whole number; of a list such as `100, 100;w=60`, the first.
fn count(value: &str) -> Option<u64> {
    let number = value.split([',', ';']).next()?.trim();
    number.parse().ok().or_else(|| whole(number.parse().ok()?))
}

/// As [`count`], and nothing is left where more was taken than allowed.
fn remaining(value: &str) -> Option<u64> {
    count(value).or_else(|| value.parse::<f64>().ok().filter(|left| *left < 0.0).map(|_| 0))
}

fn unused_percent(used: &str) -> Option<u64> {
    whole(100.0 - used.parse::<f64>().ok()?.clamp(0.0, 1.0) * 100.0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
fn whole(number: f64) -> Option<u64> {
    (number >= 0.0).then_some(number.round() as u64)
}

fn merged(gathered: Vec<Gathered<'_>>) -> RateLimits {
    let mut limits = RateLimits::default();
    for Gathered { subject, allowance, .. } in gathered {
        if (allowance.limit, allowance.remaining, allowance.reset) == (None, None, None) {
            continue;
        }
        let field = match subject {
            Subject::Requests => &mut limits.requests,
            Subject::Tokens => &mut limits.tokens,
            Subject::InputTokens => &mut limits.input_tokens,
            Subject::OutputTokens => &mut limits.output_tokens,
            Subject::Plan => &mut limits.plan,
        };
        if field.is_none_or(|known| is_tighter(&allowance, &known)) {
            *field = Some(allowance);
        }
    }
    limits
}

/// Tells whether less is left of one allowance than of another; of equal ones, the one that takes longer to fill.
fn is_tighter(one: &Allowance, other: &Allowance) -> bool {
    let left = |of: &Allowance| of.remaining.or(of.limit).unwrap_or(u64::MAX);
    let wait = |of: &Allowance| of.reset.unwrap_or(Duration::ZERO);
    (left(one), std::cmp::Reverse(wait(one))) < (left(other), std::cmp::Reverse(wait(other)))
}

#[cfg(test)]
mod tests;
