//! The conversation that is talked: its turns, and what commands do to it.

mod obey;

use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _};
use motet::agents::{Agent, AgentResult, Compaction, Session};
use motet::core::conversation::ConversationId;
use motet::{ErrorKind, Message, ModelId, Result, Role, RunContext, Runtime, Tool};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub(in crate::command) use self::obey::conversations;
use super::ask::AtTerminal;
use super::commands::{Heard, read};
use super::show::Show;
use crate::exit::Exit;
use crate::printer::Printer;

/// Name of the agent that answers.
const AGENT: &str = "chat";

/// How a chat is begun.
pub(super) struct Options {
    pub(super) model: Option<ModelId>,
    pub(super) system: Option<String>,
    pub(super) max_context: Option<u64>,
    pub(super) streams: bool,
    pub(super) interactive: bool,
    /// Tells that the person wants what goes on to stop.
    pub(super) interrupts: Arc<Notify>,
}

/// A conversation and who talks in it.
pub(super) struct Talk {
    runtime: Runtime,
    printer: Printer,
    tools: Vec<Arc<dyn Tool>>,
    streams: bool,
    interactive: bool,
    interrupts: Arc<Notify>,
    max_context: Option<u64>,
    model: ModelId,
    system: String,
    session: Session,
    /// Whether the store keeps the conversation.
    saved: bool,
    /// Name under which it is kept once something was said.
    name: Option<ConversationId>,
    /// Messages that the next words keep, where they take the place of others.
    keep: Option<u32>,
    /// What stands in the next line to be changed.
    draft: Option<String>,
    /// What was said in a turn that did not complete.
    unanswered: Option<Vec<Message>>,
    /// How the newest failure would end a command.
    pub(super) failed: Option<Exit>,
}

impl Talk {
    /// Begins a conversation, or goes on with the one of this name.
    pub(super) async fn begin(
        runtime: &Runtime,
        printer: Printer,
        options: Options,
        tools: Vec<Arc<dyn Tool>>,
        name: Option<ConversationId>,
    ) -> Result<Self> {
        let stored = match &name {
            Some(id) => obey::stored(runtime, id).await?,
            None => None,
        };
        // What is asked for on the command line wins over what the conversation had.
        let had = stored.as_ref().and_then(|head| head.model.clone());
        let model = options.model.or(had).map_or_else(|| runtime.default_model(), Ok)?;
        let had = stored.as_ref().map(|head| head.instructions.clone());
        let system = options.system.or(had).unwrap_or_default();
        let agent = agent(runtime, &model, &system, &tools)?;
        let session = match (&name, &stored) {
            (Some(id), Some(_)) => runtime.open_session(id, agent).await?,
            _ => runtime.session(agent).await?,
        };
        let talk = Self {
            runtime: runtime.clone(),
            printer,
            tools,
            streams: options.streams,
            interactive: options.interactive,
            interrupts: options.interrupts,
            max_context: options.max_context,
            model,
            system,
            session,
            saved: stored.is_some(),
            name: name.filter(|_| stored.is_none()),
            keep: None,
            draft: None,
            unanswered: None,
            failed: None,
        };
        talk.limit()?;
        if let Some(head) = stored {
            printer.note(&format!("going on with `{}`, {}", head.id, counted(head.turns)));
        }
        Ok(talk)
    }

    /// Gives what stands before the line that is typed: the number of the turn to come.
    pub(super) async fn prompt(&self) -> String {
        if self.interactive {
            // What came when nothing went on any more is meant for nothing that follows.
            let _ = self.interrupts.notified().now_or_never();
        }
        let number = match self.keep {
            Some(keep) => self.turns_in(keep).await.unwrap_or(0),
            None => self.session.head().await.turns as usize,
        };
        format!("{}> ", number + 1)
    }

    pub(super) fn take_draft(&mut self) -> Option<String> {
        self.draft.take()
    }

    /// Takes a line; gives false when it is the last.
    pub(super) async fn hear(&mut self, line: &str) -> Result<bool> {
        match read(line) {
            Heard::Words(words) => {
                let keep = self.keep.take();
                self.say(vec![Message::user(words)], keep).await?;
                Ok(true)
            }
            Heard::Command(command, rest) => self.obey(command, rest).await,
            Heard::Unknown(name) => Err(obey::refused(format!("there is no command `/{name}`"))
                .with_hint("`/help` lists them; `//` begins a line that says `/`")),
        }
    }

