//! How many tokens a request can use at most, and what they can cost, before it is sent.
//!
//! Pure, and safe rather than close: what is reserved too much comes back after the call. Every bound is stated here.

use std::io;

use motet_core::budget::Estimate;
use motet_core::message::{Media, MediaSource};
use motet_core::price::Tier;
use motet_core::request::Output;
use motet_core::rerank::RerankRequest;
use motet_core::usage::Price;
use motet_core::{ChatRequest, Cost, EmbedRequest, ModelId, Part};
use serde_json::{Map, Value};

use crate::layers::Ask;

/// Tokens that a request has at most beside its text: what providers put around it unseen.
const REQUEST_TOKENS: u64 = 1_024;
/// The same for each message.
const MESSAGE_TOKENS: u64 = 64;
/// The same for each tool; the first makes some models see instructions of their own.
const TOOL_TOKENS: u64 = 512;
/// Tokens of an image at most: the largest number of tiles or patches that a known model cuts one into.
pub const IMAGE_TOKENS: u64 = 50_000;
/// Tokens of a page of a document at most: its text, and its image.
pub const PAGE_TOKENS: u64 = 6_000;
/// Tokens for each byte of a packed document, such as a PDF, whose text may be compressed.
const PACKED: u64 = 8;
/// Documents that one search unit of a reranker holds.
const SEARCH_DOCUMENTS: u64 = 100;
/// Bytes that a reranker counts as one document at most; longer ones are cut into several, each of some hundred tokens.
const SEARCH_BYTES: u64 = 500;

/// Fields of the provider's own that let the model read what does not stand in the request.
const UNSEEN: &[&str] = &[
    "cachedContent",
    "cached_content",
    "container",
    "conversation",
    "mcp_servers",
    "plugins",
    "previous_interaction_id",
    "previous_response_id",
    "prompt",
    "server_tools",
    "tools",
    "web_search_options",
];

/// Fields of the provider's own that limit the output, in the place of the request's limit.
const OUTPUT_LIMITS: &[&str] = &[
    "max_completion_tokens",
    "max_output_tokens",
    "max_tokens",
    "maxOutputTokens",
    "maxTokens",
    "num_predict",
];

/// Fields of the provider's own that ask for several answers.
const ANSWER_COUNTS: &[&str] = &["n", "best_of", "candidate_count", "candidateCount"];

/// Fields of the provider's own that hold options, those above among them.
const NESTED: &[&str] = &["generationConfig", "generation_config", "inferenceConfig", "options"];

/// What is known of a model that a call may reach.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Candidate {
    /// The model.
    pub model: ModelId,
    /// What it charges; `None` where that is unknown.
    pub price: Option<Price>,
    /// Most tokens that it writes where the request sets no limit; `None` where that is not known.
    pub max_output: Option<u32>,
    /// Most tokens that it reads; `None` where that is not known.
    pub context: Option<u64>,
    /// Tokens of instructions at most that its provider puts before every conversation.
    pub hidden_input: u32,
}

impl Candidate {
    /// Tells of a model of which nothing is known but its price.
    #[must_use]
    pub fn new(model: ModelId, price: Option<Price>) -> Self {
        Self { model, price, max_output: None, context: None, hidden_input: 0 }
    }

    /// Sets what it writes at most where the request sets no limit, and what it reads at most.
    #[must_use]
    pub fn with_limits(self, max_output: Option<u32>, context: Option<u64>) -> Self {
        Self { max_output, context, ..self }
    }

    /// Sets how many tokens of instructions its provider puts before every conversation.
    #[must_use]
    pub fn with_hidden_input(self, hidden_input: u32) -> Self {
        Self { hidden_input, ..self }
    }
}

/// What a call can use at most, and why it may be more.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Bound {
    /// The most over all models that the call may reach; its cost is `None` where one of their prices is unknown.
    pub estimate: Estimate,
    /// A model whose price is unknown.
    pub unknown_price: Option<ModelId>,
    /// A model whose output nothing limits.
    pub unlimited_output: Option<ModelId>,
    /// Something that lets the provider read more than the request holds.
    pub unseen_input: Option<&'static str>,
}

