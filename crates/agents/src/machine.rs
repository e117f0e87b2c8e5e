//! The one agent loop as a pure state machine: takes what happened, says what to do next.
//!
//! Knows no clock, no async runtime, no model and no tool: drivers call them. Blocking, streaming, resumed and replayed
//! runs are drivers of this machine, so they cannot differ in what they decide.

mod action;
mod arguments;
pub(crate) mod condense;
mod loops;
pub(crate) mod output;
mod result;
mod round;

use std::sync::Arc;

use motet_core::decision::Question;
use motet_core::tool::Spent;
use motet_core::{
    ChatRequest, ChatResponse, Cost, Error, ErrorKind, FinishReason, Message, Part, Result, Role, ToolOutput,
    Usage, request::ToolChoice,
};
use serde_json::Value;

pub use self::action::{Action, AskedAgain, Refusal, Stop, Successor, ToolRound, ToolRun};
pub use self::arguments::ToolSet;
pub use self::condense::Condense;
use self::loops::{Finding, Loops};
pub use self::output::ExpectedOutput;
pub use self::result::{AgentResult, Outcome, ToolUse};
use self::round::Round;
use crate::review::Verdict;

/// Bounds that the machine itself keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunLimits {
    /// Model calls at most.
    pub max_model_calls: u32,
    /// Characters of one tool result at most; what is longer is cut with a notice.
    pub max_tool_result_chars: usize,
    /// False to end the run at the first tool calls instead of running them.
    pub execute_tools: bool,
    /// How often an answer that does not satisfy its schema is asked for again.
    pub max_repairs: u32,
    /// How often an answer that a guardrail sends back is asked for again.
    pub max_rewrites: u32,
    /// How often the same calls may give the same results before the run counts as stuck; 0 for no limit.
    pub max_repeated_rounds: u32,
    /// Rounds in a row of which no call could be run, before the run counts as stuck; 0 for no limit.
    pub max_refused_rounds: u32,
    /// How the results of old rounds are shortened in requests; the transcript keeps them whole.
    pub condense: Option<Condense>,
}

impl Default for RunLimits {
    fn default() -> Self {
        Self {
            max_model_calls: 10,
            max_tool_result_chars: 100_000,
            execute_tools: true,
            max_repairs: 2,
            max_rewrites: 3,
            max_repeated_rounds: 5,
            max_refused_rounds: 5,
            condense: None,
        }
    }
}

