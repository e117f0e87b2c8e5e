//! `human/approve`: asks a person, and waits without a worker until there is an answer or the time is over.
//!
//! Who is asked and where answers are kept is not known here.

use std::time::Duration;

use async_trait::async_trait;
use motet_core::decision::{Decision, Question, QuestionReason};
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::id::content_hash;
use motet_core::method::{Method, MethodCall, MethodOutcome, Parameter, ParameterKind};
use motet_core::run_log::{Step, StepKind};
use motet_core::settings::duration;
use motet_core::tool::Effect;
use motet_core::{Millis, RunContext};
use serde_json::{Map, Value, json};

/// The name of the method, which questions carry as their tool.
pub const NAME: &str = "human/approve";

/// Asks a person.
pub struct HumanApprove;

const fn parameter(name: &'static str, kind: ParameterKind, doc: &'static str) -> Parameter {
    Parameter { name, kind, required: false, doc }
}

const PARAMETERS: &[Parameter] = &[
    Parameter { required: true, ..parameter("message", ParameterKind::String, "what is asked, in words") },
    parameter("details", ParameterKind::Any, "what the person should see before deciding"),
    parameter(
        "timeout",
        ParameterKind::Any,
        "how long it waits, such as `2h` or a number of seconds; without end where it is left out",
    ),
    parameter(
        "on_timeout",
        ParameterKind::String,
        "what silence means: `fail` (default), `deny`, or `approve`",
    ),
    parameter(
        "on_deny",
        ParameterKind::String,
        "what a denial means: `fail` (default), or `continue` with `approved` false",
    ),
];

/// What silence means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Silence {
    Fails,
    Denies,
    Approves,
}

/// What the parameters say.
struct Asked {
    message: String,
    details: Value,
    timeout: Option<Duration>,
    silence: Silence,
    goes_on_when_denied: bool,
}

#[async_trait]
impl Method for HumanApprove {
    fn name(&self) -> &'static str {
        NAME
    }

    fn doc(&self) -> &'static str {
        "Asks a person to approve, and waits for the answer"
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn result(&self) -> &str {
        "`approved`; `by`, which is `person` or `timeout`; `reason`, a text or null; and `arguments`, what the person gave with the answer, or null."
    }

    fn effect(&self) -> Effect {
        Effect::Pure
    }

    fn result_schema(&self, _params: &Map<String, Value>) -> Value {
        json!({
            "type": "object",
            "properties": {
                "approved": {"type": "boolean"},
                "by": {"type": "string"},
                "reason": {"type": ["string", "null"]},
                "arguments": true,
            },
            "required": ["approved", "by", "reason", "arguments"],
        })
    }

    async fn call(&self, context: &RunContext, call: MethodCall) -> Result<MethodOutcome> {
        let asked = read(&call.params)?;
        let mut question = Question::new(context.key("approval"), QuestionReason::Approval, NAME);
        question.arguments = json!({"message": asked.message, "details": asked.details});
        let decided = match context.decisions() {
            Some(decisions) => decisions.decide(&question).await?,
            None => None,
        };
        if let Some(decision) = decided {
            return answer(decision, &asked).map(MethodOutcome::Done);
        }
        let Some(timeout) = asked.timeout else {
            return Ok(MethodOutcome::Waiting { questions: vec![question], at_most: None });
        };
        match time_left(context, timeout).await? {
            Some(left) => Ok(MethodOutcome::Waiting { questions: vec![question], at_most: Some(left) }),
            None => silence(&asked, timeout).map(MethodOutcome::Done),
        }
    }
}

