//! What an answer cost: the provider's own word where it gives one, else its usage at the listed price.
//!
//! Knows no provider, and no price but the one it is given.

use motet_core::price::{COST_SOURCE, LISTED_COST, Price, Tier};
use motet_core::{Cost, StreamEvent, Usage};
use serde_json::Value;

/// What an answer has told about its bill so far.
#[derive(Debug, Default)]
pub(super) struct Bill {
    usage: Option<Usage>,
    /// Tokens that are paid for, where they are other ones than those that the model saw and wrote.
    billed: Option<Usage>,
    reported: Option<Cost>,
    tier: Tier,
}

impl Bill {
    /// Notes what events tell.
    pub(super) fn note(&mut self, events: &[StreamEvent]) {
        for event in events {
            match event {
                StreamEvent::Usage { usage } => self.usage = Some(*usage),
                StreamEvent::Cost { cost } => self.reported = *cost,
                StreamEvent::Metadata { name, value } => self.fact(name, value),
                _ => {}
            }
        }
    }

    fn fact(&mut self, name: &str, value: &Value) {
        match name {
            "service_tier" | "serviceTier" => {
                let word = value.as_str().or_else(|| value.get("type")?.as_str());
                self.tier = word.map_or(self.tier, Tier::read);
            }
            // Faster answers of some models have a price of their own, which is not listed.
            "performanceConfig" if value.get("latency").and_then(Value::as_str) == Some("optimized") => {
                self.tier = Tier::Other;
            }
            "billed_tokens" => {
                let count = |name| value.get(name).and_then(Value::as_u64).unwrap_or(0);
                self.billed = Some(Usage::new(count("input"), count("output")));
            }
            _ => {}
        }
    }

    /// Gives what is told at the end: the cost, where it comes from, and the listed one where that is another.
    pub(super) fn close(&self, price: Option<&Price>, out: &mut Vec<StreamEvent>) {
        let usage = self.billed.or(self.usage);
        let listed = usage.and_then(|usage| price?.cost_at(&usage, self.tier));
        settle(self.reported, listed, |name, value| {
            out.push(StreamEvent::Metadata { name: name.to_owned(), value });
        });
        if self.reported.is_none() {
            out.extend(listed.map(|cost| StreamEvent::Cost { cost: Some(cost) }));
        }
    }
}

/// Tells where a cost comes from, and the listed one where the reported one is another.
pub(super) fn settle(reported: Option<Cost>, listed: Option<Cost>, mut tell: impl FnMut(&str, Value)) {
    let Some(cost) = reported else { return };
    tell(COST_SOURCE, Value::from("reported"));
    if let Some(listed) = listed.filter(|listed| *listed != cost) {
        tell(LISTED_COST, Value::from(listed.nanos()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn closed(events: &[StreamEvent], price: Option<&Price>) -> Vec<String> {
        let (mut bill, mut out) = (Bill::default(), Vec::new());
        bill.note(events);
        bill.close(price, &mut out);
        out.iter()
            .map(|event| match event {
                StreamEvent::Cost { cost } => format!("cost {}", cost.unwrap().nanos()),
                StreamEvent::Metadata { name, value } => format!("{name} {value}"),
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn the_reported_cost_counts_and_the_listed_one_is_told_where_it_differs() {
        let price = Price {
            flex_input: Some(500_000),
            flex_output: Some(1_000_000),
            ..Price::new(1_000_000, 2_000_000)
        };
        let usage = StreamEvent::Usage { usage: Usage::new(10, 5) };
        let cost = |nanos| StreamEvent::Cost { cost: Some(Cost::from_nanos(nanos)) };
        let fact = |name: &str, value| StreamEvent::Metadata { name: name.to_owned(), value };
        for (events, price, told) in [
            (vec![usage.clone()], Some(&price), &["cost 20000"][..]),
            (vec![usage.clone(), cost(20_000)], Some(&price), &["cost_source \"reported\""]),
            (vec![usage.clone(), cost(7)], Some(&price), &["cost_source \"reported\"", "listed_cost 20000"]),
            (vec![cost(7)], None, &["cost_source \"reported\""]),
            (vec![usage.clone()], None, &[]),
            (vec![], Some(&price), &[]),
            (
                vec![usage.clone(), fact("serviceTier", json!({"type": "flex"}))],
                Some(&price),
                &["cost 10000"],
            ),
            (vec![fact("service_tier", json!("priority")), usage.clone()], Some(&price), &[]),
            (
                vec![fact("performanceConfig", json!({"latency": "optimized"})), usage.clone()],
                Some(&price),
                &[],
            ),
            (
                vec![usage, fact("billed_tokens", json!({"input": 3, "output": 0}))],
                Some(&price),
                &["cost 3000"],
            ),
        ] {
            assert_eq!(closed(&events, price), told, "{events:?}");
        }
    }
}
