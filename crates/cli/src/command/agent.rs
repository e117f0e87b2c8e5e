//! `motet agent`: runs agents of files, goes on with their runs, and shows what they ask people.

mod ask;
pub(super) mod question;
mod run;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgMatches, Args, Subcommand};
use motet::workflow::FileError;
use motet::{ModelId, Result, RunId, Runtime};
use serde_json::{Value, json};

use super::check::{print_problems, problems_value};
use super::{Row, arguments, length_of_time, model_id};
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::{Printer, printed};

pub(super) const ROW: Row = Row { name: "agent", build: Agent::augment_args, run };

/// Runs agents of files, goes on with their runs, and shows what they ask people
#[derive(Args)]
struct Agent {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Runs an agent to its end, or until a person must decide
    ///
    /// The run is kept in the store, so that `motet agent resume` goes on with it after an interruption or a decision.
    /// The command ends with 0 when the agent completed, with 1 when it failed, and with 5 when it waits for a person.
    Run(Begin),
    /// Goes on with a run where it stopped; what was answered is not asked for again
    Resume {
        /// Id of the run
        run: RunId,
        #[command(flatten)]
        flags: Flags,
    },
    /// Lists what runs ask people and nobody has answered
    Questions {
        /// Only those of this run, answered ones included
        run: Option<RunId>,
    },
    /// Checks files of agents and shows all their problems with line and column; starts nothing
    Check {
        /// Files of agents
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// How a run begins.
#[derive(Args)]
struct Begin {
    /// File of the agent
    file: PathBuf,
    /// What to do; standard input where it is left out or is `-`
    prompt: Option<String>,
    /// Model in the place of the file's, as `provider:model`
    #[arg(long, short, value_parser = model_id)]
    model: Option<ModelId>,
    /// Value for the template of the agent's instructions, as `name=value`; may be given several times
    #[arg(long = "input", value_name = "NAME=VALUE", value_parser = variable)]
    inputs: Vec<(String, String)>,
    /// Keeps nothing: the run ends with the command
    #[arg(long, conflicts_with = "run_id")]
    no_keep: bool,
    /// Id of the run; a new one where it is left out
    #[arg(long, value_name = "ID")]
    run_id: Option<RunId>,
    #[command(flatten)]
    flags: Flags,
}

fn variable(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    pair.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "write `name=value`".to_owned())
}

/// How a run goes on.
#[derive(Args)]
struct Flags {
    /// Shows the answer as it comes, and tells of tools on stderr
    #[arg(long)]
    stream: bool,
    /// Approves every call that a person must agree to; a call whose outcome is unknown is still left to a person
    #[arg(long)]
    yes: bool,
    /// Asks at the terminal, as is done where standard input and stderr are one
    #[arg(long, conflicts_with_all = ["yes", "no_ask"])]
    ask: bool,
    /// Asks nobody: the run waits until `motet approve` or `motet deny` answers
    #[arg(long, conflicts_with = "yes")]
    no_ask: bool,
    /// Longest time of the run, counted from now
    #[arg(long, value_name = "DURATION", value_parser = length_of_time)]
    timeout: Option<Duration>,
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Agent { action } = arguments(matches)?;
    match action {
        Action::Run(begin) => run::begin(&context, begin),
        Action::Resume { run, flags } => run::resume(&context, &run, &flags),
        Action::Questions { run } => questions(&context, run.as_ref()),
        Action::Check { files } => check(&context, &files),
    }
}

pub(super) fn questions(context: &Context, run: Option<&RunId>) -> Result<Exit> {
    let runtime = context.runtime()?;
    let printer = context.printer;
    context.block_on(|_| async move {
        let mut asked = match run {
            Some(run) => runtime.questions_below(run).await?,
            None => runtime.questions(None).await?,
        };
        asked.retain(|asked| run.is_some() || asked.is_open());
        printer.data(&asked, || match asked.as_slice() {
            [] => "nothing waits for a decision\n".to_owned(),
            asked => asked.iter().map(question::described).collect(),
        })?;
        Ok(Exit::Success)
    })
}

fn check(context: &Context, files: &[PathBuf]) -> Result<Exit> {
    let runtime = context.runtime()?;
    let printer = context.printer;
    let checked: Vec<Value> = files.iter().map(|file| checked(&runtime, file, printer)).collect();
    let sound = checked.iter().all(|file| file["ok"] == true);
    printer.data(&json!({"ok": sound, "files": checked}), || {
        let sound = checked.iter().filter(|file| file["ok"] == true);
        sound.map(|file| format!("{}: ok\n", file["file"].as_str().unwrap_or_default())).collect()
    })?;
    Ok(if sound { Exit::Success } else { Exit::InvalidInput })
}

fn checked(runtime: &Runtime, file: &std::path::Path, printer: Printer) -> Value {
    let name = file.display().to_string();
    match runtime.read_agent(file) {
        Ok(_) => json!({"file": name, "ok": true}),
        Err(error) => {
            if !printer.is_json() {
                show(file, &error, printer);
            }
            let mut shape = wrong(&error);
            shape["file"] = Value::from(name);
            shape["ok"] = Value::from(false);
            shape
        }
    }
}

/// Tells what is wrong with a file.
fn show(file: &std::path::Path, error: &FileError, printer: Printer) {
    match error {
        FileError::Unreadable(error) => printer.problem(&error.to_string(), error.hint()),
        FileError::Problems(problems) => print_problems(file, problems, printer),
    }
}

/// Gives the documented shape of what is wrong with a file.
fn wrong(error: &FileError) -> Value {
    match error {
        FileError::Unreadable(error) => json!({"error": printed(error)}),
        FileError::Problems(problems) => json!({"problems": problems_value(problems)}),
    }
}
