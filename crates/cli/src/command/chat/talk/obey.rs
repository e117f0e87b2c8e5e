//! What the commands of a chat do.

use motet::core::conversation::{ConversationHead, ConversationId, ConversationStore};
use motet::core::store::{Durability, SharedStore};
use motet::{Error, ErrorKind, Message, Result, RunContext, Runtime};

use super::super::commands::{Command, help};
use super::{Talk, agent, counted, said};

impl Talk {
    /// Does what a command says; gives false when it is the last.
    pub(super) async fn obey(&mut self, command: Command, rest: &str) -> Result<bool> {
        match command {
            Command::Help => self.printer.note(help().trim_end()),
            Command::Tools => self.tell_tools(),
            Command::Model => self.set_model(rest).await?,
            Command::System => self.set_system(rest).await?,
            Command::Save => self.save_as(rest).await?,
            Command::Load => self.load(rest).await?,
            Command::Fork => self.fork(rest).await?,
            Command::Edit => self.edit(rest).await?,
            Command::Undo => self.undo().await?,
            Command::Retry => self.retry().await?,
            Command::Cost => self.tell_cost().await,
            Command::Clear => self.clear().await?,
            Command::Compact => self.compact().await?,
            Command::Quit => return Ok(false),
        }
        Ok(true)
    }

    fn tell_tools(&self) {
        if self.tools.is_empty() {
            return self.printer.note("there are no tools");
        }
        for tool in &self.tools {
            let spec = tool.spec();
            self.printer.note(&format!("{}: {}", spec.name, spec.description));
        }
    }

    async fn set_model(&mut self, rest: &str) -> Result<()> {
        if !rest.is_empty() {
            self.switch(rest.parse()?, self.system.clone()).await?;
        }
        self.printer.note(&format!("model: {}", self.model));
        Ok(())
    }

    async fn set_system(&mut self, rest: &str) -> Result<()> {
        if !rest.is_empty() {
            let system = if rest == "-" { String::new() } else { rest.to_owned() };
            self.switch(self.model.clone(), system).await?;
        }
        let shown = if self.system.is_empty() { "none" } else { &self.system };
        self.printer.note(&format!("instructions: {shown}"));
        Ok(())
    }

    async fn save_as(&mut self, rest: &str) -> Result<()> {
        if self.saved && rest.is_empty() {
            let id = self.session.head().await.id;
            self.printer.note(&format!("kept as `{id}` already; every turn is"));
            return Ok(());
        }
        let id = if rest.is_empty() { ConversationId::new() } else { rest.parse()? };
        self.save(id).await
    }

    /// Keeps the conversation under a name from now on.
    pub(super) async fn save(&mut self, id: ConversationId) -> Result<()> {
        let store = self.runtime.store().await?;
        if store.capabilities().durability == Durability::None {
            self.printer.note("warning: the store keeps nothing beyond this command; the setting `store` names one that does");
        }
        self.session.save(store, id.clone()).await?;
        (self.saved, self.name) = (true, None);
        self.printer.note(&format!("kept as `{id}`"));
        Ok(())
    }

    async fn load(&mut self, rest: &str) -> Result<()> {
        let id: ConversationId = rest.parse()?;
        let head = stored(&self.runtime, &id).await?.ok_or_else(|| no_such(&id))?;
        let model = head.model.clone().unwrap_or_else(|| self.model.clone());
        let agent = agent(&self.runtime, &model, &head.instructions, &self.tools)?;
        self.session = self.runtime.open_session(&id, agent).await?;
        self.limit()?;
        (self.model, self.system) = (model, head.instructions);
        (self.saved, self.name, self.unanswered) = (true, None, None);
        self.printer.note(&format!("going on with `{id}`, {}, model {}", counted(head.turns), self.model));
        Ok(())
    }

    async fn fork(&mut self, rest: &str) -> Result<()> {
        let (number, name) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let (number, name) = if number.parse::<u32>().is_ok() { (number, name.trim()) } else { ("", rest) };
        let keep = match number {
            "" => None,
            number => Some(self.end_of(number).await?),
        };
        let id = if name.is_empty() { ConversationId::new() } else { name.parse()? };
        self.session = self.session.fork(keep, id.clone()).await?;
        let turns = self.session.head().await.turns;
        let place = if self.saved { format!(", kept as `{id}`") } else { String::new() };
        self.printer.note(&format!("a copy of {}{place}", counted(turns)));
        Ok(())
    }

