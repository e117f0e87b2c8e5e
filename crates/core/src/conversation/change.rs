//! What stores are given to keep.

use serde::{Deserialize, Serialize};

use super::{ConversationHead, ConversationId, Summary, Turn};
use crate::id::Millis;

/// A conversation to be kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NewConversation {
    /// Its id.
    pub id: ConversationId,
    /// Title for people; may be empty.
    pub title: String,
    /// Instructions of its newest turn.
    pub instructions: String,
    /// What was said already.
    pub turns: Vec<Turn>,
    /// What stands in the place of its beginning already.
    pub summaries: Vec<Summary>,
}

impl NewConversation {
    /// Makes an empty one.
    #[must_use]
    pub fn new(id: ConversationId) -> Self {
        Self {
            id,
            title: String::new(),
            instructions: String::new(),
            turns: Vec::new(),
            summaries: Vec::new(),
        }
    }

    /// Gives the head that it has in a store.
    #[must_use]
    pub fn head(&self, now: Millis) -> ConversationHead {
        let mut head = ConversationHead::new(self.id.clone(), now);
        head.title.clone_from(&self.title);
        head.instructions.clone_from(&self.instructions);
        self.turns.iter().for_each(|turn| head.add_turn(turn));
        self.summaries.iter().for_each(|summary| head.spend(summary.usage, summary.cost));
        head
    }
}

/// A change of a conversation, done as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Addition {
    /// Messages to keep from the first on; what follows them is taken back before anything is added. `None` keeps all.
    pub keep: Option<u32>,
    /// Turns to add.
    pub turns: Vec<Turn>,
    /// Summaries to add.
    pub summaries: Vec<Summary>,
    /// Instructions that hold from now on, where they are others.
    pub instructions: Option<String>,
}

impl Addition {
    /// Adds turns.
    #[must_use]
    pub fn turns(turns: Vec<Turn>) -> Self {
        Self { turns, ..Self::default() }
    }

    /// Takes back what follows so many messages.
    #[must_use]
    pub fn keeping(self, messages: u32) -> Self {
        Self { keep: Some(messages), ..self }
    }

    /// Counts itself in. What was taken back must be off the counts already.
    pub fn count_in(&self, head: &mut ConversationHead, now: Millis) {
        self.turns.iter().for_each(|turn| head.add_turn(turn));
        self.summaries.iter().for_each(|summary| head.spend(summary.usage, summary.cost));
        if let Some(instructions) = &self.instructions {
            head.instructions.clone_from(instructions);
        }
        head.version += 1;
        head.updated_at = now;
    }
}
