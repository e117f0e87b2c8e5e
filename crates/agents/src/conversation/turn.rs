//! One turn of a conversation: what is sent, the run, and what is kept of it.

mod shorten;

use std::pin::pin;
use std::sync::Arc;

use motet_core::conversation::{Addition, Measured, Summary, Turn, Unsummarised};
use motet_core::id::content_hash;
use motet_core::{ChatRequest, Error, ErrorKind, Message, Result, Role, RunContext, StreamEvent, Usage};
use serde_json::Value;

use self::shorten::View;
use super::kept::{Base, Kept, count};
use super::{Inner, ParkedTurn, Setup, tokens};
use crate::agent::{Agent, Prompt};
use crate::driver::{cause, drive, not_begun};
use crate::feed::{Feed, tell};
use crate::guard::until_stopped;
use crate::machine::{AgentResult, Outcome};

/// What is said in a turn.
pub(super) struct Asked {
    keep: Option<u32>,
    prompt: Prompt,
    /// The version that it must go on from.
    version: Option<u64>,
}

impl Asked {
    pub(super) fn new(prompt: impl Into<Prompt>) -> Self {
        Self { keep: None, prompt: prompt.into(), version: None }
    }

    pub(super) fn after(keep: u32, prompt: impl Into<Prompt>) -> Self {
        Self { keep: Some(keep), ..Self::new(prompt) }
    }
}

impl From<ParkedTurn> for Asked {
    fn from(parked: ParkedTurn) -> Self {
        Self { keep: parked.keep, prompt: Prompt(parked.prompt), version: Some(parked.version) }
    }
}

/// A turn in progress.
struct Taking<'a> {
    setup: Setup,
    /// The context of the turn, below which its steps are named.
    context: RunContext,
    feed: Option<&'a Feed>,
    asked: &'a Asked,
}

/// What is sent in a turn.
struct Prepared {
    /// What is sent before what is said.
    view: Vec<Message>,
    /// Messages that a summary stands for.
    summarised: u32,
    /// A summary that is kept with the turn, as the conversation does not have it yet.
    summary: Option<Summary>,
    /// The summary, where it was written in this turn and so is part of what the turn used.
    written: Option<Summary>,
    /// That none could be written.
    unsummarised: Option<Unsummarised>,
}

/// Takes a turn when those before it have ended.
pub(super) async fn take(
    session: &Arc<Inner>,
    context: &RunContext,
    feed: Option<&Feed>,
    asked: Asked,
) -> AgentResult {
    let mut kept = match until_stopped(context, pin!(session.kept.lock())).await {
        Ok(kept) => kept,
        Err(stop) => return not_begun(&session.setup().agent, asked.prompt, stop),
    };
    let setup = session.setup();
    let begun = until_stopped(context, pin!(begin(&mut kept, setup.clone(), context, feed, &asked))).await;
    let (taking, prepared) = match begun {
        Ok(Ok(begun)) => begun,
        Ok(Err(error)) => return not_begun(&setup.agent, asked.prompt, cause(context, error)),
        Err(stop) => return not_begun(&setup.agent, asked.prompt, stop),
    };
    let messages = prepared.view.iter().chain(&asked.prompt.0).cloned().collect();
    let result = drive(&taking.context, &setup.agent, setup.model, Prompt(messages), feed).await;
    let ended = taking.keep(&mut kept, &prepared, &result).await;
    let result = match prepared.written {
        Some(summary) => result.spending(summary.usage, summary.cost),
        None => result,
    };
    match ended {
        Ok(()) => result,
        Err(error) => result.failing(&error),
    }
}

