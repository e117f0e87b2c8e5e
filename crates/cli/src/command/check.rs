//! `motet check`: finds every problem of workflow files before anything runs or is paid.

mod sarif;

use std::path::{Path, PathBuf};

use clap::{ArgMatches, Args, ValueEnum as _};
use motet::workflows::dag::check::{Checked, Finding, Severity};
use motet::workflows::dag::read::Problems;
use motet::{Error, Result, Runtime};
use serde_json::{Value, json};

use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::{Output, Printer, printed};

pub(super) const ROW: Row = Row { name: "check", build: Check::augment_args, run };

/// Form of a log that code hosts take.
const SARIF: &str = "sarif";

/// Checks workflow files and shows all their problems with line and column
///
/// Calls no provider and runs no script. Errors keep a workflow from running, or a task of it from ending well; warnings
/// are told beside them.
#[derive(Args)]
struct Check {
    /// Workflow files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Counts warnings as errors
    #[arg(long)]
    strict: bool,
    /// Form of the data on stdout: `text`, `json`, or `sarif`
    #[arg(long, default_value = "text", value_name = "FORM", value_parser = form)]
    output: Output,
}

/// Reads a form of stdout; a log is JSON too.
fn form(text: &str) -> Result<Output, String> {
    match text {
        SARIF => Ok(Output::Json),
        other => Output::from_str(other, false).map_err(|_| "use `text`, `json`, or `sarif`".to_owned()),
    }
}

/// What became of one file.
struct FileChecked {
    file: PathBuf,
    /// What was found, or why it could not be read.
    checked: Result<Checked>,
}

impl FileChecked {
    fn is_sound(&self, strict: bool) -> bool {
        match &self.checked {
            Ok(checked) if strict => checked.findings.is_empty(),
            Ok(checked) => checked.is_sound(),
            Err(_) => false,
        }
    }
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Check { files, strict, output: _ } = arguments(matches)?;
    let wants_sarif = matches.get_raw("output").and_then(Iterator::last).is_some_and(|form| form == SARIF);
    let runtime = context.runtime()?;
    let checked: Vec<FileChecked> = files.into_iter().map(|file| check(&runtime, file)).collect();
    let sound = checked.iter().all(|file| file.is_sound(strict));
    let printer = context.printer;
    if wants_sarif {
        printer.data(&sarif::log(&checked), String::new)?;
    } else {
        if !printer.is_json() {
            checked.iter().for_each(|file| print(file, printer));
        }
        let shapes: Vec<Value> = checked.iter().map(|file| shape(file, strict)).collect();
        printer.data(&json!({"ok": sound, "files": shapes}), || {
            checked.iter().filter(|file| file.is_sound(strict)).map(sound_line).collect()
        })?;
    }
    Ok(if sound { Exit::Success } else { Exit::InvalidInput })
}

fn check(runtime: &Runtime, file: PathBuf) -> FileChecked {
    let checked = runtime.check_workflow(&file);
    FileChecked { file, checked }
}

fn tasks(checked: &Checked) -> Option<usize> {
    checked.spec.as_ref().map(|spec| spec.tasks.len())
}

fn sound_line(file: &FileChecked) -> String {
    let tasks = file.checked.as_ref().ok().and_then(tasks).unwrap_or_default();
    let warnings = match file.checked.as_ref().map_or(0, |checked| checked.findings.len()) {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        several => format!(", {several} warnings"),
    };
    format!("{}: ok, {tasks} tasks{warnings}\n", file.file.display())
}

fn shape(file: &FileChecked, strict: bool) -> Value {
    let mut shape = json!({"file": file.file.display().to_string(), "ok": file.is_sound(strict)});
    match &file.checked {
        Err(error) => shape["error"] = printed(error),
        Ok(checked) => {
            if let Some(tasks) = tasks(checked) {
                shape["tasks"] = json!(tasks);
            }
            if !checked.findings.is_empty() {
                shape["problems"] = json!(checked.findings);
            }
        }
    }
    shape
}

/// Prints what was found as `file:line:column: message`, which editors understand.
fn print(file: &FileChecked, printer: Printer) {
    match &file.checked {
        Err(error) => unreadable(error, printer),
        Ok(checked) => {
            for Finding { severity, line, column, message, hint, .. } in &checked.findings {
                let message = format!("{}:{line}:{column}: {message}", file.file.display());
                match severity {
                    Severity::Error => printer.problem(&message, hint.as_deref()),
                    Severity::Warning => printer.warning(&message, hint.as_deref()),
                }
            }
        }
    }
}

fn unreadable(error: &Error, printer: Printer) {
    printer.problem(&error.to_string(), error.hint());
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
