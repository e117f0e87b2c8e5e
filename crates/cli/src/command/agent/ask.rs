//! Who decides while a run goes on: somebody at the terminal, or the flag that approves all.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;

use async_trait::async_trait;
use motet::core::decision::{Decision, Decisions, Question, QuestionReason};
use motet::{Error, ErrorKind, Result};

use super::Flags;
use super::question::asked;

/// Gives who decides by the flags; `None` where nobody does and the run is to wait.
pub(super) fn decisions(flags: &Flags) -> Option<Arc<dyn Decisions>> {
    if flags.yes {
        return Some(Arc::new(Yes));
    }
    let is_terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    (flags.ask || (is_terminal && !flags.no_ask)).then(|| Arc::new(AtTerminal) as Arc<dyn Decisions>)
}

/// Approves what must be approved, and nothing that might happen twice by it.
struct Yes;

#[async_trait]
impl Decisions for Yes {
    async fn decide(&self, question: &Question) -> Result<Option<Decision>> {
        let is_approval = question.reason == QuestionReason::Approval;
        Ok(is_approval.then_some(Decision::Approve { arguments: None }))
    }
}

/// Asks somebody who answers with a line.
struct AtTerminal;

#[async_trait]
impl Decisions for AtTerminal {
    async fn decide(&self, question: &Question) -> Result<Option<Decision>> {
        let line = asked(question);
        let answered = tokio::task::spawn_blocking(move || ask(&line)).await;
        answered.map_err(|error| Error::new(ErrorKind::Internal, "asking broke off").with_source(error))?
    }
}

/// Asks until the answer is understood; the end of the input, or `l`, leaves the decision for later.
fn ask(line: &str) -> Result<Option<Decision>> {
    let mut stderr = std::io::stderr();
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::Internal, format!("the terminal cannot be read: {error}"))
    };
    loop {
        write!(stderr, "{line}\nallow it? [y]es, [n]o, or no with a reason: `n TEXT`; [l]ater: ")
            .and_then(|()| stderr.flush())
            .map_err(failed)?;
        let mut answer = String::new();
        if std::io::stdin().lock().read_line(&mut answer).map_err(failed)? == 0 {
            return Ok(None);
        }
        let (word, rest) = answer.trim().split_once(' ').unwrap_or((answer.trim(), ""));
        match word.to_lowercase().as_str() {
            "y" | "yes" => return Ok(Some(Decision::Approve { arguments: None })),
            "n" | "no" => {
                let reason = Some(rest.trim().to_owned()).filter(|reason| !reason.is_empty());
                return Ok(Some(Decision::Deny { reason }));
            }
            "l" | "later" => return Ok(None),
            _ => {}
        }
    }
}
