//! Selects those of many tools that a run is offered: a recorded question to a model, which falls back to all of them.
//!
//! Asks about the newest turn of the user, so that each run of a conversation is offered what that turn needs. Knows no
//! machine; whoever drives one offers what is selected.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use motet_core::event::EventSink;
use motet_core::id::content_hash;
use motet_core::request::{JsonSchemaOutput, Output, ToolChoice};
use motet_core::run_log::{Begun, Step, StepKind};
use motet_core::tool::{Effect, Spent};
use motet_core::{
    ChatRequest, ChatResponse, Error, ErrorKind, Message, Model, ModelId, Result, Role, RunContext,
    StreamEvent,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::call::chat;
use crate::hooks::{Payload, Stage};
use crate::machine::output::json_of;

/// Up to so many tools are offered without asking, where nothing else is said.
const THRESHOLD: usize = 16;
/// Tokens that the selecting model may answer with.
const MAX_TOKENS: u32 = 1024;
/// Characters of a tool's description that the selecting model sees.
const DESCRIPTION: usize = 120;
/// Characters of the user's turn that the selecting model sees.
const QUERY: usize = 4000;

const INSTRUCTIONS: &str = "You select the tools that an assistant needs to deal with a user's message. \
    Answer with a JSON object {\"tools\": [...]} that holds names from the list, written exactly as they are there. \
    Select every tool that may be needed, rather one too many than one too few, and leave out what has nothing to do \
    with the message.";

/// How tools are selected.
///
/// ```
/// # use std::sync::Arc;
/// # use motet_agents::{Agent, ToolRouter};
/// # fn of(small: Arc<dyn motet_core::Model>, tools: Vec<Arc<dyn motet_core::Tool>>) -> motet_core::Result<Agent> {
/// let router = ToolRouter::new("openai:gpt-4o-mini".parse()?, small).threshold(20).always(["search"]);
/// Agent::builder("helper", "openai:gpt-4o".parse()?).tools(tools).router(router).build()
/// # }
/// ```
#[derive(Clone)]
pub struct ToolRouter {
    model: Arc<dyn Model>,
    id: ModelId,
    threshold: usize,
    always: Vec<String>,
}

impl ToolRouter {
    /// Has a model select, which may be a small one.
    pub fn new(id: ModelId, model: Arc<dyn Model>) -> Self {
        Self { model, id, threshold: THRESHOLD, always: Vec::new() }
    }

    /// Sets up to how many tools are all offered without asking; 16 where not set.
    #[must_use]
    pub fn threshold(mut self, tools: usize) -> Self {
        self.threshold = tools;
        self
    }

    /// Names tools that are always offered, whatever is selected beside them.
    #[must_use]
    pub fn always(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.always.extend(names.into_iter().map(Into::into));
        self
    }
}

impl fmt::Debug for ToolRouter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolRouter")
            .field("id", &self.id)
            .field("threshold", &self.threshold)
            .field("always", &self.always)
            .finish_non_exhaustive()
    }
}

/// What was selected.
pub(crate) struct Selected {
    /// Places of the tools to offer, in the order of the set.
    pub(crate) places: Vec<usize>,
    /// Their names.
    pub(crate) names: Vec<String>,
    /// Why all are offered, where the choice came to nothing.
    pub(crate) fell_back: Option<String>,
    /// What the selecting model used.
    pub(crate) spent: Option<Spent>,
}

/// A selection as the run log keeps it, so that a resumed run offers the same tools.
#[derive(Serialize, Deserialize)]
struct Recorded {
    tools: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fell_back: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spent: Option<Spent>,
}

/// Selects the tools to offer, as the named step of the run; `None` for all, where there is nothing to select.
///
/// # Errors
/// `Cancelled`, `Timeout`, `Blocked` by a hook, and what keeps the run log from being read or written; every other
/// failure makes the selection fall back to all tools.
pub(crate) async fn select_tools(
    agent: &Agent,
    context: &RunContext,
    messages: &[Message],
    step: &str,
) -> Result<Option<Selected>> {
    let Some(router) = agent.router().filter(|router| agent.tools().len() > router.threshold) else {
        return Ok(None);
    };
    let newest = messages.iter().rev().find(|message| message.role == Role::User);
    let query: String = newest.map(Message::visible_text).unwrap_or_default().chars().take(QUERY).collect();
    if query.trim().is_empty() {
        return Ok(None);
    }
    let query = before(agent, context, query).await?;
    let request = question(router, agent, &query);
    let hash = content_hash(&(&request, &router.always))?;
    let label = router.id.to_string();
    let (kind, effect) = (StepKind::Value, Effect::Pure);
    let recorded =
        match context.begin(Step { name: step, kind, request_hash: &hash, effect, label: &label }).await? {
            Begun::Recorded(value) => serde_json::from_value(value).map_err(|error| {
                Error::new(ErrorKind::Store, "a recorded selection of tools cannot be read")
                    .with_source(error)
            })?,
            Begun::Fresh(pending) => match choose(router, agent, context, step, &request).await {
                Ok(recorded) => {
                    let recorded = after(agent, context, query, recorded).await?;
                    pending.finish(&recorded).await?;
                    recorded
                }
                Err(error) => {
                    pending.fail(&error).await?;
                    return Err(error);
                }
            },
        };
    Ok(Some(placed(agent, recorded)))
}

/// Lets hooks see and change what tools are selected for.
async fn before(agent: &Agent, context: &RunContext, query: String) -> Result<String> {
    if !agent.hooks().wants(Stage::BeforeRoute) {
        return Ok(query);
    }
    let payload = Payload::BeforeRoute { query: query.clone(), tools: names(agent).collect() };
    match agent.hooks().call(context, payload).await? {
        Payload::BeforeRoute { query, .. } => Ok(query),
        _ => Ok(query),
    }
}

