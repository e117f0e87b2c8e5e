//! Makes records of run logs and of the results of calls, agents, and batches.

use std::collections::HashMap;
use std::time::Duration;

use motet_core::error::ErrorReport;
use motet_core::id::Millis;
use motet_core::message::ToolCall;
use motet_core::request::ToolSpec;
use motet_core::run_log::{Entry, KeptRequest, Piece, Record, StepKind};
use motet_core::{
    ChatRequest, ChatResponse, Cost, Error, Message, ModelId, Part, Role, RunContext, RunId, ToolOutput,
    Usage,
};
use serde::Serialize;
use serde_json::Value;

use super::{EvalRecord, RecordedStep, Tokens};
use crate::agent::Agent;
use crate::batch::{BatchRequest, BatchResult};
use crate::machine::{AgentResult, ToolUse};

impl EvalRecord {
    /// Makes the record of a run of its log alone; `None` where no model was called in it.
    ///
    /// What a model was asked is known from logs that outlive the process only.
    #[must_use]
    pub fn of_run(run: &RunId, records: &[Record]) -> Option<Self> {
        let log = Log::read(records);
        let model = log.model.clone()?;
        let mut record = Self::begun(run.as_str(), log.began_at);
        record.model = model;
        if let Some(first) = &log.first_request {
            record.asked(first);
        }
        if let Some(last) = log.last_request.as_ref().or(log.first_request.as_ref()) {
            record.messages_snapshot = values(&last.messages);
        }
        if let Some(answer) = &log.last_response {
            record.final_response = answer.text();
            record.messages_snapshot.extend(value(&answer.message));
        }
        record.latency_ms = log.ended_at.since(log.began_at).as_secs_f64() * 1000.0;
        record.agent_name.clone_from(&log.agent);
        match &log.open_failure {
            Some(error) => record.failed(error),
            None => record.succeeded(if log.last_response.is_some() { "completed" } else { "unknown" }),
        }
        record.success &= log.last_response.is_some();
        record.tool_history(log.tool_history());
        record.log(log);
        Some(record)
    }

    /// Makes the record of a single call, plain, streamed, or structured, of its answer and the context's log.
    #[must_use]
    pub fn of_call(
        context: &RunContext,
        request: &ChatRequest,
        answer: Result<&ChatResponse, &Error>,
        elapsed: Duration,
    ) -> Self {
        let log = Log::of(context);
        let mut record = Self::begun_in(context, &log);
        record.asked(request);
        record.messages_snapshot = values(&request.messages);
        record.latency_ms = elapsed.as_secs_f64() * 1000.0;
        if let Some(answer) = answer.ok().or(log.last_response.as_ref()) {
            record.final_response = answer.text();
            record.messages_snapshot.extend(value(&answer.message));
            record.raw_response = value(answer);
        }
        let is_logged = !log.answers.is_empty();
        record.log(log);
        match answer {
            Ok(answer) => {
                record.succeeded("completed");
                if !is_logged {
                    // A call that is kept in the store has its steps there.
                    record.spent(answer.usage.unwrap_or_default(), answer.cost);
                }
            }
            Err(error) => record.failed(&error.report()),
        }
        record
    }

    /// Makes the record of a run of an agent, however it ended.
    #[must_use]
    pub fn of_agent(context: &RunContext, agent: &Agent, result: &AgentResult, elapsed: Duration) -> Self {
        let log = Log::of(context);
        let mut record = Self::begun_in(context, &log);
        record.model = result.model.to_string();
        record.system_prompt = system_text(&result.messages);
        let given = result.messages.get(..result.first_new).unwrap_or(&result.messages);
        record.user_message = user_text(given);
        record.messages_snapshot = values(&result.messages);
        record.final_response.clone_from(&result.text);
        record.structured_output.clone_from(&result.value);
        record.latency_ms = elapsed.as_secs_f64() * 1000.0;
        record.agent_name = Some(agent.name().to_owned());
        record.agent_description = Some(agent.description().to_owned());
        record.agent_model = Some(agent.model().to_string());
        record.agent_system_prompt = Some(agent.instructions().to_owned());
        record.agent_tools = agent.tools().iter().map(|tool| tool.spec().name.clone()).collect();
        record.tools_available.clone_from(&record.agent_tools);
        record.agent_max_tool_iterations = Some(agent.limits().max_iterations);
        record.tool_history(result.tool_history.clone());
        match result.error() {
            None => record.succeeded(result.outcome.as_str()),
            Some(error) => {
                record.failed(&error.report());
                record.outcome = result.outcome.as_str().to_owned();
            }
        }
        record.log(log);
        record.spent(result.usage, result.cost);
        record
    }

