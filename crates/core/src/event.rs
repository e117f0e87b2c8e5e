//! What happens while a model answers or a run goes on, one event after the other.
//!
//! A plain answer is the same events all at once, so nothing can differ between streaming and blocking.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::decision::Question;
use crate::error::{Error, ErrorReport, Result};
use crate::limits::RateLimits;
use crate::message::{Media, Opaque};
use crate::model_id::ModelId;
use crate::response::FinishReason;
use crate::usage::{Cost, Usage};

/// A stream of events; an error ends it.
pub type EventStream = futures::stream::BoxStream<'static, Result<StreamEvent>>;

/// One thing that happened.
///
/// `part` is the place of a piece in the answer's message. Pieces of one place arrive in order, and the message holds
/// its parts by ascending place, whatever order they arrived in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum StreamEvent {
    /// The provider began to answer; later ones fill in what earlier ones did not know.
    ResponseStarted {
        /// The provider's id of the answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        response_id: Option<String>,
        /// The provider's id of the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
        /// The model that answers, in the provider's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        served_model: Option<String>,
    },
    /// Whose answer follows, where it may be another model than the one asked.
    AnsweredBy {
        /// The model.
        model: ModelId,
    },
    /// More visible text.
    TextDelta {
        /// Place in the message.
        part: u32,
        /// The piece of text.
        text: String,
    },
    /// More reasoning text.
    ReasoningDelta {
        /// Place in the message.
        part: u32,
        /// The piece of text.
        text: String,
    },
    /// More text of a refusal.
    RefusalDelta {
        /// Place in the message.
        part: u32,
        /// The piece of text.
        text: String,
    },
    /// What the provider needs back with the part at this place; list payloads of one place are joined.
    PartOpaque {
        /// Place in the message.
        part: u32,
        /// The payload.
        opaque: Opaque,
    },
    /// A whole block that only its provider understands.
    NativePart {
        /// Place in the message.
        part: u32,
        /// The block.
        opaque: Opaque,
    },
    /// A whole image that the model made.
    ImagePart {
        /// Place in the message.
        part: u32,
        /// The image.
        image: Media,
    },
    /// The model begins to call a tool.
    ToolCallStarted {
        /// Place in the message.
        part: u32,
        /// Name of the call.
        id: String,
        /// Name of the tool.
        name: String,
        /// True when the provider sent no id and Motet made this one.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        minted: bool,
    },
    /// More text of a call's arguments.
    ToolCallDelta {
        /// Place in the message.
        part: u32,
        /// The piece of JSON text.
        arguments: String,
    },
    /// The call is complete.
    ToolCallEnded {
        /// Place in the message.
        part: u32,
    },
    /// Tokens used so far; a later one replaces an earlier one.
    Usage {
        /// The counts.
        usage: Usage,
    },
    /// What the provider still allows, as the headers of its answer tell.
    Limits {
        /// The limits.
        limits: Box<RateLimits>,
    },
    /// A fact about the answer that has no field of its own.
    Metadata {
        /// Name of the fact.
        name: String,
        /// The fact.
        value: Value,
    },
    /// The answer is complete.
    Finished {
        /// Why.
        reason: FinishReason,
        /// Why, in the provider's own word.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        raw: Option<String>,
    },
    /// What the answer cost; `None` where the price is unknown.
    Cost {
        /// The amount.
        cost: Option<Cost>,
    },
    /// A run calls a model.
    ModelCallStarted {
        /// Step of the run.
        step: String,
        /// Which model.
        model: ModelId,
    },
    /// A model call of a run ended well.
    ModelCallEnded {
        /// Step of the run.
        step: String,
        /// Which model.
        model: ModelId,
        /// Tokens used.
        usage: Option<Box<Usage>>,
        /// What it cost; `None` where the price is unknown.
        cost: Option<Cost>,
        /// True when the answer came from the run log and nothing was paid.
        replayed: bool,
    },
    /// A run calls a tool.
    ToolStarted {
        /// Step of the run.
        step: String,
        /// Name of the call.
        id: String,
        /// Name of the tool.
        name: String,
    },
    /// A tool answered.
    ToolEnded {
        /// Step of the run.
        step: String,
        /// Name of the call.
        id: String,
        /// Name of the tool.
        name: String,
        /// True when it failed; the model sees why.
        is_error: bool,
    },
    /// A call of a tool waits for a person.
    DecisionNeeded {
        /// What is asked.
        question: Box<Question>,
    },
    /// An answer is asked for again, as it cannot be used.
    AskedAgain {
        /// Step of the run whose answer cannot be used.
        step: String,
        /// What the model is told.
        reason: String,
    },
    /// Another agent takes the run over.
    HandedOver {
        /// The agent that gives it away.
        from: String,
        /// The agent that goes on.
        to: String,
    },
    /// Of many tools, these are offered to the model.
    ToolsSelected {
        /// Their names.
        tools: Vec<String>,
    },
    /// A guardrail found something.
    GuardrailHit {
        /// Its name.
        guardrail: String,
        /// Where: `input`, `output`, `tool_arguments`, or `tool_result`.
        place: String,
        /// What was done: `redact`, `block`, or `ask_again`.
        action: String,
    },
    /// A call is tried again.
    Retrying {
        /// Number of the attempt that comes, the first being 1.
        attempt: u32,
        /// Milliseconds to wait before it.
        delay_ms: u64,
        /// Why the last attempt failed.
        error: Box<ErrorReport>,
    },
    /// A call waits before it is sent.
    Waiting {
        /// Why: `rate_limit`, `key_pool`, or `single_flight`.
        reason: String,
        /// Milliseconds to wait, as far as is known.
        delay_ms: u64,
        /// Whose limit it is: the provider, or the provider and the key's name.
        scope: String,
    },
    /// A call goes on with another model.
    FellBack {
        /// The model that failed.
        from: ModelId,
        /// The model that is asked now.
        to: ModelId,
        /// Why.
        error: Box<ErrorReport>,
    },
    /// A key will not be used for a while, or for good.
    KeyChanged {
        /// The provider.
        provider: String,
        /// Name of the key, never the key itself.
        key: String,
        /// Its new state: `ready`, `cooling`, or `quarantined`.
        state: String,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Box<ErrorReport>>,
    },
    /// A circuit breaker opened, closed, or lets probes through.
    CircuitChanged {
        /// What it stands before, such as a provider and model.
        scope: String,
        /// Its new state: `open`, `half_open`, or `closed`.
        state: String,
    },
    /// The answer comes from the cache and costs nothing.
    CacheHit {
        /// Hash of the request.
        key: String,
    },
    /// Everything shown since the model call began is void; a new answer follows.
    OutputDiscarded {
        /// Why.
        error: Box<ErrorReport>,
    },
    /// A task of a workflow changed its state.
    TaskChanged {
        /// Name of the task.
        task: String,
        /// Its new state, such as `running` or `done`.
        state: String,
        /// Number of the attempt, the first being 1.
        attempt: u32,
        /// Why it failed or was skipped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Something that the user should know and that stops nothing.
    Warning {
        /// The message.
        message: String,
    },
}

