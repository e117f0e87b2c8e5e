//! One scripted answer: what it says, when it applies, and how it arrives.

use std::time::Duration;

use motet_core::error::ErrorReport;
use motet_core::message::{Reasoning, ToolCall};
use motet_core::request::Output;
use motet_core::{
    ChatRequest, ChatResponse, Cost, Error, ErrorKind, FinishReason, Message, Part, Result, Role, Usage,
};
use serde_json::Value;

use super::PROVIDER;
use crate::offline::reply::{answer_tokens, request_tokens};

/// One answer of a [`ScriptedModel`](super::ScriptedModel).
///
/// Usage is estimated at a quarter of the characters, rounded up, unless it is given; the cost is zero.
#[derive(Debug, Clone)]
pub struct Answer {
    pub(super) content: Content,
    pub(super) calls: Vec<Call>,
    pub(super) when: Option<When>,
    pub(super) delay: Duration,
    pub(super) usage: Option<Usage>,
    pub(super) reasoning: Option<String>,
    pub(super) finish_reason: Option<FinishReason>,
    pub(super) cut_after: Option<usize>,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    Nothing,
    Text(String),
    Echo,
    /// What this tool answered last.
    ToolResult(String),
    Error(Box<ErrorReport>),
}

/// A tool call of an answer; without an id it gets one that is unique in a growing conversation.
#[derive(Debug, Clone, Default)]
pub(super) struct Call {
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) arguments: String,
}

/// Conditions that must all hold.
#[derive(Debug, Clone, Default)]
pub(super) struct When {
    pub(super) contains: Option<String>,
    pub(super) schema: Option<bool>,
    pub(super) turn: Option<usize>,
}