/// Makes ready what is sent; nothing of the conversation is changed by it.
async fn begin<'a>(
    kept: &mut Kept,
    setup: Setup,
    context: &RunContext,
    feed: Option<&'a Feed>,
    asked: &'a Asked,
) -> Result<(Taking<'a>, Prepared)> {
    kept.refresh().await?;
    let version = kept.head().version;
    if let Some(expected) = asked.version.filter(|expected| *expected != version) {
        return Err(kept.head().conflict(expected));
    }
    let base = kept.base(asked.keep).await?;
    check_prompt(&base, &asked.prompt)?;
    let agent = &setup.agent;
    let hash = content_hash(&(agent.name(), agent.model(), asked.keep, &asked.prompt.0))?;
    let context = context.child(&format!("turn/{version}-{}", hash.get(..8).unwrap_or(&hash)));
    let taking = Taking { setup, context, feed, asked };
    let prepared = taking.prepare(kept, base).await?;
    Ok((taking, prepared))
}

impl Taking<'_> {
    /// Gives what is sent, its beginning summarised where it would be too much.
    async fn prepare(&self, kept: &mut Kept, mut base: Base) -> Result<Prepared> {
        let (mut summary, mut written, mut unsummarised) = (None, None, None);
        if let Some(rules) = &self.setup.compaction {
            let pending =
                kept.pending.clone().filter(|pending| self.asked.keep.is_none() && base.fits(pending));
            match self.choose(rules, &base, pending.as_ref()).await? {
                None => {}
                Some(View::Unsummarised(failed)) => {
                    unsummarised = Some(failed);
                    if self.asked.keep.is_none() {
                        // Should this turn not complete, the one after it does not try at once either.
                        kept.unsummarised = unsummarised;
                    }
                }
                Some(View::Summarised(chosen)) => {
                    written = (pending.as_ref() != Some(&chosen)).then(|| chosen.clone());
                    if self.asked.keep.is_none() {
                        // Paid for, so that the turn after this one uses it should this one not complete.
                        kept.pending = Some(chosen.clone());
                    }
                    summary = Some(chosen.clone());
                    base.summarise(chosen);
                }
            }
            self.check_size(rules, &base)?;
        }
        let view = base.view(&self.setup.agent);
        Ok(Prepared { view, summarised: base.summarised(), summary, written, unsummarised })
    }

    /// Gives the request of the turn's first model call.
    fn request(&self, base: &Base) -> ChatRequest {
        let mut messages = base.view(&self.setup.agent);
        messages.extend(self.asked.prompt.0.iter().cloned());
        request(&self.setup.agent, messages)
    }

    /// Keeps what came of the turn, if it completed; takes down that it waits, if it does.
    async fn keep(&self, kept: &mut Kept, prepared: &Prepared, result: &AgentResult) -> Result<()> {
        let (agent, asked) = (&self.setup.agent, self.asked);
        if result.outcome == Outcome::Waiting {
            let (run, version) = (self.context.run_id().clone(), kept.head().version);
            let prompt = asked.prompt.0.clone();
            kept.parked = Some(ParkedTurn { run, version, keep: asked.keep, prompt });
        }
        if result.error().is_some() {
            return Ok(());
        }
        let said = said(prepared, &asked.prompt.0, result);
        let mut turn = Turn::new(result.messages.get(said..).unwrap_or_default().to_vec());
        turn.agent = Some(agent.name().to_owned());
        turn.model = Some(result.model.clone());
        turn.run = Some(self.context.run_id().clone());
        (turn.usage, turn.cost) = (result.usage, result.cost);
        if self.setup.compaction.is_some() && result.model == *agent.model() {
            let before = asked.keep.unwrap_or(kept.head().messages);
            turn.measured = self.measured(prepared, result, &turn, before);
        }
        turn.unsummarised = prepared.unsummarised;
        let mut addition = Addition::turns(vec![turn]);
        addition.keep = asked.keep;
        addition.summaries.extend(prepared.summary.clone());
        let instructions = agent.instructions();
        addition.instructions = (kept.head().instructions != instructions).then(|| instructions.to_owned());
        kept.add(addition).await
    }

    /// Takes down what the provider counted in the last call of a turn.
    fn measured(
        &self,
        prepared: &Prepared,
        result: &AgentResult,
        turn: &Turn,
        before: u32,
    ) -> Option<Measured> {
        let number = result.model_calls.checked_sub(1)?;
        let step = self.context.log().lookup(&self.context.key(&format!("model/{number}")))?;
        let usage: Usage = match step.result? {
            Value::Object(mut response) => serde_json::from_value(response.remove("usage")?).ok()?,
            _ => return None,
        };
        let (_, sent) = turn.messages.split_last()?;
        let request = request(&self.setup.agent, prepared.view.iter().chain(sent).cloned().collect());
        Some(Measured {
            messages: before + count(&turn.messages),
            summarised: prepared.summarised,
            input: usage.input,
            output: usage.output.saturating_sub(usage.reasoning),
            estimated: tokens::estimate(&request),
        })
    }

    fn warn(&self, message: String) {
        tell(&self.context, self.feed, &StreamEvent::Warning { message });
    }
}

