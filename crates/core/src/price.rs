//! What models charge, and what a usage costs by that: every token is priced exactly once.
//!
//! Knows no model's price; the rows are data of whoever composes the program.

use serde::{Deserialize, Serialize};

use crate::usage::{Cost, Usage};

/// Name of the metadata that tells where a cost comes from: `reported` by the provider; without it, the cost is computed
/// from the listed price.
pub const COST_SOURCE: &str = "cost_source";

/// Name of the metadata with the cost by the listed price, in nano-dollars, where the provider reported another one.
pub const LISTED_COST: &str = "listed_cost";

macro_rules! price {
    (
        always { $( $(#[doc = $adoc:literal])+ $always:ident; )* }
        perhaps { $( $(#[doc = $pdoc:literal])+ $perhaps:ident; )* }
    ) => {
        /// Prices of one model in micro-dollars per million tokens, so `0.15` dollars a million is `150_000`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Price {
            $( $(#[doc = $adoc])+ pub $always: u64, )*
            $( $(#[doc = $pdoc])+ #[serde(default, skip_serializing_if = "Option::is_none")] pub $perhaps: Option<u64>, )*
        }

        /// Parts of a price that replace those known; what is `None` stays as it is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct PriceChange {
            $( $(#[doc = $adoc])+ pub $always: Option<u64>, )*
            $( $(#[doc = $pdoc])+ pub $perhaps: Option<u64>, )*
        }

        impl PriceChange {
            /// Gives the price after the change; `None` when no price is known and the change lacks a part that none
            /// can do without.
            #[must_use]
            pub fn over(&self, known: Option<Price>) -> Option<Price> {
                Some(Price {
                    $( $always: self.$always.or(known.map(|known| known.$always))?, )*
                    $( $perhaps: self.$perhaps.or(known.and_then(|known| known.$perhaps)), )*
                })
            }
        }
    };
}

price! {
    always {
        /// Fresh input tokens.
        input;
        /// Output tokens, reasoning included.
        output;
    }
    perhaps {
        /// Input tokens read from the cache; the input price where it is not given.
        cached_input;
        /// Input tokens written to the cache; the input price where it is not given.
        cache_write;
        /// Input tokens written to the cache for an hour; the price of other cache writes where it is not given.
        cache_write_1h;
        /// Output tokens spent on reasoning; the output price where it is not given.
        reasoning;
        /// Audio tokens read; the input price where it is not given.
        audio_input;
        /// Audio tokens written; the output price where it is not given.
        audio_output;
        /// A million searches that are billed one by one; where it is not given, the cost of an answer with searches is
        /// unknown.
        search;
        /// Number of input tokens above which a request is billed at the `long` prices as a whole.
        long_above;
        /// Fresh input tokens of long requests.
        long_input;
        /// Output tokens of long requests.
        long_output;
        /// Input tokens of long requests that were read from the cache; by the ratio of the input prices where it is not
        /// given, as all other parts of long requests are.
        long_cached_input;
        /// Fresh input tokens of batches; the other input prices follow by the ratio to the standard one.
        batch_input;
        /// Output tokens of batches; the other output prices follow by the ratio to the standard one.
        batch_output;
        /// Fresh input tokens in the slower, cheaper service tier.
        flex_input;
        /// Output tokens in the slower, cheaper service tier.
        flex_output;
        /// Fresh input tokens in the faster, dearer service tier.
        priority_input;
        /// Output tokens in the faster, dearer service tier.
        priority_output;
    }
}

/// In which service tier an answer was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Tier {
    /// The usual one.
    #[default]
    Standard,
    /// In a batch, hours later.
    Batch,
    /// Slower and cheaper.
    Flex,
    /// Faster and dearer.
    Priority,
    /// One whose price is a matter of contracts.
    Other,
}

impl Tier {
    /// Reads the word of a provider.
    #[must_use]
    pub fn read(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "" | "default" | "standard" | "standard_only" | "auto" | "on_demand" => Tier::Standard,
            "batch" => Tier::Batch,
            "flex" | "on_demand_flex" => Tier::Flex,
            "priority" | "on_demand_priority" => Tier::Priority,
            _ => Tier::Other,
        }
    }
}

/// Prices are multiplied by this before ratios are taken, so that a ratio costs at most a millionth of a price's unit.
const FINE: u128 = 1_000_000;

/// A ratio of two prices.
#[derive(Clone, Copy)]
struct Ratio(u64, u64);

impl Ratio {
    const ONE: Ratio = Ratio(1, 1);

    /// Gives the ratio of a price to the standard one; one where either does not tell.
    fn of(price: Option<u64>, standard: u64) -> Self {
        match price {
            Some(price) if standard > 0 => Ratio(price, standard),
            _ => Ratio::ONE,
        }
    }
}

/// Gives a price in fine units after two ratios, rounded up.
fn scaled(price: u64, first: Ratio, second: Ratio) -> u128 {
    let numerator = u128::from(price)
        .saturating_mul(FINE)
        .saturating_mul(u128::from(first.0))
        .saturating_mul(u128::from(second.0));
    numerator.div_ceil((u128::from(first.1) * u128::from(second.1)).max(1))
}

impl Price {
    /// A model that costs nothing.
    pub const FREE: Price = Price::new(0, 0);

    /// Makes a price of input and output alone, in micro-dollars per million tokens.
    #[must_use]
    pub const fn new(input: u64, output: u64) -> Self {
        Price {
            input,
            output,
            cached_input: None,
            cache_write: None,
            cache_write_1h: None,
            reasoning: None,
            audio_input: None,
            audio_output: None,
            search: None,
            long_above: None,
            long_input: None,
            long_output: None,
            long_cached_input: None,
            batch_input: None,
            batch_output: None,
            flex_input: None,
            flex_output: None,
            priority_input: None,
            priority_output: None,
        }
    }

    /// Gives what the tokens of a usage cost in the usual tier; see [`cost_at`](Self::cost_at).
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Cost {
        let tokens = Usage { searches: 0, ..*usage };
        self.cost_at(&tokens, Tier::Standard).unwrap_or_default()
    }

    /// Gives what a usage costs in a tier: every token is priced once, and the sum is rounded up to a whole
    /// nano-dollar. `None` where the price of the tier, or of searches that were made, is unknown.
    ///
    /// Of input tokens, those read from the cache come first, then cache writes, then audio, and the rest is fresh; a
    /// provider does not tell which audio was cached. Of output tokens, reasoning comes first, then audio.
    #[must_use]
    pub fn cost_at(&self, usage: &Usage, tier: Tier) -> Option<Cost> {
        let rates = self.rates(tier, self.is_long(usage.input))?;
        let searches = match (usage.searches, self.search) {
            (0, _) => 0,
            (searches, price) => u128::from(searches).saturating_mul(u128::from(price?) * FINE),
        };
        let mut fresh = usage.input;
        let mut take = |wanted: u64| {
            let taken = wanted.min(fresh);
            fresh -= taken;
            taken
        };
        let (cached, written, audio) =
            (take(usage.cached_input), take(usage.cache_write), take(usage.audio_input));
        let hour = usage.cache_write_1h.min(written);
        let reasoning = usage.reasoning.min(usage.output);
        let spoken = usage.audio_output.min(usage.output - reasoning);
        let parts = [
            (fresh, rates.input),
            (cached, rates.cached_input),
            (written - hour, rates.cache_write),
            (hour, rates.cache_write_1h),
            (audio, rates.audio_input),
            (usage.output - reasoning - spoken, rates.output),
            (reasoning, rates.reasoning),
            (spoken, rates.audio_output),
        ];
        let sum = parts.into_iter().fold(searches, |sum: u128, (tokens, rate)| {
            sum.saturating_add(u128::from(tokens).saturating_mul(rate))
        });
        let nanos = sum.div_ceil(1_000 * FINE);
        Some(Cost::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// Gives the most that so many tokens can cost in a tier, whatever kind of input and output they are; cache writes
    /// count where `cache_writes` says that the request asks for them. `None` where the price of the tier is unknown.
    #[must_use]
    pub fn most(&self, input: u64, output: u64, tier: Tier, cache_writes: bool) -> Option<Cost> {
        let one = |long: bool| {
            let rates = self.rates(tier, long)?;
            let writes = if cache_writes { rates.cache_write.max(rates.cache_write_1h) } else { 0 };
            let read = rates.input.max(rates.cached_input).max(rates.audio_input).max(writes);
            let written = rates.output.max(rates.reasoning).max(rates.audio_output);
            let sum = u128::from(input)
                .saturating_mul(read)
                .saturating_add(u128::from(output).saturating_mul(written));
            u64::try_from(sum.div_ceil(1_000 * FINE)).ok().or(Some(u64::MAX))
        };
        let most = if self.is_long(input) { one(false)?.max(one(true)?) } else { one(false)? };
        Some(Cost::from_nanos(most))
    }

    fn is_long(&self, input: u64) -> bool {
        self.long_above.is_some_and(|above| input > above)
    }

    fn rates(&self, tier: Tier, long: bool) -> Option<Rates> {
        let (tier_input, tier_output) = match tier {
            Tier::Standard => (Some(self.input), Some(self.output)),
            Tier::Batch => (self.batch_input, self.batch_output),
            Tier::Flex => (self.flex_input, self.flex_output),
            Tier::Priority => (self.priority_input, self.priority_output),
            Tier::Other => (None, None),
        };
        if tier != Tier::Standard && *self == Price::FREE {
            return Price::FREE.rates(Tier::Standard, false);
        }
        let (tier_in, tier_out) =
            (Ratio::of(Some(tier_input?), self.input), Ratio::of(Some(tier_output?), self.output));
        let (long_in, long_out) = if long {
            (Ratio::of(self.long_input, self.input), Ratio::of(self.long_output, self.output))
        } else {
            (Ratio::ONE, Ratio::ONE)
        };
        let input = |price: u64| scaled(price, tier_in, long_in);
        let output = |price: u64| scaled(price, tier_out, long_out);
        let write = self.cache_write.unwrap_or(self.input);
        Some(Rates {
            input: input(self.input),
            cached_input: match self.long_cached_input.filter(|_| long) {
                Some(price) => scaled(price, tier_in, Ratio::ONE),
                None => input(self.cached_input.unwrap_or(self.input)),
            },
            cache_write: input(write),
            cache_write_1h: input(self.cache_write_1h.unwrap_or(write)),
            audio_input: input(self.audio_input.unwrap_or(self.input)),
            output: output(self.output),
            reasoning: output(self.reasoning.unwrap_or(self.output)),
            audio_output: output(self.audio_output.unwrap_or(self.output)),
        })
    }
}

/// What one token of each kind costs, in fine units.
struct Rates {
    input: u128,
    cached_input: u128,
    cache_write: u128,
    cache_write_1h: u128,
    audio_input: u128,
    output: u128,
    reasoning: u128,
    audio_output: u128,
}

#[cfg(test)]
mod tests;
