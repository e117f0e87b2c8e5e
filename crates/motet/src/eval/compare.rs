//! Compares two sets of records of the same questions: before and after a change of model, prompt, or tools.

use std::collections::{BTreeMap, BTreeSet};

use motet_agents::record::EvalRecord;
use motet_core::error::{Error, ErrorKind, Result};
use serde::Serialize;
use serde_json::Value;

/// By what records of the two sets are paired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Key {
    /// The id.
    Id,
    /// The text of the user.
    UserMessage,
}

/// A number before and after.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Change<T> {
    /// In the first set.
    pub before: T,
    /// In the second set.
    pub after: T,
}

/// What two records of one question differ in.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Pair {
    /// What they have in common: the id, or the text of the user.
    pub key: String,
    /// Whether the answers differ.
    pub changed: bool,
    /// The answers, where they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<Change<String>>,
    /// Scores that both have, by scorers.
    pub scores: BTreeMap<String, Change<f64>>,
    /// Tokens.
    pub tokens: Change<u64>,
    /// US dollars; null where unknown.
    pub cost: Change<Option<f64>>,
    /// Milliseconds.
    pub latency_ms: Change<f64>,
    /// In what the second is worse: it failed, or a score is lower.
    pub regressions: Vec<String>,
}

/// What two sets of records differ in.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The pairs in the order of the first set.
    pub pairs: Vec<Pair>,
    /// Keys that only the first set has.
    pub missing: Vec<String>,
    /// Keys that only the second set has.
    pub added: Vec<String>,
    /// How many answers differ.
    pub changed: usize,
    /// How many pairs are worse than before.
    pub regressions: usize,
    /// Tokens of all pairs.
    pub tokens: Change<u64>,
    /// US dollars of all pairs; null where one is unknown.
    pub cost: Change<Option<f64>>,
    /// Milliseconds of all pairs together.
    pub latency_ms: Change<f64>,
}

/// Compares records; where no key is given, by id if the sets share one, else by the text of the user.
///
/// A score counts as worse when it is lower by more than the tolerance.
///
/// # Errors
/// `InvalidRequest` when a key stands twice in a set, or the sets share none.
pub fn compare(
    before: &[EvalRecord],
    after: &[EvalRecord],
    key: Option<Key>,
    tolerance: f64,
) -> Result<Comparison> {
    let ids: BTreeSet<&str> = before.iter().map(|record| record.id.as_str()).collect();
    let shared = after.iter().any(|record| ids.contains(record.id.as_str()));
    let key = key.unwrap_or(if shared { Key::Id } else { Key::UserMessage });
    let (first, mut second) = (keyed(before, key)?, by_key(after, key)?);
    let (mut pairs, mut missing) = (Vec::new(), Vec::new());
    for (name, record) in first {
        match second.remove(name) {
            Some(other) => pairs.push(pair(name, record, other, tolerance)),
            None => missing.push(name.to_owned()),
        }
    }
    if pairs.is_empty() {
        return Err(Error::new(ErrorKind::InvalidRequest, "the two files have no record in common")
            .with_hint("records are paired by id, or by the text of the user with `--by user_message`"));
    }
    let tokens = |side: fn(&Change<u64>) -> u64| pairs.iter().map(|pair| side(&pair.tokens)).sum();
    let cost =
        |side: fn(&Change<Option<f64>>) -> Option<f64>| pairs.iter().map(|pair| side(&pair.cost)).sum();
    let latency = |side: fn(&Change<f64>) -> f64| pairs.iter().map(|pair| side(&pair.latency_ms)).sum();
    Ok(Comparison {
        tokens: Change { before: tokens(|change| change.before), after: tokens(|change| change.after) },
        cost: Change { before: cost(|change| change.before), after: cost(|change| change.after) },
        latency_ms: Change { before: latency(|change| change.before), after: latency(|change| change.after) },
        changed: pairs.iter().filter(|pair| pair.changed).count(),
        regressions: pairs.iter().filter(|pair| !pair.regressions.is_empty()).count(),
        added: second.into_keys().map(str::to_owned).collect(),
        pairs,
        missing,
    })
}

fn key_of(record: &EvalRecord, key: Key) -> &str {
    match key {
        Key::Id => &record.id,
        Key::UserMessage => &record.user_message,
    }
}

fn keyed(records: &[EvalRecord], key: Key) -> Result<Vec<(&str, &EvalRecord)>> {
    let pairs: Vec<_> = records.iter().map(|record| (key_of(record, key), record)).collect();
    by_key(records, key).map(|_| pairs)
}

fn by_key(records: &[EvalRecord], key: Key) -> Result<BTreeMap<&str, &EvalRecord>> {
    let mut map = BTreeMap::new();
    for record in records {
        let name = key_of(record, key);
        if map.insert(name, record).is_some() {
            let shown: String = name.chars().take(80).collect();
            return Err(Error::new(ErrorKind::InvalidRequest, format!("two records are keyed `{shown}`"))
                .with_hint("compare with `--by id`, or files of one record each"));
        }
    }
    Ok(map)
}

fn pair(key: &str, before: &EvalRecord, after: &EvalRecord, tolerance: f64) -> Pair {
    let scores: BTreeMap<String, Change<f64>> = scores(before)
        .into_iter()
        .filter_map(|(name, before)| {
            let after = self::scores(after).get(&name).copied()?;
            Some((name, Change { before, after }))
        })
        .collect();
    let mut regressions = Vec::new();
    if before.success && !after.success {
        regressions.push("success".to_owned());
    }
    let worse = scores.iter().filter(|(_, change)| change.before - change.after > tolerance);
    regressions.extend(worse.map(|(name, _)| name.clone()));
    let changed = before.final_response != after.final_response;
    let answers = changed
        .then(|| Change { before: before.final_response.clone(), after: after.final_response.clone() });
    Pair {
        key: key.to_owned(),
        changed,
        answers,
        scores,
        tokens: Change { before: before.tokens_used.total, after: after.tokens_used.total },
        cost: Change { before: before.estimated_cost_usd, after: after.estimated_cost_usd },
        latency_ms: Change { before: before.latency_ms, after: after.latency_ms },
        regressions,
    }
}

/// Reads the scores that `motet eval score --to` put into a record.
fn scores(record: &EvalRecord) -> BTreeMap<String, f64> {
    let scores = record.metadata.get("scores").and_then(Value::as_object);
    scores.into_iter().flatten().filter_map(|(name, score)| Some((name.clone(), score.as_f64()?))).collect()
}