/// Summarises now.
pub(super) async fn compact_now(session: &Arc<Inner>, context: &RunContext) -> Result<bool> {
    let mut kept = until_stopped(context, pin!(session.kept.lock())).await?;
    let setup = session.setup();
    let Some(rules) = setup.compaction.clone() else {
        return Err(Error::new(
            ErrorKind::Configuration,
            "this conversation has no limit by which it is summarised",
        )
        .with_hint("name one, or a model whose window is known"));
    };
    kept.refresh().await?;
    let base = kept.base(None).await?;
    let cut = match rules.cut(&base) {
        // All of it is short enough to stay, or nothing is: at least the newest turn does.
        all if all == base.messages.len() => base.turns.last().copied().unwrap_or(0),
        cut => cut,
    };
    if cut == 0 {
        return Ok(false);
    }
    let asked = Asked::new(Prompt::default());
    let context = context.child(&format!("compact/{}", kept.head().version));
    let taking = Taking { setup, context: context.clone(), feed: None, asked: &asked };
    let summary = until_stopped(&context, pin!(taking.write_summary(&rules, &base, cut))).await??;
    let mut addition = Addition::default();
    addition.summaries.push(summary);
    kept.add(addition).await?;
    Ok(true)
}

fn request(agent: &Agent, messages: Vec<Message>) -> ChatRequest {
    let mut request = agent.request(messages);
    agent.tool_set().specs().clone_into(&mut request.tools);
    request
}

/// Gives where in the transcript the turn begins. A hook may have put messages behind what was said, or taken some of what
/// was said before out of what is sent.
fn said(prepared: &Prepared, prompt: &[Message], result: &AgentResult) -> usize {
    let instructions = |messages: &mut dyn Iterator<Item = &Message>| {
        messages.take_while(|message| message.role == Role::System).count()
    };
    let before = instructions(&mut prepared.view.iter().chain(prompt));
    let added = instructions(&mut result.messages.iter().take(result.first_new)).saturating_sub(before);
    (prepared.view.len() + added).min(result.first_new.saturating_sub(prompt.len()))
}

/// Refuses to say nothing, and to go on without the results of tools that the caller was to run.
fn check_prompt(base: &Base, prompt: &Prompt) -> Result<()> {
    let refused = |message: &str| Error::new(ErrorKind::InvalidRequest, message);
    let Some(first) = prompt.0.first() else {
        return Err(
            refused("nothing is said in this turn").with_hint("give it a text or at least one message")
        );
    };
    let waits = base.messages.last().is_some_and(|last| last.tool_calls().next().is_some());
    match (waits, first.role == Role::Tool) {
        (true, false) => Err(refused("the calls of tools in the last answer have no results yet")
            .with_hint("begin the turn with the message of their results")),
        (false, true) => Err(refused("the turn begins with results of tools that nobody called")),
        _ => Ok(()),
    }
}
