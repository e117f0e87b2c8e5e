//! Shows questions of runs, and how they are answered.

use motet::core::decision::{Decision, Question, QuestionReason};
use motet::core::store::AskedQuestion;
use motet::{Part, RunId};
use serde_json::Value;

/// Says what is asked, in one line.
pub(crate) fn asked(question: &Question) -> String {
    // A task asks in its own words.
    if let (None, Some(message)) = (&question.agent, question.arguments["message"].as_str()) {
        let details = match &question.arguments["details"] {
            Value::Null => String::new(),
            Value::String(text) => format!(" ({text})"),
            other => format!(" ({other})"),
        };
        return format!("a task asks: {message}{details}");
    }
    let who = question.agent.as_deref().unwrap_or("the agent");
    let (tool, arguments) = (&question.tool, &question.arguments);
    match question.reason {
        QuestionReason::UnknownOutcome => {
            format!(
                "`{who}` called {tool}({arguments}) before a crash, and nobody knows whether it took effect"
            )
        }
        _ => format!("`{who}` wants to call {tool}({arguments})"),
    }
}

/// Gives the commands that answer a question.
pub(crate) fn commands(run: &RunId, question: &Question) -> String {
    let step = &question.step;
    let again = match question.reason {
        QuestionReason::UnknownOutcome => "  # makes the call once more",
        _ => "",
    };
    format!("  motet approve {run} {step}{again}\n  motet deny {run} {step} --reason TEXT\n")
}

/// Says what is asked and how it is answered, or was.
pub(crate) fn described(asked_question: &AskedQuestion) -> String {
    let AskedQuestion { run, question, answer, .. } = asked_question;
    let line = format!("run {run}: {}\n", asked(question));
    match answer {
        None => line + &commands(run, question),
        Some(answer) => format!("{line}  {}\n", answered(answer)),
    }
}

/// Says what was decided.
pub(crate) fn answered(decision: &Decision) -> String {
    match decision {
        Decision::Approve { arguments: None } => "approved".to_owned(),
        Decision::Approve { arguments: Some(arguments) } => format!("approved with {arguments}"),
        Decision::Deny { reason: None } => "denied".to_owned(),
        Decision::Deny { reason: Some(reason) } => format!("denied: {reason}"),
        Decision::Answer { output } => {
            let text: String = output.content.iter().filter_map(Part::as_text).collect();
            format!("answered by a person: {text}")
        }
        _ => "decided".to_owned(),
    }
}
