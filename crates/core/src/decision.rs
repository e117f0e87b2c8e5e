//! Questions that only a person can answer in the middle of a run, and the answers.
//!
//! Knows neither who is asked nor where answers are kept; a run without an answer is parked, and goes on when there is one.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Result;
use crate::tool::ToolOutput;

/// Something that a run cannot decide by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Question {
    /// Full name of the step at which the answer is recorded, by which the question is answered.
    pub step: String,
    /// Why it is asked.
    pub reason: QuestionReason,
    /// The agent that wants to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The tool that is to be called.
    pub tool: String,
    /// Id of the call.
    pub call_id: String,
    /// Arguments of the call.
    pub arguments: Value,
    /// JSON schema that other arguments must satisfy.
    pub schema: Value,
    /// Why the last answer to it could not be used, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Question {
    /// Asks about a call of a tool.
    #[must_use]
    pub fn new(step: impl Into<String>, reason: QuestionReason, tool: impl Into<String>) -> Self {
        Self {
            step: step.into(),
            reason,
            agent: None,
            tool: tool.into(),
            call_id: String::new(),
            arguments: Value::Null,
            schema: Value::Bool(true),
            problem: None,
        }
    }
}

/// Why a person is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum QuestionReason {
    /// The call may only be made when a person agrees.
    Approval,
    /// The call began before a crash, and whether it took effect is not known.
    UnknownOutcome,
}

impl QuestionReason {
    /// Gives the name used in JSON, which also is the end of the step's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            QuestionReason::Approval => "approval",
            QuestionReason::UnknownOutcome => "unknown_outcome",
        }
    }
}

/// What a person answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decision {
    /// The call is made, or made again.
    Approve {
        /// Arguments in the place of the model's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arguments: Option<Value>,
    },
    /// The call is not made; the model is told so.
    Deny {
        /// Why, for the model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The call is not made; the model is given this as its result.
    Answer {
        /// The result.
        output: ToolOutput,
    },
}

/// Where answers come from: somebody at a terminal, a store, a rule.
#[async_trait]
pub trait Decisions: Send + Sync {
    /// Answers a question; `None` parks the run until there is an answer.
    ///
    /// Each question is asked once for every time that a run comes to it; what is answered is recorded, and not asked
    /// again when the run is resumed.
    ///
    /// # Errors
    /// `Cancelled` ends the run, as does every other error.
    async fn decide(&self, question: &Question) -> Result<Option<Decision>>;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn decisions_are_written_as_documented() {
        for (decision, written) in [
            (Decision::Approve { arguments: None }, json!({"decision": "approve"})),
            (
                Decision::Approve { arguments: Some(json!({"n": 1})) },
                json!({"decision": "approve", "arguments": {"n": 1}}),
            ),
            (
                Decision::Deny { reason: Some("too dear".into()) },
                json!({"decision": "deny", "reason": "too dear"}),
            ),
        ] {
            assert_eq!(serde_json::to_value(&decision).unwrap(), written);
            assert_eq!(serde_json::from_value::<Decision>(written).unwrap(), decision);
        }
    }
}