    /// Tells of a turn or command that failed; the chat goes on.
    pub(super) fn tell_failure(&mut self, error: &motet::Error) {
        self.failed = Some(match error.kind() {
            ErrorKind::Cancelled if self.interactive => {
                self.printer.note("[stopped; the conversation is as it was before]");
                Exit::Interrupted
            }
            _ => self.printer.failure(error),
        });
    }

    /// Takes a turn: shows the answer as it comes, and stops at an interrupt.
    async fn say(&mut self, prompt: Vec<Message>, keep: Option<u32>) -> Result<()> {
        let cancellation = CancellationToken::new();
        let mut context = RunContext::new().with_cancellation(cancellation.clone());
        if self.interactive {
            context = context.with_decisions(Arc::new(AtTerminal));
        }
        let mut show = Show::new(self.printer, self.streams);
        self.unanswered = Some(prompt.clone());
        let result = self.answered(&context, prompt, keep, &mut show).await?;
        let completed = result.error().is_none();
        if completed {
            self.unanswered = None;
        }
        show.end(&result, &self.session.head().await)?;
        if completed && let Some(name) = self.name.take() {
            self.save(name).await?;
        }
        match result.error() {
            // As JSON it was told with the turn.
            Some(error) if self.printer.is_json() => {
                self.failed = Some(Exit::of(error.kind()));
                Ok(())
            }
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    async fn answered(
        &self,
        context: &RunContext,
        prompt: Vec<Message>,
        keep: Option<u32>,
        show: &mut Show,
    ) -> Result<AgentResult> {
        // Also without showing text as it comes, what happens on the way is shown.
        let mut stream = match keep {
            Some(keep) => self.session.stream_after(context, keep, prompt),
            None => self.session.stream(context, prompt),
        };
        loop {
            tokio::select! {
                biased;
                () = self.interrupts.notified() => context.cancellation().cancel(),
                event = stream.next() => match event {
                    Some(Ok(event)) => show.event(&event)?,
                    // The error is part of the result.
                    Some(Err(_)) => {}
                    None => break,
                },
            }
        }
        Ok(stream.finish().await)
    }

    /// Limits the conversation as the command line says.
    fn limit(&self) -> Result<()> {
        match self.max_context {
            Some(tokens) => self.session.set_compaction(Some(Compaction::new(tokens))),
            None => Ok(()),
        }
    }

    /// Has a model with instructions answer from now on.
    async fn switch(&mut self, model: ModelId, system: String) -> Result<()> {
        let agent = agent(&self.runtime, &model, &system, &self.tools)?;
        let answering = self.runtime.models().model(&model).await?;
        self.session.switch(agent, answering);
        self.session.set_compaction(self.runtime.compaction(&model))?;
        (self.model, self.system) = (model, system);
        self.limit()
    }

    /// Gives the numbers of the messages at which turns begin, and the number of all.
    async fn starts(&self) -> Result<(Vec<u32>, u32)> {
        let conversation = self.session.conversation().await?;
        let mut at = 0;
        let mut starts = Vec::with_capacity(conversation.turns.len());
        for turn in &conversation.turns {
            starts.push(at);
            at += u32::try_from(turn.messages.len()).unwrap_or(u32::MAX);
        }
        Ok((starts, at))
    }

    async fn turns_in(&self, messages: u32) -> Result<usize> {
        let (starts, _) = self.starts().await?;
        Ok(starts.iter().filter(|start| **start < messages).count())
    }
}

fn agent(runtime: &Runtime, model: &ModelId, system: &str, tools: &[Arc<dyn Tool>]) -> Result<Agent> {
    runtime.agent(AGENT, model.clone()).instructions(system).tools(tools.iter().cloned()).build()
}

/// Gives what a person said in a turn.
fn said(messages: &[Message]) -> Vec<Message> {
    messages.iter().take_while(|message| message.role != Role::Assistant).cloned().collect()
}

/// Writes a number of turns as people do.
fn counted(turns: u32) -> String {
    if turns == 1 { "1 turn".to_owned() } else { format!("{turns} turns") }
}
