//! Conversations on the server: a head, and lists of turns and summaries that are only added to or cut.

use async_trait::async_trait;
use motet_core::conversation::{
    Addition, Conversation, ConversationFilter, ConversationHead, ConversationId, ConversationStore,
    NewConversation, StoredSummary, StoredTurn, Summary, Turn, check_turns, conversation_exists,
    no_such_conversation,
};
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::message::Message;
use serde::{Deserialize, Serialize};

use super::RedisStore;
use super::row::{from_json, to_json};
use super::{fetch, server};

/// A turn as it lies in its list.
#[derive(Serialize, Deserialize)]
struct KeptTurn {
    turn: StoredTurn,
    messages: Vec<Message>,
}

fn write_turn(turn: &Turn) -> Result<String> {
    to_json(&KeptTurn { turn: StoredTurn::of(turn), messages: turn.messages.clone() })
}

fn read_turn(text: &str) -> Result<Turn> {
    let KeptTurn { turn, messages } = from_json(text)?;
    Ok(turn.with_messages(messages))
}

fn write_summary(summary: &Summary) -> Result<String> {
    to_json(&StoredSummary::V1(summary.clone()))
}

/// Puts the turns and summaries that are added behind what a script is given before them.
fn with_added(mut words: Vec<String>, turns: &[Turn], summaries: &[Summary]) -> Result<Vec<Vec<u8>>> {
    words.push(turns.len().to_string());
    for turn in turns {
        words.push(write_turn(turn)?);
    }
    for summary in summaries {
        words.push(write_summary(summary)?);
    }
    Ok(words.into_iter().map(String::into_bytes).collect())
}

/// Makes the error for a conversation that the server lost the newest turns of, and that has others under their version.
fn lost_write(id: &ConversationId) -> Error {
    let message = format!("the Redis server lost what the conversation `{id}` was to go on from");
    Error::new(ErrorKind::Conflict, message).with_hint("read it again, and go on from what is there")
}

/// Reads a head, and the title that it has by now.
fn read_head((head, title): (Option<String>, Option<String>)) -> Result<Option<ConversationHead>> {
    let Some(head) = head else { return Ok(None) };
    let mut head: ConversationHead = from_json(&head)?;
    head.title = title.unwrap_or(head.title);
    Ok(Some(head))
}

impl RedisStore {
    async fn conversation_head(&self, id: &ConversationId) -> Result<Option<ConversationHead>> {
        Ok(self.conversation_heads(std::slice::from_ref(id)).await?.pop().flatten())
    }

    /// Gives the name of the last write too.
    async fn newest(&self, id: &ConversationId) -> Result<Option<(ConversationHead, String)>> {
        let key = self.server.key(format!("conversation:{id}"));
        let fields = redis::cmd("HMGET").arg(key).arg("head").arg("title").arg("write").to_owned();
        let (head, title, write): (Option<String>, Option<String>, Option<String>) =
            self.server.ask(&fields).await?;
        Ok(read_head((head, title))?.zip(write))
    }

    async fn conversation_heads(&self, ids: &[ConversationId]) -> Result<Vec<Option<ConversationHead>>> {
        let mut pipe = redis::pipe();
        for id in ids {
            pipe.cmd("HMGET").arg(self.server.key(format!("conversation:{id}"))).arg("head").arg("title");
        }
        let found: Vec<(Option<String>, Option<String>)> = self.server.ask_all(&pipe).await?;
        found.into_iter().map(read_head).collect()
    }

    async fn insert(&self, conversation: &Conversation) -> Result<()> {
        let head = &conversation.head;
        let words = vec!["create".to_owned(), head.id.as_str().to_owned(), server::name(), to_json(head)?];
        let words = with_added(words, &conversation.turns, &conversation.summaries)?;
        let answer: String = self.server.run(&self.server.scripts.conversations, &words).await?;
        if answer == "done" { Ok(()) } else { Err(conversation_exists(&head.id)) }
    }
}

#[async_trait]
impl ConversationStore for RedisStore {
    async fn create(&self, new: NewConversation) -> Result<ConversationHead> {
        check_turns(&new.turns)?;
        let head = new.head(fetch::now(&self.server).await?);
        let conversation = Conversation { head: head.clone(), turns: new.turns, summaries: new.summaries };
        self.insert(&conversation).await?;
        Ok(head)
    }

