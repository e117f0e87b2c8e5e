//! `motet check`: finds every problem of workflow files before anything runs or is paid.

use std::path::{Path, PathBuf};

use clap::{ArgMatches, Args};
use motet::workflow::FileError;
use motet::workflows::dag::read::Problems;
use motet::{Result, Runtime};
use serde_json::{Value, json};

use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::{Printer, printed};

pub(super) const ROW: Row = Row { name: "check", build: Check::augment_args, run };

/// Checks workflow files and shows all their problems with line and column
#[derive(Args)]
struct Check {
    /// Workflow files
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Check { files } = arguments(matches)?;
    let runtime = context.runtime()?;
    let checked: Vec<Value> = files.iter().map(|file| check(&runtime, file, context.printer)).collect();
    let sound = checked.iter().all(|file| file["ok"] == true);
    context.printer.data(&json!({"ok": sound, "files": checked}), || {
        checked.iter().filter(|file| file["ok"] == true).map(sound_line).collect()
    })?;
    Ok(if sound { Exit::Success } else { Exit::InvalidInput })
}

fn sound_line(file: &Value) -> String {
    let (path, tasks) = (file["file"].as_str().unwrap_or_default(), &file["tasks"]);
    format!("{path}: ok, {tasks} tasks\n")
}

fn check(runtime: &Runtime, file: &Path, printer: Printer) -> Value {
    let name = file.display().to_string();
    match runtime.read_workflow(file) {
        Ok(workflow) => json!({"file": name, "ok": true, "tasks": workflow.spec.tasks.len()}),
        Err(FileError::Unreadable(error)) => {
            if !printer.is_json() {
                printer.problem(&error.to_string(), error.hint());
            }
            json!({"file": name, "ok": false, "error": printed(&error)})
        }
        Err(FileError::Problems(problems)) => {
            if !printer.is_json() {
                print_problems(file, &problems, printer);
            }
            json!({"file": name, "ok": false, "problems": problems_value(&problems)})
        }
    }
}

/// Prints each problem as `file:line:column: error: message`, which editors understand.
pub(super) fn print_problems(file: &Path, problems: &Problems, printer: Printer) {
    for problem in problems.iter() {
        let message = format!("{}:{}:{}: {}", file.display(), problem.line, problem.column, problem.message);
        printer.problem(&message, problem.hint.as_deref());
    }
}

pub(super) fn problems_value(problems: &Problems) -> Value {
    let problems = problems.iter().map(|problem| {
        json!({"line": problem.line, "column": problem.column, "message": problem.message, "hint": problem.hint})
    });
    problems.collect()
}
