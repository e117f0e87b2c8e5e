//! Turns the events of an answer to a lowered request into those of the request that was made.
//!
//! Works on events alone, so that plain and streamed answers come out the same, in whatever pieces they arrive.

use std::collections::BTreeSet;

use motet_core::{FinishReason, StreamEvent};

/// Turns the events of an answer to a lowered request into those of the request that was made.
#[derive(Debug, Clone, Default)]
pub struct Restoring {
    tool: Option<Box<Answering>>,
}

/// An answer that is asked for by a tool.
#[derive(Debug, Clone, Default)]
struct Answering {
    name: String,
    /// Place of the call that is the answer.
    answer: Option<u32>,
    /// Something of the answer was given.
    has_text: bool,
    /// Other tools were called.
    has_calls: bool,
    /// Places of text and of further calls of the tool.
    beside: BTreeSet<u32>,
    /// Text that is the answer if the tool is not called.
    held: Vec<StreamEvent>,
}

impl Restoring {
    /// Turns the arguments of calls of this tool into text.
    pub(super) fn of_tool(name: String) -> Self {
        Self { tool: Some(Box::new(Answering { name, ..Answering::default() })) }
    }

    /// Turns back the events from a place on.
    pub fn apply(&mut self, events: &mut Vec<StreamEvent>, from: usize) {
        if let Some(answering) = &mut self.tool
            && from < events.len()
        {
            for event in events.split_off(from) {
                answering.take(event, events);
            }
        }
    }

    /// Gives what was held back of an answer that breaks off.
    pub fn end(&mut self, events: &mut Vec<StreamEvent>) {
        if let Some(answering) = &mut self.tool {
            answering.give_held(events);
        }
    }
}

impl Answering {
    fn take(&mut self, event: StreamEvent, out: &mut Vec<StreamEvent>) {
        match event {
            // Words before the call are not part of the answer, but only its end tells whether there is a call.
            StreamEvent::TextDelta { part, .. } => {
                self.beside.insert(part);
                self.held.push(event);
            }
            StreamEvent::PartOpaque { part, .. } if self.answer == Some(part) => {}
            StreamEvent::PartOpaque { part, .. } if self.beside.contains(&part) => self.held.push(event),
            StreamEvent::ToolCallStarted { part, name, .. } if name == self.name => match self.answer {
                None => self.answer = Some(part),
                Some(_) => {
                    self.beside.insert(part);
                }
            },
            StreamEvent::ToolCallDelta { part, arguments } if self.answer == Some(part) => {
                if !arguments.is_empty() {
                    self.has_text = true;
                    out.push(StreamEvent::TextDelta { part, text: arguments });
                }
            }
            StreamEvent::ToolCallEnded { part } if self.answer == Some(part) => self.fill(part, out),
            StreamEvent::ToolCallDelta { part, .. } | StreamEvent::ToolCallEnded { part }
                if self.beside.contains(&part) => {}
            StreamEvent::ToolCallStarted { .. } => {
                self.has_calls = true;
                out.push(event);
            }
            StreamEvent::Finished { reason, raw } => {
                let only_answered = self.answer.is_some() && !self.has_calls;
                if let Some(part) = self.answer.filter(|_| reason == FinishReason::ToolCalls) {
                    self.fill(part, out);
                }
                self.give_held(out);
                let answered = only_answered && reason == FinishReason::ToolCalls;
                out.push(StreamEvent::Finished {
                    reason: if answered { FinishReason::Stop } else { reason },
                    raw,
                });
            }
            other => out.push(other),
        }
    }

    /// Writes what a call without arguments means.
    fn fill(&mut self, part: u32, out: &mut Vec<StreamEvent>) {
        if !self.has_text {
            self.has_text = true;
            out.push(StreamEvent::TextDelta { part, text: "{}".to_owned() });
        }
    }

    fn give_held(&mut self, out: &mut Vec<StreamEvent>) {
        let held = std::mem::take(&mut self.held);
        if self.answer.is_none() {
            out.extend(held);
            return;
        }
        let is_said = |event: &StreamEvent| matches!(event, StreamEvent::TextDelta { text, .. } if !text.trim().is_empty());
        if held.iter().any(is_said) {
            let message = "the model wrote text beside the JSON that it was asked for; left out".to_owned();
            out.push(StreamEvent::Warning { message });
        }
    }
}
