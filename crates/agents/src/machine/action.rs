//! What the machine asks its driver to do, and what the driver may tell it beside results.

use std::sync::Arc;

use motet_core::decision::Question;
use motet_core::{ChatRequest, Error};
use serde_json::Value;

use super::{ExpectedOutput, ToolSet};

/// What the driver must do next.
#[derive(Debug)]
pub enum Action<'a> {
    /// Call the model, then report with [`AgentRun::answered`](super::AgentRun::answered), or [`AgentRun::stop`](super::AgentRun::stop).
    CallModel {
        /// Number of the call in this run, from 0.
        number: u32,
        /// What to ask.
        request: &'a ChatRequest,
        /// Changes when this request is not the one before it and some messages more.
        revision: u32,
    },
    /// Run these tools in any order, and report each with [`AgentRun::tool_ended`](super::AgentRun::tool_ended).
    RunTools(ToolRound),
    /// Nothing until what was asked for has been reported.
    Wait,
    /// Nothing more: take the result with [`AgentRun::into_result`](super::AgentRun::into_result).
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

/// An answer that cannot be used, so that the model is asked for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedAgain {
    /// How often that happened for this reason, this time included.
    pub attempt: u32,
    /// What is wrong with the answer.
    pub reason: String,
    /// True when a guardrail held it back, false when it does not satisfy its schema.
    pub by_guardrail: bool,
}

/// The agent that a run goes on as.
#[derive(Debug)]
pub struct Successor<'a> {
    /// Its model and options; messages and tools of it are not looked at.
    pub request: ChatRequest,
    /// Its tools.
    pub tools: Arc<ToolSet>,
    /// What its final answer must be.
    pub expected: Option<Arc<ExpectedOutput>>,
    /// The instructions that stood in front so far.
    pub former_instructions: &'a str,
    /// The instructions that stand in front from now on.
    pub instructions: &'a str,
}

/// Why a run ends before the model is done.
#[derive(Debug)]
pub enum Stop {
    /// The caller does not want it any more.
    Cancelled,
    /// Its time is over.
    DeadlinePassed,
    /// A person must decide first; the run is parked.
    Waiting(Vec<Question>),
    /// Something failed that the model cannot mend.
    Failed(Error),
}
