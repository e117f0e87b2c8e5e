//! Prices of usages, by hand-made numbers and by properties that hold for all.

use proptest::prelude::*;

use super::*;

#[test]
fn cached_tokens_are_priced_once() {
    let price = Price { cached_input: Some(1_250_000), ..Price::new(2_500_000, 10_000_000) };
    let usage = Usage { cached_input: 400, ..Usage::new(1_000, 10) };
    assert_eq!(price.cost(&usage).nanos(), 600 * 2_500 + 400 * 1_250 + 10 * 10_000);
}

#[test]
fn every_part_has_its_price_or_that_of_the_whole() {
    let price = Price {
        cached_input: Some(100),
        cache_write: Some(1_250_000),
        cache_write_1h: Some(2_000_000),
        reasoning: Some(7_000_000),
        audio_input: Some(40_000_000),
        audio_output: Some(80_000_000),
        ..Price::new(1_000_000, 5_000_000)
    };
    let mut usage = Usage::new(1_000, 100);
    (usage.cached_input, usage.cache_write, usage.cache_write_1h) = (100, 200, 50);
    (usage.audio_input, usage.audio_output, usage.reasoning) = (10, 20, 30);
    let input = 690 * 1_000_000 + 100 * 100 + 150 * 1_250_000 + 50 * 2_000_000 + 10 * 40_000_000;
    let output = 50 * 5_000_000 + 30 * 7_000_000 + 20 * 80_000_000;
    assert_eq!(price.cost(&usage).nanos(), (input + output) / 1_000);
    let plain = Price::new(1_000_000, 5_000_000);
    assert_eq!(plain.cost(&usage).nanos(), 1_000 * 1_000 + 100 * 5_000);
}

#[test]
fn counts_that_do_not_fit_into_the_whole_never_underflow() {
    let price = Price::new(1_000, 1_000);
    let mut usage = Usage { cached_input: 50, cache_write: 50, audio_input: 50, ..Usage::new(10, 5) };
    (usage.reasoning, usage.audio_output, usage.cache_write_1h) = (9, 9, 99);
    assert_eq!(price.cost(&usage).nanos(), 15);
}

#[test]
fn a_long_request_is_dearer_as_a_whole() {
    let price = Price {
        cached_input: Some(125_000),
        long_above: Some(200_000),
        long_input: Some(2_500_000),
        long_output: Some(15_000_000),
        ..Price::new(1_250_000, 10_000_000)
    };
    let at = |input: u64| price.cost(&Usage { cached_input: 1_000, ..Usage::new(input, 10) }).nanos();
    assert_eq!(at(200_000), 199_000 * 1_250 + 1_000 * 125 + 10 * 10_000);
    assert_eq!(at(200_001), 199_001 * 2_500 + 1_000 * 250 + 10 * 15_000);
    let stated = Price { long_cached_input: Some(125_000), ..price };
    let usage = Usage { cached_input: 1_000, ..Usage::new(200_001, 0) };
    assert_eq!(stated.cost(&usage).nanos(), 199_001 * 2_500 + 1_000 * 125);
}

#[test]
fn a_tier_scales_all_parts_and_an_unknown_one_has_no_price() {
    // The ratio of these is five thirds, which no percentage is.
    let price = Price {
        cached_input: Some(75_000),
        batch_input: Some(75_000),
        batch_output: Some(300_000),
        priority_input: Some(250_000),
        priority_output: Some(1_000_000),
        ..Price::new(150_000, 600_000)
    };
    let usage = Usage { cached_input: 400, ..Usage::new(1_000, 10) };
    let nanos = |tier| price.cost_at(&usage, tier).map(Cost::nanos);
    assert_eq!(nanos(Tier::Standard), Some(600 * 150 + 400 * 75 + 10 * 600));
    assert_eq!(nanos(Tier::Batch), Some((600 * 150 + 400 * 75 + 10 * 600) / 2));
    assert_eq!(nanos(Tier::Priority), Some(600 * 250 + 400 * 125 + 10 * 1_000));
    assert_eq!((nanos(Tier::Flex), nanos(Tier::Other)), (None, None));
    assert_eq!(Price::FREE.cost_at(&usage, Tier::Other), Some(Cost::ZERO));
}

#[test]
fn searches_cost_what_a_search_costs_and_nothing_is_guessed() {
    let usage = Usage { searches: 3, ..Usage::new(0, 0) };
    let price = Price { search: Some(2_000_000_000), ..Price::new(1, 1) };
    assert_eq!(price.cost_at(&usage, Tier::Standard).unwrap().to_string(), "$0.006");
    assert_eq!(Price::new(1, 1).cost_at(&usage, Tier::Standard), None);
}

#[test]
fn the_words_of_providers_are_tiers() {
    for (word, tier) in [
        ("default", Tier::Standard),
        ("ON_DEMAND", Tier::Standard),
        ("ON_DEMAND_FLEX", Tier::Flex),
        ("flex", Tier::Flex),
        ("batch", Tier::Batch),
        ("priority", Tier::Priority),
        ("provisioned", Tier::Other),
        ("scale", Tier::Other),
    ] {
        assert_eq!(Tier::read(word), tier, "{word}");
    }
}

#[test]
fn a_change_replaces_only_what_it_names() {
    let known = Price { cached_input: Some(5), ..Price::new(10, 20) };
    let change = PriceChange { output: Some(30), ..PriceChange::default() };
    assert_eq!(change.over(Some(known)), Some(Price { output: 30, ..known }));
    assert_eq!(change.over(None), None, "an input price is not guessed");
    let whole = PriceChange { input: Some(1), ..change };
    assert_eq!(whole.over(None), Some(Price::new(1, 30)));
}

fn prices() -> impl Strategy<Value = Price> {
    let part = || proptest::option::of(0..100_000_000_u64);
    (0..50_000_000_u64, 0..100_000_000_u64, part(), part(), part(), part(), part()).prop_map(
        |(input, output, cached_input, cache_write, cache_write_1h, reasoning, audio_output)| Price {
            cached_input,
            cache_write,
            cache_write_1h,
            reasoning,
            audio_output,
            ..Price::new(input, output)
        },
    )
}

fn usages() -> impl Strategy<Value = Usage> {
    (0..100_000_u64, 0..100_000_u64, 0..100_000_u64, 0..100_000_u64, 0..100_000_u64).prop_map(
        |(cached, written, fresh, reasoning, text)| {
            let mut usage = Usage::new(cached + written + fresh, reasoning + text);
            (usage.cached_input, usage.cache_write, usage.reasoning) = (cached, written, reasoning);
            usage.cache_write_1h = written / 3;
            usage
        },
    )
}

proptest! {
    #[test]
    fn the_parts_of_a_usage_cost_what_the_whole_costs(price in prices(), one in usages(), other in usages()) {
        let (parts, whole) = (price.cost(&one) + price.cost(&other), price.cost(&(one + other)));
        // Each part is rounded up by itself, so that parts may cost a nano-dollar more than the whole, never less.
        prop_assert!(parts >= whole && parts.nanos() - whole.nanos() <= 1, "{parts} {whole}");
    }

    #[test]
    fn nothing_costs_more_than_the_most(price in prices(), usage in usages()) {
        let most = price.most(usage.input, usage.output, Tier::Standard, true).unwrap();
        prop_assert!(price.cost(&usage) <= most);
    }
}
