//! What is said next: typed at a terminal, or read from standard input.

use std::borrow::Cow;
use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use motet::{Error, ErrorKind, Result};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Context, Editor, Helper};
use tokio::sync::Notify;

use super::commands;

/// Where lines come from.
pub(super) enum Input {
    Terminal(Box<Terminal>),
    Piped(Arc<Notify>),
}

/// A terminal with an editor.
pub(super) struct Terminal {
    editor: Editor<Rules, FileHistory>,
    history: Option<PathBuf>,
    /// Whether the last thing typed was an interrupt.
    interrupted: bool,
}

/// The next thing said.
pub(super) enum Line {
    Said(String),
    End,
    Interrupted,
}

impl Input {
    /// Opens the terminal, or standard input where there is none.
    pub(super) fn open(history: Option<&Path>, interrupts: Arc<Notify>) -> Result<Self> {
        if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
            return Ok(Input::Piped(interrupts));
        }
        let config = Config::builder().auto_add_history(false).max_history_size(1_000);
        let config = config.map_err(|error| broken(&error))?.build();
        let mut editor = Editor::with_config(config).map_err(|error| broken(&error))?;
        editor.set_helper(Some(Rules));
        if let Some(path) = history {
            match editor.load_history(path) {
                Err(ReadlineError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {}
                loaded => loaded.map_err(|error| unusable(path, &error))?,
            }
        }
        let history = history.map(Path::to_path_buf);
        Ok(Input::Terminal(Box::new(Terminal { editor, history, interrupted: false })))
    }

    pub(super) fn is_terminal(&self) -> bool {
        matches!(self, Input::Terminal(_))
    }

    /// Waits for the next thing said; a draft stands in the line to be changed.
    pub(super) fn next(
        &mut self,
        engine: &tokio::runtime::Runtime,
        prompt: &str,
        draft: Option<String>,
    ) -> Result<Line> {
        match self {
            Input::Terminal(terminal) => terminal.next(prompt, &draft.unwrap_or_default()),
            Input::Piped(interrupts) => engine.block_on(piped(interrupts)),
        }
    }
}

impl Terminal {
    fn next(&mut self, prompt: &str, draft: &str) -> Result<Line> {
        let mut draft = draft;
        loop {
            let read = self.editor.readline_with_initial(prompt, (draft, ""));
            draft = "";
            let again = std::mem::replace(&mut self.interrupted, false);
            match read {
                Ok(line) if line.trim().is_empty() => {}
                Ok(line) => {
                    self.remember(&line)?;
                    return Ok(Line::Said(joined(&line)));
                }
                Err(ReadlineError::Interrupted) if again => return Ok(Line::End),
                Err(ReadlineError::Interrupted) => self.interrupted = true,
                Err(ReadlineError::Eof) => return Ok(Line::End),
                // The window has another size; the line is drawn anew.
                Err(ReadlineError::Signal(_)) => {}
                Err(error) => return Err(broken(&error)),
            }
        }
    }

    fn remember(&mut self, line: &str) -> Result<()> {
        let added = self.editor.add_history_entry(line).map_err(|error| broken(&error))?;
        match &self.history {
            Some(path) if added => self.editor.append_history(path).map_err(|error| unusable(path, &error)),
            _ => Ok(()),
        }
    }
}

/// Reads from standard input until something is said whole.
async fn piped(interrupts: &Notify) -> Result<Line> {
    let read = tokio::task::spawn_blocking(|| {
        let (mut said, mut stdin) = (String::new(), std::io::stdin().lock());
        loop {
            let count = stdin.read_line(&mut said)?;
            let line = said.trim_end_matches(['\n', '\r']);
            if count == 0 && line.trim().is_empty() {
                return Ok(None);
            }
            if line.trim().is_empty() {
                said.clear();
            } else if count == 0 || is_whole(line) {
                return Ok(Some(joined(line)));
            }
        }
    });
    let read = tokio::select! {
        read = read => read,
        () = interrupts.notified() => return Ok(Line::Interrupted),
    };
    let read: std::io::Result<Option<String>> = read.map_err(|error| {
        Error::new(ErrorKind::Internal, "reading standard input broke off").with_source(error)
    })?;
    let said = read.map_err(|error| {
        Error::new(ErrorKind::InvalidRequest, format!("standard input cannot be read as text: {error}"))
    })?;
    Ok(said.map_or(Line::End, Line::Said))
}

/// Tells whether nothing more belongs to what was said: no backslash at the end, no open block.
fn is_whole(text: &str) -> bool {
    let fences = text.lines().filter(|line| line.trim_start().starts_with("```")).count();
    fences % 2 == 0 && !text.ends_with('\\')
}

/// Puts lines together that a backslash divides.
fn joined(text: &str) -> String {
    text.replace("\\\r\n", "\n").replace("\\\n", "\n").trim_end_matches('\\').to_owned()
}

/// The rules of typing: when a line is whole, and the names of commands.
struct Rules;

impl Helper for Rules {}

impl Validator for Rules {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match is_whole(context.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

impl Completer for Rules {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..at).unwrap_or_default();
        if !typed.starts_with('/') {
            return Ok((0, Vec::new()));
        }
        let names = commands::names().map(|name| format!("/{name} "));
        Ok((0, names.filter(|name| name.starts_with(typed)).collect()))
    }
}

impl Hinter for Rules {
    type Hint = String;
}

impl Highlighter for Rules {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Owned(format!("\u{1b}[1m{prompt}\u{1b}[0m"))
    }
}

fn broken(error: &ReadlineError) -> Error {
    Error::new(ErrorKind::Internal, format!("the terminal cannot be read: {error}"))
}

fn unusable(path: &Path, error: &ReadlineError) -> Error {
    let message = format!("the history `{}` cannot be used: {error}", path.display());
    Error::new(ErrorKind::InvalidRequest, message).with_hint("name a file that is writable for this user")
}
