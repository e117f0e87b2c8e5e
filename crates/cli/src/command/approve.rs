//! `motet approve`: says yes to what a run asks: a call of an agent, or a task that asks a person.

use clap::{ArgMatches, Args};
use motet::core::decision::Decision;
use motet::core::store::AskedQuestion;
use motet::core::tool::ToolOutput;
use motet::{Error, ErrorKind, Result, RunId};
use serde_json::Value;

use super::agent::question::{answered, asked};
use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;

pub(super) const ROW: Row = Row { name: "approve", build: Approve::augment_args, run };

/// Says yes to what a run asks: a call that an agent waits with, or a task that asks a person
///
/// A call whose outcome is unknown after a crash is made once more. The decision is kept; a worker goes on with a workflow
/// by itself, `motet workflow resume` and `motet agent resume` do so here.
#[derive(Args)]
struct Approve {
    /// Id of the run
    run: RunId,
    /// Step of the question; it may be left out where the run asks only one
    step: Option<String>,
    /// Arguments of the call in the place of the model's, or what a task that asks is given, as JSON
    #[arg(long, value_name = "JSON", value_parser = json)]
    arguments: Option<Value>,
    /// Gives this as the result, and makes no call; JSON, or else a text
    #[arg(long, value_name = "JSON", conflicts_with = "arguments")]
    result: Option<String>,
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("this is not valid JSON: {error}"))
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Approve { run, step, arguments: given, result } = arguments(matches)?;
    let decision = match result {
        Some(result) => {
            let value = serde_json::from_str(&result).unwrap_or(Value::String(result));
            Decision::Answer { output: ToolOutput::json(&value) }
        }
        None => Decision::Approve { arguments: given },
    };
    decide(&context, &run, step.as_deref(), decision)
}

/// Stores a decision and tells what is left to decide.
pub(super) fn decide(context: &Context, run: &RunId, step: Option<&str>, decision: Decision) -> Result<Exit> {
    let runtime = context.runtime()?;
    let printer = context.printer;
    context.block_on(|_| async move {
        let decided = runtime.decide(run, step, decision).await?;
        let open = runtime.questions(Some(run)).await?.into_iter().filter(AskedQuestion::is_open).count();
        let answer = decided
            .answer
            .as_ref()
            .map(answered)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "the decision was not kept"))?;
        printer.data(&decided, || format!("{}: {answer}\n", asked(&decided.question)))?;
        printer.note(&match open {
            0 if decided.question.agent.is_some() => format!("go on with `motet agent resume {run}`"),
            0 => format!("workers go on with it, or `motet workflow resume {run}` does"),
            1 => format!("one more decision is needed: `motet questions {run}`"),
            more => format!("{more} more decisions are needed: `motet questions {run}`"),
        });
        Ok(Exit::Success)
    })
}
