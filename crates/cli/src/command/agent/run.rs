//! Runs an agent, or goes on with its run, and prints what it came to.

use std::sync::Arc;

use futures::StreamExt as _;
use motet::agent::{AgentEvents, AgentFile, Keeping};
use motet::agents::{AgentResult, Outcome, PromptTemplate};
use motet::core::run_log::MemoryLog;
use motet::core::store::Durability;
use motet::workflow::FileError;
use motet::{Error, ErrorKind, Result, RunContext, RunId, Runtime, StreamEvent};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::ask::decisions;
use super::question::{asked, commands};
use super::{Begin, Flags, show, wrong};
use crate::command::complete::prompt;
use crate::context::Context;
use crate::exit::Exit;
use crate::notices::notice;
use crate::printer::{Printer, printed};

pub(super) fn begin(context: &Context, begin: Begin) -> Result<Exit> {
    let runtime = context.runtime()?;
    let printer = context.printer;
    let mut file = match runtime.read_agent(&begin.file) {
        Ok(file) => file,
        Err(FileError::Unreadable(error)) => return Err(error),
        Err(problems) if printer.is_json() => {
            let mut shape = wrong(&problems);
            shape["error"] = printed(&Error::from(problems));
            printer.data(&shape, String::new)?;
            return Ok(Exit::InvalidInput);
        }
        Err(problems) => {
            show(&begin.file, &problems, printer);
            return Ok(Exit::InvalidInput);
        }
    };
    if let Some(model) = &begin.model {
        file.spec.model = Some(model.clone());
    }
    check_inputs(&begin.inputs, file.spec.instructions_template.as_deref())?;
    for (name, value) in &begin.inputs {
        file.spec.variables.insert(name.clone(), Value::String(value.clone()));
    }
    let prompt = prompt(begin.prompt.as_deref())?;
    context.block_on(|cancellation| async move {
        let keeping = if begin.no_keep { Keeping::Nowhere } else { Keeping::InStore };
        let run = root(begin.run_id.as_ref(), &begin.flags, printer, cancellation);
        let show = Shown { runtime: &runtime, printer, kept: !begin.no_keep, id: run.run_id().clone() };
        let ended = started(&runtime, &run, (file, prompt, keeping), (&begin.flags, printer)).await;
        show.ended(ended).await
    })
}

/// Refuses values that no template asks for, as they would change nothing.
fn check_inputs(inputs: &[(String, String)], template: Option<&str>) -> Result<()> {
    let refused = |message: String| Error::new(ErrorKind::InvalidRequest, message);
    if inputs.is_empty() {
        return Ok(());
    }
    let Some(template) = template else {
        return Err(refused("`--input` has nothing to go into".to_owned())
            .with_hint("write the agent's instructions as `instructions_template`"));
    };
    let used = PromptTemplate::new(template)?.variables();
    match inputs.iter().find(|(name, _)| !used.contains(name)) {
        None => Ok(()),
        Some((name, _)) => {
            let names: Vec<String> = used.iter().map(|name| format!("`{name}`")).collect();
            let error = refused(format!("the agent's instructions use no variable `{name}`"));
            Err(match names.as_slice() {
                [] => error.with_hint("they use none at all"),
                names => error.with_hint(format!("they use {}", names.join(", "))),
            })
        }
    }
}

async fn started(
    runtime: &Runtime,
    run: &RunContext,
    (file, prompt, keeping): (AgentFile, String, Keeping),
    (flags, printer): (&Flags, Printer),
) -> Result<AgentResult> {
    if !flags.stream {
        return runtime.run_agent(run, file, prompt, keeping).await;
    }
    streamed(runtime.stream_agent(run, file, prompt, keeping).await?, printer).await
}

pub(super) fn resume(context: &Context, id: &RunId, flags: &Flags) -> Result<Exit> {
    let runtime = context.runtime()?;
    let printer = context.printer;
    context.block_on(|cancellation| async move {
        let run = root(None, flags, printer, cancellation);
        let show = Shown { runtime: &runtime, printer, kept: true, id: id.clone() };
        let ended = if flags.stream {
            match runtime.resume_agent_streamed(&run, id).await {
                Ok(Ok(events)) => streamed(events, printer).await,
                Ok(Err(result)) => Ok(*result),
                Err(error) => Err(error),
            }
        } else {
            runtime.resume_agent(&run, id).await
        };
        match ended {
            // It waits as it did before; who resumes it is told for what.
            Err(error) if error.kind() == ErrorKind::Conflict && show.waits().await? => Ok(Exit::Waiting),
            ended => show.ended(ended).await,
        }
    })
}

/// Makes the context of a run.
fn root(id: Option<&RunId>, flags: &Flags, printer: Printer, cancellation: CancellationToken) -> RunContext {
    let tell = move |event: &StreamEvent| {
        if let Some(line) = notice(event) {
            printer.note(&line);
        }
    };
    let mut run = match id {
        Some(id) => RunContext::with_log(id.clone(), Arc::new(MemoryLog::default())),
        None => RunContext::new(),
    };
    run = run.with_cancellation(cancellation).with_events(Arc::new(tell));
    if let Some(timeout) = flags.timeout {
        run = run.with_timeout(timeout);
    }
    match decisions(flags) {
        Some(decisions) => run.with_decisions(decisions),
        None => run,
    }
}