    async fn load(&self, id: &ConversationId) -> Result<Option<Conversation>> {
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.cmd("HMGET").arg(self.server.key(format!("conversation:{id}"))).arg("head").arg("title");
        pipe.cmd("LRANGE").arg(self.server.key(format!("turns:{id}"))).arg(0).arg(-1);
        pipe.cmd("LRANGE").arg(self.server.key(format!("summaries:{id}"))).arg(0).arg(-1);
        type Found = ((Option<String>, Option<String>), Vec<String>, Vec<String>);
        let ((head, title), turns, summaries): Found = self.server.ask_all(&pipe).await?;
        let Some(head) = head else { return Ok(None) };
        let mut head: ConversationHead = from_json(&head)?;
        head.title = title.unwrap_or(head.title);
        let turns = turns.iter().map(|text| read_turn(text)).collect::<Result<_>>()?;
        let summary = |text: &String| Ok(from_json::<StoredSummary>(text)?.into_summary());
        let summaries = summaries.iter().map(summary).collect::<Result<_>>()?;
        Ok(Some(Conversation { head, turns, summaries }))
    }

    async fn head(&self, id: &ConversationId) -> Result<Option<ConversationHead>> {
        self.conversation_head(id).await
    }

    async fn append(&self, id: &ConversationId, expect: u64, addition: Addition) -> Result<ConversationHead> {
        check_turns(&addition.turns)?;
        let now = fetch::now(&self.server).await?;
        let found = self.newest(id).await?;
        let (mut head, write) = found.ok_or_else(|| no_such_conversation(id))?;
        if head.version != expect {
            return Err(head.conflict(expect));
        }
        let mut turns = Vec::new();
        let mut keep = None;
        if let Some(messages) = addition.keep {
            let mut whole = self.load(id).await?.ok_or_else(|| no_such_conversation(id))?;
            let before: Vec<usize> = whole.turns.iter().map(|turn| turn.messages.len()).collect();
            whole.keep(messages)?;
            let same =
                whole.turns.iter().zip(&before).take_while(|(turn, count)| turn.messages.len() == **count);
            let same = same.count();
            turns.extend(whole.turns.iter().skip(same).cloned());
            keep = Some((same, whole.summaries.len()));
            head = whole.head;
        }
        addition.count_in(&mut head, now);
        turns.extend(addition.turns);
        let number = |count: usize| count.to_string();
        let (kept, told) = keep.map_or(("-1".to_owned(), "-1".to_owned()), |(a, b)| (number(a), number(b)));
        let words = vec![
            "append".to_owned(),
            id.as_str().to_owned(),
            server::name(),
            write,
            to_json(&head)?,
            kept,
            told,
        ];
        let words = with_added(words, &turns, &addition.summaries)?;
        let answer: String = self.server.run(&self.server.scripts.conversations, &words).await?;
        match answer.as_str() {
            "done" => Ok(head),
            "gone" => Err(no_such_conversation(id)),
            _ => match self.conversation_head(id).await? {
                Some(newest) if newest.version == expect => Err(lost_write(id)),
                Some(newest) => Err(newest.conflict(expect)),
                None => Err(no_such_conversation(id)),
            },
        }
    }

    async fn fork(
        &self,
        id: &ConversationId,
        keep: Option<u32>,
        new: ConversationId,
    ) -> Result<ConversationHead> {
        let now = fetch::now(&self.server).await?;
        let whole = self.load(id).await?.ok_or_else(|| no_such_conversation(id))?;
        let fork = whole.forked(keep, new, now)?;
        self.insert(&fork).await?;
        Ok(fork.head)
    }

    async fn list(&self, filter: &ConversationFilter) -> Result<Vec<ConversationHead>> {
        const BATCH: isize = 500;
        let limit = if filter.limit == 0 { usize::MAX } else { filter.limit as usize };
        let (mut found, mut from) = (Vec::new(), 0);
        while found.len() < limit {
            let mut range = redis::cmd("ZREVRANGE");
            range.arg(self.server.key("conversations")).arg(from).arg(from + BATCH - 1);
            let ids: Vec<String> = self.server.ask(&range).await?;
            if ids.is_empty() {
                break;
            }
            from += BATCH;
            let ids: Vec<ConversationId> = ids.iter().map(|id| id.parse()).collect::<Result<_>>()?;
            let heads = self.conversation_heads(&ids).await?.into_iter().flatten();
            let fits = |head: &ConversationHead| {
                let text = filter.text.as_ref();
                text.is_none_or(|text| head.id.as_str().contains(text) || head.title.contains(text))
            };
            found.extend(heads.filter(fits).take(limit - found.len()));
        }
        Ok(found)
    }

    async fn rename(&self, id: &ConversationId, title: &str) -> Result<()> {
        let words = ["rename", id.as_str(), title].map(|word| word.as_bytes().to_vec());
        let answer: String = self.server.run(&self.server.scripts.conversations, &words).await?;
        if answer == "done" { Ok(()) } else { Err(no_such_conversation(id)) }
    }

    async fn delete(&self, id: &ConversationId) -> Result<bool> {
        let words = ["delete", id.as_str()].map(|word| word.as_bytes().to_vec());
        let answer: String = self.server.run(&self.server.scripts.conversations, &words).await?;
        Ok(answer == "done")
    }
}
