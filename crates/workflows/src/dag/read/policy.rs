//! Reads how a task is run: durations, retries, priority, and what its failure means.

use std::time::Duration;

use motet_core::Millis;
use motet_core::error::ErrorKind;
use motet_core::method::Parameter;
use motet_core::settings::CacheMode;
use motet_core::workflow::{Backoff, OnFailure, Priority, RetryPolicy};

use super::describe::{found, shown};
use super::fields::{Fields, boolean, count, misfit};
use super::report::Report;
use crate::dag::yaml::{Content, Field, Node};

/// The longest time that can be written: a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The largest number of attempts that can be written.
pub(super) const MOST_ATTEMPTS: u32 = 1_000;

/// Attempts where `retry` says how, but not how often.
const DEFAULT_ATTEMPTS: u32 = 3;

pub(super) const RETRY_KEYS: [&str; 6] =
    ["max_attempts", "backoff", "base_delay", "max_delay", "jitter", "on"];

const UNITS: [(&str, f64); 5] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];

/// Reads a timeout, which cannot be zero.
pub(super) fn timeout(field: &Field, report: &mut Report<'_>) -> Option<Duration> {
    let duration = duration(field, report)?;
    if duration.is_zero() {
        report.hint(field.node.place, "`timeout` is zero", "leave it out for no limit");
        return None;
    }
    Some(duration)
}

/// Reads a time in seconds, or with a unit such as `500ms`; whole milliseconds are kept.
pub(super) fn duration(field: &Field, report: &mut Report<'_>) -> Option<Duration> {
    let seconds = match &field.node.content {
        Content::Number(number) => number.as_f64(),
        Content::String(text) => with_unit(text),
        _ => None,
    };
    let Some(seconds) = seconds.filter(|seconds| *seconds >= 0.0) else {
        let message = format!("`{}` must be a time, but is {}", field.key, found(&field.node));
        report.hint(
            field.node.place,
            message,
            "write seconds, as in `30` or `0.5`, or a unit, as in `500ms`, `30s`, `5m`, `1h`",
        );
        return None;
    };
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    if duration > LONGEST {
        report.add(field.node.place, format!("`{}` is longer than a year", field.key));
        return None;
    }
    let millis = duration.as_nanos().div_ceil(1_000_000);
    Some(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
}

fn with_unit(text: &str) -> Option<f64> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    let factor = UNITS.iter().find(|(name, _)| *name == unit.trim()).map(|(_, factor)| factor)?;
    let digits = number.trim().bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    number.trim().parse::<f64>().ok().filter(|_| digits).map(|number| number * factor)
}

/// Reads `retry`: how often in all, or a mapping that says how too.
pub(super) fn retry(field: &Field, report: &mut Report<'_>) -> RetryPolicy {
    let mut policy = RetryPolicy::default();
    let Content::Map(_) = field.node.content else {
        if matches!(field.node.content, Content::Number(_)) {
            policy.max_attempts = count(field, 1..=MOST_ATTEMPTS, report).unwrap_or(1);
        } else {
            misfit(field, "the number of attempts or a mapping", report);
        }
        return policy;
    };
    let Some(fields) = Fields::of(&field.node, "`retry`", report) else { return policy };
    fields.refuse_others(&RETRY_KEYS, report, |_| None);
    policy.max_attempts = DEFAULT_ATTEMPTS;
    if let Some(attempts) =
        fields.get("max_attempts").and_then(|field| count(field, 1..=MOST_ATTEMPTS, report))
    {
        policy.max_attempts = attempts;
    }
    let backoffs =
        [("fixed", Backoff::Fixed), ("linear", Backoff::Linear), ("exponential", Backoff::Exponential)];
    if let Some(backoff) = fields.get("backoff").and_then(|field| choice(field, &backoffs, report)) {
        policy.backoff = backoff;
    }
    if let Some(jitter) = fields.get("jitter").and_then(|field| boolean(field, report)) {
        policy.jitter = jitter;
    }
    policy.on = fields.get("on").map(|field| kinds(field, report)).unwrap_or_default();
    let base = fields.get("base_delay");
    let longest = fields.get("max_delay");
    policy.base_delay = base.and_then(|field| duration(field, report)).unwrap_or(policy.base_delay);
    match longest.and_then(|field| Some((field, duration(field, report)?))) {
        Some((field, longest)) => {
            if longest < policy.base_delay {
                let base = policy.base_delay;
                report
                    .add(field.node.place, format!("`max_delay` is shorter than the base delay of {base:?}"));
            }
            policy.max_delay = longest;
        }
        None => policy.max_delay = policy.max_delay.max(policy.base_delay),
    }
    policy
}

