//! What a run of an agent leaves behind, however it ended.

use motet_core::decision::Question;
use motet_core::error::ErrorReport;
use motet_core::message::ToolCall;
use motet_core::tool::Spent;
use motet_core::{Cost, Error, ErrorKind, FinishReason, Message, ModelId, Result, Role, Usage};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Stop;
use crate::inner::Parked;

/// The result of a run: how it ended, and all it had by then.
///
/// Only [`into_result`](Self::into_result) tells success from failure by type; whoever reads the fields directly looks
/// at `outcome` first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "look at the outcome, or call `into_result` to make an error of a run that did not complete"]
pub struct AgentResult {
    /// How the run ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The final text; of a run that did not complete, the last text that the model wrote.
    pub text: String,
    /// The value that the final answer holds, where a schema was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Why the last answer stopped; `None` when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<FinishReason>,
    /// The whole transcript: instructions, input, and what this run added.
    pub messages: Vec<Message>,
    /// How many messages at the start of `messages` were there before the run.
    pub first_new: usize,
    /// What had arrived of an answer that broke off; it is not part of `messages`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<Message>,
    /// Every tool call that was answered, in the order asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_history: Vec<ToolUse>,
    /// Tokens of all model calls together.
    pub usage: Usage,
    /// What all model calls cost together; `None` as soon as one price is unknown.
    pub cost: Option<Cost>,
    /// How often the model was called, a call that failed included.
    pub model_calls: u32,
    /// The model that was asked.
    pub model: ModelId,
    /// What a person must decide before the run can go on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<Question>,
}

impl AgentResult {
    /// Gives the result of a run that did what it should, and an error for every other.
    ///
    /// # Errors
    /// `LimitReached`, `Timeout`, `Cancelled`, or the failure that ended the run.
    pub fn into_result(self) -> Result<Self> {
        match self.error() {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }

    /// Gives the error of a run that did not do what it should.
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        match &self.outcome {
            Outcome::Completed | Outcome::ToolsRequested => None,
            Outcome::LimitReached => Some(
                Error::new(
                    ErrorKind::LimitReached,
                    format!("the agent made all {} model calls without coming to an end", self.model_calls),
                )
                .with_hint("allow more with `max_iterations`, or give it fewer or better described tools"),
            ),
            Outcome::DeadlinePassed => Some(Stop::DeadlinePassed.into()),
            Outcome::Cancelled => Some(Stop::Cancelled.into()),
            Outcome::Waiting => {
                let (questions, spent) =
                    (self.questions.clone(), Spent { usage: self.usage, cost: self.cost });
                let error = Error::from(Stop::Waiting(questions.clone()));
                Some(error.with_source(Parked { questions, spent }))
            }
            Outcome::Stuck(report)
            | Outcome::BudgetExceeded(report)
            | Outcome::Blocked(report)
            | Outcome::Failed(report) => Some(Error::from(report.clone())),
        }
    }

    /// Makes a failure of a run that an error ended after all.
    pub(crate) fn failing(mut self, error: &Error) -> Self {
        self.outcome = super::failed(error);
        self
    }

    /// Reads the value of a run that completed as a Rust type; see [`AgentBuilder::output_type`].
    ///
    /// [`AgentBuilder::output_type`]: crate::AgentBuilder::output_type
    ///
    /// # Errors
    /// As [`into_result`](Self::into_result); `InvalidRequest` when no schema was asked for, and `InvalidOutput` when the
    /// value is not one of the type, which a schema cannot always tell.
    pub fn value_as<T: DeserializeOwned>(&self) -> Result<T> {
        if let Some(error) = self.error() {
            return Err(error);
        }
        let value = self.value.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::InvalidRequest, "the run has no value, only a text")
                .with_hint("give the agent a schema with `output_type` or `output`")
        })?;
        T::deserialize(value).map_err(|error| {
            Error::new(ErrorKind::InvalidOutput, format!("the value does not fit its type: {error}"))
                .with_source(error)
        })
    }

    /// Counts in what models used for the run outside of it.
    pub(crate) fn spending(mut self, usage: Usage, cost: Option<Cost>) -> Self {
        self.usage += usage;
        self.cost = self.cost.zip(cost).map(|(sum, cost)| sum + cost);
        self
    }

    /// Gives the messages that this run added.
    #[must_use]
    pub fn new_messages(&self) -> &[Message] {
        self.messages.get(self.first_new..).unwrap_or_default()
    }

    /// Gives the tool calls of the last answer that were left to the caller.
    pub fn requested_calls(&self) -> impl Iterator<Item = &ToolCall> {
        let last = self.new_messages().last().filter(|message| message.role == Role::Assistant);
        last.into_iter().flat_map(Message::tool_calls)
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "error", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// The model gave its final answer.
    Completed,
    /// The model asks for tools, and the agent leaves running them to the caller.
    ToolsRequested,
    /// The model wanted to go on after the last call allowed.
    LimitReached,
    /// The context's deadline passed.
    DeadlinePassed,
    /// The context was cancelled, or a tool ended the run.
    Cancelled,
    /// A person must decide before the run can go on; see [`AgentResult::questions`]. Run again with the same log and the
    /// decisions, it goes on where it stopped.
    Waiting,
    /// The model went in circles, or kept calling what cannot be run.
    Stuck(ErrorReport),
    /// The next call does not fit into a budget.
    BudgetExceeded(ErrorReport),
    /// A guardrail or a hook ended the run.
    Blocked(ErrorReport),
    /// A model call or the run log failed, or the answer never satisfied its schema.
    Failed(ErrorReport),
}

impl Outcome {
    /// Gives the name used in JSON.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Outcome::Completed => "completed",
            Outcome::ToolsRequested => "tools_requested",
            Outcome::LimitReached => "limit_reached",
            Outcome::DeadlinePassed => "deadline_passed",
            Outcome::Cancelled => "cancelled",
            Outcome::Waiting => "waiting",
            Outcome::Stuck(_) => "stuck",
            Outcome::BudgetExceeded(_) => "budget_exceeded",
            Outcome::Blocked(_) => "blocked",
            Outcome::Failed(_) => "failed",
        }
    }
}

/// One tool call and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolUse {
    /// Number of the model call that asked for it, from 0.
    pub round: u32,
    /// Id of the call.
    pub id: String,
    /// Name of the tool, as the model wrote it.
    pub name: String,
    /// Arguments exactly as the model wrote them.
    pub arguments: String,
    /// Text of the answer.
    pub result: String,
    /// True when the answer tells of a failure.
    pub is_error: bool,
    /// False when the call was refused, and no tool was given it.
    pub executed: bool,
}