fn read(params: &Map<String, Value>) -> Result<Asked> {
    let text = |name: &str| params.get(name).and_then(Value::as_str);
    let word = |name: &str, words: &[&str]| {
        let written = text(name).unwrap_or("fail");
        let place = words.iter().position(|word| *word == written);
        place.ok_or_else(|| {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            wrong(format!("`{name}` must be one of {}, but is `{written}`", words.join(", ")))
        })
    };
    let message = text("message").filter(|message| !message.trim().is_empty());
    Ok(Asked {
        message: message.ok_or_else(|| wrong("`message` must be a text that is not empty"))?.to_owned(),
        details: params.get("details").cloned().unwrap_or_default(),
        timeout: params.get("timeout").filter(|value| !value.is_null()).map(length).transpose()?,
        silence: match word("on_timeout", &["fail", "deny", "approve"])? {
            0 => Silence::Fails,
            1 => Silence::Denies,
            _ => Silence::Approves,
        },
        goes_on_when_denied: word("on_deny", &["fail", "continue"])? == 1,
    })
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

fn length(value: &Value) -> Result<Duration> {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let seconds = |text: &str, unit: f64| {
        let number = text.trim().parse::<f64>().ok()?;
        Duration::try_from_secs_f64(number * unit).ok()
    };
    let read = match text.trim().strip_suffix('d') {
        Some(days) => seconds(days, 24.0 * 3_600.0),
        None => seconds(&text, 1.0).or_else(|| duration::parse(text.trim()).ok()),
    };
    read.filter(|length| !length.is_zero()).ok_or_else(|| {
        wrong(format!("`timeout` must be a time, but is `{text}`"))
            .with_hint("write it as `90s`, `2h`, or a number of seconds")
    })
}

/// Gives how long an answer may still take, `None` when its time is over. The end is a step of the run, so that waiting
/// goes on after a crash as it began; a run that is resumed after its time was over gives the person all of it again.
async fn time_left(context: &RunContext, timeout: Duration) -> Result<Option<Duration>> {
    let is_recorded = |name: &str| {
        let state = context.log().lookup(&context.key(name));
        state.is_some_and(|state| state.result.is_some())
    };
    let mut round = 0u32;
    while is_recorded(&format!("late-{round}")) {
        round += 1;
    }
    let request_hash = &content_hash(&timeout.as_millis().to_string())?;
    let (kind, effect) = (StepKind::Value, Effect::Pure);
    let name = &format!("deadline-{round}");
    let step = Step { name, kind, request_hash, effect, label: "end of waiting for a person" };
    let deadline: Millis = context.observe(step, || async { Ok(Millis::now().after(timeout)) }).await?;
    let left = deadline.since(Millis::now());
    if !left.is_zero() {
        return Ok(Some(left));
    }
    let name = &format!("late-{round}");
    let step = Step { name, kind, request_hash, effect, label: "no answer in time" };
    context.observe(step, || async { Ok(true) }).await?;
    Ok(None)
}

fn answer(decision: Decision, asked: &Asked) -> Result<Value> {
    match decision {
        Decision::Approve { arguments } => Ok(result(true, "person", None, arguments)),
        Decision::Answer { output } => {
            let text: String = output.content.iter().filter_map(motet_core::Part::as_text).collect();
            let given = serde_json::from_str(&text).unwrap_or(Value::String(text));
            Ok(result(true, "person", None, Some(given)))
        }
        Decision::Deny { reason } => denied("person", reason, asked),
        other => Err(Error::new(ErrorKind::Unsupported, format!("nobody knows what {other:?} means here"))),
    }
}

fn denied(by: &str, reason: Option<String>, asked: &Asked) -> Result<Value> {
    if asked.goes_on_when_denied {
        return Ok(result(false, by, reason, None));
    }
    let because = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let who = if by == "person" { "a person" } else { "the end of its time" };
    Err(Error::new(ErrorKind::Blocked, format!("denied by {who}{because}"))
        .with_hint("`on_deny: continue` lets the run go on with `approved` false"))
}

fn silence(asked: &Asked, timeout: Duration) -> Result<Value> {
    let reason = format!("nobody answered within {}", duration::format(timeout));
    match asked.silence {
        Silence::Approves => Ok(result(true, "timeout", Some(reason), None)),
        Silence::Denies => denied("timeout", Some(reason), asked),
        Silence::Fails => Err(Error::new(ErrorKind::Timeout, reason)
            .with_retry(motet_core::error::Retry::Never)
            .with_hint("resume the run to ask again")),
    }
}

fn result(approved: bool, by: &str, reason: Option<String>, arguments: Option<Value>) -> Value {
    json!({"approved": approved, "by": by, "reason": reason, "arguments": arguments})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(params: Value) -> Result<Asked> {
        read(params.as_object().unwrap())
    }

    #[test]
    fn parameters_are_read_and_wrong_ones_told() {
        let whole =
            asked(json!({"message": "go?", "timeout": "2h", "on_timeout": "deny", "on_deny": "continue"}));
        let whole = whole.unwrap();
        assert_eq!(whole.timeout, Some(Duration::from_secs(7_200)));
        assert!(whole.silence == Silence::Denies && whole.goes_on_when_denied);
        assert_eq!(
            asked(json!({"message": "go?", "timeout": 1.5})).unwrap().timeout,
            Some(Duration::from_millis(1_500))
        );
        let days = asked(json!({"message": "go?", "timeout": "2d"})).unwrap().timeout;
        assert_eq!(days, Some(Duration::from_secs(172_800)));
        for (params, message) in [
            (json!({"message": " "}), "`message` must be a text that is not empty"),
            (json!({"message": "a", "timeout": "soon"}), "`timeout` must be a time, but is `soon`"),
            (json!({"message": "a", "timeout": 0}), "`timeout` must be a time, but is `0`"),
            (
                json!({"message": "a", "on_deny": "no"}),
                "`on_deny` must be one of `fail`, `continue`, but is `no`",
            ),
        ] {
            assert_eq!(asked(params).err().unwrap().message(), message);
        }
    }

    #[test]
    fn answers_and_silence_become_results_or_errors() {
        let fails = asked(json!({"message": "go?"})).unwrap();
        let denied = answer(Decision::Deny { reason: Some("too dear".into()) }, &fails).unwrap_err();
        assert_eq!((denied.kind(), denied.message()), (ErrorKind::Blocked, "denied by a person: too dear"));
        assert_eq!(silence(&fails, Duration::from_secs(60)).unwrap_err().kind(), ErrorKind::Timeout);
        let lenient = asked(json!({"message": "go?", "on_deny": "continue", "on_timeout": "deny"})).unwrap();
        let value = silence(&lenient, Duration::from_secs(60)).unwrap();
        assert_eq!(
            value,
            json!({"approved": false, "by": "timeout", "reason": "nobody answered within 1m", "arguments": null})
        );
        let given = answer(Decision::Approve { arguments: Some(json!({"n": 2})) }, &fails).unwrap();
        assert_eq!(given["arguments"], json!({"n": 2}));
    }
}
