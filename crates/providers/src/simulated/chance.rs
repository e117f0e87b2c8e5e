//! What happens to requests now and then, the same with the same seed.
//!
//! Depends on the number of a request and on nothing else: neither on time nor on who asks.

use std::time::Duration;

use motet_core::ErrorKind;

use super::{Fault, Rules, Stage};

/// Something that happens to a request now and then.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Chance {
    /// Share of the requests that it happens to, from 0 to 1.
    pub probability: f64,
    /// Further time until the answer begins.
    pub delay: Duration,
    /// What goes wrong; `None` where the request is only slow.
    pub fault: Option<Fault>,
}

impl Chance {
    /// Makes a request go wrong now and then.
    #[must_use]
    pub fn new(probability: f64, fault: Fault) -> Self {
        Self { probability, delay: Duration::ZERO, fault: Some(fault) }
    }

    /// Makes a request slow now and then.
    #[must_use]
    pub fn slow(probability: f64, delay: Duration) -> Self {
        Self { probability, delay, fault: None }
    }

    /// Gives chances that together meet this share of the requests: every stage, by a cut or by a refusal, each as
    /// often as the others. Nothing hangs.
    #[must_use]
    pub fn of_every_kind(rate: f64) -> Vec<Self> {
        let faults = [
            Fault::new(Stage::BeforeConnect, ErrorKind::Connection),
            Fault::new(Stage::AfterConnect, ErrorKind::Connection),
            Fault::new(Stage::InHeaders, ErrorKind::Connection),
            Fault::new(Stage::InHeaders, ErrorKind::Overloaded).with_status(503),
            Fault::new(Stage::InHeaders, ErrorKind::RateLimit)
                .with_status(429)
                .with_retry_after(Duration::from_millis(100)),
            Fault::new(Stage::MidBody, ErrorKind::Connection),
            Fault::new(Stage::MidStream, ErrorKind::Connection),
            Fault::new(Stage::MidStream, ErrorKind::Overloaded),
        ];
        let (rate, mut left) = (rate.clamp(0.0, 1.0), 1.0);
        let each = rate / faults.len() as f64;
        let one = |fault| {
            // The first that happens counts, so that later ones must be likelier among what is left.
            let chance = Self::new((each / left).min(1.0), fault);
            left -= each;
            chance
        };
        faults.into_iter().map(one).collect()
    }
}

impl Rules {
    /// Gives what chance has for a request.
    pub(super) fn chance(&self, number: u64) -> Option<&Chance> {
        let chances = (0u64..).zip(&self.chances);
        let happens = |(place, chance): &(u64, &Chance)| draw(self.seed, number, *place) < chance.probability;
        chances.into_iter().find(happens).map(|(_, chance)| chance)
    }
}

/// Gives a number from 0 to 1, 1 excluded, that looks like chance: the mixing function of `SplitMix64` over all three.
fn draw(seed: u64, number: u64, place: u64) -> f64 {
    let mix = |state: u64| {
        let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^ (state >> 31)
    };
    let mixed = mix(mix(mix(seed) ^ number) ^ place);
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(seed: u64, rate: f64) -> Vec<Option<Fault>> {
        let rules = Rules { chances: Chance::of_every_kind(rate), seed, ..Rules::new() };
        (0..20_000).map(|number| rules.chance(number).and_then(|chance| chance.fault.clone())).collect()
    }

    #[test]
    fn the_same_seed_meets_the_same_and_another_something_else() {
        assert_eq!(met(7, 0.05), met(7, 0.05));
        assert_ne!(met(7, 0.05), met(8, 0.05));
    }

    #[test]
    fn every_kind_happens_equally_often_and_all_together_at_the_rate() {
        assert!(met(1, 0.0).iter().all(Option::is_none));
        assert!(met(1, 1.0).iter().all(Option::is_some));
        let faults: Vec<Fault> = met(7, 0.2).into_iter().flatten().collect();
        assert!((3_800..4_200).contains(&faults.len()), "{}", faults.len());
        for chance in Chance::of_every_kind(0.2) {
            let count = faults.iter().filter(|fault| Some(*fault) == chance.fault.as_ref()).count();
            assert!((400..600).contains(&count), "{count} of {chance:?}");
        }
    }
}