    async fn edit(&mut self, rest: &str) -> Result<()> {
        let (number, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let (keep, words) = self.turn(number).await?;
        if !text.trim().is_empty() {
            return self.say(vec![Message::user(text.trim())], Some(keep)).await;
        }
        if !self.interactive {
            return Err(refused("`/edit` needs the new words here").with_hint("write `/edit N TEXT`"));
        }
        self.keep = Some(keep);
        self.draft = Some(words.iter().map(Message::visible_text).collect::<Vec<_>>().join("\n"));
        Ok(())
    }

    async fn undo(&mut self) -> Result<()> {
        let (starts, _) = self.starts().await?;
        let start = *starts.last().ok_or_else(nothing_said)?;
        self.session.take_back(start).await?;
        self.unanswered = None;
        self.printer.note(&format!("turn {} is taken back", starts.len()));
        Ok(())
    }

    async fn retry(&mut self) -> Result<()> {
        // What was not answered is no part of the conversation.
        if let Some(words) = self.unanswered.take() {
            return self.say(words, None).await;
        }
        let (starts, _) = self.starts().await?;
        let (keep, words) = self.turn(&starts.len().to_string()).await?;
        self.say(words, Some(keep)).await
    }

    async fn tell_cost(&self) {
        let head = self.session.head().await;
        let cost = head.cost.map_or_else(|| "unknown".to_owned(), |cost| cost.to_string());
        let (input, output) = (head.usage.input, head.usage.output);
        let next = self.session.tokens().await;
        self.printer.note(&format!(
            "{}, {input} tokens in, {output} out, cost {cost}; the next turn sends about {next} tokens",
            counted(head.turns)
        ));
    }

    async fn clear(&mut self) -> Result<()> {
        let agent = agent(&self.runtime, &self.model, &self.system, &self.tools)?;
        self.session = self.runtime.session(agent).await?;
        (self.saved, self.name, self.unanswered) = (false, None, None);
        self.printer.note("a new conversation, not kept");
        self.limit()
    }

    async fn compact(&self) -> Result<()> {
        let before = self.session.tokens().await;
        let context = RunContext::new();
        let compacted = tokio::select! {
            biased;
            () = self.interrupts.notified() => {
                return Err(Error::new(ErrorKind::Cancelled, "the summary was stopped"));
            }
            compacted = self.session.compact(&context) => compacted?,
        };
        if !compacted {
            self.printer.note("there is nothing to summarise");
            return Ok(());
        }
        let after = self.session.tokens().await;
        self.printer.note(&format!("about {after} tokens in the place of {before}"));
        Ok(())
    }

    /// Gives where a turn begins and what was said in it.
    async fn turn(&self, number: &str) -> Result<(u32, Vec<Message>)> {
        let conversation = self.session.conversation().await?;
        let (starts, _) = self.starts().await?;
        let place = place(number, starts.len())?;
        let found = starts.get(place).zip(conversation.turns.get(place));
        let (start, turn) = found.ok_or_else(nothing_said)?;
        Ok((*start, said(&turn.messages)))
    }

    /// Gives the number of messages through the end of a turn.
    async fn end_of(&self, number: &str) -> Result<u32> {
        let (starts, all) = self.starts().await?;
        let place = place(number, starts.len())?;
        Ok(starts.get(place + 1).copied().unwrap_or(all))
    }
}

/// Reads the number of a turn, from 1, as its place.
fn place(number: &str, turns: usize) -> Result<usize> {
    let place = number.parse::<usize>().ok().filter(|number| (1..=turns).contains(number));
    let place = place.and_then(|number| number.checked_sub(1));
    place.ok_or_else(|| {
        let hint = match turns {
            0 => "nothing was said yet".to_owned(),
            turns => format!("the turns are 1 to {turns}"),
        };
        refused(format!("`{number}` is not the number of a turn")).with_hint(hint)
    })
}

/// Gives the head of a conversation of the store.
pub(super) async fn stored(runtime: &Runtime, id: &ConversationId) -> Result<Option<ConversationHead>> {
    let store = runtime.store().await?;
    conversations(&store)?.head(id).await
}

/// Gives where a store keeps conversations.
pub(crate) fn conversations(store: &SharedStore) -> Result<&dyn ConversationStore> {
    let name = store.capabilities().name;
    store.conversations().ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, format!("the store `{name}:` keeps no conversations"))
    })
}

fn no_such(id: &ConversationId) -> Error {
    motet::core::conversation::no_such_conversation(id)
}

fn nothing_said() -> Error {
    refused("nothing was said yet")
}

pub(super) fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidRequest, message.into())
}
