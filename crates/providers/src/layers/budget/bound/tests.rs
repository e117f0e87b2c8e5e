//! Bounds of hand-made requests; recorded ones are tested where the recordings are.

use crate::layers::Lent;

use motet_core::{Delivery, Message};
use serde_json::json;

use super::*;

fn id(model: &str) -> ModelId {
    model.parse().unwrap()
}

fn request(more: Value) -> ChatRequest {
    let mut fields =
        json!({"model": "a:b", "messages": [{"role": "user", "parts": [{"type": "text", "text": "Hello"}]}]});
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(fields).unwrap()
}

fn of(request: &ChatRequest, candidates: &[Candidate]) -> Bound {
    bound(&Ask::Chat { request: Lent::Borrowed(request), delivery: Delivery::Plain }, candidates)
}

fn priced(price: Price) -> Candidate {
    Candidate::new(id("a:b"), Some(price))
}

#[test]
fn the_output_is_bounded_by_the_largest_limit_that_is_set() {
    let candidate = priced(Price::new(0, 1_000_000));
    for (more, output) in [
        (json!({"max_tokens": 7}), Some(7)),
        (json!({"max_tokens": 7, "extra": {"max_completion_tokens": 9}}), Some(9)),
        (json!({"extra": {"generationConfig": {"maxOutputTokens": 8}}}), Some(8)),
        (json!({"max_tokens": 7, "extra": {"generation_config": {"max_output_tokens": 8}}}), Some(8)),
        (json!({"max_tokens": 7, "extra": {"inferenceConfig": {"maxTokens": 8}}}), Some(8)),
        (json!({"max_tokens": 7, "extra": {"options": {"num_predict": 8}}}), Some(8)),
        (json!({"max_tokens": 7, "extra": {"options": {"num_predict": -1}}}), None),
        (json!({"max_tokens": 7, "extra": {"n": 3}}), Some(21)),
        (json!({"max_tokens": 7, "extra": {"generationConfig": {"candidateCount": 3}}}), Some(21)),
        (json!({"max_tokens": 7, "extra": {"max_tokens": "many"}}), None),
        (json!({}), None),
    ] {
        let bound = of(&request(more.clone()), std::slice::from_ref(&candidate));
        assert_eq!(bound.unlimited_output.is_none(), output.is_some(), "{more}");
        assert_eq!(bound.estimate.cost.unwrap().nanos(), output.unwrap_or(0) * 1_000, "{more}");
    }
    let listed = candidate.with_limits(Some(100), None);
    assert_eq!(of(&request(json!({})), &[listed]).estimate.cost.unwrap().nanos(), 100_000);
}

#[test]
fn the_dearest_model_that_may_answer_counts_and_an_unknown_price_makes_all_unknown() {
    let dear = Candidate::new(id("c:d"), Some(Price::new(0, 5_000_000)));
    let cheap = priced(Price::new(0, 1_000_000));
    let asked = request(json!({"max_tokens": 10}));
    assert_eq!(of(&asked, &[cheap.clone(), dear]).estimate.cost.unwrap().nanos(), 50_000);
    let unknown = Candidate::new(id("e:f"), None);
    let bound = of(&asked, &[cheap, unknown]);
    assert_eq!((bound.estimate.cost, bound.unknown_price), (None, Some(id("e:f"))));
    assert_eq!(bound.estimate.known_cost.nanos(), 10_000, "the others are reserved for nevertheless");
}

#[test]
fn text_is_bounded_by_its_bytes_and_the_window() {
    let text = "ä".repeat(50_000);
    let asked =
        ChatRequest { max_tokens: Some(0), ..ChatRequest::new(id("a:b"), vec![Message::user(&*text)]) };
    let bytes = text.len() as u64;
    let tokens = of(&asked, &[priced(Price::new(1, 1))]).estimate.tokens;
    assert!((bytes..bytes + 2_000).contains(&tokens), "{tokens}");
    let window = priced(Price::new(1, 1)).with_limits(None, Some(30_000));
    assert_eq!(of(&asked, &[window]).estimate.tokens, 30_000);
}