/// Reads kinds of errors: one, or a list.
fn kinds(field: &Field, report: &mut Report<'_>) -> Vec<ErrorKind> {
    let nodes = match &field.node.content {
        Content::List(nodes) => nodes.as_slice(),
        _ => std::slice::from_ref(&field.node),
    };
    if nodes.is_empty() {
        report.hint(field.node.place, "`on` names no kind of error", "leave it out to let each error decide");
    }
    let words: Vec<_> = ErrorKind::ALL.iter().map(|kind| (kind.as_str(), *kind)).collect();
    let kind = |node: &Node| {
        choice(&Field { key: field.key.clone(), place: field.place, node: node.clone() }, &words, report)
    };
    nodes.iter().filter_map(kind).collect()
}

/// Reads a point in time.
pub(super) fn time(field: &Field, report: &mut Report<'_>) -> Option<Millis> {
    let time = match &field.node.content {
        Content::String(text) => Millis::of_time(text),
        _ => None,
    };
    if time.is_none() {
        let message =
            format!("`{}` must be a time with its offset, but is {}", field.key, found(&field.node));
        report.hint(
            field.node.place,
            message,
            "write it as `2026-05-03T09:00:00Z` or with `+02:00` at its end",
        );
    }
    time
}

/// Reads `priority`: a word, or 1 for high, 2 for normal, and 3 for low.
pub(super) fn priority(field: &Field, report: &mut Report<'_>) -> Option<Priority> {
    let words = [
        ("low", Priority::Low),
        ("normal", Priority::Normal),
        ("high", Priority::High),
        ("urgent", Priority::Urgent),
    ];
    match &field.node.content {
        Content::Number(number) => match number.as_u64() {
            Some(1) => Some(Priority::High),
            Some(2) => Some(Priority::Normal),
            Some(3) => Some(Priority::Low),
            _ => {
                misfit(field, "1 (high), 2 (normal), or 3 (low)", report);
                None
            }
        },
        _ => choice(field, &words, report),
    }
}

pub(super) fn on_failure(field: &Field, report: &mut Report<'_>) -> Option<OnFailure> {
    let words = [
        ("fail", OnFailure::Fail),
        ("continue", OnFailure::Continue),
        ("skip_dependents", OnFailure::SkipDependents),
    ];
    choice(field, &words, report)
}

/// Reads how the cache is used: a word, `true` for `read_write`, or `false` for `off`. Only a method that asks a model has
/// anything to keep.
pub(super) fn cache(
    field: &Field,
    (method, table): (&str, Option<&[Parameter]>),
    report: &mut Report<'_>,
) -> Option<CacheMode> {
    let asks = table.is_none_or(|table| table.iter().any(|parameter| parameter.name == "model"));
    if !asks {
        let message = format!("`{method}` asks no model, so there is no answer to keep");
        report.hint(field.place, message, "remove `cache`");
    }
    match &field.node.content {
        Content::Bool(true) => Some(CacheMode::ReadWrite),
        Content::Bool(false) => Some(CacheMode::Off),
        _ => {
            let words: Vec<_> = CacheMode::ALL.iter().map(|mode| (mode.as_str(), *mode)).collect();
            choice(field, &words, report)
        }
    }
}

/// Reads one of a few words, in any case.
fn choice<T: Copy>(field: &Field, words: &[(&str, T)], report: &mut Report<'_>) -> Option<T> {
    let written = match &field.node {
        Node { content: Content::String(text), .. } => Some(text.trim().to_lowercase()),
        _ => None,
    };
    let chosen = words.iter().find(|(word, _)| written.as_deref() == Some(*word)).map(|(_, value)| *value);
    if chosen.is_none() {
        let listed: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let message =
            format!("`{}` must be one of {}, but is {}", field.key, listed.join(", "), found(&field.node));
        let near =
            written.and_then(|text| report.nearest(&shown(&text), words.iter().map(|(word, _)| *word)));
        report.add_with(field.node.place, message, near.map(|near| format!("did you mean `{near}`?")));
    }
    chosen
}
