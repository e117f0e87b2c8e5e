//! Fills numbers: counts of what the text names, amounts, and numbers beside a property's own words.

use motet_core::Result;
use serde_json::{Map, Number, Value};

use super::view::View;
use super::{Filled, check, impossible};
use crate::offline::wanted::{Kind, Wanted};
use crate::offline::{answer, dates, facts, words};

/// Fills a schema of type number or integer.
pub(super) fn fill(
    schema: &Map<String, Value>,
    wanted: &Wanted,
    view: &View<'_>,
    whole: bool,
) -> Result<Filled> {
    let fits =
        |number: &f64| (!whole || number.fract() == 0.0) && check::numeric(schema, *number, "").is_ok();
    // Asked once for its errors alone, such as a bound of an unknown form.
    if let Err(error) = check::numeric(schema, 0.0, "")
        && error.kind() != motet_core::ErrorKind::InvalidOutput
    {
        return Err(error);
    }
    if let Some(number) = looked_up(wanted, view).into_iter().find(fits) {
        return Ok(Filled::found(to_json(number)));
    }
    let spare = nearest_to_zero(schema, whole).filter(fits);
    spare
        .map(|number| Filled::default(to_json(number)))
        .ok_or_else(|| impossible("no number satisfies the schema"))
}

/// Fills a list of numbers with those of the text that satisfy the schema.
pub(super) fn all(schema: &Map<String, Value>, wanted: &Wanted, view: &View<'_>, whole: bool) -> Vec<Value> {
    let fits =
        |number: &f64| (!whole || number.fract() == 0.0) && check::numeric(schema, *number, "").is_ok();
    let numbers = facts::numbers(&view.material.text).into_iter();
    let numbers =
        numbers.filter(|number| wanted.kind != Kind::Money || number.is_money).map(|number| number.value);
    numbers.filter(fits).map(to_json).collect()
}

fn looked_up(wanted: &Wanted, view: &View<'_>) -> Vec<f64> {
    let counted = count(wanted, view).into_iter();
    let labelled = view.label(wanted).and_then(|value| facts::numbers(value).into_iter().next());
    let mut found: Vec<f64> = counted.chain(labelled.map(|number| number.value)).collect();
    if found.is_empty() {
        found.extend(beside_words(wanted, view));
    }
    if found.is_empty() && wanted.kind == Kind::Money {
        found.extend(facts::numbers(&view.material.text).iter().filter(|n| n.is_money).map(|n| n.value));
    }
    found
}

#[expect(clippy::cast_precision_loss, reason = "counts of words are far below the limit")]
fn count(wanted: &Wanted, view: &View<'_>) -> Option<f64> {
    let material = view.material;
    let has = |names: &[&str]| wanted.name.iter().any(|name| names.contains(&name.as_str()));
    if has(&["year", "jahr"]) {
        let date = dates::find(&material.text).into_iter().next()?;
        return date.to_string().split('-').next()?.parse().ok();
    }
    if has(&["age", "alter"]) {
        return age(&material.text);
    }
    if let Some(anchor) = view.anchor.as_ref().filter(|_| has(&["mentions", "count", "occurrences"])) {
        return Some(anchor.mentions as f64);
    }
    let is_count = has(&["count", "number", "anzahl", "num", "length", "total"]);
    let count = match wanted.counted() {
        Some(Kind::Person) => material.names.people.len(),
        Some(Kind::Organisation) => material.names.organisations.len(),
        Some(Kind::Date) => {
            let mut all = dates::find(&material.text);
            all.sort_unstable();
            all.dedup();
            all.len()
        }
        Some(Kind::Email) => facts::emails(&material.text).len(),
        Some(Kind::Url) => facts::urls(&material.text).len(),
        _ if is_count && has(&["word", "words", "wörter"]) => words::count(&material.text),
        _ if is_count && has(&["sentence", "sentences", "sätze"]) => material.sentences.len(),
        _ if is_count && has(&["character", "characters", "zeichen"]) => material.text.chars().count(),
        _ => return None,
    };
    Some(count as f64)
}

/// Reads an age such as `42 years old` or `42 Jahre alt`.
fn age(text: &str) -> Option<f64> {
    let words: Vec<&str> = words::words(text).collect();
    let told = words.windows(3).find(|three| matches!(three, [_, "years", "old"] | [_, "Jahre", "alt"]));
    told.and_then(|three| three.first()).and_then(|number| facts::number(number))
}

/// Gives the numbers of the sentence that matches best, those behind a matching word first.
fn beside_words(wanted: &Wanted, view: &View<'_>) -> Vec<f64> {
    let Some(sentence) = answer::best_sentence(view.material, view.ranking(), &wanted.words) else {
        return Vec::new();
    };
    let stems = words::stems(&wanted.words);
    let matching = words::words(&sentence.text).find(|word| stems.contains(&words::stem(word)));
    let place = matching.and_then(|word| sentence.text.find(word)).unwrap_or(0);
    let (before, behind) = sentence.text.split_at_checked(place).unwrap_or(("", &sentence.text));
    let mut near: Vec<f64> = facts::numbers(before).into_iter().rev().map(|number| number.value).collect();
    let close = before.split_whitespace().next_back().and_then(facts::number).is_some();
    let after: Vec<f64> = facts::numbers(behind).into_iter().map(|number| number.value).collect();
    if close {
        near.extend(after);
        near
    } else {
        after.into_iter().chain(near).collect()
    }
}

/// Gives the allowed number that is nearest to zero.
fn nearest_to_zero(schema: &Map<String, Value>, whole: bool) -> Option<f64> {
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let step = bound("multipleOf").filter(|step| *step > 0.0);
    let unit = step.unwrap_or(if whole { 1.0 } else { 0.0 });
    let least =
        bound("minimum").into_iter().chain(bound("exclusiveMinimum")).fold(f64::NEG_INFINITY, f64::max);
    let most = bound("maximum").into_iter().chain(bound("exclusiveMaximum")).fold(f64::INFINITY, f64::min);
    let holds = |number: f64| check::numeric(schema, number, "").is_ok() && (!whole || number.fract() == 0.0);
    if holds(0.0) {
        return Some(0.0);
    }
    let (from, towards) = if least >= 0.0 { (least, 1.0) } else { (most, -1.0) };
    if !from.is_finite() {
        return None;
    }
    if unit == 0.0 {
        let other = if towards > 0.0 { most } else { least };
        let middle = if other.is_finite() { f64::midpoint(from, other) } else { from + towards };
        return [from, middle].into_iter().find(|number| holds(*number));
    }
    // Steps that are no whole numbers, such as 2.5 for an integer, may need several tries.
    let first = if towards > 0.0 { (from / unit).ceil() } else { (from / unit).floor() };
    let tries = (0..1000).map(|n| rounded((first + towards * f64::from(n)) * unit, unit));
    tries.into_iter().find(|number| holds(*number))
}

/// Rounds a multiple to the decimals of its step, so that 3 × 0.1 is 0.3.
fn rounded(number: f64, step: f64) -> f64 {
    let shown = step.to_string();
    let decimals = shown.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    format!("{number:.decimals$}").parse().unwrap_or(number)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "only whole numbers within the exact range are converted"
)]
fn to_json(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        return Value::from(number as i64);
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}
