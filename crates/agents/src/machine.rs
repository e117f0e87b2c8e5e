//! The one agent loop as a pure state machine: takes what happened, says what to do next.
//!
//! Knows no clock, no async runtime, no model and no tool: drivers call them. Blocking, streaming, resumed and replayed
//! runs are drivers of this machine, so they cannot differ in what they decide.

mod arguments;
mod result;
mod round;

use std::sync::Arc;

use motet_core::{
    ChatRequest, ChatResponse, Cost, Error, ErrorKind, FinishReason, Message, Result, ToolOutput, Usage,
    request::ToolChoice,
};
use serde_json::Value;

pub use self::arguments::ToolSet;
pub use self::result::{AgentResult, Outcome, ToolUse};
use self::round::Round;

/// Bounds that the machine itself keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunLimits {
    /// Model calls at most.
    pub max_model_calls: u32,
    /// Characters of one tool result at most; what is longer is cut with a notice.
    pub max_tool_result_chars: usize,
    /// False to end the run at the first tool calls instead of running them.
    pub execute_tools: bool,
}

/// What the driver must do next.
#[derive(Debug)]
pub enum Action<'a> {
    /// Call the model, then report with [`AgentRun::answered`], or [`AgentRun::stop`].
    CallModel {
        /// Number of the call in this run, from 0.
        number: u32,
        /// What to ask.
        request: &'a ChatRequest,
    },
    /// Run these tools in any order, and report each with [`AgentRun::tool_ended`].
    RunTools(ToolRound),
    /// Nothing until what was asked for has been reported.
    Wait,
    /// Nothing more: take the result with [`AgentRun::into_result`].
    Finish,
}

/// The tool calls of one answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolRound {
    /// Number of the model call that asked for them.
    pub number: u32,
    /// Calls to run; their arguments satisfy the tools' schemas.
    pub calls: Vec<ToolRun>,
    /// Calls that the machine has answered itself, as they cannot be run.
    pub refused: Vec<Refusal>,
}

/// A tool call to run.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolRun {
    /// Its place among the calls of the answer, by which its result is reported.
    pub index: usize,
    /// Id that the model gave it.
    pub call_id: String,
    /// The tool's place in the run's [`ToolSet`].
    pub tool: usize,
    /// The tool's name.
    pub name: String,
    /// Arguments that satisfy the tool's schema.
    pub arguments: Value,
}

/// A tool call that was not run, and what the model is told instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its place among the calls of the answer.
    pub index: usize,
    /// Name that the model wrote.
    pub name: String,
    /// Why it was not run.
    pub reason: String,
}

/// Why a run ends before the model is done.
#[derive(Debug)]
pub enum Stop {
    /// The caller does not want it any more.
    Cancelled,
    /// Its time is over.
    DeadlinePassed,
    /// Something failed that the model cannot mend.
    Failed(Error),
}

/// One run of an agent.
///
/// ```
/// use std::sync::Arc;
/// use motet_agents::machine::{Action, AgentRun, Outcome, RunLimits, ToolSet};
/// use motet_core::{ChatRequest, ChatResponse, FinishReason, Message};
///
/// let request = ChatRequest::new("scripted:test".parse()?, vec![Message::user("Hello?")]);
/// let limits = RunLimits { max_model_calls: 10, max_tool_result_chars: 10_000, execute_tools: true };
/// let mut run = AgentRun::new(request, Arc::new(ToolSet::new(Vec::new())?), limits);
/// let Action::CallModel { request, .. } = run.next_action() else { unreachable!() };
/// let answer = ChatResponse::new(request.model.clone(), Message::assistant("Hello!"), FinishReason::Stop);
/// run.answered(answer)?;
/// assert!(matches!(run.next_action(), Action::Finish));
/// let result = run.into_result();
/// assert_eq!((result.outcome, result.text.as_str()), (Outcome::Completed, "Hello!"));
/// # Ok::<(), motet_core::Error>(())
/// ```
#[derive(Debug)]
pub struct AgentRun {
    request: ChatRequest,
    tools: Arc<ToolSet>,
    limits: RunLimits,
    state: State,
    first_new: usize,
    calls: u32,
    text: String,
    /// Text of the turn that the provider paused, which the next answer goes on with.
    paused: String,
    finish_reason: Option<FinishReason>,
    partial: Option<Message>,
    history: Vec<ToolUse>,
    usage: Usage,
    cost: Option<Cost>,
}

#[derive(Debug)]
enum State {
    /// The model is to be called.
    Ready,
    /// The model's answer is awaited.
    Asked,
    /// Tools are to be handed out, or their results are awaited.
    Tools(Round),
    /// Nothing happens any more.
    Ended(Outcome),
}

impl AgentRun {
    /// Starts a run; the request's messages are the input, and its tools are replaced by the set's.
    #[must_use]
    pub fn new(mut request: ChatRequest, tools: Arc<ToolSet>, limits: RunLimits) -> Self {
        tools.specs().clone_into(&mut request.tools);
        let state = if request.messages.is_empty() {
            let error = Error::new(ErrorKind::InvalidRequest, "the agent was given no input")
                .with_hint("give it a text or at least one message");
            State::Ended(Outcome::Failed(error.report()))
        } else {
            State::Ready
        };
        Self {
            first_new: request.messages.len(),
            request,
            tools,
            limits,
            state,
            calls: 0,
            text: String::new(),
            paused: String::new(),
            finish_reason: None,
            partial: None,
            history: Vec::new(),
            usage: Usage::default(),
            cost: Some(Cost::ZERO),
        }
    }