/// Lets hooks see and change what was selected.
async fn after(agent: &Agent, context: &RunContext, query: String, recorded: Recorded) -> Result<Recorded> {
    if !agent.hooks().wants(Stage::AfterRoute) {
        return Ok(recorded);
    }
    let Recorded { tools, fell_back, spent } = recorded;
    let payload = Payload::AfterRoute { query, tools: tools.clone(), fell_back: fell_back.is_some() };
    let changed = match agent.hooks().call(context, payload).await? {
        Payload::AfterRoute { tools, .. } => tools,
        _ => tools.clone(),
    };
    // Whoever chooses other tools has chosen, even where the model could not.
    let fell_back = fell_back.filter(|_| changed == tools);
    Ok(Recorded { tools: changed, fell_back, spent })
}

/// Asks the model; what comes to nothing is a choice of all tools.
async fn choose(
    router: &ToolRouter,
    agent: &Agent,
    context: &RunContext,
    step: &str,
    request: &ChatRequest,
) -> Result<Recorded> {
    let quiet = if context.is_listened_to() {
        context.clone().with_events(Arc::new(Quiet(context.clone())))
    } else {
        context.clone()
    };
    let answer = chat(&quiet.child(step), &*router.model, request, "model").await;
    let (why, spent) = match answer {
        Ok(response) => {
            let spent = Spent { usage: response.usage.unwrap_or_default(), cost: response.cost };
            match chosen(agent, router, &response) {
                Ok(tools) => return Ok(Recorded { tools, fell_back: None, spent: Some(spent) }),
                Err(why) => (why, Some(spent)),
            }
        }
        Err(error) if ends_the_run(context, &error) => return Err(error),
        Err(error) => (format!("the model that selects failed: {error}"), None),
    };
    Ok(Recorded { tools: names(agent).collect(), fell_back: Some(why), spent })
}

fn ends_the_run(context: &RunContext, error: &Error) -> bool {
    let of_the_log = matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::Conflict | ErrorKind::Store);
    of_the_log || context.check().is_err()
}

/// Reads the names out of an answer; unknown ones are passed over.
fn chosen(agent: &Agent, router: &ToolRouter, response: &ChatResponse) -> Result<Vec<String>, String> {
    let text = response.text();
    let answer: Value = serde_json::from_str(json_of(&text).trim())
        .map_err(|error| format!("the selection is not JSON: {error}"))?;
    let list = answer.get("tools").and_then(Value::as_array).ok_or("the selection holds no list of tools")?;
    let wanted: BTreeSet<&str> = list.iter().filter_map(Value::as_str).map(str::trim).collect();
    if !names(agent).any(|name| wanted.contains(name.as_str())) {
        return Err("the selection holds no tool that there is".to_owned());
    }
    let is_chosen = |name: &String| wanted.contains(name.as_str()) || router.always.contains(name);
    Ok(names(agent).filter(is_chosen).collect())
}

/// Finds the places of names; handoffs, and a tool that must be called, are always offered.
fn placed(agent: &Agent, recorded: Recorded) -> Selected {
    let Recorded { tools, fell_back, spent } = recorded;
    let forced = match agent.tool_choice() {
        ToolChoice::Tool(name) => Some(name),
        _ => None,
    };
    let own = agent.tools().len();
    let is_offered = |place: usize, name: &String| {
        place >= own || tools.contains(name) || forced.is_some_and(|forced| forced == name)
    };
    let specs = agent.tool_set().specs().iter().enumerate();
    let offered = specs.filter(|(place, spec)| is_offered(*place, &spec.name));
    let (places, names) = offered.map(|(place, spec)| (place, spec.name.clone())).unzip();
    Selected { places, names, fell_back, spent }
}

fn names(agent: &Agent) -> impl Iterator<Item = String> {
    agent.tools().iter().map(|tool| tool.spec().name.clone())
}

fn question(router: &ToolRouter, agent: &Agent, query: &str) -> ChatRequest {
    let mut list = String::new();
    for tool in agent.tools() {
        let spec = tool.spec();
        let first_line = spec.description.lines().next().unwrap_or_default();
        let description: String = first_line.chars().take(DESCRIPTION).collect();
        list.push_str(&format!("- {}: {description}\n", spec.name));
    }
    let text = format!("The tools:\n{list}\nThe user's message:\n{query}");
    let mut request =
        ChatRequest::new(router.id.clone(), vec![Message::system(INSTRUCTIONS), Message::user(text)]);
    let schema = json!({
        "type": "object",
        "properties": {"tools": {"type": "array", "items": {"type": "string"}}},
        "required": ["tools"],
        "additionalProperties": false,
    });
    request.output =
        Output::JsonSchema(JsonSchemaOutput { name: "selection".to_owned(), schema, strict: true });
    request.max_tokens = Some(MAX_TOKENS);
    request
}

/// Passes on what is told of a call, but not its text, which is no answer to the user.
struct Quiet(RunContext);

impl EventSink for Quiet {
    fn emit(&self, event: &StreamEvent) {
        let is_about_the_call = matches!(
            event,
            StreamEvent::ModelCallStarted { .. }
                | StreamEvent::ModelCallEnded { .. }
                | StreamEvent::Retrying { .. }
                | StreamEvent::Waiting { .. }
                | StreamEvent::FellBack { .. }
                | StreamEvent::KeyChanged { .. }
                | StreamEvent::CircuitChanged { .. }
                | StreamEvent::CacheHit { .. }
                | StreamEvent::Warning { .. }
        );
        if is_about_the_call {
            self.0.emit(event);
        }
    }
}

#[cfg(test)]
mod tests;
