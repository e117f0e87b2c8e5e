//! Token counts with one meaning for every provider, and exact money.
//!
//! Input includes cached and cache-write tokens; output includes reasoning tokens. Each dialect converts to that.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

pub use crate::price::Price;

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
    /// Part of `cache_write` that stays in the cache for an hour instead of minutes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_write_1h: u64,
    /// Part of `output` spent on reasoning.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reasoning: u64,
    /// Audio tokens read, part of `input`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub audio_input: u64,
    /// Audio tokens written, part of `output`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub audio_output: u64,
    /// Searches that are billed one by one beside tokens: of the web by a model, or of documents by a reranker.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub searches: u64,
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
            cache_write_1h: self.cache_write_1h.saturating_add(other.cache_write_1h),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            audio_input: self.audio_input.saturating_add(other.audio_input),
            audio_output: self.audio_output.saturating_add(other.audio_output),
            searches: self.searches.saturating_add(other.searches),
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

    /// Reads dollars written as a decimal, also with an exponent such as `4.88e-05`; what is finer than a nano-dollar is
    /// rounded up. `None` when the text is no decimal from zero up.
    #[must_use]
    pub fn from_dollars(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.trim().split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text.trim(), 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let value: u128 = digits.parse().ok()?;
        let places = exponent.checked_add(9)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        let power = 10_u128.checked_pow(places.unsigned_abs());
        let nanos = match power {
            Some(power) if places >= 0 => value.checked_mul(power)?,
            Some(power) => value.div_ceil(power),
            None if value == 0 => 0,
            None if places < 0 => 1,
            None => return None,
        };
        u64::try_from(nanos).ok().map(Self)
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
    fn dollars_are_read_exactly_and_rounded_up() {
        for (text, nanos) in [
            ("4.88e-05", Some(48_800)),
            ("0.00501", Some(5_010_000)),
            ("1E2", Some(100_000_000_000)),
            ("0", Some(0)),
            ("0e99", Some(0)),
            ("1e-10", Some(1)),
            ("1e-60", Some(1)),
            ("1.0000000001", Some(1_000_000_001)),
            (".5", Some(500_000_000)),
            ("-1", None),
            ("", None),
            (".", None),
            ("1e99", None),
            ("1e", None),
            ("NaN", None),
            ("0x10", None),
        ] {
            assert_eq!(Cost::from_dollars(text).map(Cost::nanos), nanos, "{text}");
        }
    }
}