    /// Says what to do next. Each thing is asked for once.
    pub fn next_action(&mut self) -> Action<'_> {
        match &mut self.state {
            State::Ready if self.calls >= self.limits.max_model_calls => {
                self.state = State::Ended(Outcome::LimitReached);
                Action::Finish
            }
            State::Ready => {
                let number = self.calls;
                self.calls += 1;
                self.state = State::Asked;
                Action::CallModel { number, request: &self.request }
            }
            State::Asked => Action::Wait,
            State::Tools(round) => match round.hand_out() {
                Some(tools) => {
                    self.close_round_if_answered();
                    Action::RunTools(tools)
                }
                None => Action::Wait,
            },
            State::Ended(_) => Action::Finish,
        }
    }

    /// Takes the model's answer. A turn that the provider paused goes on by the same conversation with what there is of
    /// it, which is one more call.
    ///
    /// # Errors
    /// `Internal` when no model was to be called, which is a defect of the driver.
    pub fn answered(&mut self, response: ChatResponse) -> Result<()> {
        if !matches!(self.state, State::Asked) {
            return Err(defect("a model's answer was reported that nobody asked for"));
        }
        self.usage += response.usage.unwrap_or_default();
        self.cost = self.cost.zip(response.cost).map(|(sum, cost)| sum + cost);
        self.finish_reason = Some(response.finish_reason);
        let wants_tools = response.message.tool_calls().next().is_some();
        let paused = response.finish_reason == FinishReason::Paused && !wants_tools;
        let text = std::mem::take(&mut self.paused) + &response.text();
        if !wants_tools || !text.is_empty() {
            self.text.clone_from(&text);
        }
        self.state = if paused {
            self.paused = text;
            State::Ready
        } else if !wants_tools {
            State::Ended(Outcome::Completed)
        } else if self.limits.execute_tools {
            State::Tools(self.open_round(&response))
        } else {
            State::Ended(Outcome::ToolsRequested)
        };
        if !paused || !response.message.parts.is_empty() {
            self.request.messages.push(response.message);
        }
        Ok(())
    }

    /// Takes the result of a tool call; the calls of a round may end in any order.
    ///
    /// # Errors
    /// `Internal` when this call is not awaited, which is a defect of the driver.
    pub fn tool_ended(&mut self, index: usize, output: ToolOutput) -> Result<()> {
        let State::Tools(round) = &mut self.state else {
            return Err(defect("a tool's result was reported that nobody asked for"));
        };
        if !round.answer(index, output, self.limits.max_tool_result_chars) {
            return Err(defect("a tool's result was reported that nobody asked for, or twice"));
        }
        self.close_round_if_answered();
        Ok(())
    }

    /// Keeps what had arrived of an answer that broke off; its price is unknown from now on.
    pub fn broke_off(&mut self, partial: Message, usage: Option<Usage>) {
        if partial.parts.is_empty() && usage.is_none() {
            return;
        }
        self.usage += usage.unwrap_or_default();
        self.cost = None;
        self.partial = Some(partial).filter(|message| !message.parts.is_empty());
    }

    /// Ends the run early. Tool calls without a result are answered by saying so, which keeps the transcript valid.
    pub fn stop(&mut self, cause: Stop) {
        let (outcome, notice) = match cause {
            Stop::Cancelled => (Outcome::Cancelled, "the run was cancelled before this call had a result"),
            Stop::DeadlinePassed => {
                (Outcome::DeadlinePassed, "the run's deadline passed before this call had a result")
            }
            Stop::Failed(error) => {
                (Outcome::Failed(error.report()), "the run failed before this call had a result")
            }
        };
        match std::mem::replace(&mut self.state, State::Ready) {
            State::Ended(earlier) => self.state = State::Ended(earlier),
            State::Tools(round) => {
                self.close_round(round.give_up(notice));
                self.state = State::Ended(outcome);
            }
            State::Ready | State::Asked => self.state = State::Ended(outcome),
        }
    }

    /// Gives the result; a run that has not ended counts as cancelled.
    pub fn into_result(mut self) -> AgentResult {
        self.stop(Stop::Cancelled);
        let outcome = match self.state {
            State::Ended(outcome) => outcome,
            State::Ready | State::Asked | State::Tools(_) => Outcome::Cancelled,
        };
        AgentResult {
            outcome,
            text: self.text,
            finish_reason: self.finish_reason,
            messages: self.request.messages,
            first_new: self.first_new,
            partial: self.partial,
            tool_history: self.history,
            usage: self.usage,
            cost: self.cost,
            model_calls: self.calls,
            model: self.request.model,
        }
    }

    /// A forced choice holds for one call only: kept up, the model could never answer in words.
    fn open_round(&mut self, response: &ChatResponse) -> Round {
        if matches!(self.request.tool_choice, ToolChoice::Required | ToolChoice::Tool(_)) {
            self.request.tool_choice = ToolChoice::Auto;
        }
        let last = self.calls >= self.limits.max_model_calls;
        let limit = last.then_some(self.limits.max_model_calls);
        Round::open(self.calls.saturating_sub(1), response, &self.tools, limit)
    }

    fn close_round_if_answered(&mut self) {
        if !matches!(&self.state, State::Tools(round) if round.is_answered()) {
            return;
        }
        if let State::Tools(round) = std::mem::replace(&mut self.state, State::Ready) {
            self.close_round(round);
        }
    }

    fn close_round(&mut self, round: Round) {
        let (results, uses) = round.close();
        self.request.messages.push(Message::tool(results));
        self.history.extend(uses);
    }
}

fn defect(message: &str) -> Error {
    Error::new(ErrorKind::Internal, message)
}

#[cfg(test)]
mod tests;