    /// Makes the record of a request of a batch, of its result and of its log as far as that is there.
    #[must_use]
    pub fn of_batch(
        run: &RunId,
        request: Option<&BatchRequest>,
        result: &BatchResult,
        records: &[Record],
    ) -> Self {
        let log = Log::read(records);
        let mut record = Self::begun(run.as_str(), log.began_at);
        record.id.clone_from(&result.id);
        if let Some(BatchRequest { request, tools, .. }) = request {
            record.asked(request);
            record.messages_snapshot = values(&request.messages);
            record.tools_available.extend(tools.iter().map(|tool| tool.spec().name.clone()));
        }
        record.metadata.extend(result.metadata.clone());
        record.latency_ms = result.elapsed.as_secs_f64() * 1000.0;
        match (result.answer(), result.error()) {
            (Some(answer), _) => {
                record.model = answer.response.model.to_string();
                record.final_response = answer.response.text();
                record.messages_snapshot.extend(value(&answer.response.message));
                record.raw_response = value(&answer.response);
                record.structured_output.clone_from(&answer.value);
                record.tool_history(answer.tool_history.clone());
                record.succeeded("completed");
            }
            (None, Some(error)) => {
                record.failed(error);
                record.final_response =
                    log.last_response.as_ref().map(ChatResponse::text).unwrap_or_default();
                record.tool_history(log.tool_history());
            }
            (None, None) => {}
        }
        record.log(log);
        record.spent(result.usage, result.cost);
        record
    }

    fn begun(run: &str, at: Millis) -> Self {
        Self {
            id: RunId::new().to_string(),
            run_id: run.to_owned(),
            correlation_id: run.to_owned(),
            timestamp: at.to_string(),
            ..Self::default()
        }
    }

    fn begun_in(context: &RunContext, log: &Log) -> Self {
        let mut record = Self::begun(context.run_id().as_str(), log.began_at);
        context.correlation_id().clone_into(&mut record.correlation_id);
        record
    }

    fn asked(&mut self, request: &ChatRequest) {
        self.model = request.model.to_string();
        self.system_prompt = system_text(&request.messages);
        self.user_message = user_text(&request.messages);
        self.tools_available = names(&request.tools);
        self.metadata.extend(request.metadata.clone());
    }

    fn tool_history(&mut self, history: Vec<ToolUse>) {
        self.tool_calls_made = u32::try_from(history.len()).unwrap_or(u32::MAX);
        self.tool_execution_history = values(&history);
    }

    fn log(&mut self, log: Log) {
        if self.raw_response.is_none() {
            self.raw_response = log.last_response.as_ref().and_then(value);
        }
        self.spent(log.usage, log.cost);
        self.steps = log.steps;
    }

    fn spent(&mut self, usage: Usage, cost: Option<Cost>) {
        self.usage = usage;
        self.tokens_used = Tokens { prompt: usage.input, completion: usage.output, total: usage.total() };
        self.estimated_cost_usd = cost.map(Cost::dollars);
    }

    fn succeeded(&mut self, outcome: &str) {
        self.success = true;
        outcome.clone_into(&mut self.outcome);
    }

    /// Marks the record as that of a failure.
    fn failed(&mut self, error: &ErrorReport) {
        self.success = false;
        "failed".clone_into(&mut self.outcome);
        self.error_type = Some(error.kind.as_str().to_owned());
        self.error_message = Some(error.message.clone());
    }

    /// Says what was asked, where the log of the run does not tell.
    #[must_use]
    pub fn asking(mut self, request: &ChatRequest) -> Self {
        self.asked(request);
        let answer = self.raw_response.as_ref().and_then(|response| response.get("message").cloned());
        self.messages_snapshot = values(&request.messages);
        self.messages_snapshot.extend(answer);
        self
    }