/// Shows the text as it comes, and tools as they are called.
async fn streamed(mut events: AgentEvents, printer: Printer) -> Result<AgentResult> {
    let mut line_is_open = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(StreamEvent::TextDelta { text, .. }) if !printer.is_json() && !text.is_empty() => {
                line_is_open = !text.ends_with('\n');
                printer.text(&text)?;
            }
            Ok(StreamEvent::ToolStarted { name, .. }) => {
                if std::mem::take(&mut line_is_open) {
                    printer.text("\n")?;
                }
                printer.note(&format!("calling {name}"));
            }
            Ok(StreamEvent::ToolEnded { name, is_error: true, .. }) => {
                printer.note(&format!("{name} failed"))
            }
            // How the run ended stands in its result.
            Ok(_) | Err(_) => {}
        }
    }
    if line_is_open {
        printer.text("\n")?;
    }
    let mut result = events.finish().await?;
    if !printer.is_json() && result.outcome == Outcome::Completed {
        // It was shown already.
        result.text.clear();
    }
    Ok(result)
}

/// Shows how a run ended.
struct Shown<'a> {
    runtime: &'a Runtime,
    printer: Printer,
    kept: bool,
    id: RunId,
}

impl Shown<'_> {
    async fn ended(&self, ended: Result<AgentResult>) -> Result<Exit> {
        let result = ended.map_err(|error| error.with_context("run", self.id.as_str()))?;
        let (printer, id) = (self.printer, &self.id);
        printer.data(&self.shape(&result), || line(&result))?;
        let exit = match &result.outcome {
            Outcome::Completed | Outcome::ToolsRequested => Exit::Success,
            Outcome::Waiting => Exit::Waiting,
            Outcome::Cancelled => Exit::Interrupted,
            _ => Exit::Failed,
        };
        if printer.is_json() {
            return Ok(exit);
        }
        let is_kept = self.kept && self.runtime.store().await?.capabilities().durability > Durability::None;
        if exit == Exit::Waiting {
            for question in &result.questions {
                printer.note(&asked(question));
                if is_kept {
                    printer.note(commands(id, question).trim_end());
                }
            }
        } else if let Some(error) = result.error() {
            printer.problem(&error.to_string(), error.hint());
        }
        printer.note(&summary(id, &result));
        match (exit, is_kept) {
            (Exit::Success, _) => {}
            (Exit::Waiting, true) => printer.note(&format!("then go on with `motet agent resume {id}`")),
            (Exit::Waiting, false) => {
                printer.note("nothing is kept, so nobody can answer; run it with `--ask` or kept")
            }
            (_, true) => printer.note(&format!("go on with `motet agent resume {id}`")),
            (_, false) => {}
        }
        Ok(exit)
    }

    /// Tells whether the run waits for people, and for what.
    async fn waits(&self) -> Result<bool> {
        let mut open = self.runtime.questions(Some(&self.id)).await?;
        open.retain(|asked| asked.is_open());
        if open.is_empty() {
            return Ok(false);
        }
        let questions: Vec<_> = open.iter().map(|asked| &asked.question).collect();
        let shape = json!({"run": self.id, "outcome": "waiting", "questions": questions});
        self.printer.data(&shape, String::new)?;
        if !self.printer.is_json() {
            for asked_question in &open {
                self.printer.note(super::question::described(asked_question).trim_end());
            }
        }
        Ok(true)
    }

    /// Gives the documented shape of a result.
    fn shape(&self, result: &AgentResult) -> Value {
        let mut shape = json!(result);
        let run = if self.kept { json!(self.id) } else { Value::Null };
        if let Some(fields) = shape.as_object_mut() {
            fields.insert("run".to_owned(), run);
            fields.insert("cost".to_owned(), json!(result.cost.map(motet::Cost::dollars)));
            if let Some(error) = result.error() {
                fields.insert("error".to_owned(), printed(&error));
            }
        }
        shape
    }
}

fn line(result: &AgentResult) -> String {
    let mut text = result.text.clone();
    if !(text.is_empty() || text.ends_with('\n')) {
        text.push('\n');
    }
    for call in result.requested_calls() {
        if result.outcome == Outcome::ToolsRequested {
            text.push_str(&format!("{}({})\n", call.name, call.arguments));
        }
    }
    text
}

fn summary(id: &RunId, result: &AgentResult) -> String {
    let cost = result.cost.map_or("cost unknown".to_owned(), |cost| cost.to_string());
    let outcome = json!(result.outcome)["outcome"].as_str().unwrap_or_default().replace('_', " ");
    let (calls, tools, tokens) = (result.model_calls, result.tool_history.len(), result.usage.total());
    format!("run {id} {outcome}: {calls} model calls, {tools} tool calls, {tokens} tokens, {cost}")
}
