//! Decides what goes where: data on stdout, everything else on stderr, and nothing into a pipe that was closed.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::ArgMatches;
use motet::{Error, ErrorKind};
use serde::Serialize;
use serde_json::json;

use crate::exit::Exit;

/// Exit code for a wrong command line, which the argument parser uses too.
const USAGE: u8 = 2;

/// Form of the data on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// One JSON value.
    Json,
}

/// Prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    output: Output,
    quiet: bool,
}

impl Printer {
    pub(crate) fn new(matches: &ArgMatches) -> Self {
        Self {
            output: matches.get_one("output").copied().unwrap_or(Output::Text),
            quiet: matches.get_flag("quiet"),
        }
    }

    /// Tells whether data is wanted as JSON.
    pub(crate) fn is_json(self) -> bool {
        self.output == Output::Json
    }

    /// Tells whether a progress view makes sense.
    pub(crate) fn shows_progress(self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// Prints data: the value as JSON, or the text that stands for it.
    pub(crate) fn data(self, value: &impl Serialize, text: impl FnOnce() -> String) -> motet::Result<()> {
        match self.output {
            Output::Text => self.text(&text()),
            Output::Json => {
                let mut line = serde_json::to_string(value).map_err(|error| {
                    Error::new(ErrorKind::Internal, "a value cannot be written as JSON").with_source(error)
                })?;
                line.push('\n');
                self.text(&line)
            }
        }
    }

    /// Prints a piece of text on stdout as it is.
    pub(crate) fn text(self, text: &str) -> motet::Result<()> {
        let mut stdout = anstream::stdout().lock();
        finish_if_closed(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
    }

    /// Tells something on stderr.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            // A closed stderr leaves nobody to tell.
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }

    /// Tells of a problem and what can be done about it, on stderr, one line each.
    pub(crate) fn problem(self, message: &str, hint: Option<&str>) {
        let mut stderr = anstream::stderr().lock();
        let _ = writeln!(stderr, "\u{1b}[1;31merror\u{1b}[0m: {}", one_line(message));
        if let Some(hint) = hint {
            let _ = writeln!(stderr, "\u{1b}[1;36mhint\u{1b}[0m: {}", one_line(hint));
        }
    }

    /// Tells of something doubtful and what can be done about it, on stderr, one line each.
    pub(crate) fn warning(self, message: &str, hint: Option<&str>) {
        if self.quiet {
            return;
        }
        let mut stderr = anstream::stderr().lock();
        let _ = writeln!(stderr, "\u{1b}[1;33mwarning\u{1b}[0m: {}", one_line(message));
        if let Some(hint) = hint {
            let _ = writeln!(stderr, "\u{1b}[1;36mhint\u{1b}[0m: {}", one_line(hint));
        }
    }

    /// Tells of the error that ends the command: as JSON on stdout where that is wanted, else on stderr.
    pub(crate) fn failure(self, error: &Error) -> Exit {
        if self.is_json() {
            let report = json!({ "error": printed(error) });
            let _ = self.text(&format!("{report}\n"));
        } else {
            self.problem(&error.to_string(), error.hint());
        }
        Exit::of(error.kind())
    }
}

/// Tells what is wrong with the command line, as JSON where that is wanted; help and version are no errors.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let arguments: Vec<_> = std::env::args().collect();
    let json = arguments.windows(2).any(|pair| pair == ["--output", "json"])
        || arguments.iter().any(|one| one == "--output=json");
    if !(json && error.use_stderr()) {
        error.exit();
    }
    let text = error.to_string();
    // The first paragraph says what is wrong, on several lines where it lists what is missing or possible.
    let paragraph: Vec<&str> = text.lines().take_while(|line| !line.trim().is_empty()).collect();
    let message = one_line(paragraph.join("\n").trim_start_matches("error: "));
    let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    let hint = tip.unwrap_or("`motet help` lists commands and options");
    let error = Error::new(ErrorKind::InvalidRequest, message).with_hint(hint);
    let _ = (Printer { output: Output::Json, quiet: false }).failure(&error);
    ExitCode::from(USAGE)
}

/// Joins lines, which providers send and the argument parser writes; what would steer a terminal is not let through.
fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" ").replace(char::is_control, "\u{fffd}")
}

/// Gives the documented shape of an error.
pub(crate) fn printed(error: &Error) -> serde_json::Value {
    let report = error.report();
    json!({
        "kind": report.kind,
        "status": report.status,
        "message": report.message,
        "hint": report.hint,
        "retry_after": report.retry_after,
        "provider": report.provider,
        "request_id": report.request_id,
        "context": report.context,
    })
}

/// Whoever closes the pipe has read enough: the command ends well at once.
fn finish_if_closed(written: io::Result<()>) -> motet::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(Exit::Success as i32),
        Err(error) => Err(Error::new(ErrorKind::Internal, format!("stdout cannot be written: {error}"))),
        Ok(()) => Ok(()),
    }
}