/// Gives what a call can use at most, whichever of its models answers.
#[must_use]
pub fn bound(ask: &Ask<'_>, candidates: &[Candidate]) -> Bound {
    let size = Size::of(ask);
    let mut bound = Bound {
        estimate: Estimate {
            model: ask.model().clone(),
            cost: Some(Cost::ZERO),
            known_cost: Cost::ZERO,
            tokens: 0,
        },
        unknown_price: None,
        unlimited_output: None,
        unseen_input: size.unseen,
    };
    for candidate in candidates {
        let input = size.input.saturating_add(u64::from(candidate.hidden_input));
        let input = match candidate.context {
            // Bytes exceed a model's window long before its tokens do.
            Some(most) if size.unseen.is_none() => input.min(most),
            _ => input,
        };
        let each = size.output_limit.or(candidate.max_output.map(u64::from));
        let output = match each {
            Some(each) => each.saturating_mul(size.answers),
            None => {
                bound.unlimited_output.get_or_insert_with(|| candidate.model.clone());
                0
            }
        };
        bound.estimate.tokens = bound.estimate.tokens.max(input.saturating_add(output));
        let searches = size.searches;
        let cost = candidate.price.and_then(|price| {
            let tokens = price.most(input, output, size.tier, size.cache_writes)?;
            let searched = price.search.unwrap_or(0).saturating_mul(searches).div_ceil(1_000);
            Some(tokens + Cost::from_nanos(searched))
        });
        match cost {
            Some(cost) => bound.estimate.known_cost = bound.estimate.known_cost.max(cost),
            None => {
                bound.unknown_price.get_or_insert_with(|| candidate.model.clone());
            }
        }
    }
    bound.estimate.cost = Some(bound.estimate.known_cost).filter(|_| bound.unknown_price.is_none());
    bound
}

/// What bounds a request, whatever the model.
struct Size {
    input: u64,
    output_limit: Option<u64>,
    answers: u64,
    searches: u64,
    tier: Tier,
    cache_writes: bool,
    unseen: Option<&'static str>,
}

impl Size {
    fn of(ask: &Ask<'_>) -> Self {
        match ask {
            Ask::Chat { request, .. } => Self::of_chat(request),
            Ask::Embed(request) => Self::of_embedding(request),
            Ask::Rerank(request) => Self::of_ranking(request),
        }
    }

    fn of_chat(request: &ChatRequest) -> Self {
        let mut counter = Counter::default();
        let written = serde_json::to_writer(&mut counter, request).is_ok();
        let mut media = MediaSize::default();
        request.messages.iter().flat_map(|message| &message.parts).for_each(|part| media.add(part));
        // A schema may be told in words beside the field that it stands in.
        let schema = match &request.output {
            Output::JsonSchema(output) => output.schema.to_string().len() as u64,
            _ => 0,
        };
        let around = REQUEST_TOKENS
            + MESSAGE_TOKENS * request.messages.len() as u64
            + TOOL_TOKENS * request.tools.len() as u64;
        let text = counter.bytes.saturating_sub(media.bytes).saturating_add(schema);
        let extra = &request.extra;
        let unseen = UNSEEN.iter().copied().find(|name| extra.contains_key(*name));
        let unseen = unseen.or((!written).then_some("a value that is no JSON"));
        Self {
            input: text.saturating_add(around).saturating_add(media.tokens),
            output_limit: output_limit(request),
            answers: told(extra, ANSWER_COUNTS).filter_map(Value::as_u64).fold(1, u64::max),
            searches: 0,
            tier: tier(extra),
            cache_writes: counter.cache_marks,
            unseen: unseen.or(media.unbounded.then_some("a document given by its address")),
        }
    }

