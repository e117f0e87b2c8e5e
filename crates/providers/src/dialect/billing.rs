//! What answers tell about their bill beside token counts: the money itself, and the tier they were made in.
//!
//! Knows no provider: whoever tells the cost of an answer in one of these forms means US dollars.

use motet_core::{Cost, StreamEvent};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Name of the metadata that tells the tier, where it is not the usual one.
const SERVICE_TIER: &str = "service_tier";

/// Ticks of xAI's that make a nano-dollar: a dollar has ten thousand million.
const TICKS: u64 = 10;

#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow, default)]
    cost: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cost_in_usd_ticks: Option<&'a RawValue>,
    #[serde(borrow, default)]
    is_byok: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cost_details: Option<Details<'a>>,
}

#[derive(Deserialize)]
struct Details<'a> {
    #[serde(borrow, default)]
    upstream_inference_cost: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Total<'a> {
    #[serde(borrow)]
    total_cost: &'a RawValue,
}

/// Reads the cost that a usage object tells; `None` where it tells none.
///
/// Where a router used the caller's own key, what it charges and what the provider behind it charges are added.
pub(crate) fn reported(usage: &RawValue) -> Option<Cost> {
    if !usage.get().contains("\"cost") {
        return None;
    }
    let told: Told<'_> = serde_json::from_str(usage.get()).ok()?;
    if let Some(ticks) = told.cost_in_usd_ticks {
        return ticks.get().parse::<u64>().ok().map(|ticks| Cost::from_nanos(ticks.div_ceil(TICKS)));
    }
    let cost = told.cost?;
    let cost = match serde_json::from_str::<Total<'_>>(cost.get()) {
        Ok(total) => dollars(total.total_cost)?,
        Err(_) => dollars(cost)?,
    };
    let own_key = told.is_byok.is_some_and(|raw| raw.get() == "true");
    let upstream = told.cost_details.and_then(|details| dollars(details.upstream_inference_cost?));
    Some(if own_key { cost + upstream? } else { cost })
}

fn dollars(raw: &RawValue) -> Option<Cost> {
    Cost::from_dollars(raw.get().trim_matches('"'))
}

/// Gives a tier's word, unless it says that all was as always.
pub(crate) fn unusual_tier(word: &str) -> Option<&str> {
    let usual = ["", "default", "standard", "auto", "on_demand", "ON_DEMAND"];
    (!usual.contains(&word)).then_some(word)
}

/// Gives the fact that an answer was made in an unusual tier.
pub(crate) fn tier_fact(word: &str) -> Option<StreamEvent> {
    let value = Value::from(unusual_tier(word)?);
    Some(StreamEvent::Metadata { name: SERVICE_TIER.to_owned(), value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_reported_cost_is_read() {
        for (usage, nanos) in [
            (
                r#"{"cost":4.88e-05,"is_byok":false,"cost_details":{"upstream_inference_cost":4.88e-05}}"#,
                Some(48_800),
            ),
            (
                r#"{"cost":0.000001,"is_byok":true,"cost_details":{"upstream_inference_cost":0.00002}}"#,
                Some(21_000),
            ),
            (r#"{"cost":0.000001,"is_byok":true,"cost_details":{"upstream_inference_cost":null}}"#, None),
            (r#"{"cost":"0.5"}"#, Some(500_000_000)),
            (
                r#"{"cost":{"input_tokens_cost":1e-05,"request_cost":0.005,"total_cost":0.00501}}"#,
                Some(5_010_000),
            ),
            (r#"{"cost":{"usd":1}}"#, None),
            (r#"{"cost":null,"cost_in_usd_ticks":7506000}"#, Some(750_600)),
            (r#"{"cost_in_usd_ticks":1}"#, Some(1)),
            (r#"{"cost":-1}"#, None),
            (r#"{"cost":null}"#, None),
            (r#"{"prompt_tokens":1}"#, None),
            (r#"["cost"]"#, None),
        ] {
            let raw = RawValue::from_string(usage.to_owned()).unwrap();
            assert_eq!(reported(&raw).map(Cost::nanos), nanos, "{usage}");
        }
    }

    #[test]
    fn only_an_unusual_tier_is_a_fact() {
        assert!(tier_fact("default").is_none() && tier_fact("ON_DEMAND").is_none());
        let Some(StreamEvent::Metadata { name, value }) = tier_fact("flex") else { panic!() };
        assert_eq!((name.as_str(), value.as_str()), ("service_tier", Some("flex")));
    }
}
