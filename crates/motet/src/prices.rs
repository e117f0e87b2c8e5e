//! What models cost, as dated data; settings override every row part by part.
//!
//! A model that is not listed has no price: its cost is unknown, never zero. The rows stand in `prices.jsonl`, one to a
//! line, in dollars per million tokens, each with the month that its price page was read.

use std::borrow::Cow;

use motet_core::ModelId;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::settings::Loaded;
use motet_core::usage::{Cost, Price};
use serde::Deserialize;
use serde_json::Number;

const ROWS: &str = include_str!("prices.jsonl");

/// Providers whose models cost what another's do, because they are the same ones behind another wire format.
const SAME: &[(&str, &str)] =
    &[("openai-responses", "openai"), ("gemini-interactions", "gemini"), ("gemini-openai", "gemini")];

/// Providers that cost nothing: they compute here, or are test doubles.
const FREE: &[&str] = &["offline", "scripted"];

/// What is listed of a model.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Listed {
    /// What it charges.
    pub price: Price,
    /// Month, or day, that the source was read.
    pub as_of: String,
    /// Where the price was read.
    pub source: String,
    /// Most tokens that it writes in one answer; `None` where that is not known.
    pub max_output: Option<u32>,
    /// Most tokens that it reads in one request; `None` where that is not known.
    pub context: Option<u64>,
}

/// Gives what is listed of a model; `None` where nothing is.
///
/// A dated snapshot such as `gpt-4o-2024-08-06` costs what its family does, unless it has a row of its own; other longer
/// names do not.
#[must_use]
pub fn find(id: &ModelId) -> Option<Listed> {
    if FREE.contains(&id.provider()) {
        let (as_of, source) = (String::new(), "computed here".to_owned());
        return Some(Listed { price: Price::FREE, as_of, source, max_output: None, context: None });
    }
    let provider = SAME.iter().find(|(name, _)| *name == id.provider()).map_or(id.provider(), |(_, of)| *of);
    let own = format!(r#"{{"provider":"{provider}","#);
    let rows = || ROWS.lines().filter(|line| line.starts_with(&own)).filter_map(|line| read(line).ok());
    let exact = |row: &Row<'_>| row.model == id.model() || row.aliases.iter().any(|name| name == id.model());
    rows().find(exact).or_else(|| rows().find(|row| is_snapshot(id.model(), &row.model)))?.listed()
}

/// Gives the listed price of a model; see [`find`].
#[must_use]
pub fn listed(id: &ModelId) -> Option<Price> {
    find(id).map(|listed| listed.price)
}

/// Refuses a price in the settings that is not whole together with the listed one.
pub(crate) fn check(loaded: &Loaded) -> Result<()> {
    for (model, change) in &loaded.settings.prices {
        if change.over(listed(model)).is_some() {
            continue;
        }
        let part = if change.input.is_none() { "input" } else { "output" };
        let message = format!("the price of `{model}` is not listed and has no `{part}`");
        let place = format!("prices.\"{model}\".{part}");
        let hint = format!("add `{place} = …` in dollars per million tokens; `0` when it is free");
        return Err(Error::new(ErrorKind::Configuration, message).with_hint(hint));
    }
    Ok(())
}

/// Gives the names of a provider's listed models.
pub(crate) fn models_of(provider: &str) -> Vec<String> {
    let own = format!(r#"{{"provider":"{provider}","#);
    let rows = ROWS.lines().filter(|line| line.starts_with(&own)).filter_map(|line| read(line).ok());
    rows.map(|row| row.model.into_owned()).collect()
}

/// Gives every row, in the order of the data.
///
/// # Errors
/// `Internal` when a row cannot be read, which a test rules out.
pub fn all() -> Result<Vec<(ModelId, Listed)>> {
    let one = |line: &str| {
        let defect = || {
            Error::new(ErrorKind::Internal, "a row of the price table cannot be read")
                .with_context("row", line.to_owned())
        };
        let row = read(line).map_err(|error| defect().with_source(error))?;
        Ok((ModelId::new(&*row.provider, &*row.model)?, row.listed().ok_or_else(defect)?))
    };
    ROWS.lines().map(one).collect()
}

/// Tells whether a name is a family's with a date behind it: `-2024-08-06`, `-20250929`, `-0613`, or the number of a
/// version such as `-001`. Other numbers, as in `claude-opus-4-5` after `claude-opus-4`, make another model.
fn is_snapshot(model: &str, family: &str) -> bool {
    let Some(suffix) = model.strip_prefix(family).and_then(|rest| rest.strip_prefix('-')) else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match suffix.split('-').collect::<Vec<_>>()[..] {
        [year, month, day] => {
            (year.len(), month.len(), day.len()) == (4, 2, 2) && digits(&suffix.replace('-', ""))
        }
        [one] => digits(one) && (matches!(one.len(), 4 | 6 | 8) || (one.len() == 3 && one.starts_with("00"))),
        _ => false,
    }
}

fn read(line: &str) -> Result<Row<'_>, serde_json::Error> {
    serde_json::from_str(line)
}

/// One line of the data.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row<'a> {
    #[serde(borrow)]
    provider: Cow<'a, str>,
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(borrow, default)]
    aliases: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    as_of: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    input: Number,
    output: Number,
    #[serde(default)]
    cached_input: Option<Number>,
    #[serde(default)]
    cache_write: Option<Number>,
    #[serde(default)]
    cache_write_1h: Option<Number>,
    #[serde(default)]
    reasoning: Option<Number>,
    #[serde(default)]
    audio_input: Option<Number>,
    #[serde(default)]
    audio_output: Option<Number>,
    #[serde(default)]
    search: Option<Number>,
    #[serde(default)]
    long_above: Option<u64>,
    #[serde(default)]
    long_input: Option<Number>,
    #[serde(default)]
    long_output: Option<Number>,
    #[serde(default)]
    long_cached_input: Option<Number>,
    #[serde(default)]
    batch_input: Option<Number>,
    #[serde(default)]
    batch_output: Option<Number>,
    #[serde(default)]
    flex_input: Option<Number>,
    #[serde(default)]
    flex_output: Option<Number>,
    #[serde(default)]
    priority_input: Option<Number>,
    #[serde(default)]
    priority_output: Option<Number>,
    #[serde(default)]
    max_output: Option<u32>,
    #[serde(default)]
    context: Option<u64>,
}