    fn of_embedding(request: &EmbedRequest) -> Self {
        let bytes: u64 = request.inputs.iter().map(|text| text.len() as u64 + MESSAGE_TOKENS).sum();
        Self { input: bytes, ..Self::without_output(&request.extra) }
    }

    fn of_ranking(request: &RerankRequest) -> Self {
        let query = request.query.len() as u64;
        let sizes = || request.documents.iter().map(|document| document.len() as u64);
        let pieces: u64 = sizes().map(|size| size.div_ceil(SEARCH_BYTES).max(1)).sum();
        // The question is read again with each document.
        let input = sizes().map(|size| size + query + MESSAGE_TOKENS).sum();
        Self { input, searches: pieces.div_ceil(SEARCH_DOCUMENTS), ..Self::without_output(&request.extra) }
    }

    fn without_output(extra: &Map<String, Value>) -> Self {
        Self {
            input: 0,
            output_limit: Some(0),
            answers: 1,
            searches: 0,
            tier: tier(extra),
            cache_writes: false,
            unseen: None,
        }
    }
}

/// Gives the largest of the limits that the request sets; one that is no number counts as none.
fn output_limit(request: &ChatRequest) -> Option<u64> {
    let own = request.max_tokens.map(u64::from);
    let told = told(&request.extra, OUTPUT_LIMITS).map(Value::as_u64);
    told.chain(own.map(Some)).reduce(|one, other| Some(one?.max(other?))).flatten()
}

/// Gives what fields of these names say, wherever they may stand.
fn told<'a>(extra: &'a Map<String, Value>, names: &'static [&str]) -> impl Iterator<Item = &'a Value> {
    let nested = NESTED.iter().filter_map(|name| extra.get(*name)?.as_object());
    std::iter::once(extra).chain(nested).flat_map(|fields| names.iter().filter_map(|name| fields.get(*name)))
}

fn tier(extra: &Map<String, Value>) -> Tier {
    let word = extra.get("service_tier").or_else(|| extra.get("serviceTier"));
    let word = word.and_then(|value| value.as_str().or_else(|| value.get("type")?.as_str()));
    word.map_or(Tier::Standard, Tier::read)
}

/// What images and documents add, and how many bytes of the request they are.
#[derive(Default)]
struct MediaSize {
    bytes: u64,
    tokens: u64,
    unbounded: bool,
}

impl MediaSize {
    fn add(&mut self, part: &Part) {
        match part {
            Part::Image(media) => {
                self.tokens = self.tokens.saturating_add(IMAGE_TOKENS);
                if let MediaSource::Base64(data) = &media.source {
                    self.bytes += data.len() as u64;
                }
            }
            Part::Document(media) => self.document(media),
            Part::ToolResult(result) => result.content.iter().for_each(|part| self.add(part)),
            _ => {}
        }
    }

    fn document(&mut self, media: &Media) {
        let MediaSource::Base64(data) = &media.source else {
            self.unbounded = true;
            return;
        };
        // Text in base64 has a third more bytes than it has itself, and those are counted with the request.
        if media.media_type.as_deref().is_some_and(|kind| kind.starts_with("text/")) {
            return;
        }
        self.bytes += data.len() as u64;
        let bytes = data.len() as u64 / 4 * 3;
        // A page of a PDF has no fewer bytes than this, however well it is compressed.
        let pages = (bytes / 500).max(1);
        let by_pages = pages.saturating_mul(PAGE_TOKENS);
        self.tokens = self.tokens.saturating_add(by_pages.saturating_add(bytes.saturating_mul(PACKED)));
    }
}

/// Counts the bytes of a request, and sees whether it asks for the cache.
#[derive(Default)]
struct Counter {
    bytes: u64,
    cache_marks: bool,
}

impl io::Write for Counter {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.bytes += piece.len() as u64;
        self.cache_marks |= piece.starts_with(b"cache_control") || piece.starts_with(b"cachePoint");
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
