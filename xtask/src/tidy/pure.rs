//! The files that do no I/O, and what they may therefore not name.

use globset::{Glob, GlobMatcher};

use crate::tidy::Finding;
use crate::tidy::source::Source;

/// The files that parse, encode, or decide, and leave every effect to their callers.
const PURE: &[&str] = &[
    "crates/core/src/**",
    "crates/providers/src/dialect{.rs,/**}",
    "crates/providers/src/dialects{.rs,/**}",
    "crates/providers/src/framing{.rs,/**}",
    "crates/agents/src/machine{.rs,/**}",
    "crates/workflows/src/dag/machine{.rs,/**}",
    "crates/workflows/src/dag/plan{.rs,/**}",
    "crates/workflows/src/dag/read{.rs,/**}",
    "crates/workflows/src/dag/reference{.rs,/**}",
    "crates/workflows/src/dag/scope{.rs,/**}",
    "crates/workflows/src/dag/yaml{.rs,/**}",
];

/// What does I/O, waits, or starts something, and what it is.
const IMPURE: &[(&str, &str)] = &[
    ("tokio::", "the async runtime"),
    ("tokio_util::", "the async runtime"),
    ("hyper::", "an HTTP client"),
    ("hyper_util::", "an HTTP client"),
    ("reqwest::", "an HTTP client"),
    ("rusqlite::", "a database"),
    ("std::fs", "the file system"),
    ("std::net", "the network"),
    ("std::process", "other programs"),
    ("std::thread", "threads"),
];

/// Names below an impure one that are plain data or flags.
const HARMLESS: &[&str] =
    &["tokio_util::sync::CancellationToken", "tokio::time::Instant", "std::process::id"];

/// Finds names of impure things outside the tests of a pure file.
pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in source.lines_outside_tests() {
        let code = line.split("//").next().unwrap_or_default();
        for (name, what) in IMPURE {
            let harmless = HARMLESS.iter().any(|path| path.starts_with(name) && code.contains(path));
            if !harmless && names(code, name) {
                findings
                    .push(Finding::new(number, format!("names `{name}`, {what}; leave it to the caller")));
            }
        }
    }
    findings
}

/// Tells whether a file must be pure.
pub(crate) fn applies(source: &Source) -> bool {
    source.is_rust() && !source.is_test() && PURE.iter().any(|pattern| matches(pattern, &source.path))
}

/// Gives the patterns that match no file, and so protect none.
pub(crate) fn unused(sources: &[Source]) -> Vec<&'static str> {
    let used = |pattern: &&str| sources.iter().any(|source| matches(pattern, &source.path));
    PURE.iter().copied().filter(|pattern| !used(pattern)).collect()
}

/// Tells whether a line names a path such as `std::fs`, alone or in a group as in `use std::{fmt, fs};`.
fn names(code: &str, path: &str) -> bool {
    let starts = |at: usize| {
        !code.get(..at).is_some_and(|rest| rest.ends_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    if code.match_indices(path).any(|(at, _)| starts(at)) {
        return true;
    }
    let Some(module) = path.strip_prefix("std::") else { return false };
    code.split_once("std::{")
        .is_some_and(|(_, group)| group.split([',', '{', '}', ';', ':']).any(|word| word.trim() == module))
}

fn matches(pattern: &str, path: &str) -> bool {
    matcher(pattern).is_some_and(|matcher| matcher.is_match(path))
}

fn matcher(pattern: &str) -> Option<GlobMatcher> {
    Some(Glob::new(pattern).ok()?.compile_matcher())
}