impl Answer {
    /// Makes an answer of text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::of(Content::Text(text.into()))
    }

    /// Makes an answer whose text is this value as JSON.
    #[must_use]
    pub fn json(value: &Value) -> Self {
        Self::text(value.to_string())
    }

    /// Makes an answer that repeats the last user message.
    #[must_use]
    pub fn echo() -> Self {
        Self::of(Content::Echo)
    }

    /// Makes an answer that repeats what a tool answered last; an error where it was not called.
    #[must_use]
    pub fn tool_result(name: impl Into<String>) -> Self {
        Self::of(Content::ToolResult(name.into()))
    }

    /// Makes an answer that calls one tool.
    #[must_use]
    pub fn tool_call(name: impl Into<String>, arguments: &Value) -> Self {
        Self::of(Content::Nothing).and_tool_call(name, arguments)
    }

    /// Makes a call that fails; the error's source is not kept, as it may be given more than once.
    #[must_use]
    pub fn error(error: &Error) -> Self {
        Self::of(Content::Error(Box::new(error.report())))
    }

    /// Adds a tool call; a text value is taken as the arguments' raw text, so that malformed ones can be tested.
    #[must_use]
    pub fn and_tool_call(mut self, name: impl Into<String>, arguments: &Value) -> Self {
        self.calls.push(Call { id: None, name: name.into(), arguments: arguments_text(arguments) });
        self
    }

    /// Gives this answer whenever the last user message contains a text.
    #[must_use]
    pub fn when_contains(mut self, text: impl Into<String>) -> Self {
        self.when.get_or_insert_default().contains = Some(text.into());
        self
    }

    /// Gives this answer whenever the request asks for a JSON schema, or whenever it does not.
    #[must_use]
    pub fn when_schema(mut self, asked: bool) -> Self {
        self.when.get_or_insert_default().schema = Some(asked);
        self
    }

    /// Gives this answer whenever the model has answered so often since the last user message: 0 is the first answer to it.
    /// Of an agent that calls tools this names the turn, also in another process that goes on with its run.
    #[must_use]
    pub fn when_turn(mut self, turn: usize) -> Self {
        self.when.get_or_insert_default().turn = Some(turn);
        self
    }

    /// Waits before the answer starts; cancellation and the run's deadline end the wait.
    #[must_use]
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sets the tokens used.
    #[must_use]
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }

    /// Puts reasoning before the text.
    #[must_use]
    pub fn with_reasoning(mut self, text: impl Into<String>) -> Self {
        self.reasoning = Some(text.into());
        self
    }

    /// Sets why the model stopped; otherwise `ToolCalls` where tools are called, else `Stop`.
    #[must_use]
    pub fn with_finish_reason(mut self, reason: FinishReason) -> Self {
        self.finish_reason = Some(reason);
        self
    }

    /// Breaks the answer off with `Truncated` after this many visible characters, at its end at the latest.
    #[must_use]
    pub fn cut_after(mut self, characters: usize) -> Self {
        self.cut_after = Some(characters);
        self
    }

    /// Makes the whole answer to a request, without its delay, condition, or break.
    ///
    /// # Errors
    /// The scripted error.
    pub fn respond(&self, request: &ChatRequest) -> Result<ChatResponse> {
        let mut parts = Vec::new();
        if let Some(text) = &self.reasoning {
            parts.push(Part::Reasoning(Reasoning { text: text.clone(), opaque: None }));
        }
        match &self.content {
            Content::Nothing => {}
            Content::Text(text) => parts.push(Part::text(text.clone())),
            Content::Echo => parts.push(Part::text(last_user_text(request))),
            Content::ToolResult(name) => parts.push(Part::text(last_result(request, name)?)),
            Content::Error(report) => {
                let report = ErrorReport::clone(report);
                let provider = report.provider.clone().unwrap_or_else(|| PROVIDER.to_owned());
                return Err(Error::from(report).with_provider(provider).with_model(request.model.clone()));
            }
        }
        for (place, call) in (1..).zip(&self.calls) {
            parts.push(call.to_part(request.messages.len(), place));
        }
        let usage = Usage::new(request_tokens(request), answer_tokens(&parts));
        let reason = if self.calls.is_empty() { FinishReason::Stop } else { FinishReason::ToolCalls };
        let message = Message { role: Role::Assistant, parts };
        let mut response =
            ChatResponse::new(request.model.clone(), message, self.finish_reason.unwrap_or(reason));
        response.usage = Some(self.usage.unwrap_or(usage));
        response.cost = Some(Cost::ZERO);
        Ok(response)
    }

    pub(super) fn applies(&self, request: &ChatRequest) -> bool {
        let Some(When { contains, schema, turn }) = &self.when else { return false };
        let asked = matches!(request.output, Output::JsonSchema(_));
        contains.as_ref().is_none_or(|text| last_user_text(request).contains(text.as_str()))
            && schema.is_none_or(|wanted| wanted == asked)
            && turn.is_none_or(|wanted| wanted == turn_of(request))
    }

    pub(super) fn of(content: Content) -> Self {
        Self {
            content,
            calls: Vec::new(),
            when: None,
            delay: Duration::ZERO,
            usage: None,
            reasoning: None,
            finish_reason: None,
            cut_after: None,
        }
    }
}

impl From<&str> for Answer {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl Call {
    fn to_part(&self, messages: usize, place: usize) -> Part {
        Part::ToolCall(ToolCall {
            id: self.id.clone().unwrap_or_else(|| format!("call_{messages}_{place}")),
            name: self.name.clone(),
            arguments: self.arguments.clone(),
            minted: false,
            opaque: None,
        })
    }
}

pub(super) fn arguments_text(arguments: &Value) -> String {
    match arguments {
        Value::String(raw) => raw.clone(),
        value => value.to_string(),
    }
}

/// Counts the answers since the last user message.
fn turn_of(request: &ChatRequest) -> usize {
    let since = request.messages.iter().rev().take_while(|message| message.role != Role::User);
    since.filter(|message| message.role == Role::Assistant).count()
}

fn last_result(request: &ChatRequest, name: &str) -> Result<String> {
    let parts = request.messages.iter().rev().flat_map(|message| message.parts.iter().rev());
    let mut results = parts.filter_map(|part| match part {
        Part::ToolResult(result) if result.name == name => Some(result.text()),
        _ => None,
    });
    results.next().ok_or_else(|| {
        let message = format!("the script repeats what `{name}` answered, which was not called");
        Error::new(ErrorKind::Configuration, message)
            .with_provider(PROVIDER)
            .with_model(request.model.clone())
    })
}

fn last_user_text(request: &ChatRequest) -> String {
    let last = request.messages.iter().rev().find(|message| message.role == Role::User);
    last.map(Message::visible_text).unwrap_or_default()
}
