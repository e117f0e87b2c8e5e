//! Asks the person at the terminal whether a tool may be called.

use async_trait::async_trait;
use motet::core::decision::{Decision, Decisions, Question, QuestionReason};
use motet::{Error, ErrorKind, Result};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use serde_json::Value;

use super::show::plain;

/// The person at the terminal.
pub(super) struct AtTerminal;

#[async_trait]
impl Decisions for AtTerminal {
    async fn decide(&self, question: &Question) -> Result<Option<Decision>> {
        let question = question.clone();
        // Reading waits for a person, so it must not hold up the loop that answers.
        let asked = tokio::task::spawn_blocking(move || ask(&question)).await;
        asked.map_err(|error| Error::new(ErrorKind::Internal, "asking broke off").with_source(error))?
    }
}

fn ask(question: &Question) -> Result<Option<Decision>> {
    let mut editor = DefaultEditor::new().map_err(|error| failed(&error))?;
    let arguments = plain(&question.arguments.to_string());
    let why = match question.reason {
        QuestionReason::UnknownOutcome => {
            "was called before a crash, and may have taken effect; call it again?"
        }
        _ => "wants to be called",
    };
    anstream::eprintln!("\n`{}` {why} with {arguments}", plain(&question.tool));
    loop {
        let answer = editor.readline("allow? y(es) n(o) e(dit) ").map_err(|error| failed(&error))?;
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => return Ok(Some(Decision::Approve { arguments: None })),
            "n" | "no" => return Ok(Some(Decision::Deny { reason: Some("the user declined".to_owned()) })),
            "e" | "edit" => {
                let edited = editor.readline_with_initial("arguments: ", (&arguments, ""));
                match serde_json::from_str::<Value>(&edited.map_err(|error| failed(&error))?) {
                    Ok(arguments) => return Ok(Some(Decision::Approve { arguments: Some(arguments) })),
                    Err(error) => anstream::eprintln!("that is not valid JSON: {error}"),
                }
            }
            _ => {}
        }
    }
}

/// Whoever interrupts or leaves at the question does not want the turn any more.
fn failed(error: &ReadlineError) -> Error {
    match error {
        ReadlineError::Interrupted | ReadlineError::Eof => {
            Error::new(ErrorKind::Cancelled, "the question was not answered")
        }
        other => Error::new(ErrorKind::Internal, format!("the terminal cannot be read: {other}")),
    }
}
