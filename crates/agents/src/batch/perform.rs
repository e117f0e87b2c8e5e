//! Answers one request of a batch: by one call, by calls until the answer matches its schema, or by an agent.
//!
//! Knows nothing of the other requests.

use std::sync::{Arc, Mutex, PoisonError};

use motet_core::event::EventSink;
use motet_core::model::Models;
use motet_core::request::Output;
use motet_core::{
    ChatResponse, Cost, Error, ErrorKind, FinishReason, Model, Result, Role, RunContext, StreamEvent, Usage,
};

use super::BatchOptions;
use super::request::BatchRequest;
use super::result::BatchAnswer;
use crate::agent::{Agent, Prompt};
use crate::call::chat;
use crate::driver;
use crate::machine::AgentResult;
use crate::structured::structured_within;

/// Name of the step that a single call is.
const STEP: &str = "model";
/// Name of the agent that runs the tools of a request.
const AGENT: &str = "batch";

/// Answers a request.
pub(super) async fn answer(
    context: &RunContext,
    models: &dyn Models,
    request: &BatchRequest,
    options: &BatchOptions,
) -> Result<BatchAnswer> {
    let asked = &request.request;
    let model = models.model(&asked.model).await?;
    if !request.tools.is_empty() {
        return with_tools(context, model, request, options).await;
    }
    if matches!(asked.output, Output::JsonSchema(_)) {
        let (value, response) =
            structured_within(context, &*model, asked.clone(), STEP, options.max_repairs).await?;
        return Ok(BatchAnswer { response, value: Some(value), tool_history: Vec::new() });
    }
    let response = chat(context, &*model, asked, STEP).await?;
    Ok(BatchAnswer { response, value: None, tool_history: Vec::new() })
}

async fn with_tools(
    context: &RunContext,
    model: Arc<dyn Model>,
    request: &BatchRequest,
    options: &BatchOptions,
) -> Result<BatchAnswer> {
    let agent = agent(request, options)?;
    let prompt = Prompt(request.request.messages.clone());
    let result = driver::run(context, &agent, model, prompt).await.into_result()?;
    let response = response_of(&result)?;
    Ok(BatchAnswer { response, value: result.value, tool_history: result.tool_history })
}

fn agent(request: &BatchRequest, options: &BatchOptions) -> Result<Agent> {
    let (asked, limits) = (request.request.clone(), &options.agent);
    let mut builder = Agent::builder(AGENT, asked.model)
        .tools(request.tools.iter().cloned())
        .max_iterations(limits.max_iterations)
        .max_parallel_tools(limits.max_parallel_tools)
        .tool_timeout(limits.tool_timeout)
        .max_tool_result_chars(limits.max_tool_result_chars)
        .max_repairs(options.max_repairs)
        .max_rewrites(limits.max_rewrites)
        .max_repeated_rounds(limits.max_repeated_rounds)
        .max_refused_rounds(limits.max_refused_rounds)
        .tool_choice(asked.tool_choice)
        .output(asked.output)
        .sampling(asked.sampling)
        .stop(asked.stop);
    if !asked.tools.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            "a request has both tools that are run and tools that are not",
        )
        .with_hint("give all of them as tools that are run, or none"));
    }
    if let Some(rules) = limits.condense {
        builder = builder.condense(rules);
    }
    if let Some(parallel) = asked.parallel_tool_calls {
        builder = builder.parallel_tool_calls(parallel);
    }
    if let Some(effort) = asked.reasoning_effort {
        builder = builder.reasoning_effort(effort);
    }
    if let Some(tokens) = asked.max_tokens {
        builder = builder.max_tokens(tokens);
    }
    builder =
        asked.metadata.into_iter().fold(builder, |builder, (name, value)| builder.metadata(name, value));
    builder = asked.extra.into_iter().fold(builder, |builder, (name, value)| builder.extra(name, value));
    builder.build()
}

/// Gives the last answer of an agent.
fn response_of(result: &AgentResult) -> Result<ChatResponse> {
    let last = result.new_messages().last().filter(|message| message.role == Role::Assistant);
    let message =
        last.ok_or_else(|| Error::new(ErrorKind::Internal, "an agent ended well without an answer"))?;
    let reason = result.finish_reason.unwrap_or(FinishReason::Unknown);
    let mut response = ChatResponse::new(result.model.clone(), message.clone(), reason);
    (response.usage, response.cost) = (Some(result.usage), result.cost);
    Ok(response)
}

/// Adds up what the model calls of one try use, and passes their events on.
pub(super) struct Spending {
    outer: RunContext,
    sum: Mutex<Spent>,
}

/// What the model calls of one try used.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent {
    pub(super) usage: Usage,
    pub(super) known: Cost,
    /// Calls that ended without telling a price that is known.
    unpriced: u32,
    begun: u32,
    pub(super) ended: u32,
}

impl Spending {
    /// Begins to count; events go on to the listeners of a context.
    pub(super) fn new(outer: RunContext) -> Arc<Self> {
        Arc::new(Self { outer, sum: Mutex::default() })
    }

    pub(super) fn sum(&self) -> Spent {
        *self.sum.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventSink for Spending {
    fn emit(&self, event: &StreamEvent) {
        match event {
            StreamEvent::ModelCallStarted { .. } => {
                self.sum.lock().unwrap_or_else(PoisonError::into_inner).begun += 1;
            }
            StreamEvent::ModelCallEnded { usage, cost, .. } => {
                let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
                sum.ended += 1;
                sum.usage += usage.as_deref().copied().unwrap_or_default();
                match cost {
                    Some(cost) => sum.known = sum.known + *cost,
                    None => sum.unpriced += 1,
                }
            }
            _ => {}
        }
        self.outer.emit(event);
    }
}

impl Spent {
    /// Gives what the calls cost, if all of it is known.
    pub(super) fn cost(&self) -> Option<Cost> {
        (self.unpriced == 0).then_some(self.known)
    }

    /// Tells whether a call broke off by this error in such a way that it may have been billed.
    pub(super) fn broke_off(&self, error: &Error) -> bool {
        let kinds = [ErrorKind::Timeout, ErrorKind::Cancelled, ErrorKind::Truncated, ErrorKind::Connection];
        self.begun > self.ended && kinds.contains(&error.kind())
    }
}
