//! Looks at what is said in a run before anybody else hears it: guardrails, and hooks that change answers.
//!
//! Sits between the recorded step and the model, so that log, listeners, and streams only ever hold what passed.

mod answer;
mod hooked;
mod passing;

use std::sync::Arc;

use motet_core::{
    ChatResponse, Error, ErrorKind, Message, Model, Part, Result, Role, RunContext, ToolOutput,
};
use serde::{Deserialize, Serialize};

use self::answer::ReviewedModel;
use crate::agent::Agent;
use crate::guardrails::{Place, Reviewer};
use crate::hooks::Stage;

/// Name under which a verdict stands in the metadata of an answer, and so in the log.
pub(crate) const VERDICT: &str = "guardrail";

/// Why an answer is held back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// The guardrail that holds it back.
    pub(crate) guardrail: String,
    /// Why, in words that a model may read.
    pub(crate) reason: String,
    /// True to ask the model for another answer, false to end the run.
    pub(crate) ask_again: bool,
}

impl Verdict {
    /// Gives the verdict on an answer; `None` for one that nobody objects to.
    pub(crate) fn of(response: &ChatResponse) -> Option<Self> {
        let verdict = response.metadata.get(VERDICT)?;
        serde_json::from_value(verdict.clone()).ok()
    }

    pub(crate) fn error(&self) -> Error {
        self.error_about("the answer")
    }

    fn error_about(&self, what: &str) -> Error {
        Error::new(
            ErrorKind::Blocked,
            format!("the guardrail `{}` held {what} back: {}", self.guardrail, self.reason),
        )
    }

    /// Makes what stands where the text stood.
    fn notice(&self) -> String {
        format!("[withheld by the guardrail `{}`]", self.guardrail)
    }

    pub(crate) fn request_for_rewrite(&self) -> String {
        format!("Your answer was held back: {}. Answer again without that.", self.reason)
    }
}

/// Looks at what is new in what a run is given; gives the messages where they must be changed.
pub(crate) async fn reviewed_input(
    agent: &Agent,
    context: &RunContext,
    messages: &[Message],
) -> Result<Option<Vec<Message>>> {
    let Some(reviewer) = agent.reviewer() else { return Ok(None) };
    let mut passed = messages.to_vec();
    let mut is_changed = false;
    for message in passed.iter_mut().skip(first_new(messages)) {
        for part in &mut message.parts {
            is_changed |= review_part(reviewer, context, part).await?;
        }
    }
    Ok(is_changed.then_some(passed))
}

/// Tells whether input is looked at, so that it may be shown only once that is done.
pub(crate) fn reviews_input(agent: &Agent) -> bool {
    let guardrails = agent.guardrails();
    guardrails.hold_at(Place::Input) || guardrails.hold_at(Place::ToolResult)
}

/// Gives what a run was given without what is new in it, for the result of a run whose input did not pass.
pub(crate) fn withheld(mut messages: Vec<Message>) -> Vec<Message> {
    let new = first_new(&messages);
    let withheld = |part: &mut Part| match part {
        Part::Text { text, opaque } => (*text, *opaque) = ("[withheld]".to_owned(), None),
        Part::ToolResult(result) => result.content = vec![Part::text("[withheld]")],
        _ => {}
    };
    for message in messages.iter_mut().skip(new).filter(|message| message.role != Role::System) {
        message.parts.retain(|part| matches!(part, Part::Text { .. } | Part::ToolResult(_)));
        message.parts.iter_mut().for_each(withheld);
    }
    messages
}

/// Gives where the messages begin that no model has answered.
fn first_new(messages: &[Message]) -> usize {
    let answered = messages.iter().rposition(|message| message.role == Role::Assistant);
    let first = answered.map_or(0, |place| place + 1);
    // Instructions are the program's own words.
    let system = messages.iter().skip(first).take_while(|message| message.role == Role::System).count();
    first + system
}

async fn review_part(reviewer: &Reviewer, context: &RunContext, part: &mut Part) -> Result<bool> {
    match part {
        Part::Text { text, .. } => {
            let reviewed = reviewer.text(context, Place::Input, text).await?;
            if let Some((_, verdict)) = reviewed.verdict {
                return Err(verdict.error_about("the input"));
            }
            let is_changed = reviewed.text.is_some();
            *text = reviewed.text.unwrap_or(std::mem::take(text));
            Ok(is_changed)
        }
        Part::ToolResult(result) => {
            let output =
                ToolOutput { content: std::mem::take(&mut result.content), is_error: false, spent: None };
            let before = output.content.clone();
            let output = review_output(reviewer, context, output).await?;
            result.is_error |= output.is_error;
            result.content = output.content;
            Ok(result.content != before)
        }
        _ => Ok(false),
    }
}

/// Looks at what a tool answered, before it is recorded and shown to the model.
pub(crate) async fn reviewed_result(
    agent: &Agent,
    context: &RunContext,
    output: ToolOutput,
) -> Result<ToolOutput> {
    match agent.reviewer().filter(|_| agent.guardrails().hold_at(Place::ToolResult)) {
        Some(reviewer) => review_output(reviewer, context, output).await,
        None => Ok(output),
    }
}

/// Replaces what must not pass. A tool has taken effect when it answers, so that its answer is withheld and the run goes
/// on, whatever else is said about the text.
async fn review_output(
    reviewer: &Reviewer,
    context: &RunContext,
    mut output: ToolOutput,
) -> Result<ToolOutput> {
    for part in &mut output.content {
        let Part::Text { text, .. } = part else { continue };
        let reviewed = reviewer.text(context, Place::ToolResult, text).await?;
        if let Some((_, verdict)) = reviewed.verdict {
            let notice = format!("{}: {}", verdict.notice(), verdict.reason);
            return Ok(ToolOutput { spent: output.spent, ..ToolOutput::error(notice) });
        }
        *text = reviewed.text.unwrap_or(std::mem::take(text));
    }
    Ok(output)
}

/// Gives the model as an agent may be heard through it.
pub(crate) fn reviewed(agent: &Agent, model: Arc<dyn Model>) -> Arc<dyn Model> {
    let guardrails = agent.guardrails();
    let holds = guardrails.hold_at(Place::Output) || guardrails.hold_at(Place::ToolArguments);
    let hooks = agent.hooks();
    let hooked = hooks.wants(Stage::AfterModelCall) || hooks.wants(Stage::Retry);
    if !holds && !hooked {
        return model;
    }
    let reviewer = agent.reviewer().filter(|_| holds).cloned();
    Arc::new(ReviewedModel { model, reviewer, hooks: hooks.clone() })
}

#[cfg(test)]
mod tests;
