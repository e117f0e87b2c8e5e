//! The model's own messages: which of its reasoning, calls, and blocks go back, and in which form.

use std::borrow::Cow;

use motet_core::message::{Opaque, Reasoning, ToolCall};
use motet_core::{Message, Part, Result};
use serde_json::{Value, json};

use super::super::{CAME_IN, OWN_FIELDS};
use super::{Content, ContentPart, WireCall, WireMessage, Writing, join, out_of_place};
use crate::dialect::call_ids;
use crate::dialect::history::own;
use crate::dialect::{Profile, ReasoningEcho};

/// What is known of the message so far.
#[derive(Default)]
struct Said<'a> {
    text: Cow<'a, str>,
    calls: Vec<WireCall<'a>>,
    thought: String,
    /// The field in which the reasoning's text came, where that is known.
    came_in: Option<&'a str>,
    own: Vec<(&'a str, Cow<'a, Value>)>,
}

impl<'a> Writing<'a> {
    pub(super) fn assistant(&mut self, message: &'a Message) -> Result<()> {
        let mut said = Said::default();
        for part in &message.parts {
            match part {
                Part::Text { text, opaque } => {
                    self.losses.note_foreign("the payload of a text", opaque.as_ref(), self.provider);
                    join(&mut said.text, text);
                }
                Part::Refusal { text } => join(&mut said.text, text),
                Part::ToolCall(call) => said.calls.push(self.call(call)),
                Part::Reasoning(reasoning) => self.reasoning(reasoning, &mut said),
                Part::Native { opaque } => self.native(opaque, &mut said),
                Part::Image(media) if self.profile.images => {
                    let lead = Cow::Borrowed("The image that you made:");
                    let image = self.image(media)?;
                    self.attached.extend([ContentPart::Text(lead), image]);
                }
                Part::Image(_) => self.losses.note("an image that a model made", ""),
                other => return Err(out_of_place(other, "assistant")),
            }
        }
        self.say(said);
        Ok(())
    }

    /// Takes reasoning unless it came from another provider, or in a form that is none of this format's.
    fn reasoning(&mut self, reasoning: &'a Reasoning, said: &mut Said<'a>) {
        let Some(opaque) = &reasoning.opaque else { return said.thought.push_str(&reasoning.text) };
        let fields = own(Some(opaque), self.provider).and_then(Value::as_object);
        let came_in = fields.and_then(|fields| fields.get(CAME_IN)?.as_str());
        let kept = OWN_FIELDS.into_iter().filter_map(|name| Some((name, Cow::Borrowed(fields?.get(name)?))));
        let before = said.own.len();
        said.own.extend(kept);
        if came_in.is_none() && said.own.len() == before {
            return self.losses.note("reasoning", &opaque.provider);
        }
        said.came_in = came_in.or(said.came_in);
        said.thought.push_str(&reasoning.text);
    }

    /// Takes a block that this format writes: speech, which goes back by its id.
    fn native(&mut self, opaque: &'a Opaque, said: &mut Said<'a>) {
        let id = own(Some(opaque), self.provider).and_then(|block| block.get("audio")?.get("id")?.as_str());
        match id.filter(|id| !id.is_empty()) {
            Some(id) => said.own.push(("audio", Cow::Owned(json!({"id": id})))),
            None => self.losses.note("a block", &opaque.provider),
        }
    }

    fn call(&mut self, call: &'a ToolCall) -> WireCall<'a> {
        let payload = own(call.opaque.as_ref(), self.provider);
        self.losses.note_foreign("the payload of a tool call", call.opaque.as_ref(), self.provider);
        WireCall {
            id: call_ids::on_wire(&call.id, &self.profile.call_ids),
            call,
            free_form: payload.and_then(|payload| payload.get("type")).is_some_and(|kind| kind == "custom"),
            extra: payload.and_then(|payload| payload.get("extra_content")),
        }
    }

    /// Adds the message, unless nothing of it is left.
    fn say(&mut self, said: Said<'a>) {
        let text = said.text;
        let (called, answered) = (!said.calls.is_empty(), !text.is_empty());
        let field = echo_field(self.profile, called, said.came_in);
        let required = matches!(self.profile.reasoning_echo, ReasoningEcho::WithToolCalls(_)) && called;
        let shown = !said.thought.is_empty() || required;
        let as_content = self.profile.reasoning_echo == ReasoningEcho::Content && shown;
        let reasoning = field.filter(|_| shown).map(|field| (field, said.thought.clone()));
        if !called && !answered && reasoning.is_none() && said.own.is_empty() && !as_content {
            return;
        }
        let content = if as_content {
            let text = answered.then_some(ContentPart::Text(text));
            Content::Parts([ContentPart::Thinking(said.thought)].into_iter().chain(text).collect())
        } else if !answered && called && self.profile.null_content {
            Content::Null
        } else {
            Content::Text(text)
        };
        let message = WireMessage {
            calls: said.calls,
            reasoning,
            own: said.own,
            ..WireMessage::new("assistant", content)
        };
        if message.is_plain() {
            self.push(message.role, message.content);
        } else {
            self.messages.push(message);
        }
    }
}

/// Gives the field in which reasoning goes back: the one in which it came, or the one that the profile names.
fn echo_field<'a>(profile: &Profile, called: bool, came_in: Option<&'a str>) -> Option<&'a str> {
    let came_in = came_in.filter(|name| *name != "content");
    match profile.reasoning_echo {
        ReasoningEcho::Always(field) => Some(came_in.unwrap_or(field)),
        ReasoningEcho::WithToolCalls(field) if called => Some(came_in.unwrap_or(field)),
        ReasoningEcho::AsSent if called => came_in,
        ReasoningEcho::Never
        | ReasoningEcho::Content
        | ReasoningEcho::AsSent
        | ReasoningEcho::WithToolCalls(_) => None,
    }
}
