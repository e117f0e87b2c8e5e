//! What hooks are shown at each stage, and what they may put in its place.

use std::fmt;

use motet_core::error::ErrorReport;
use motet_core::{ChatRequest, ChatResponse, Message, ToolOutput};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::machine::AgentResult;

macro_rules! payloads {
    ($($(#[$doc:meta])* $name:ident = $text:literal { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* })*) => {
        /// Where in a run a hook is called.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Stage {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Stage {
            /// Every stage.
            pub const ALL: &'static [Stage] = &[$(Stage::$name),*];

            /// Gives the name used in files and JSON.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Stage::$name => $text,)*
                }
            }
        }

        /// What a hook is shown; what it changes takes effect where the stage says so, and is ignored elsewhere.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "stage")]
        #[non_exhaustive]
        pub enum Payload {
            $($(#[$doc])* #[serde(rename = $text)] $name { $($(#[$field_doc])* $field: $kind,)* },)*
        }

        impl Payload {
            /// Gives the stage.
            #[must_use]
            pub fn stage(&self) -> Stage {
                match self {
                    $(Payload::$name { .. } => Stage::$name,)*
                }
            }
        }
    };
}

payloads! {
    /// A run begins; the messages may be changed.
    BeforeRun = "before_run" {
        /// The agent.
        agent: String,
        /// What it is given, without its instructions.
        messages: Vec<Message>,
    }
    /// A run ended; its result may be changed, its outcome included.
    AfterRun = "after_run" {
        /// The agent.
        agent: String,
        /// How it ended.
        result: Box<AgentResult>,
    }
    /// A turn of the loop begins.
    BeforeIteration = "before_iteration" {
        /// Number of the model call of this turn, from 0.
        number: u32,
    }
    /// A turn of the loop ended.
    AfterIteration = "after_iteration" {
        /// Number of the model call of this turn, from 0.
        number: u32,
        /// How many tools were called in it.
        tool_calls: usize,
    }
    /// A model is about to be called; the request may be changed.
    BeforeModelCall = "before_model_call" {
        /// Name of the step.
        step: String,
        /// What is asked.
        request: Box<ChatRequest>,
    }
    /// A model answered; the answer may be changed before anybody sees it, which holds streams back until it is whole.
    AfterModelCall = "after_model_call" {
        /// Name of the step.
        step: String,
        /// The answer.
        response: Box<ChatResponse>,
    }
    /// A tool is about to be called; its arguments may be changed.
    BeforeTool = "before_tool" {
        /// Name of the step.
        step: String,
        /// The tool.
        tool: String,
        /// Id of the call.
        call_id: String,
        /// Its arguments.
        arguments: Value,
    }
    /// A tool answered; what it answered may be changed before anybody sees it.
    AfterTool = "after_tool" {
        /// Name of the step.
        step: String,
        /// The tool.
        tool: String,
        /// Id of the call.
        call_id: String,
        /// Its arguments.
        arguments: Value,
        /// What it answered.
        output: ToolOutput,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    }
    /// A guardrail is about to look at a text.
    BeforeGuardrail = "before_guardrail" {
        /// The guardrail.
        guardrail: String,
        /// Where the text stands: `input`, `output`, `tool_arguments`, or `tool_result`.
        place: String,
        /// The text.
        text: String,
    }
    /// A guardrail looked at a text.
    AfterGuardrail = "after_guardrail" {
        /// The guardrail.
        guardrail: String,
        /// Where the text stands.
        place: String,
        /// What is done: `pass`, `redact`, `block`, or `ask_again`.
        action: String,
    }
    /// A call is about to be sent once more.
    Retry = "retry" {
        /// Number of the attempt that comes, the first being 1.
        attempt: u32,
        /// Milliseconds to wait before it.
        delay_ms: u64,
        /// Why the last attempt failed.
        error: Box<ErrorReport>,
    }
    /// Tools are about to be selected for a run.
    BeforeRoute = "before_route" {
        /// What they are selected for.
        query: String,
        /// Names of all that there are.
        tools: Vec<String>,
    }
    /// Tools were selected; the names may be changed.
    AfterRoute = "after_route" {
        /// What they were selected for.
        query: String,
        /// Names of those that are offered.
        tools: Vec<String>,
        /// True when the choice failed and all are offered.
        fell_back: bool,
    }
    /// An answer does not satisfy its schema and is asked for again.
    Validation = "validation" {
        /// How often it was asked for again, this one included.
        attempt: u32,
        /// What the model is told.
        problem: String,
    }
    /// A request of a batch begins.
    BeforeBatchItem = "before_batch_item" {
        /// Its id.
        id: String,
        /// Its place among the requests, from 0.
        index: usize,
    }
    /// A request of a batch ended.
    AfterBatchItem = "after_batch_item" {
        /// Its id.
        id: String,
        /// Its place among the requests, from 0.
        index: usize,
        /// Whether it succeeded.
        success: bool,
    }
    /// A record of a run is about to be handed to those who keep records; it may be changed, in all its fields.
    BeforeRecord = "before_record" {
        /// The record as JSON.
        record: Value,
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
