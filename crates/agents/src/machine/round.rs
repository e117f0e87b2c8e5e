//! The tool calls of one answer, and the slots that their results wait in until all are there.

use motet_core::message::{ToolCall, ToolResult};
use motet_core::{ChatResponse, FinishReason, Part, ToolOutput};

use super::arguments::ToolSet;
use super::{Refusal, ToolRound, ToolRun, ToolUse};

/// One round of tool calls.
#[derive(Debug)]
pub(super) struct Round {
    number: u32,
    slots: Vec<Slot>,
    /// Slots without a result.
    open: usize,
    /// What the driver is to be given; `None` once it has it.
    tools: Option<ToolRound>,
}

#[derive(Debug)]
struct Slot {
    id: String,
    name: String,
    arguments: String,
    executed: bool,
    output: Option<ToolOutput>,
    /// What was used below it counts already, though it has no output.
    is_counted: bool,
}

impl Round {
    /// Checks the calls of an answer; `limit` is set when no model call may follow, so that running them is in vain.
    pub(super) fn open(number: u32, response: &ChatResponse, tools: &ToolSet, limit: Option<u32>) -> Self {
        let count = response.message.tool_calls().count();
        let forced = matches!(response.finish_reason, FinishReason::Length | FinishReason::ContentFilter);
        let mut round = ToolRound { number, calls: Vec::with_capacity(count), refused: Vec::new() };
        let mut slots = Vec::with_capacity(count);
        for (index, call) in response.message.tool_calls().enumerate() {
            let checked = match limit {
                Some(limit) => Err(format!("not run: the limit of {limit} model calls is reached")),
                None => tools.check(call, forced && index + 1 == count),
            };
            let mut slot = Slot::new(call);
            match checked {
                Ok((tool, arguments)) => {
                    slot.executed = true;
                    let (call_id, name) = (call.id.clone(), call.name.clone());
                    round.calls.push(ToolRun { index, call_id, tool, name, arguments });
                }
                Err(reason) => {
                    slot.output = Some(ToolOutput::error(reason.clone()));
                    round.refused.push(Refusal { index, name: call.name.clone(), reason });
                }
            }
            slots.push(slot);
        }
        Self { number, slots, open: round.calls.len(), tools: Some(round) }
    }

    /// Gives the calls to the driver, once.
    pub(super) fn hand_out(&mut self) -> Option<ToolRound> {
        self.tools.take()
    }

    /// Keeps a result; false when it is not awaited.
    pub(super) fn answer(&mut self, index: usize, mut output: ToolOutput, max_chars: usize) -> bool {
        if self.tools.is_some() {
            return false;
        }
        let Some(slot) = self.slots.get_mut(index).filter(|slot| slot.output.is_none()) else { return false };
        shorten(&mut output, max_chars);
        slot.output = Some(output);
        self.open -= 1;
        true
    }

    /// Takes down that what a call without a result used is counted.
    pub(super) fn count(&mut self, index: usize) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.is_counted = true;
        }
    }

    /// Gives the number of the round and the places of the calls that were handed out, have no result, and are not counted.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = (u32, usize)> {
        let slots = self.slots.iter().enumerate().filter(|_| self.tools.is_none());
        slots
            .filter(|(_, slot)| slot.output.is_none() && !slot.is_counted)
            .map(|(place, _)| (self.number, place))
    }

    /// Tells whether the driver has the calls, and every call has its result.
    pub(super) fn is_answered(&self) -> bool {
        self.tools.is_none() && self.open == 0
    }

    /// Answers what has no result yet.
    pub(super) fn give_up(mut self, notice: &str) -> Self {
        let handed_out = self.tools.is_none();
        for slot in self.slots.iter_mut().filter(|slot| slot.output.is_none()) {
            slot.executed = handed_out;
            slot.output = Some(ToolOutput::error(notice));
        }
        self
    }

    /// Gives the results in the order asked, and their history.
    pub(super) fn close(self) -> (Vec<ToolResult>, Vec<ToolUse>) {
        let number = self.number;
        self.slots.into_iter().map(|slot| slot.close(number)).unzip()
    }
}

impl Slot {
    fn new(call: &ToolCall) -> Self {
        Self {
            id: call.id.clone(),
            name: call.name.clone(),
            arguments: call.arguments.clone(),
            executed: false,
            output: None,
            is_counted: false,
        }
    }

    fn close(self, round: u32) -> (ToolResult, ToolUse) {
        let Self { id, name, arguments, executed, output, .. } = self;
        let output = output.unwrap_or_else(|| ToolOutput::error("this call has no result"));
        let is_error = output.is_error;
        let result = ToolResult { id: id.clone(), name: name.clone(), content: output.content, is_error };
        let text = result.text();
        (result, ToolUse { round, id, name, arguments, result: text, is_error, executed })
    }
}

/// Cuts the text of an output after so many characters, and says so where it was cut; other parts stay.
fn shorten(output: &mut ToolOutput, max_chars: usize) {
    let texts = output.content.iter().filter_map(Part::as_text);
    // No text has more characters than bytes, so the usual short result is never counted.
    if texts.clone().map(str::len).sum::<usize>() <= max_chars {
        return;
    }
    let total: usize = texts.map(|text| text.chars().count()).sum();
    if total <= max_chars {
        return;
    }
    let mut left = Some(max_chars);
    output.content.retain_mut(|part| {
        let Part::Text { text, .. } = part else { return true };
        let Some(room) = left else { return false };
        match text.char_indices().nth(room) {
            None => left = Some(room - text.chars().count()),
            Some((end, _)) => {
                text.truncate(end);
                text.push_str(&format!("\n[cut: the first {max_chars} of {total} characters are shown]"));
                left = None;
            }
        }
        true
    });
}