impl StreamEvent {
    /// Tells whether the user sees something of the answer by this event, so that a resend would repeat it.
    #[must_use]
    pub fn is_visible(&self) -> bool {
        matches!(
            self,
            StreamEvent::TextDelta { .. }
                | StreamEvent::ReasoningDelta { .. }
                | StreamEvent::RefusalDelta { .. }
                | StreamEvent::NativePart { .. }
                | StreamEvent::ImagePart { .. }
                | StreamEvent::ToolCallStarted { .. }
                | StreamEvent::ToolCallDelta { .. }
        )
    }
}

/// Receives the events of a run; must return at once.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    fn emit(&self, event: &StreamEvent);
}

impl<F: Fn(&StreamEvent) + Send + Sync> EventSink for F {
    fn emit(&self, event: &StreamEvent) {
        self(event);
    }
}

/// Makes a stream of events that are known already.
#[must_use]
pub fn ready_stream(events: Vec<StreamEvent>) -> EventStream {
    Box::pin(futures::stream::iter(events.into_iter().map(Ok)))
}

/// Makes a stream that ends with an error after what came before it.
#[must_use]
pub fn failing_stream(events: Vec<StreamEvent>, error: Error) -> EventStream {
    Box::pin(futures::stream::iter(events.into_iter().map(Ok).chain(std::iter::once(Err(error)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every event is moved through several layers, which costs by its size.
    #[test]
    fn events_are_small() {
        assert!(size_of::<StreamEvent>() <= 112, "{} bytes", size_of::<StreamEvent>());
    }
}