impl Row<'_> {
    fn listed(&self) -> Option<Listed> {
        let part =
            |number: &Option<Number>| number.as_ref().map(micros).map_or(Some(None), |part| part.map(Some));
        let price = Price {
            input: micros(&self.input)?,
            output: micros(&self.output)?,
            cached_input: part(&self.cached_input)?,
            cache_write: part(&self.cache_write)?,
            cache_write_1h: part(&self.cache_write_1h)?,
            reasoning: part(&self.reasoning)?,
            audio_input: part(&self.audio_input)?,
            audio_output: part(&self.audio_output)?,
            search: part(&self.search)?,
            long_above: self.long_above,
            long_input: part(&self.long_input)?,
            long_output: part(&self.long_output)?,
            long_cached_input: part(&self.long_cached_input)?,
            batch_input: part(&self.batch_input)?,
            batch_output: part(&self.batch_output)?,
            flex_input: part(&self.flex_input)?,
            flex_output: part(&self.flex_output)?,
            priority_input: part(&self.priority_input)?,
            priority_output: part(&self.priority_output)?,
        };
        let (as_of, source) = (self.as_of.clone().into_owned(), self.source.clone().into_owned());
        Some(Listed { price, as_of, source, max_output: self.max_output, context: self.context })
    }
}

/// Gives dollars as micro-dollars; `None` for what has more decimals than that.
fn micros(dollars: &Number) -> Option<u64> {
    let nanos = Cost::from_dollars(&dollars.to_string())?.nanos();
    (nanos % 1_000 == 0).then_some(nanos / 1_000)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use motet_core::Usage;
    use motet_core::price::Tier;

    use super::*;

    fn price(id: &str) -> Option<Price> {
        listed(&id.parse().unwrap())
    }

    #[test]
    fn every_row_is_read_dated_and_alone_in_its_name() {
        let mut names = BTreeSet::new();
        for (line, (id, listed)) in ROWS.lines().zip(all().unwrap()) {
            assert!(listed.as_of.len() >= 7 && listed.as_of.starts_with("20"), "{line}");
            assert!(!listed.source.is_empty(), "{line}");
            let row = read(line).unwrap();
            for name in row.aliases.iter().chain([&row.model]) {
                assert!(names.insert((id.provider().to_owned(), name.to_string())), "{line}");
                assert_eq!(
                    find(&ModelId::new(id.provider(), &**name).unwrap()),
                    Some(listed.clone()),
                    "{line}"
                );
            }
            let Price { input, output, .. } = listed.price;
            assert!(listed.price.cached_input.is_none_or(|price| price <= input), "{line}");
            assert!(listed.price.long_input.is_none_or(|price| price >= input), "{line}");
            assert!(listed.price.batch_output.is_none_or(|price| price <= output), "{line}");
            assert_eq!(listed.price.long_above.is_some(), listed.price.long_input.is_some(), "{line}");
        }
        assert!(names.len() > 150, "{}", names.len());
    }

    #[test]
    fn what_is_listed_may_be_changed_in_part_and_what_is_not_must_be_whole() {
        let set = |path: &str, value: &str| {
            let overrides = vec![(path.to_owned(), value.to_owned(), "test".to_owned())];
            let sources = motet_core::settings::Sources { overrides, ..Default::default() };
            crate::Runtime::new(crate::Settings::load(&sources).unwrap(), ".".into()).map(drop)
        };
        set("prices.\"openai:gpt-4o-mini\".output", "0.55").unwrap();
        set("prices.\"openai:gpt-4o-2024-08-06\".cached_input", "0.55").unwrap();
        for (part, missing) in [("output", "input"), ("input", "output"), ("flex_input", "input")] {
            let error = set(&format!("prices.\"azure:mine\".{part}"), "1").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert_eq!(
                error.message(),
                format!("the price of `azure:mine` is not listed and has no `{missing}`")
            );
        }
    }

    #[test]
    fn snapshots_have_their_familys_price_and_strangers_have_none() {
        for (snapshot, family) in [
            ("openai:gpt-4o-2024-08-06", "openai:gpt-4o"),
            ("openai-responses:gpt-5-2025-08-07", "openai:gpt-5"),
            ("openai:gpt-4-0613", "openai:gpt-4"),
            ("anthropic:claude-opus-4-20250514", "anthropic:claude-opus-4"),
            ("anthropic:claude-opus-4-5-20251101", "anthropic:claude-opus-4-5"),
            ("gemini:gemini-2.0-flash-001", "gemini:gemini-2.0-flash"),
            ("mistral:mistral-large-latest", "mistral:mistral-large-2512"),
            ("xai:grok-4-0709", "xai:grok-4"),
        ] {
            assert!(price(family).is_some(), "{family}");
            assert_eq!(price(snapshot), price(family), "{snapshot}");
        }
        for (one, other) in [
            ("openai:gpt-4o-mini", "openai:gpt-4o"),
            ("openai:gpt-4.1", "openai:gpt-4"),
            ("openai:o3", "openai:o3-mini"),
            ("openai:gpt-4o-2024-05-13", "openai:gpt-4o"),
            ("openai:gpt-3.5-turbo-1106", "openai:gpt-3.5-turbo"),
            ("anthropic:claude-opus-4-5", "anthropic:claude-opus-4"),
            ("anthropic:claude-opus-5-5", "anthropic:claude-opus-5"),
        ] {
            assert_ne!(price(one), price(other), "{one} {other}");
        }
        for stranger in [
            "openai:gpt-4o-search-preview",
            "openai:gpt-4o-9",
            "openai:gpt-4o-2024-8-6",
            "openai:gpt-5.6-sol",
            "anthropic:claude-opus-4-9",
            "custom:gpt-4o",
            "azure:gpt-4o",
            "perplexity:sonar",
        ] {
            assert_eq!(price(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn well_known_prices_are_what_their_pages_say() {
        let cost =
            |id: &str, usage: Usage, tier| price(id).unwrap().cost_at(&usage, tier).unwrap().to_string();
        let million = Usage::new(1_000_000, 0);
        assert_eq!(cost("openai:text-embedding-3-small", million, Tier::Standard), "$0.02");
        assert_eq!(cost("openai:gpt-5", Usage::new(0, 1_000_000), Tier::Flex), "$5.00");
        assert_eq!(cost("gemini:gemini-2.5-pro", million, Tier::Standard), "$2.50", "above 200,000 tokens");
        let mut hour = Usage::new(1_000, 0);
        (hour.cache_write, hour.cache_write_1h) = (1_000, 1_000);
        assert_eq!(cost("anthropic:claude-sonnet-4-6", hour, Tier::Standard), "$0.006");
        let mut searches = Usage::default();
        searches.searches = 2;
        assert_eq!(cost("cohere:rerank-v3.5", searches, Tier::Standard), "$0.004");
        assert_eq!(price("offline:extract"), Some(Price::FREE));
    }
}
