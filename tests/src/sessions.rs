//! Replays recorded sessions: each answer is read by Motet, kept as its history, and sent back in the next request.
//!
//! Tool loops go through the agents' own machine; a person's next turn is taken from the recording. What is judged is
//! every request after the first, which must carry back what the provider needs of the answers before it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use motet_agents::machine::{Action, AgentRun, RunLimits, ToolSet};
use motet_core::message::ToolResult;
use motet_core::{ChatRequest, ChatResponse, Delivery, Message, Part, Role, ToolOutput};
use serde_json::Value;

use crate::corpus::{self, Line};
use crate::neutral;
use crate::requests::{self, Verdict};

/// What became of a session.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Requests that were made from Motet's own history and accepted.
    pub accepted: usize,
    /// How many of them were made by the agents' machine after it had run tools.
    pub by_agent: usize,
    /// Requests that differ, each with its place and how.
    pub refused: Vec<String>,
}

/// Gives the sessions of a corpus that have more than one chat exchange, each in order.
#[must_use]
pub fn sessions(lines: &[Line]) -> Vec<Vec<&Line>> {
    let mut sessions: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.op == "chat") {
        sessions.entry(&line.session).or_default().push(line);
    }
    let mut sessions: Vec<Vec<&Line>> = sessions.into_values().filter(|steps| steps.len() > 1).collect();
    sessions.iter_mut().for_each(|steps| steps.sort_by_key(|line| line.step));
    sessions
}

/// Replays one session.
///
/// # Errors
/// When a line cannot be read at all.
pub fn replay(steps: &[&Line], calls: &HashMap<String, Value>) -> Result<Replayed> {
    let mut replayed = Replayed::default();
    let mut kept: Option<Kept> = None;
    for line in steps {
        let call = calls.get(&line.id).context("a line without a call")?;
        let origin = line.origin()?;
        let Ok(recorded) = neutral::chat_request(line, call, origin.row.name) else {
            kept = None;
            continue;
        };
        let request = match kept.take().map(|kept| kept.go_on(&recorded)).transpose()?.flatten() {
            Some((request, by_agent)) => {
                let delivery = if line.stream { Delivery::Streamed } else { Delivery::Plain };
                let model = requests::http_model(&origin, request.model.clone())?;
                let verdict = match model.dry_run(&request, delivery) {
                    Ok(written) => requests::compared(line, &serde_json::from_str(&written.body)?),
                    Err(error) => Verdict::Refused(vec![format!("it is not sent: {error}")]),
                };
                match verdict {
                    Verdict::Refused(found) => {
                        replayed.refused.push(format!("{}: {}", line.id, found.join("; ")));
                    }
                    _ => {
                        replayed.accepted += 1;
                        replayed.by_agent += usize::from(by_agent);
                    }
                }
                request
            }
            None => recorded,
        };
        kept = corpus::read(line)?.result.ok().map(|response| Kept { request, response });
    }
    Ok(replayed)
}

/// A request and its answer, as a conversation keeps them.
struct Kept {
    request: ChatRequest,
    response: ChatResponse,
}

impl Kept {
    /// Gives the next request with the history that was kept, and whether the machine made it; `None` when the recorded
    /// client did not go on from there.
    fn go_on(self, next: &ChatRequest) -> Result<Option<(ChatRequest, bool)>> {
        let known = self.request.messages.len();
        let Some(new) = next.messages.get(known..).filter(|new| !new.is_empty()) else { return Ok(None) };
        let same = self.request.messages.iter().zip(&next.messages);
        if !same.into_iter().all(|(own, recorded)| says_the_same(own, recorded)) {
            return Ok(None);
        }
        let Some((answer, rest)) = new.split_first().filter(|(answer, _)| answer.role == Role::Assistant)
        else {
            return Ok(None);
        };
        if !says_the_same(&self.response.message, answer) {
            return Ok(None);
        }
        let only_results = !rest.is_empty() && rest.iter().all(|message| message.role == Role::Tool);
        let messages = if only_results {
            self.through_machine(rest)?
        } else {
            let mut messages = self.request.messages;
            messages.push(self.response.message);
            messages.extend_from_slice(rest);
            messages
        };
        Ok(Some((ChatRequest { messages, ..next.clone() }, only_results)))
    }

    /// Lets the agents' machine take the answer and the tools' results, and gives the messages of its next call.
    fn through_machine(self, results: &[Message]) -> Result<Vec<Message>> {
        let results: Vec<&ToolResult> = results
            .iter()
            .flat_map(|message| &message.parts)
            .filter_map(|part| if let Part::ToolResult(result) = part { Some(result) } else { None })
            .collect();
        let limits =
            RunLimits { max_model_calls: 2, max_tool_result_chars: 1_000_000, ..RunLimits::default() };
        let mut tools = self.request.tools.clone();
        // A recorded client may well have run what the schema forbids.
        tools.iter_mut().for_each(|tool| tool.parameters = serde_json::json!({"type": "object"}));
        let mut run = AgentRun::new(self.request, Arc::new(ToolSet::new(tools)?), limits);
        run.next_action();
        run.answered(self.response)?;
        if let Action::RunTools(round) = run.next_action() {
            for (place, call) in round.calls.iter().enumerate() {
                let own =
                    results.iter().find(|result| result.id == call.call_id).or_else(|| results.get(place));
                let result = own.context("a call without a recorded result")?;
                let output = ToolOutput { is_error: result.is_error, ..ToolOutput::text("") };
                let output = ToolOutput { content: result.content.clone(), ..output };
                run.tool_ended(call.index, output)?;
            }
        }
        match run.next_action() {
            Action::CallModel { request, .. } => Ok(request.messages.clone()),
            _ => anyhow::bail!("the machine does not go on"),
        }
    }
}

/// Tells whether two messages hold the same texts and calls, whatever else they carry.
fn says_the_same(one: &Message, other: &Message) -> bool {
    let calls = |message: &Message| -> Vec<(String, Option<Value>)> {
        message.tool_calls().map(|call| (call.name.clone(), call.parsed_arguments().ok())).collect()
    };
    one.role == other.role
        && one.visible_text().trim() == other.visible_text().trim()
        && calls(one) == calls(other)
}
