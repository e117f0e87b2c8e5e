//! Shows a turn as it goes on: the answer on stdout, everything else on stderr.

use std::io::IsTerminal as _;

use motet::agents::AgentResult;
use motet::core::conversation::ConversationHead;
use motet::{Result, StreamEvent};
use serde_json::{Value, json};

use crate::notices::notice;
use crate::printer::{Printer, printed};

/// Shows one turn.
pub(super) struct Show {
    printer: Printer,
    /// Whether text is shown as it comes.
    streams: bool,
    /// Whether stdout is a terminal, which the text must not steer.
    terminal: bool,
    line_is_open: bool,
}

impl Show {
    pub(super) fn new(printer: Printer, streams: bool) -> Self {
        let terminal = std::io::stdout().is_terminal();
        Self { printer, streams: streams && !printer.is_json(), terminal, line_is_open: false }
    }

    /// Shows one thing that happened.
    pub(super) fn event(&mut self, event: &StreamEvent) -> Result<()> {
        match event {
            StreamEvent::TextDelta { text, .. } | StreamEvent::RefusalDelta { text, .. } if self.streams => {
                self.text(text)
            }
            StreamEvent::ToolStarted { name, .. } => self.note(&format!("[{} runs]", plain(name))),
            StreamEvent::ToolEnded { name, is_error, .. } => {
                let how = if *is_error { "failed" } else { "answered" };
                self.note(&format!("[{} {how}]", plain(name)))
            }
            StreamEvent::OutputDiscarded { .. } => self.note("[the answer begins again]"),
            StreamEvent::AskedAgain { .. } => {
                self.note("[the answer cannot be used, and is asked for again]")
            }
            StreamEvent::HandedOver { to, .. } => self.note(&format!("[`{}` takes over]", plain(to))),
            other => notice(other).map_or(Ok(()), |line| self.note(&line)),
        }
    }

    fn text(&mut self, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.line_is_open = !text.ends_with('\n');
        if self.terminal { self.printer.text(&plain(text)) } else { self.printer.text(text) }
    }

    fn note(&mut self, line: &str) -> Result<()> {
        self.close_line()?;
        self.printer.note(line);
        Ok(())
    }

    fn close_line(&mut self) -> Result<()> {
        if std::mem::take(&mut self.line_is_open) { self.printer.text("\n") } else { Ok(()) }
    }

    /// Shows how the turn ended.
    pub(super) fn end(&mut self, result: &AgentResult, head: &ConversationHead) -> Result<()> {
        if self.printer.is_json() {
            return self.printer.text(&format!("{}\n", shape(result, head)));
        }
        if !self.streams && result.error().is_none() {
            self.text(&result.text)?;
        }
        self.close_line()
    }
}

/// The documented shape of a turn.
fn shape(result: &AgentResult, head: &ConversationHead) -> Value {
    let calls: Vec<Value> = result.tool_history.iter().map(|call| json!(call)).collect();
    let mut shape = json!({
        "turn": head.turns,
        "text": result.text,
        "tool_calls": calls,
        "model": result.model,
        "usage": result.usage,
        "cost": result.cost.map(motet::Cost::dollars),
    });
    if let Some(error) = result.error() {
        shape["error"] = printed(&error);
    }
    shape
}

/// Takes out what would steer a terminal.
pub(super) fn plain(text: &str) -> String {
    text.replace(|letter: char| letter.is_control() && !matches!(letter, '\n' | '\t'), "\u{fffd}")
}
