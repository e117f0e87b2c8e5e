//! Conversations that live as long as the process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use motet_core::conversation::{
    Addition, Conversation, ConversationFilter, ConversationHead, ConversationId, ConversationStore,
    NewConversation, check_turns, conversation_exists, no_such_conversation,
};
use motet_core::error::Result;
use motet_core::id::Millis;

/// Keeps conversations in a map.
#[derive(Debug, Default)]
pub(super) struct Conversations(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    kept: HashMap<ConversationId, Kept>,
    /// Number of changes so far.
    changes: u64,
}

#[derive(Debug)]
struct Kept {
    conversation: Conversation,
    /// Number of its newest change, which orders the list.
    changed: u64,
}

impl State {
    fn insert(&mut self, conversation: Conversation) -> Result<ConversationHead> {
        let head = conversation.head.clone();
        if self.kept.contains_key(&head.id) {
            return Err(conversation_exists(&head.id));
        }
        self.changes += 1;
        let changed = self.changes;
        self.kept.insert(head.id.clone(), Kept { conversation, changed });
        Ok(head)
    }

    fn get(&mut self, id: &ConversationId) -> Result<&mut Kept> {
        self.kept.get_mut(id).ok_or_else(|| no_such_conversation(id))
    }
}

impl Conversations {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ConversationStore for Conversations {
    async fn create(&self, new: NewConversation) -> Result<ConversationHead> {
        check_turns(&new.turns)?;
        let head = new.head(Millis::now());
        self.state().insert(Conversation { head, turns: new.turns, summaries: new.summaries })
    }

    async fn load(&self, id: &ConversationId) -> Result<Option<Conversation>> {
        Ok(self.state().kept.get(id).map(|kept| kept.conversation.clone()))
    }

    async fn head(&self, id: &ConversationId) -> Result<Option<ConversationHead>> {
        Ok(self.state().kept.get(id).map(|kept| kept.conversation.head.clone()))
    }

    async fn append(&self, id: &ConversationId, expect: u64, addition: Addition) -> Result<ConversationHead> {
        let mut state = self.state();
        let next = state.changes + 1;
        let kept = state.get(id)?;
        let head = &kept.conversation.head;
        if head.version != expect {
            return Err(head.conflict(expect));
        }
        kept.conversation.apply(addition, Millis::now())?;
        kept.changed = next;
        let head = kept.conversation.head.clone();
        state.changes = next;
        Ok(head)
    }

    async fn fork(
        &self,
        id: &ConversationId,
        keep: Option<u32>,
        new: ConversationId,
    ) -> Result<ConversationHead> {
        let mut state = self.state();
        let fork = state.get(id)?.conversation.forked(keep, new, Millis::now())?;
        state.insert(fork)
    }

    async fn list(&self, filter: &ConversationFilter) -> Result<Vec<ConversationHead>> {
        let state = self.state();
        let fits = |kept: &&Kept| {
            let head = &kept.conversation.head;
            filter
                .text
                .as_ref()
                .is_none_or(|text| head.id.as_str().contains(text) || head.title.contains(text))
        };
        let mut found: Vec<&Kept> = state.kept.values().filter(fits).collect();
        found.sort_unstable_by_key(|kept| std::cmp::Reverse(kept.changed));
        let limit = if filter.limit == 0 { usize::MAX } else { filter.limit as usize };
        Ok(found.into_iter().take(limit).map(|kept| kept.conversation.head.clone()).collect())
    }

    async fn rename(&self, id: &ConversationId, title: &str) -> Result<()> {
        let mut state = self.state();
        title.clone_into(&mut state.get(id)?.conversation.head.title);
        Ok(())
    }

    async fn delete(&self, id: &ConversationId) -> Result<bool> {
        Ok(self.state().kept.remove(id).is_some())
    }
    async fn restore(&self, conversation: Conversation) -> Result<()> {
        self.state().insert(conversation).map(drop)
    }
}
