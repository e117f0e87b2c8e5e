//! What goes wrong by a script: JSON that names requests, or how often, and what happens to them.
//!
//! Text in, rules out; opens no file.

use std::time::Duration;

use motet_core::settings::duration;
use motet_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::{Chance, Fault, Rules, Stage};

/// What a script looks like.
const EXAMPLE: &str = r#"a script looks like `[{"request": 3, "stage": "in_headers", "status": 503}, {"probability": 0.1, "delay": "2s"}]`"#;

/// One line of a script.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    request: Option<Requests>,
    probability: Option<f64>,
    #[serde(default, deserialize_with = "stage")]
    stage: Option<Stage>,
    kind: Option<ErrorKind>,
    status: Option<u16>,
    #[serde(default, deserialize_with = "span")]
    retry_after: Option<Duration>,
    #[serde(default, deserialize_with = "span")]
    delay: Option<Duration>,
    #[serde(default)]
    hangs: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Requests {
    One(u64),
    Many(Vec<u64>),
}

fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    duration::parse(&text).map(Some).map_err(D::Error::custom)
}

fn stage<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Stage>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let known = Stage::ALL.iter().find(|stage| stage.as_str() == text);
    known.copied().map(Some).ok_or_else(|| {
        let names: Vec<String> = Stage::ALL.iter().map(|stage| format!("`{}`", stage.as_str())).collect();
        D::Error::custom(format!("there is no stage `{text}`; there are {}", names.join(", ")))
    })
}

/// Adds what a script says to rules.
///
/// # Errors
/// `InvalidRequest` when the text is no script, with what is wrong and where.
pub fn read(text: &str, rules: &mut Rules) -> Result<()> {
    let wrong = |message: String| Error::new(ErrorKind::InvalidRequest, message).with_hint(EXAMPLE);
    let entries: Vec<Entry> =
        serde_json::from_str(text).map_err(|error| wrong(format!("the faults cannot be read: {error}")))?;
    for (place, entry) in (1..).zip(entries) {
        add(entry, rules).map_err(|what| wrong(format!("entry {place} of the faults {what}")))?;
    }
    Ok(())
}

fn add(entry: Entry, rules: &mut Rules) -> Result<(), &'static str> {
    let delay = entry.delay.unwrap_or_default();
    let fault = fault(&entry)?;
    if fault.is_none() && delay.is_zero() {
        return Err("has neither `stage` nor `delay`, so that nothing would happen");
    }
    match (entry.request, entry.probability) {
        (Some(requests), None) => {
            let numbers = match requests {
                Requests::One(number) => vec![number],
                Requests::Many(numbers) => numbers,
            };
            for number in numbers {
                rules.slow.insert(number, delay);
                rules.faults.extend(fault.clone().map(|fault| (number, fault)));
            }
        }
        (None, Some(probability)) if (0.0..=1.0).contains(&probability) => {
            rules.chances.push(Chance { probability, delay, fault });
        }
        (None, Some(_)) => return Err("has a `probability` that is not from 0 to 1"),
        _ => return Err("needs either `request` or `probability`"),
    }
    Ok(())
}

fn fault(entry: &Entry) -> Result<Option<Fault>, &'static str> {
    let Some(stage) = entry.stage else {
        let other = entry.kind.is_some() || entry.status.is_some() || entry.retry_after.is_some();
        return if other || entry.hangs { Err("needs `stage`") } else { Ok(None) };
    };
    let by_status = entry.status.map(kind_of);
    let mut fault = Fault::new(stage, entry.kind.or(by_status).unwrap_or(ErrorKind::Connection));
    fault.status = entry.status;
    fault.retry_after = entry.retry_after;
    fault.hangs = entry.hangs;
    Ok(Some(fault))
}

/// Gives the kind of error that a status usually means.
fn kind_of(status: u16) -> ErrorKind {
    match status {
        401 => ErrorKind::Authentication,
        402 => ErrorKind::QuotaExceeded,
        403 => ErrorKind::Permission,
        404 => ErrorKind::NotFound,
        408 | 504 => ErrorKind::Timeout,
        429 => ErrorKind::RateLimit,
        400..=499 => ErrorKind::InvalidRequest,
        _ => ErrorKind::Overloaded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_names_requests_or_how_often_and_what_happens() {
        let mut rules = Rules::new();
        let text = r#"[
            {"request": 0, "stage": "in_headers", "status": 429, "retry_after": "2s"},
            {"request": [2, 5], "stage": "mid_stream", "kind": "overloaded", "delay": "10ms"},
            {"request": 7, "delay": "1s"},
            {"probability": 0.5, "stage": "after_connect", "hangs": true},
            {"probability": 1, "delay": "3s"}
        ]"#;
        read(text, &mut rules).unwrap();
        let two = Duration::from_secs(2);
        let limited =
            Fault::new(Stage::InHeaders, ErrorKind::RateLimit).with_status(429).with_retry_after(two);
        assert_eq!(rules.faults[&0], limited);
        assert_eq!(rules.faults[&2], Fault::new(Stage::MidStream, ErrorKind::Overloaded));
        assert_eq!(rules.faults[&5], rules.faults[&2]);
        assert_eq!((rules.slow[&5], rules.slow[&7]), (Duration::from_millis(10), Duration::from_secs(1)));
        assert!(!rules.faults.contains_key(&7));
        assert_eq!(
            rules.chances[0].fault,
            Some(Fault::new(Stage::AfterConnect, ErrorKind::Connection).hanging())
        );
        assert_eq!((rules.chances[1].delay, &rules.chances[1].fault), (Duration::from_secs(3), &None));
    }

    #[test]
    fn what_is_wrong_with_a_script_is_told() {
        for (text, message) in [
            ("{}", "the faults cannot be read: invalid type: map, expected a sequence at line 1 column 0"),
            (
                r#"[{"request": 1}]"#,
                "entry 1 of the faults has neither `stage` nor `delay`, so that nothing would happen",
            ),
            (r#"[{"delay": "1s"}]"#, "entry 1 of the faults needs either `request` or `probability`"),
            (
                r#"[{"request": 1, "probability": 1, "delay": "1s"}]"#,
                "entry 1 of the faults needs either `request` or `probability`",
            ),
            (
                r#"[{"probability": 2, "delay": "1s"}]"#,
                "entry 1 of the faults has a `probability` that is not from 0 to 1",
            ),
            (r#"[{"request": 1, "status": 500, "delay": "1s"}]"#, "entry 1 of the faults needs `stage`"),
            (
                r#"[{"request": 1, "stage": "soon"}]"#,
                "the faults cannot be read: there is no stage `soon`; there are `before_connect`, `after_connect`, `in_headers`, `mid_body`, `mid_stream`, `after_finish` at line 1 column 32",
            ),
        ] {
            let error = read(text, &mut Rules::new()).unwrap_err();
            assert_eq!((error.message(), error.kind()), (message, ErrorKind::InvalidRequest));
            assert!(error.hint().is_some());
        }
        for text in [r#"[{"request": 1, "stge": "mid_body"}]"#, r#"[{"request": 1, "delay": "soon"}]"#] {
            assert!(read(text, &mut Rules::new()).is_err(), "{text}");
        }
    }
}
