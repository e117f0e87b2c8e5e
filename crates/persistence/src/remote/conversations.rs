//! The methods of conversations.

use async_trait::async_trait;
use motet_core::conversation::{
    Addition, Conversation, ConversationFilter, ConversationHead, ConversationId, ConversationStore,
    NewConversation,
};
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::store::Store;

use super::line::Line;
use super::rows::table;

/// Conversations behind a server.
pub(super) struct RemoteConversations(pub(super) Line);

fn of(store: &dyn Store) -> Result<&dyn ConversationStore> {
    store.conversations().ok_or_else(|| {
        let message = format!("the store `{}` keeps no conversations", store.capabilities().name);
        Error::new(ErrorKind::Unsupported, message)
    })
}

table! { ROWS:
    "Keeps a new conversation."
    "conversation.create" QUICK create(new: NewConversation) -> ConversationHead { |store| of(store)?.create(new).await }
    "Gives a conversation whole; null when there is none."
    "conversation.get" SLOW load(id: ConversationId) -> Option<Conversation> { |store| of(store)?.load(&id).await }
    "Gives what stands above a conversation; null when there is none."
    "conversation.head" QUICK head(id: ConversationId) -> Option<ConversationHead> { |store| of(store)?.head(&id).await }
    "Adds to the version that is expected, and only to that."
    "conversation.append" QUICK append(id: ConversationId, expect: u64, addition: Addition) -> ConversationHead {
        |store| of(store)?.append(&id, expect, addition).await
    }
    "Copies the first messages into a new conversation."
    "conversation.fork" QUICK fork(id: ConversationId, keep: Option<u32>, new: ConversationId) -> ConversationHead {
        |store| of(store)?.fork(&id, keep, new).await
    }
    "Lists conversations, the one changed last first."
    "conversation.list" SLOW list(filter: ConversationFilter) -> Vec<ConversationHead> {
        |store| of(store)?.list(&filter).await
    }
    "Gives a conversation another title."
    "conversation.rename" QUICK rename(id: ConversationId, title: String) -> () {
        |store| of(store)?.rename(&id, &title).await
    }
    "Removes a conversation; tells whether there was one."
    "conversation.delete" QUICK delete(id: ConversationId) -> bool { |store| of(store)?.delete(&id).await }
    "Keeps a conversation as another store gave it."
    "conversation.restore" SLOW restore(conversation: Conversation) -> () {
        |store| of(store)?.restore(conversation).await
    }
}

#[async_trait]
impl ConversationStore for RemoteConversations {
    async fn create(&self, new: NewConversation) -> Result<ConversationHead> {
        create(&self.0, new).await
    }

    async fn load(&self, id: &ConversationId) -> Result<Option<Conversation>> {
        load(&self.0, id.clone()).await
    }

    async fn head(&self, id: &ConversationId) -> Result<Option<ConversationHead>> {
        head(&self.0, id.clone()).await
    }

    async fn append(&self, id: &ConversationId, expect: u64, addition: Addition) -> Result<ConversationHead> {
        append(&self.0, id.clone(), expect, addition).await
    }

    async fn fork(
        &self,
        id: &ConversationId,
        keep: Option<u32>,
        new: ConversationId,
    ) -> Result<ConversationHead> {
        fork(&self.0, id.clone(), keep, new).await
    }

    async fn list(&self, filter: &ConversationFilter) -> Result<Vec<ConversationHead>> {
        list(&self.0, filter.clone()).await
    }

    async fn rename(&self, id: &ConversationId, title: &str) -> Result<()> {
        rename(&self.0, id.clone(), title.to_owned()).await
    }

    async fn delete(&self, id: &ConversationId) -> Result<bool> {
        delete(&self.0, id.clone()).await
    }

    async fn restore(&self, conversation: Conversation) -> Result<()> {
        restore(&self.0, conversation).await
    }
}