    /// Says that the run failed, where its log alone does not tell.
    #[must_use]
    pub fn failing(mut self, error: &ErrorReport) -> Self {
        self.failed(error);
        self
    }
}

/// What a log tells.
struct Log {
    began_at: Millis,
    ended_at: Millis,
    model: Option<String>,
    agent: Option<String>,
    steps: Vec<RecordedStep>,
    first_request: Option<ChatRequest>,
    last_request: Option<ChatRequest>,
    last_response: Option<ChatResponse>,
    /// Answers of models by the names of their steps.
    answers: Vec<(String, ChatResponse)>,
    tools: Vec<(String, String, Value)>,
    /// The newest failure, unless something went well after it.
    open_failure: Option<ErrorReport>,
    usage: Usage,
    cost: Option<Cost>,
}

impl Log {
    /// Reads what the steps of this context and below it did.
    fn of(context: &RunContext) -> Self {
        let records = context.log().records();
        if context.step_name().is_empty() {
            return Self::read(&records);
        }
        let below = context.key("");
        let own: Vec<Record> =
            records.into_iter().filter(|record| record.step().starts_with(&below)).collect();
        Self::read(&own)
    }

    fn read(records: &[Record]) -> Self {
        let now = Millis::now();
        let mut log = Self {
            began_at: records.first().map_or(now, Record::at),
            ended_at: records.last().map_or(now, Record::at),
            model: None,
            agent: None,
            steps: Vec::new(),
            first_request: None,
            last_request: None,
            last_response: None,
            answers: Vec::new(),
            tools: Vec::new(),
            open_failure: None,
            usage: Usage::default(),
            cost: Some(Cost::ZERO),
        };
        let mut requests = Requests::default();
        let mut open: HashMap<&str, (usize, StepKind, Millis)> = HashMap::new();
        for record in records {
            match record.entry() {
                Entry::Started { kind, label, request, .. } => {
                    open.insert(record.step(), (log.steps.len(), *kind, record.at()));
                    log.started(record, *kind, label);
                    // Only a step that calls a model has its name as the label.
                    if let Some(kept) = request.as_ref().filter(|_| *kind == StepKind::Model) {
                        requests.add(label, kept);
                    }
                }
                Entry::Finished { result } => {
                    let Some((place, kind, began)) = open.remove(record.step()) else { continue };
                    log.ended(place, "done", record.at().since(began));
                    log.finished(record.step(), kind, result);
                }
                Entry::Failed { error } => {
                    let Some((place, _, began)) = open.remove(record.step()) else { continue };
                    log.ended(place, "failed", record.at().since(began));
                    log.open_failure = Some(ErrorReport::clone(error));
                }
                _ => {}
            }
        }
        (log.first_request, log.last_request) = requests.ends();
        log
    }

    fn started(&mut self, record: &Record, kind: StepKind, label: &str) {
        if kind == StepKind::Model {
            self.model.get_or_insert_with(|| label.to_owned());
        }
        if let Some(agent) = record.attribution().and_then(|attribution| attribution.agent.as_ref()) {
            self.agent.get_or_insert_with(|| agent.clone());
        }
        self.steps.push(RecordedStep {
            step: record.step().to_owned(),
            kind: value(&kind).and_then(|kind| Some(kind.as_str()?.to_owned())).unwrap_or_default(),
            label: label.to_owned(),
            status: "unknown".to_owned(),
            duration_ms: None,
        });
    }

    fn ended(&mut self, place: usize, status: &str, took: Duration) {
        if let Some(step) = self.steps.get_mut(place) {
            status.clone_into(&mut step.status);
            step.duration_ms = u64::try_from(took.as_millis()).ok();
        }
    }

