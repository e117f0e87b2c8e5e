//! Token counts with one meaning for every provider, and exact money.
//!
//! Input includes cached and cache-write tokens; output includes reasoning tokens. Each dialect converts to that.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

/// Tokens of one model call, or the sum over several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens read by the model, cached ones and cache writes included.
    pub input: u64,
    /// Tokens written by the model, reasoning included.
    pub output: u64,
    /// Part of `input` that was read from the provider's prompt cache.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cached_input: u64,
    /// Part of `input` that was written to the provider's prompt cache.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_write: u64,
    /// Part of `output` spent on reasoning.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reasoning: u64,
    /// Audio tokens read, part of `input`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub audio_input: u64,
    /// Audio tokens written, part of `output`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub audio_output: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it by reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Usage {
    /// Makes a count of plain input and output tokens.
    #[must_use]
    pub fn new(input: u64, output: u64) -> Self {
        Self { input, output, ..Self::default() }
    }

    /// Gives input plus output.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// Gives the input tokens that were neither read from nor written to the cache.
    #[must_use]
    pub fn fresh_input(&self) -> u64 {
        self.input.saturating_sub(self.cached_input).saturating_sub(self.cache_write)
    }
}

impl Add for Usage {
    type Output = Usage;

    fn add(self, other: Usage) -> Usage {
        Usage {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            cached_input: self.cached_input.saturating_add(other.cached_input),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            audio_input: self.audio_input.saturating_add(other.audio_input),
            audio_output: self.audio_output.saturating_add(other.audio_output),
        }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Usage) {
        *self = *self + other;
    }
}

impl Sum for Usage {
    fn sum<I: Iterator<Item = Usage>>(iter: I) -> Usage {
        iter.fold(Usage::default(), Add::add)
    }
}

/// An amount of money in whole nano-dollars (10⁻⁹ US dollars), so that sums are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cost(u64);

impl Cost {
    /// Nothing to pay.
    pub const ZERO: Cost = Cost(0);

    /// Makes an amount from nano-dollars.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Gives the nano-dollars.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Gives US dollars, for showing only: sums are made in nano-dollars.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl Add for Cost {
    type Output = Cost;

    fn add(self, other: Cost) -> Cost {
        Cost(self.0.saturating_add(other.0))
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Cost>>(iter: I) -> Cost {
        iter.fold(Cost::ZERO, Add::add)
    }
}

impl fmt::Display for Cost {
    /// Writes dollars with all digits that matter and at least two, such as `$0.0000375` or `$1.50`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:09}", self.0 % 1_000_000_000);
        let mut digits = fraction.trim_end_matches('0').len();
        digits = digits.max(2);
        write!(f, "${}.{}", self.0 / 1_000_000_000, fraction.get(..digits).unwrap_or(&fraction))
    }
}

/// Prices of one model in micro-dollars per million tokens, so `0.15` dollars a million is `150_000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Fresh input tokens.
    pub input: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// Input tokens read from the cache; the input price where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<u64>,
    /// Input tokens written to the cache; the input price where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<u64>,
}

impl Price {
    /// A model that costs nothing.
    pub const FREE: Price = Price { input: 0, output: 0, cached_input: None, cache_write: None };

    /// Gives what a usage costs: every token is priced once, and the sum is rounded up to a whole nano-dollar.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Cost {
        let cached = usage.cached_input.min(usage.input);
        let written = usage.cache_write.min(usage.input - cached);
        let parts = [
            (usage.input - cached - written, self.input),
            (cached, self.cached_input.unwrap_or(self.input)),
            (written, self.cache_write.unwrap_or(self.input)),
            (usage.output, self.output),
        ];
        let pico: u128 =
            parts.into_iter().map(|(tokens, price)| u128::from(tokens) * u128::from(price)).sum();
        Cost(u64::try_from(pico.div_ceil(1_000)).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_prints_exactly() {
        for (nanos, text) in [
            (0, "$0.00"),
            (37_500, "$0.0000375"),
            (1_500_000_000, "$1.50"),
            (1, "$0.000000001"),
            (12_345_678_901, "$12.345678901"),
        ] {
            assert_eq!(Cost::from_nanos(nanos).to_string(), text);
        }
    }

    #[test]
    fn cached_tokens_are_priced_once() {
        let price =
            Price { input: 2_500_000, output: 10_000_000, cached_input: Some(1_250_000), cache_write: None };
        let usage = Usage { cached_input: 400, ..Usage::new(1_000, 10) };
        assert_eq!(price.cost(&usage).nanos(), 600 * 2_500 + 400 * 1_250 + 10 * 10_000);
    }

    #[test]
    fn a_cache_count_above_the_input_never_underflows() {
        let price = Price { input: 1_000, output: 1_000, cached_input: None, cache_write: None };
        let usage = Usage { cached_input: 50, cache_write: 50, ..Usage::new(10, 0) };
        assert_eq!(price.cost(&usage).nanos(), 10);
    }
}
