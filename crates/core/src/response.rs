//! What a model answered, whether it came at once or as a stream.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::message::Message;
use crate::model_id::ModelId;
use crate::usage::{Cost, Usage};

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChatResponse {
    /// The assistant's message: reasoning, text, and tool calls in order.
    pub message: Message,
    /// Why the model stopped.
    pub finish_reason: FinishReason,
    /// The reason in the provider's own word; `None` where none was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_finish_reason: Option<String>,
    /// Tokens used; `None` where the provider did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The model that answered: the one that was asked, or the one that took over.
    pub model: ModelId,
    /// The model that answered, in the provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_model: Option<String>,
    /// The provider's id of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_id: Option<String>,
    /// The provider's id of the request, from its headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What the call cost; `None` where the price is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Facts about the answer that have no field of their own, such as `offline:extract` saying that it is no LLM.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub metadata: serde_json::Map<String, Value>,
}

impl ChatResponse {
    /// Makes an answer of a message, with nothing known beside.
    #[must_use]
    pub fn new(model: ModelId, message: Message, finish_reason: FinishReason) -> Self {
        Self {
            message,
            finish_reason,
            raw_finish_reason: None,
            usage: None,
            model,
            served_model: None,
            response_id: None,
            request_id: None,
            cost: None,
            metadata: serde_json::Map::new(),
        }
    }

    /// Gives all visible text.
    #[must_use]
    pub fn text(&self) -> String {
        self.message.visible_text()
    }
}

/// Why the model stopped, in one vocabulary for all providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinishReason {
    /// It was done, or met a stop text.
    Stop,
    /// The output limit or the context window was reached.
    Length,
    /// It asks for tools.
    ToolCalls,
    /// A content policy stopped it, or the model refused.
    ContentFilter,
    /// The provider paused a long turn; the same conversation, sent again with this message, goes on.
    Paused,
    /// The provider gave a reason that has no neutral word; see the raw one.
    Other,
    /// The answer ended properly, but the provider gave no reason.
    Unknown,
}

impl FinishReason {
    /// Gives the name used in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
            FinishReason::ToolCalls => "tool_calls",
            FinishReason::ContentFilter => "content_filter",
            FinishReason::Paused => "paused",
            FinishReason::Other => "other",
            FinishReason::Unknown => "unknown",
        }
    }
}
