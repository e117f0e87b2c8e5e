//! The shape of answers, read leniently; what is a list in a plain answer is a single piece in a streamed one.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::json::{Count, Text};

/// A plain answer.
#[derive(Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<Text<'a>>,
    /// Of an error that came as an answer, a text.
    #[serde(borrow, default)]
    pub(super) message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) finish_reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) logprobs: Option<&'a RawValue>,
}

/// One event of a streamed answer.
#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) id: Option<Text<'a>>,
    #[serde(default)]
    pub(super) index: Count,
    #[serde(borrow, default)]
    pub(super) delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    pub(super) logprobs: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Delta<'a> {
    #[serde(borrow)]
    pub(super) message: Option<Message<'a>>,
    #[serde(borrow)]
    pub(super) finish_reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

/// A message or a piece of one.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Message<'a> {
    /// A text, a block, or blocks.
    #[serde(borrow)]
    pub(super) content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) tool_plan: Option<Text<'a>>,
    /// A call or calls.
    #[serde(borrow)]
    pub(super) tool_calls: Option<&'a RawValue>,
    /// A citation or citations.
    #[serde(borrow)]
    pub(super) citations: Option<&'a RawValue>,
}

/// A block of content or a piece of one.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Block<'a> {
    #[serde(borrow)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) thinking: Option<Text<'a>>,
}

/// A tool call or a piece of one.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Call<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) function: Option<Function<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Function<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
}

/// Token counts: what the model saw, and what of it is paid for.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Counts {
    pub(super) tokens: Option<Pair>,
    pub(super) billed_units: Option<Pair>,
    pub(super) cached_tokens: Count,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default)]
pub(super) struct Pair {
    pub(super) input_tokens: Count,
    pub(super) output_tokens: Count,
}

/// Gives the values of a list, or the one value that stands in place of a list.
pub(super) fn each<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> serde_json::Result<Vec<T>> {
    match raw.map(RawValue::get) {
        None | Some("null") => Ok(Vec::new()),
        Some(list) if list.starts_with('[') => serde_json::from_str(list),
        Some(one) => Ok(vec![serde_json::from_str(one)?]),
    }
}

/// Gives the blocks of a content; a bare text is a block.
pub(super) fn blocks(raw: Option<&RawValue>) -> serde_json::Result<Vec<Block<'_>>> {
    match raw.map(RawValue::get) {
        Some(text) if text.starts_with('"') => {
            Ok(vec![Block { text: Some(serde_json::from_str(text)?), thinking: None }])
        }
        _ => each(raw),
    }
}
