//! Conversations: a row for the head and the summaries, and one for each turn, so that adding a turn writes that alone.

use async_trait::async_trait;
use motet_core::conversation::{
    Addition, Conversation, ConversationFilter, ConversationHead, ConversationId, ConversationStore,
    NewConversation, Summary, Turn, check_turns, conversation_exists, no_such_conversation,
};
use motet_core::error::Result;
use motet_core::id::Millis;
use serde::{Deserialize, Serialize};

use super::SledStore;
use super::keys;
use super::session::Session;
use super::writer::Access;

#[derive(Serialize, Deserialize)]
struct Row {
    head: ConversationHead,
    summaries: Vec<Summary>,
    /// Number of its newest change, which orders the list.
    changed: u64,
}

impl Session {
    pub(super) fn load_conversations(&mut self) -> Result<()> {
        let rows: Vec<Row> = self.all(&keys::named(keys::CONVERSATION, ""))?;
        self.conversations = rows.iter().map(|row| row.changed).max().unwrap_or_default();
        Ok(())
    }

    fn conversation_row(&mut self, id: &ConversationId) -> Result<Option<Row>> {
        self.apply()?;
        self.get(&keys::named(keys::CONVERSATION, id.as_str()))
    }

    fn conversation(&mut self, id: &ConversationId) -> Result<Option<Conversation>> {
        let Some(Row { head, summaries, .. }) = self.conversation_row(id)? else { return Ok(None) };
        let turns = self.all(&keys::below(keys::TURN, id.as_str()))?;
        Ok(Some(Conversation { head, turns, summaries }))
    }

    /// Writes a conversation; of its turns those from a place on, which were so many before.
    fn write_conversation(
        &mut self,
        head: ConversationHead,
        summaries: Vec<Summary>,
        (first, turns, before): (u32, Vec<Turn>, u32),
    ) -> Result<ConversationHead> {
        let id = head.id.as_str();
        let mut next = first;
        for turn in turns {
            self.put(keys::numbered(keys::TURN, id, next), Some(&turn))?;
            next += 1;
        }
        for gone in next..before {
            self.put(keys::numbered(keys::TURN, id, gone), None::<&Turn>)?;
        }
        self.conversations += 1;
        let row = Row { head: head.clone(), summaries, changed: self.conversations };
        self.put(keys::named(keys::CONVERSATION, id), Some(&row))?;
        Ok(head)
    }

    fn create_conversation(&mut self, conversation: Conversation) -> Result<ConversationHead> {
        let Conversation { head, turns, summaries } = conversation;
        if self.conversation_row(&head.id)?.is_some() {
            return Err(conversation_exists(&head.id));
        }
        self.write_conversation(head, summaries, (0, turns, 0))
    }

    fn append(
        &mut self,
        id: &ConversationId,
        expect: u64,
        addition: Addition,
        now: Millis,
    ) -> Result<ConversationHead> {
        let Row { head, summaries, .. } =
            self.conversation_row(id)?.ok_or_else(|| no_such_conversation(id))?;
        if head.version != expect {
            return Err(head.conflict(expect));
        }
        let before = head.turns;
        if addition.keep.is_none() {
            // What is there stays as it is, and need not be read.
            let mut added = Conversation { head, turns: Vec::new(), summaries };
            added.apply(addition, now)?;
            return self.write_conversation(added.head, added.summaries, (before, added.turns, before));
        }
        let turns: Vec<Turn> = self.all(&keys::below(keys::TURN, id.as_str()))?;
        let mut changed = Conversation { head, turns: turns.clone(), summaries };
        changed.apply(addition, now)?;
        let same = turns.iter().zip(&changed.turns).take_while(|(old, new)| old == new).count();
        let first = u32::try_from(same).unwrap_or(u32::MAX);
        let rest = changed.turns.split_off(same);
        self.write_conversation(changed.head, changed.summaries, (first, rest, before))
    }

    fn rename_conversation(&mut self, id: &ConversationId, title: &str) -> Result<()> {
        let mut row = self.conversation_row(id)?.ok_or_else(|| no_such_conversation(id))?;
        title.clone_into(&mut row.head.title);
        self.put(keys::named(keys::CONVERSATION, id.as_str()), Some(&row))
    }

    fn delete_conversation(&mut self, id: &ConversationId) -> Result<bool> {
        let Some(row) = self.conversation_row(id)? else { return Ok(false) };
        for turn in 0..row.head.turns {
            self.put(keys::numbered(keys::TURN, id.as_str(), turn), None::<&Turn>)?;
        }
        self.put(keys::named(keys::CONVERSATION, id.as_str()), None::<&Row>)?;
        Ok(true)
    }

    fn list_conversations(&mut self, filter: &ConversationFilter) -> Result<Vec<ConversationHead>> {
        self.apply()?;
        let mut rows: Vec<Row> = self.all(&keys::named(keys::CONVERSATION, ""))?;
        let fits = |head: &ConversationHead, text: &String| {
            head.id.as_str().contains(text) || head.title.contains(text)
        };
        rows.retain(|row| filter.text.as_ref().is_none_or(|text| fits(&row.head, text)));
        rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.changed));
        let limit = if filter.limit == 0 { usize::MAX } else { filter.limit as usize };
        Ok(rows.into_iter().take(limit).map(|row| row.head).collect())
    }
}

#[async_trait]
impl ConversationStore for SledStore {
    async fn create(&self, new: NewConversation) -> Result<ConversationHead> {
        check_turns(&new.turns)?;
        let create = |session: &mut Session, now| {
            let head = new.head(now);
            session.create_conversation(Conversation { head, turns: new.turns, summaries: new.summaries })
        };
        self.with(Access::Write, create).await
    }

    async fn load(&self, id: &ConversationId) -> Result<Option<Conversation>> {
        let id = id.clone();
        self.with(Access::Read, move |session, _| session.conversation(&id)).await
    }

    async fn head(&self, id: &ConversationId) -> Result<Option<ConversationHead>> {
        let id = id.clone();
        self.with(Access::Read, move |session, _| Ok(session.conversation_row(&id)?.map(|row| row.head)))
            .await
    }

    async fn append(&self, id: &ConversationId, expect: u64, addition: Addition) -> Result<ConversationHead> {
        let id = id.clone();
        self.with(Access::Write, move |session, now| session.append(&id, expect, addition, now)).await
    }

    async fn fork(
        &self,
        id: &ConversationId,
        keep: Option<u32>,
        new: ConversationId,
    ) -> Result<ConversationHead> {
        let id = id.clone();
        let fork = move |session: &mut Session, now| {
            let source = session.conversation(&id)?.ok_or_else(|| no_such_conversation(&id))?;
            session.create_conversation(source.forked(keep, new, now)?)
        };
        self.with(Access::Write, fork).await
    }

    async fn list(&self, filter: &ConversationFilter) -> Result<Vec<ConversationHead>> {
        let filter = filter.clone();
        self.with(Access::Read, move |session, _| session.list_conversations(&filter)).await
    }

    async fn rename(&self, id: &ConversationId, title: &str) -> Result<()> {
        let (id, title) = (id.clone(), title.to_owned());
        self.with(Access::Write, move |session, _| session.rename_conversation(&id, &title)).await
    }

    async fn delete(&self, id: &ConversationId) -> Result<bool> {
        let id = id.clone();
        self.with(Access::Write, move |session, _| session.delete_conversation(&id)).await
    }
    async fn restore(&self, conversation: Conversation) -> Result<()> {
        self.with(Access::Write, |session, _| session.create_conversation(conversation).map(drop)).await
    }
}
