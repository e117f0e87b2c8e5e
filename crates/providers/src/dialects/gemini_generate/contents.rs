//! The conversation as contents: who speaks alternates, results of tools stand alone, and signatures return to their parts.

mod json;
mod parts;
mod results;

use motet_core::message::{Message, Part, Role};
use motet_core::{ChatRequest, Error, ErrorKind, Result};

use crate::dialect::history::Losses;
use crate::dialect::{Profile, SystemRole};
use parts::WirePart;
use results::Results;

/// A conversation as it is sent.
#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    /// Instructions that stand above the contents.
    pub(super) system: Vec<&'a str>,
    /// What was said, in order.
    pub(super) contents: Vec<Content<'a>>,
    /// What was left out or changed.
    pub(super) warnings: Vec<String>,
}

/// What one side says in a turn.
#[derive(Debug)]
pub(super) struct Content<'a> {
    role: &'static str,
    parts: Vec<WirePart<'a>>,
    /// It holds results of tools, which may not be mixed with anything else.
    results: bool,
}

/// Writes a conversation.
pub(super) fn encode<'a>(request: &'a ChatRequest, profile: &'a Profile) -> Result<Conversation<'a>> {
    let mut writing = Writing {
        provider: request.model.provider(),
        profile,
        conversation: Conversation::default(),
        results: Results::default(),
        losses: Losses::default(),
        placeholders: 0,
    };
    for message in &request.messages {
        writing.message(message)?;
    }
    writing.flush_results();
    writing.finish()
}

struct Writing<'a> {
    /// Name of the row that is asked; only its own payloads are sent back.
    provider: &'a str,
    profile: &'a Profile,
    conversation: Conversation<'a>,
    results: Results<'a>,
    losses: Losses,
    /// Calls that got a placeholder in place of a signature.
    placeholders: usize,
}

impl<'a> Writing<'a> {
    fn message(&mut self, message: &'a Message) -> Result<()> {
        match message.role {
            Role::System => self.system(message),
            Role::User | Role::Tool => self.user(message),
            Role::Assistant => self.assistant(message),
        }
    }

    fn system(&mut self, message: &'a Message) -> Result<()> {
        for part in &message.parts {
            let Some(text) = part.as_text() else { return Err(parts::out_of_place(part, "system")) };
            if text.is_empty() {
                continue;
            }
            if self.profile.system_role == SystemRole::User {
                self.flush_results();
                self.push("user", vec![WirePart::text(text)], false);
            } else {
                self.conversation.system.push(text);
            }
        }
        Ok(())
    }

    fn user(&mut self, message: &'a Message) -> Result<()> {
        let mut said = Vec::with_capacity(message.parts.len());
        for part in &message.parts {
            match part {
                Part::ToolResult(result) => self.results.add(result, self.profile)?,
                Part::Text { text, .. } if text.is_empty() => {}
                Part::Text { text, .. } => said.push(WirePart::text(text)),
                Part::Image(media) | Part::Document(media) => said.push(WirePart::media(media)?),
                other => return Err(parts::out_of_place(other, "user")),
            }
        }
        if !said.is_empty() {
            self.flush_results();
            self.push("user", said, false);
        }
        Ok(())
    }

    fn assistant(&mut self, message: &'a Message) -> Result<()> {
        self.flush_results();
        let mut said: Vec<WirePart<'a>> = Vec::with_capacity(message.parts.len());
        let mut calls = false;
        for part in &message.parts {
            match part {
                Part::Native { opaque } if opaque.provider != self.provider => {
                    self.losses.note("a block that only its provider understands", &opaque.provider);
                }
                Part::Native { opaque } => parts::push_native(&opaque.payload, &mut said),
                Part::Reasoning(reasoning) => {
                    self.losses.note_foreign("reasoning", reasoning.opaque.as_ref(), self.provider);
                    said.extend(WirePart::reasoning(reasoning, self.provider));
                }
                Part::Text { text, opaque } => {
                    self.losses.note_foreign("a signature", opaque.as_ref(), self.provider);
                    said.extend(WirePart::answer(text, opaque.as_ref(), self.provider));
                }
                Part::Refusal { text } => said.extend(WirePart::answer(text, None, self.provider)),
                Part::Image(media) | Part::Document(media) => said.push(WirePart::media(media)?),
                Part::ToolCall(call) => {
                    if !calls {
                        self.results.begin();
                    }
                    calls = true;
                    self.losses.note_foreign("a signature", call.opaque.as_ref(), self.provider);
                    let (part, warning) = WirePart::call(call, self.provider);
                    self.results.expect(call, &part);
                    self.conversation.warnings.extend(warning);
                    said.push(part);
                }
                other => return Err(parts::out_of_place(other, "assistant")),
            }
        }
        if let Some(placeholder) = self.profile.placeholder_signature {
            self.placeholders += usize::from(parts::sign_first_call(&mut said, placeholder));
        }
        if !said.is_empty() {
            self.push("model", said, false);
        }
        Ok(())
    }

    /// Writes the results that wait, and after them the media that no result may hold.
    fn flush_results(&mut self) {
        let (results, media) = self.results.take();
        if !results.is_empty() {
            self.push("user", results, true);
        }
        if !media.is_empty() {
            self.push("user", media, false);
        }
    }

    fn push(&mut self, role: &'static str, mut parts: Vec<WirePart<'a>>, results: bool) {
        match self.conversation.contents.last_mut() {
            Some(last) if last.role == role && last.results == results => last.parts.append(&mut parts),
            _ => self.conversation.contents.push(Content { role, parts, results }),
        }
    }

    fn finish(mut self) -> Result<Conversation<'a>> {
        if self.conversation.contents.is_empty() {
            return Err(Error::new(ErrorKind::InvalidRequest, "the conversation says nothing")
                .with_hint("add a user message; instructions alone are not answered"));
        }
        let warnings = &mut self.conversation.warnings;
        warnings.extend(self.losses.warnings());
        if self.placeholders > 0 {
            let turns = match self.placeholders {
                1 => "one turn".to_owned(),
                several => format!("{several} turns"),
            };
            warnings.push(format!(
                "the tool calls of {turns} came without this model's signature; a placeholder was sent instead, and the \
                 model does not know what led to them"
            ));
        }
        Ok(self.conversation)
    }
}
