//! The shape of answers, read leniently: whole blocks of plain answers and the pieces of streamed ones.
//!
//! What is rarely there or only kept stays raw JSON text.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::json::{Count, Text};

/// A plain answer; of a streamed one, `messageStop` and `metadata`, which hold the same fields.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer<'a> {
    #[serde(borrow, default)]
    pub(super) output: Option<Output<'a>>,
    #[serde(borrow, default)]
    pub(super) stop_reason: Option<Text<'a>>,
    #[serde(default)]
    pub(super) usage: Option<Counts>,
    #[serde(borrow, default)]
    pub(super) metrics: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) trace: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) performance_config: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) service_tier: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) additional_model_response_fields: Option<&'a RawValue>,
}

/// What the model made.
#[derive(Deserialize)]
pub(super) struct Output<'a> {
    #[serde(borrow, default)]
    pub(super) message: Option<Message<'a>>,
}

/// The model's message.
#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    pub(super) content: Option<Vec<&'a RawValue>>,
}

/// Token counts; some models repeat those of the cache under a second name.
#[derive(Deserialize, Default, Clone)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Counts {
    pub(super) input_tokens: Count,
    pub(super) output_tokens: Count,
    pub(super) total_tokens: Count,
    pub(super) cache_read_input_tokens: Count,
    pub(super) cache_read_input_token_count: Count,
    pub(super) cache_write_input_tokens: Count,
    pub(super) cache_write_input_token_count: Count,
    pub(super) cache_details: Option<Vec<CacheDetail>>,
}

/// Tokens written to the cache for a time.
#[derive(Deserialize, Default, Clone)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct CacheDetail {
    pub(super) input_tokens: Count,
    pub(super) ttl: String,
}

/// A block of a plain answer, exactly one field being there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Block<'a> {
    #[serde(borrow, default)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) tool_use: Option<ToolUse<'a>>,
    #[serde(borrow, default)]
    pub(super) reasoning_content: Option<ReasoningContent<'a>>,
    #[serde(borrow, default)]
    pub(super) citations_content: Option<CitationsContent<'a>>,
    #[serde(borrow, default)]
    pub(super) image: Option<Image<'a>>,
}

/// The beginning, a piece, or the end of a block of a streamed answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockEvent<'a> {
    #[serde(default)]
    pub(super) content_block_index: Count,
    #[serde(borrow, default)]
    pub(super) start: Option<Start<'a>>,
    #[serde(borrow, default)]
    pub(super) delta: Option<Delta<'a>>,
}

/// How a block begins; text and reasoning begin without it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Start<'a> {
    #[serde(borrow, default)]
    pub(super) tool_use: Option<ToolUse<'a>>,
    #[serde(borrow, default)]
    pub(super) tool_result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) image: Option<Image<'a>>,
}

/// A piece of a block.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Delta<'a> {
    #[serde(borrow, default)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) tool_use: Option<ToolUse<'a>>,
    #[serde(borrow, default)]
    pub(super) tool_result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) reasoning_content: Option<ReasoningContent<'a>>,
    #[serde(borrow, default)]
    pub(super) citation: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) image: Option<Image<'a>>,
}

/// A call of a tool, its beginning, or a piece of its arguments.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolUse<'a> {
    #[serde(borrow, default)]
    pub(super) tool_use_id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Text<'a>,
    /// An object where it is whole, a text where it is a piece.
    #[serde(borrow, default)]
    pub(super) input: Option<&'a RawValue>,
}

/// Reasoning: whole under `reasoningText`, in pieces beside it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReasoningContent<'a> {
    #[serde(borrow, default)]
    pub(super) reasoning_text: Option<ReasoningText<'a>>,
    #[serde(borrow, default)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) signature: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) redacted_content: Option<Text<'a>>,
}

/// Reasoning that is shown.
#[derive(Deserialize)]
pub(super) struct ReasoningText<'a> {
    #[serde(borrow, default)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) signature: Option<Text<'a>>,
}

/// Text with where it comes from.
#[derive(Deserialize)]
pub(super) struct CitationsContent<'a> {
    #[serde(borrow, default)]
    pub(super) content: Option<Vec<CitedText<'a>>>,
    #[serde(borrow, default)]
    pub(super) citations: Option<Vec<&'a RawValue>>,
}

/// A piece of such a text.
#[derive(Deserialize)]
pub(super) struct CitedText<'a> {
    #[serde(borrow, default)]
    pub(super) text: Option<Text<'a>>,
}

/// An image, its beginning, or a piece of its bytes.
#[derive(Deserialize)]
pub(super) struct Image<'a> {
    #[serde(borrow, default)]
    pub(super) format: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) source: Option<ImageSource<'a>>,
}

/// Where the bytes of an image are.
#[derive(Deserialize)]
pub(super) struct ImageSource<'a> {
    #[serde(borrow, default)]
    pub(super) bytes: Option<Text<'a>>,
}
