//! What models cost, as dated data; settings override every row.
//!
//! A model that is not listed has no price: its cost is unknown, never zero.

use motet_core::ModelId;
use motet_core::usage::Price;

/// Month of the providers' public price pages that the rows below repeat.
pub const AS_OF: &str = "2025-12";

/// Gives the listed price of a model.
///
/// A dated snapshot such as `gpt-4o-2024-08-06` has the price of its family; other longer names do not.
#[must_use]
pub fn listed(id: &ModelId) -> Option<Price> {
    if matches!(id.provider(), "offline" | "scripted") {
        return Some(Price::FREE);
    }
    ROWS.iter()
        .find(|row| row.provider == id.provider() && is_same(id.model(), row.model))
        .map(|row| row.price)
}

/// A snapshot's name is the family's name, a hyphen, and a date.
fn is_same(model: &str, family: &str) -> bool {
    match model.strip_prefix(family) {
        Some("") => true,
        Some(rest) => {
            rest.len() > 1
                && rest.starts_with('-')
                && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
        }
        None => false,
    }
}

struct Row {
    provider: &'static str,
    model: &'static str,
    price: Price,
}

/// Makes a row from dollars a million tokens, in thousandths: input, cached input, output.
const fn row(model: &'static str, input: u64, cached: u64, output: u64) -> Row {
    let price = Price {
        input: input * 1_000,
        output: output * 1_000,
        cached_input: Some(cached * 1_000),
        cache_write: None,
    };
    Row { provider: "openai", model, price }
}

/// Makes the row of an embedding model from dollars a million tokens, in thousandths; it writes no tokens.
const fn embedding(provider: &'static str, model: &'static str, input: u64) -> Row {
    let price = Price { input: input * 1_000, output: 0, cached_input: None, cache_write: None };
    Row { provider, model, price }
}

const ROWS: &[Row] = &[
    row("gpt-4o", 2_500, 1_250, 10_000),
    row("gpt-4o-mini", 150, 75, 600),
    row("gpt-4.1", 2_000, 500, 8_000),
    row("gpt-4.1-mini", 400, 100, 1_600),
    row("gpt-4.1-nano", 100, 25, 400),
    row("gpt-5", 1_250, 125, 10_000),
    row("gpt-5-mini", 250, 25, 2_000),
    row("gpt-5-nano", 50, 5, 400),
    row("gpt-5.1", 1_250, 125, 10_000),
    row("o3", 2_000, 500, 8_000),
    row("o4-mini", 1_100, 275, 4_400),
    embedding("openai", "text-embedding-3-small", 20),
    embedding("openai", "text-embedding-3-large", 130),
    embedding("openai", "text-embedding-ada-002", 100),
    embedding("gemini", "gemini-embedding-001", 150),
    embedding("mistral", "mistral-embed", 100),
    embedding("mistral", "codestral-embed", 150),
    embedding("cohere", "embed-v4.0", 120),
    embedding("cohere", "embed-english-v3.0", 100),
    embedding("cohere", "embed-multilingual-v3.0", 100),
    embedding("bedrock", "amazon.titan-embed-text-v2:0", 20),
    embedding("voyage", "voyage-3.5", 60),
    embedding("voyage", "voyage-3.5-lite", 20),
];

#[cfg(test)]
mod tests {
    use motet_core::Usage;

    use super::*;

    #[test]
    fn snapshots_have_their_familys_price_and_strangers_have_none() {
        let price = |id: &str| listed(&id.parse().unwrap());
        assert_eq!(price("openai:gpt-4o-2024-08-06"), price("openai:gpt-4o"));
        assert_eq!(price("openai:gpt-4o-mini").unwrap().cached_input, Some(75_000));
        assert_eq!(price("openai:gpt-4o-audio"), None);
        assert_eq!(price("custom:gpt-4o"), None);
        let small = price("openai:text-embedding-3-small").unwrap();
        assert_eq!(small.cost(&Usage::new(1_000_000, 0)).to_string(), "$0.02");
        assert_eq!(price("offline:extract"), Some(Price::FREE));
    }
}
