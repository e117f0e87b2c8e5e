//! The conversation as it goes over the wire, borrowed from the request wherever it can be.
//!
//! Turns alternate: neighbours of one side are merged. Results of tools come first in the turn after the calls, one for
//! each; a conversation that breaks this is refused here, as the server would refuse it.

mod calls;
mod json;
mod parts;

use std::borrow::Cow;

use motet_core::message::{Media, ToolResult};
use motet_core::{ChatRequest, Error, ErrorKind, Message, Part, Result, Role};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::dialect::Profile;
use crate::dialect::history::Losses;

/// A conversation in the shape of this format.
pub(super) struct Conversation<'a> {
    /// Instructions that stand above it.
    pub(super) system: Vec<Cow<'a, str>>,
    pub(super) turns: Vec<Turn<'a>>,
    /// Name of the place where the provider ran code in the turn that goes on.
    pub(super) container: Option<&'a str>,
    /// The turn that goes on holds calls but no thinking, which some models refuse to take up thinking in.
    pub(super) unthinking: bool,
    pub(super) warnings: Vec<String>,
}

/// What one side says until the other speaks.
pub(super) struct Turn<'a> {
    role: Side,
    blocks: Vec<Block<'a>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    User,
    Assistant,
    System,
}

enum Block<'a> {
    Text {
        text: Cow<'a, str>,
        citations: Option<&'a Value>,
    },
    Thinking {
        text: &'a str,
        payload: &'a Map<String, Value>,
    },
    Call {
        id: Cow<'a, str>,
        name: &'a str,
        input: Input<'a>,
        beside: Option<&'a Map<String, Value>>,
    },
    Answer {
        id: Cow<'a, str>,
        content: Vec<Block<'a>>,
        is_error: bool,
    },
    Image(&'a Media),
    Document(Document<'a>),
    /// A block that goes back as it came.
    Native(&'a Value),
}

/// What a call is made with, which must be an object.
enum Input<'a> {
    Object(&'a RawValue),
    Empty,
    /// What the model wrote and is none.
    Broken(&'a str),
}

enum Document<'a> {
    Bytes { media: &'a Media, data: &'a str },
    Url { media: &'a Media, url: &'a str },
    Text { media: &'a Media, text: String },
}

/// Writes the conversation.
pub(super) fn encode<'a>(request: &'a ChatRequest, profile: &'a Profile) -> Result<Conversation<'a>> {
    let mut writing = Writing {
        profile,
        provider: request.model.provider(),
        model: request.model.model(),
        system: Vec::new(),
        turns: Vec::with_capacity(request.messages.len()),
        calls: calls::Calls::default(),
        container: None,
        thought: false,
        losses: Losses::default(),
        warnings: Vec::new(),
    };
    for (at, message) in request.messages.iter().enumerate() {
        match message.role {
            Role::System => {
                let next = request.messages.get(at + 1).map(|next| next.role);
                writing.system(message, matches!(next, None | Some(Role::Assistant)))?;
            }
            Role::User | Role::Tool => writing.user(message)?,
            Role::Assistant => writing.assistant(message)?,
        }
    }
    writing.finish()
}

struct Writing<'a> {
    profile: &'a Profile,
    provider: &'a str,
    model: &'a str,
    system: Vec<Cow<'a, str>>,
    turns: Vec<Turn<'a>>,
    calls: calls::Calls<'a>,
    container: Option<&'a str>,
    /// The turn that goes on holds thinking.
    thought: bool,
    losses: Losses,
    warnings: Vec<String>,
}

impl<'a> Writing<'a> {
    /// Puts instructions above the conversation, or where they stand if the model takes them there.
    fn system(&mut self, message: &'a Message, closes_turn: bool) -> Result<()> {
        let mut texts = Vec::with_capacity(message.parts.len());
        for part in &message.parts {
            match part {
                Part::Text { text, .. } if text.trim().is_empty() => {}
                Part::Text { text, .. } => texts.push(Cow::Borrowed(text.as_str())),
                other => return Err(parts::out_of_place(other, "system")),
            }
        }
        let follows_user = self.turns.last().is_some_and(|turn| turn.role == Side::User);
        if self.profile.system_in_place && follows_user && closes_turn {
            let blocks = texts.into_iter().map(|text| Block::Text { text, citations: None }).collect();
            self.push(Side::System, blocks);
        } else {
            self.system.extend(texts);
        }
        Ok(())
    }

    fn user(&mut self, message: &'a Message) -> Result<()> {
        let (mut answers, mut blocks) = (Vec::new(), Vec::with_capacity(message.parts.len()));
        for part in &message.parts {
            match part {
                Part::ToolResult(result) => answers.push(self.answer(result)?),
                other => blocks.extend(self.shown(other, message.role)?),
            }
        }
        if !blocks.is_empty() {
            (self.container, self.thought) = (None, false);
            self.calls.turn_ended();
        }
        if answers.is_empty() {
            self.push(Side::User, blocks);
            return Ok(());
        }
        self.push(Side::User, answers);
        let Some(turn) = self.turns.last_mut() else { return Ok(()) };
        turn.blocks.extend(blocks);
        turn.blocks.sort_by_key(|block| !matches!(block, Block::Answer { .. }));
        Ok(())
    }

    fn answer(&mut self, result: &'a ToolResult) -> Result<Block<'a>> {
        let id = self.calls.answer(result)?;
        let mut content = Vec::with_capacity(result.content.len());
        for part in &result.content {
            content.extend(self.shown(part, Role::Tool)?);
        }
        Ok(Block::Answer { id, content, is_error: result.is_error })
    }

    fn assistant(&mut self, message: &'a Message) -> Result<()> {
        if self.turns.last().is_some_and(|turn| turn.role != Side::Assistant) {
            self.calls.check_answered()?;
        }
        let mut blocks = Vec::with_capacity(message.parts.len());
        for part in &message.parts {
            match part {
                Part::Reasoning(reasoning) => blocks.extend(self.thinking(reasoning)),
                Part::ToolCall(call) => blocks.push(self.call(call)),
                Part::Native { opaque } if self.is_container(opaque) => {
                    self.container = opaque.payload.get("id").and_then(Value::as_str);
                }
                Part::Image(_) => self.losses.note("an image in an answer", ""),
                other => blocks.extend(self.shown(other, Role::Assistant)?),
            }
        }
        // A turn cannot end in thinking, as one does that reached its limit there.
        while matches!(blocks.last(), Some(Block::Thinking { .. })) {
            blocks.pop();
            self.losses.note("reasoning at the end of a turn", "");
        }
        self.thought |= blocks.iter().any(|block| matches!(block, Block::Thinking { .. }));
        self.push(Side::Assistant, blocks);
        Ok(())
    }

    /// Adds blocks to the turn of a side, which begins if the other spoke last.
    fn push(&mut self, role: Side, mut blocks: Vec<Block<'a>>) {
        if blocks.is_empty() {
            return;
        }
        match self.turns.last_mut() {
            Some(turn) if turn.role == role => turn.blocks.append(&mut blocks),
            _ => self.turns.push(Turn { role, blocks }),
        }
    }

    fn finish(mut self) -> Result<Conversation<'a>> {
        self.calls.check_answered()?;
        self.trim_end();
        if self.turns.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "the conversation has no messages with content",
            )
            .with_hint("add a message of the user"));
        }
        self.warnings.extend(self.losses.warnings());
        Ok(Conversation {
            system: self.system,
            turns: self.turns,
            container: self.container,
            unthinking: self.calls.in_turn() && !self.thought,
            warnings: self.warnings,
        })
    }

    /// Takes white space off the end of a beginning that the model is to go on with, as the server refuses it.
    fn trim_end(&mut self) {
        let Some(turn) = self.turns.last_mut().filter(|turn| turn.role == Side::Assistant) else { return };
        if let Some(Block::Text { text, .. }) = turn.blocks.last_mut()
            && text.trim_end().len() < text.len()
        {
            *text = Cow::Owned(text.trim_end().to_owned());
        }
    }
}