#[test]
fn pictures_and_documents_have_stated_bounds_instead_of_their_bytes() {
    let data = "A".repeat(4_000_000);
    let with = |kind: &str, media_type: &str, source: Value| {
        let part = json!({"type": kind, "media_type": media_type, "source": source});
        let asked = request(json!({"max_tokens": 0, "messages": [{"role": "user", "parts": [part]}]}));
        let bound = of(&asked, &[priced(Price::new(1, 1))]);
        (bound.estimate.tokens, bound.unseen_input)
    };
    let (image, _) = with("image", "image/png", json!({"base64": data}));
    assert!((IMAGE_TOKENS..IMAGE_TOKENS + 2_000).contains(&image), "{image}");
    assert_eq!(with("image", "image/png", json!({"url": "https://a/b.png"})).0 / IMAGE_TOKENS, 1);
    let (pdf, unseen) = with("document", "application/pdf", json!({"base64": data}));
    assert!(pdf > 1_000 * PAGE_TOKENS && unseen.is_none(), "{pdf}");
    let (text, _) = with("document", "text/plain", json!({"base64": "A".repeat(400)}));
    assert!(text < 2_500, "{text}");
    let (_, unseen) = with("document", "application/pdf", json!({"url": "https://a/b.pdf"}));
    assert_eq!(unseen, Some("a document given by its address"));
    for name in ["previous_response_id", "previous_interaction_id", "cached_content"] {
        let asked = request(json!({"max_tokens": 1, "extra": {name: "r"}}));
        assert_eq!(of(&asked, &[priced(Price::FREE)]).unseen_input, Some(name));
    }
}

#[test]
fn tiers_and_cache_writes_cost_what_they_cost() {
    let price = Price {
        cache_write_1h: Some(2_000_000),
        priority_input: Some(2_000_000),
        priority_output: Some(2_000_000),
        ..Price::new(1_000_000, 1_000_000)
    };
    let cost = |more: Value| of(&request(more), &[priced(price)]).estimate.cost.map(Cost::nanos);
    let plain = cost(json!({"max_tokens": 1_000})).unwrap();
    assert!(plain > 1_000_000 + 1_024_000);
    let priority = cost(json!({"max_tokens": 1_000, "extra": {"service_tier": "priority"}})).unwrap();
    assert!(priority > plain * 2, "{priority} {plain}");
    assert_eq!(cost(json!({"max_tokens": 1_000, "extra": {"service_tier": "flex"}})), None);
    let written =
        cost(json!({"max_tokens": 1_000, "extra": {"cache_control": {"type": "ephemeral"}}})).unwrap();
    assert!(written - 1_000_000 > (plain - 1_000_000) * 2 - 1, "{written} {plain}");
}

#[test]
fn vectors_and_rankings_are_bounded_without_output() {
    let embed = EmbedRequest::new(id("a:b"), vec!["x".repeat(100), "y".repeat(50)]);
    let bound_of = |ask: &Ask<'_>, price| bound(ask, &[priced(price)]);
    let vectors = bound_of(&Ask::Embed(Lent::Borrowed(&embed)), Price::new(1_000_000, 9_000_000));
    assert_eq!(vectors.estimate.cost.unwrap().nanos(), (150 + 2 * MESSAGE_TOKENS) * 1_000);
    let documents: Vec<String> = (0..101).map(|_| "d".to_owned()).collect();
    let rerank: RerankRequest =
        serde_json::from_value(json!({"model": "a:b", "query": "q", "documents": documents})).unwrap();
    let price = Price { search: Some(2_000_000_000), ..Price::FREE };
    let ranking = bound_of(&Ask::Rerank(Lent::Borrowed(&rerank)), price);
    assert_eq!(ranking.estimate.cost.unwrap().to_string(), "$0.004", "two searches of a hundred documents");
}