    fn finished(&mut self, step: &str, kind: StepKind, result: &Value) {
        match kind {
            StepKind::Model => {
                let Ok(response) = serde_json::from_value::<ChatResponse>(result.clone()) else { return };
                self.open_failure = None;
                self.usage += response.usage.unwrap_or_default();
                self.cost = self.cost.zip(response.cost).map(|(sum, more)| sum + more);
                self.answers.push((step.to_owned(), response.clone()));
                self.last_response = Some(response);
            }
            StepKind::Tool => {
                let label =
                    self.steps.iter().rev().find(|known| known.step == step).map(|known| known.label.clone());
                self.tools.push((step.to_owned(), label.unwrap_or_default(), result.clone()));
            }
            _ => {}
        }
    }

    /// Gives the tool calls in the order asked, with the arguments that the model wrote where its answer is there.
    fn tool_history(&self) -> Vec<ToolUse> {
        let mut placed: Vec<((u32, u32), ToolUse)> = Vec::new();
        for (step, name, result) in &self.tools {
            let Some((prefix, round, index)) = place(step) else { continue };
            let Ok(output) = serde_json::from_value::<ToolOutput>(result.clone()) else { continue };
            let call = self.call(prefix, round, index);
            let text: Vec<&str> = output.content.iter().filter_map(Part::as_text).collect();
            placed.push((
                (round, index),
                ToolUse {
                    round,
                    id: call.map(|call| call.id.clone()).unwrap_or_default(),
                    name: call.map_or_else(|| name.clone(), |call| call.name.clone()),
                    arguments: call.map(|call| call.arguments.clone()).unwrap_or_default(),
                    result: text.join("\n"),
                    is_error: output.is_error,
                    executed: true,
                },
            ));
        }
        placed.sort_by_key(|(place, _)| *place);
        placed.into_iter().map(|(_, used)| used).collect()
    }

    fn call(&self, prefix: &str, round: u32, index: u32) -> Option<&ToolCall> {
        let step = format!("{prefix}model/{round}");
        let (_, answer) = self.answers.iter().find(|(name, _)| *name == step)?;
        answer.message.tool_calls().nth(index as usize)
    }
}

/// Reads the name of a tool's step, `…tool/ROUND/INDEX`; what a tool does below its own step is not the model's call.
fn place(step: &str) -> Option<(&str, u32, u32)> {
    let (prefix, place) = step.rsplit_once("tool/")?;
    if prefix.contains("tool/") {
        return None;
    }
    let (round, index) = place.split_once('/')?;
    let index = index.split_once('.').map_or(index, |(index, _)| index);
    Some((prefix, round.parse().ok()?, index.parse().ok()?))
}

/// The requests of a log; only the first and the last are put together.
#[derive(Default)]
struct Requests<'a> {
    pieces: HashMap<&'a str, &'a Value>,
    first: Option<(&'a str, &'a KeptRequest)>,
    last: Option<(&'a str, &'a KeptRequest)>,
}

impl<'a> Requests<'a> {
    fn add(&mut self, label: &'a str, kept: &'a KeptRequest) {
        for piece in kept.pieces() {
            if let Piece::First { key, value } = piece {
                self.pieces.insert(key, value);
            }
        }
        self.first.get_or_insert((label, kept));
        self.last = Some((label, kept));
    }

    fn ends(&self) -> (Option<ChatRequest>, Option<ChatRequest>) {
        let whole = |(label, kept): (&str, &'a KeptRequest)| {
            let model: ModelId = label.parse().ok()?;
            kept.whole(&model, |key| self.pieces.get(key).copied()).ok()
        };
        (self.first.and_then(whole), self.last.and_then(whole))
    }
}

fn system_text(messages: &[Message]) -> String {
    let texts: Vec<String> =
        messages.iter().filter(|message| message.role == Role::System).map(Message::visible_text).collect();
    texts.join("\n\n")
}

fn user_text(messages: &[Message]) -> String {
    let last = messages.iter().rev().find(|message| message.role == Role::User);
    last.map(Message::visible_text).unwrap_or_default()
}

fn names(tools: &[ToolSpec]) -> Vec<String> {
    tools.iter().map(|tool| tool.name.clone()).collect()
}

fn value(item: &impl Serialize) -> Option<Value> {
    serde_json::to_value(item).ok()
}

fn values<T: Serialize>(items: &[T]) -> Vec<Value> {
    items.iter().filter_map(value).collect()
}
