//! The forms in which conversations are written down; every version that was ever written can be read.

use serde::{Deserialize, Serialize};

use super::{Conversation, Measured, Summary, Turn, Unsummarised};
use crate::id::{Millis, RunId};
use crate::message::Message;
use crate::model_id::ModelId;
use crate::usage::{Cost, Usage};

/// A whole conversation, as it is exported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "version")]
#[non_exhaustive]
pub enum StoredConversation {
    /// The first version.
    #[serde(rename = "1")]
    V1 {
        /// The conversation.
        conversation: Conversation,
    },
}

impl StoredConversation {
    /// Gives the conversation.
    #[must_use]
    pub fn into_conversation(self) -> Conversation {
        let StoredConversation::V1 { conversation } = self;
        conversation
    }
}

/// What a store keeps of a turn beside its messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "version")]
#[non_exhaustive]
pub enum StoredTurn {
    /// The first version; the messages are written as [`Message`] is.
    #[serde(rename = "1")]
    V1 {
        /// When the turn ended.
        at: Millis,
        /// The agent that answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
        /// The model that was asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<ModelId>,
        /// The run whose log tells how it came about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
        /// Tokens of all its model calls.
        usage: Usage,
        /// What it cost.
        cost: Option<Cost>,
        /// How long the conversation was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        measured: Option<Measured>,
        /// That its beginning could not be summarised.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unsummarised: Option<Unsummarised>,
    },
}

impl StoredTurn {
    /// Takes down a turn without its messages.
    #[must_use]
    pub fn of(turn: &Turn) -> Self {
        let Turn { at, messages: _, agent, model, run, usage, cost, measured, unsummarised } = turn.clone();
        StoredTurn::V1 { at, agent, model, run, usage, cost, measured, unsummarised }
    }

    /// Gives the turn with its messages.
    #[must_use]
    pub fn with_messages(self, messages: Vec<Message>) -> Turn {
        let StoredTurn::V1 { at, agent, model, run, usage, cost, measured, unsummarised } = self;
        Turn { at, messages, agent, model, run, usage, cost, measured, unsummarised }
    }
}

/// A summary, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "version")]
#[non_exhaustive]
pub enum StoredSummary {
    /// The first version.
    #[serde(rename = "1")]
    V1(Summary),
}

impl StoredSummary {
    /// Gives the summary.
    #[must_use]
    pub fn into_summary(self) -> Summary {
        let StoredSummary::V1(summary) = self;
        summary
    }
}