/// One run of an agent.
///
/// ```
/// use std::sync::Arc;
/// use motet_agents::machine::{Action, AgentRun, Outcome, RunLimits, ToolSet};
/// use motet_core::{ChatRequest, ChatResponse, FinishReason, Message};
///
/// let request = ChatRequest::new("scripted:test".parse()?, vec![Message::user("Hello?")]);
/// let mut run = AgentRun::new(request, Arc::new(ToolSet::new(Vec::new())?), RunLimits::default());
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
    expected: Option<Arc<ExpectedOutput>>,
    state: State,
    first_new: usize,
    calls: u32,
    revision: u32,
    repairs: u32,
    rewrites: u32,
    again: Option<AskedAgain>,
    loops: Loops,
    /// The messages as they were, where those of the request are shortened.
    whole: Option<Vec<Message>>,
    text: String,
    value: Option<Value>,
    /// Text of the turn that the provider paused, which the next answer goes on with.
    paused: String,
    finish_reason: Option<FinishReason>,
    partial: Option<Message>,
    history: Vec<ToolUse>,
    usage: Usage,
    cost: Option<Cost>,
    questions: Vec<Question>,
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
            whole: limits.condense.map(|_| request.messages.clone()),
            request,
            tools,
            limits,
            expected: None,
            state,
            calls: 0,
            revision: 0,
            repairs: 0,
            rewrites: 0,
            again: None,
            loops: Loops::default(),
            text: String::new(),
            value: None,
            paused: String::new(),
            finish_reason: None,
            partial: None,
            history: Vec::new(),
            usage: Usage::default(),
            cost: Some(Cost::ZERO),
            questions: Vec::new(),
        }
    }

    /// Starts a run of a request as it is, whose tools stay with the caller.
    pub(crate) fn of_request(mut request: ChatRequest, limits: RunLimits) -> Self {
        let tools = std::mem::take(&mut request.tools);
        let mut run = Self::new(request, Arc::default(), limits);
        run.request.tools = tools;
        run
    }

    /// Demands that the final answer satisfies a schema; one that does not is asked for again.
    #[must_use]
    pub fn expecting(mut self, expected: Option<Arc<ExpectedOutput>>) -> Self {
        self.expected = expected;
        self
    }

    /// Gives the messages of the next request so far.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.request.messages
    }

    /// Gives how often the model was called so far.
    #[must_use]
    pub fn model_calls(&self) -> u32 {
        self.calls
    }

    /// Offers only these of the tools to the model from the next call on, by their places; calls of others are run all
    /// the same.
    pub fn offer(&mut self, places: &[usize]) {
        let specs = self.tools.specs();
        self.request.tools = places.iter().filter_map(|place| specs.get(*place).cloned()).collect();
        self.revision += 1;
    }

    /// Counts what the selection of tools cost towards the run; it is none of its model calls.
    pub fn spend_for_routing(&mut self, usage: Usage, cost: Option<Cost>) {
        self.spend(usage, cost);
    }

    /// Goes on as another agent: its model, options, tools, and schema take the place of those so far, its instructions
    /// that of the former agent's. Limits and sums stay those of the run.
    pub fn hand_over(&mut self, successor: Successor<'_>) {
        let Successor { request, tools, expected, former_instructions, instructions } = successor;
        let mut messages = std::mem::take(&mut self.request.messages);
        let before = messages.len();
        replace_instructions(&mut messages, former_instructions, instructions);
        self.first_new = (self.first_new + messages.len()).saturating_sub(before);
        if let Some(whole) = &mut self.whole {
            replace_instructions(whole, former_instructions, instructions);
        }
        self.request = ChatRequest { messages, ..request };
        tools.specs().clone_into(&mut self.request.tools);
        self.tools = tools;
        self.expected = expected;
        self.revision += 1;
    }

    /// Counts what models used below a tool call that has no result.
    pub fn spent_below(&mut self, index: usize, spent: Spent) {
        if let State::Tools(round) = &mut self.state {
            round.count(index);
        }
        self.spend(spent.usage, spent.cost);
    }

    /// Counts what models used below the calls that are [unanswered](Self::unanswered).
    pub(crate) fn spent_below_all(&mut self, spent: Spent) {
        self.spend(spent.usage, spent.cost);
    }

    /// Gives number of the round and place of each call that was handed out, has no result, and is not counted yet.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = (u32, usize)> {
        let round = match &self.state {
            State::Tools(round) => Some(round),
            _ => None,
        };
        round.into_iter().flat_map(Round::unanswered)
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
                Action::CallModel { number, request: &self.request, revision: self.revision }
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
        self.spend(response.usage.unwrap_or_default(), response.cost);
        self.finish_reason = Some(response.finish_reason);
        match Verdict::of(&response) {
            Some(verdict) => self.sent_back(response, &verdict),
            None => self.accepted(response),
        }
        Ok(())
    }

    /// Takes an answer that nobody objects to.
    fn accepted(&mut self, response: ChatResponse) {
        let wants_tools = response.message.tool_calls().next().is_some();
        let paused = response.finish_reason == FinishReason::Paused && !wants_tools;
        let text = std::mem::take(&mut self.paused) + &response.text();
        if !wants_tools || !text.is_empty() {
            self.text.clone_from(&text);
        }
        if paused {
            self.paused = text;
            self.state = State::Ready;
            if !response.message.parts.is_empty() {
                self.push(response.message);
            }
            return;
        }
        if wants_tools {
            self.state = if self.limits.execute_tools {
                State::Tools(self.open_round(&response))
            } else {
                State::Ended(Outcome::ToolsRequested)
            };
        } else if let Some(expected) = self.expected.clone() {
            return self.finish_with_value(response, &expected);
        } else {
            self.state = State::Ended(Outcome::Completed);
        }
        // Providers refuse conversations that hold a message without content.
        if !response.message.parts.is_empty() {
            self.push(response.message);
        }
    }

    /// Ends with the value that the answer holds, or asks for a better one.
    fn finish_with_value(&mut self, response: ChatResponse, expected: &ExpectedOutput) {
        let problem = match expected.read(&response) {
            Ok(value) => {
                self.value = Some(value);
                self.state = State::Ended(Outcome::Completed);
                return self.push(response.message);
            }
            Err(problem) => problem,
        };
        if self.repairs >= self.limits.max_repairs || !output::can_be_repaired(&response) {
            let error = output::failure(&response, &problem, self.repairs);
            self.state = State::Ended(Outcome::Failed(error.report()));
            return self.push(response.message);
        }
        self.repairs += 1;
        let (attempt, reason) = (self.repairs, problem.clone());
        self.again = Some(AskedAgain { attempt, reason, by_guardrail: false });
        let has_text = !response.text().trim().is_empty();
        if has_text {
            self.push(response.message);
        }
        self.push(Message::user(output::request_for_repair(&problem)));
        self.state = State::Ready;
    }

    /// Takes an answer that a guardrail holds back; what it said stands in the transcript as the guardrail left it.
    fn sent_back(&mut self, response: ChatResponse, verdict: &Verdict) {
        self.text = response.text();
        if !response.message.parts.is_empty() {
            self.push(response.message);
        }
        if !verdict.ask_again || self.rewrites >= self.limits.max_rewrites {
            self.state = State::Ended(Outcome::Blocked(verdict.error().report()));
            return;
        }
        self.rewrites += 1;
        let (attempt, reason) = (self.rewrites, verdict.reason.clone());
        self.again = Some(AskedAgain { attempt, reason, by_guardrail: true });
        self.push(Message::user(verdict.request_for_rewrite()));
        self.state = State::Ready;
    }

    /// Gives why the newest answer is asked for again, where it is; once.
    pub fn take_asked_again(&mut self) -> Option<AskedAgain> {
        self.again.take()
    }

    /// Takes the result of a tool call; the calls of a round may end in any order.
    ///
    /// # Errors
    /// `Internal` when this call is not awaited, which is a defect of the driver.
    pub fn tool_ended(&mut self, index: usize, output: ToolOutput) -> Result<()> {
        let State::Tools(round) = &mut self.state else {
            return Err(defect("a tool's result was reported that nobody asked for"));
        };
        let spent = output.spent;
        if !round.answer(index, output, self.limits.max_tool_result_chars) {
            return Err(defect("a tool's result was reported that nobody asked for, or twice"));
        }
        if let Some(Spent { usage, cost }) = spent {
            self.spend(usage, cost);
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
            Stop::Waiting(questions) => {
                self.questions = questions;
                (Outcome::Waiting, "the run waits for a decision before this call has a result")
            }
            Stop::Failed(error) => (failed(&error), "the run failed before this call had a result"),
        };
        match std::mem::replace(&mut self.state, State::Ready) {
            State::Ended(earlier) => self.state = State::Ended(earlier),
            State::Tools(round) => {
                let _ = self.close_round(round.give_up(notice));
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
            value: self.value,
            finish_reason: self.finish_reason,
            messages: self.whole.unwrap_or(self.request.messages),
            first_new: self.first_new,
            partial: self.partial,
            tool_history: self.history,
            usage: self.usage,
            cost: self.cost,
            model_calls: self.calls,
            model: self.request.model,
            questions: self.questions,
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
            match self.close_round(round) {
                Finding::Fine => {}
                Finding::Warn => self.warn_of_repetition(),
                Finding::Stuck(reason) => {
                    let error = Error::new(ErrorKind::LimitReached, reason).with_hint(
                        "describe the tools better, or allow more with `max_repeated_rounds` and `max_refused_rounds`",
                    );
                    self.state = State::Ended(Outcome::Stuck(error.report()));
                }
            }
        }
    }

    fn close_round(&mut self, round: Round) -> Finding {
        let (results, uses) = round.close();
        let limits = self.limits;
        let finding = self.loops.count(&uses, limits.max_repeated_rounds, limits.max_refused_rounds);
        self.push(Message::tool(results));
        self.history.extend(uses);
        if let Some(rules) = limits.condense
            && condense::condense(&mut self.request.messages, rules)
        {
            self.revision += 1;
        }
        finding
    }

    /// Tells the model within the newest result that it repeats itself, while there is a call left to do better.
    fn warn_of_repetition(&mut self) {
        let notice = "[these calls gave the same results before; do something else, or answer]";
        for messages in [Some(&mut self.request.messages), self.whole.as_mut()].into_iter().flatten() {
            let result = messages.last_mut().and_then(|message| message.parts.last_mut());
            if let Some(Part::ToolResult(result)) = result {
                result.content.push(Part::text(format!("\n{notice}")));
            }
        }
    }

    fn push(&mut self, message: Message) {
        if let Some(whole) = &mut self.whole {
            whole.push(message.clone());
        }
        self.request.messages.push(message);
    }

    fn spend(&mut self, usage: Usage, cost: Option<Cost>) {
        self.usage += usage;
        self.cost = self.cost.zip(cost).map(|(sum, cost)| sum + cost);
    }
}

fn failed(error: &Error) -> Outcome {
    match error.kind() {
        ErrorKind::BudgetExceeded => Outcome::BudgetExceeded(error.report()),
        ErrorKind::Blocked => Outcome::Blocked(error.report()),
        _ => Outcome::Failed(error.report()),
    }
}

/// Other system messages are the caller's, and stay.
fn replace_instructions(messages: &mut Vec<Message>, former: &str, instructions: &str) {
    let is_former = |message: &Message| message.role == Role::System && message.visible_text() == former;
    let has_own = !former.is_empty() && messages.first().is_some_and(is_former);
    match (messages.first_mut(), instructions.is_empty()) {
        (Some(first), false) if has_own => *first = Message::system(instructions),
        (Some(_), true) if has_own => drop(messages.remove(0)),
        (_, false) => messages.insert(0, Message::system(instructions)),
        (_, true) => {}
    }
}

fn defect(message: &str) -> Error {
    Error::new(ErrorKind::Internal, message)
}

#[cfg(test)]
mod tests;
