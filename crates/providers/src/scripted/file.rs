//! Reads a script file: JSON whose unknown keys are errors with file, line, and column.

use std::path::{Path, PathBuf};
use std::time::Duration;

use motet_core::{Error, ErrorKind, FinishReason, Result, Retry, Usage};
use serde::de::{Error as _, MapAccess};
use serde_json::Value;

use super::OnExhausted;
use super::answer::{Answer, Call, Content, When, arguments_text};
use super::keys::{Keyed, Object};

/// What a script file says.
#[derive(Default)]
pub(super) struct ScriptFile {
    pub(super) answers: Vec<Answer>,
    pub(super) on_exhausted: OnExhausted,
    pub(super) log: Option<PathBuf>,
}

/// Reads and checks a script file.
pub(super) fn read(path: &Path) -> Result<ScriptFile> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::new(ErrorKind::Configuration, format!("the script `{shown}` cannot be read: {error}"))
            .with_hint("a scripted model is named `scripted:PATH.json`, with a path relative to the current directory")
            .with_source(error)
    })?;
    let script = serde_json::from_str::<Object<ScriptFile>>(&text).map_err(|error| {
        let (line, column) = place(&text, &error);
        let whole = error.to_string();
        let reason = whole.rsplit_once(" at line ").map_or(whole.as_str(), |(reason, _)| reason);
        Error::new(ErrorKind::Configuration, format!("`{shown}` line {line}, column {column}: {reason}"))
            .with_hint(r#"a script looks like `{"answers": [{"text": "Good morning."}]}`"#)
    })?;
    Ok(script.0)
}

/// Gives line and column of an error, both from 1, in characters, at the start of the text or number concerned.
///
/// The parser tells the last byte that it took, which for a key or a text is the closing quote.
fn place(text: &str, error: &serde_json::Error) -> (usize, usize) {
    let line = text.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let end = (0..=error.column().min(line.len())).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0);
    let before = line.get(..end).unwrap_or_default();
    let start = match before.trim_end().strip_suffix('"') {
        Some(inside) if error.is_data() => inside.rfind('"').unwrap_or(end),
        _ => end.saturating_sub(1),
    };
    (error.line(), before.char_indices().take_while(|(at, _)| *at < start).count() + 1)
}

impl Keyed for ScriptFile {
    const WHAT: &'static str = "the script";
    const KEYS: &'static [&'static str] = &["answers", "on_exhausted", "log"];

    fn set<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "answers" => {
                let answers: Vec<Object<AnswerFile>> = map.next_value()?;
                self.answers = answers.into_iter().map(|answer| answer.0.into_answer()).collect();
            }
            "on_exhausted" => self.on_exhausted = map.next_value()?,
            _ => self.log = Some(map.next_value()?),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        if self.answers.is_empty() { Err("the script has no `answers`".into()) } else { Ok(()) }
    }
}

#[derive(Default)]
struct AnswerFile {
    text: Option<String>,
    json: Option<Value>,
    echo: bool,
    tool_result: Option<String>,
    error: Option<ErrorFile>,
    calls: Option<Vec<Call>>,
    when: Option<When>,
    delay_ms: u64,
    usage: Option<Usage>,
    reasoning: Option<String>,
    finish_reason: Option<FinishReason>,
    cut_after: Option<usize>,
}

impl AnswerFile {
    fn into_answer(self) -> Answer {
        let error = self.error.map(ErrorFile::into_error);
        let text = self.text.or_else(|| self.json.map(|json| json.to_string()));
        let mut answer = match (error, text) {
            (Some(error), _) => Answer::error(&error),
            (None, Some(text)) => Answer::text(text),
            (None, None) if self.echo => Answer::echo(),
            (None, None) => match self.tool_result {
                Some(name) => Answer::tool_result(name),
                None => Answer::of(Content::Nothing),
            },
        };
        answer.calls = self.calls.unwrap_or_default();
        answer.when = self.when;
        answer.delay = Duration::from_millis(self.delay_ms);
        answer.usage = self.usage;
        answer.reasoning = self.reasoning;
        answer.finish_reason = self.finish_reason;
        answer.cut_after = self.cut_after;
        answer
    }
}

impl Keyed for AnswerFile {
    const WHAT: &'static str = "an answer";
    const KEYS: &'static [&'static str] = &[
        "text",
        "json",
        "echo",
        "tool_result",
        "tool_calls",
        "error",
        "when",
        "delay_ms",
        "usage",
        "reasoning",
        "finish_reason",
        "cut_after",
    ];

    fn set<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "text" => self.text = Some(map.next_value()?),
            "json" => self.json = Some(map.next_value()?),
            "echo" => self.echo = map.next_value()?,
            "tool_result" => self.tool_result = Some(map.next_value()?),
            "tool_calls" => {
                let calls: Vec<Object<Call>> = map.next_value()?;
                self.calls = Some(calls.into_iter().map(|call| call.0).collect());
            }
            "error" => self.error = Some(map.next_value::<Object<ErrorFile>>()?.0),
            "when" => self.when = Some(map.next_value::<Object<When>>()?.0),
            "delay_ms" => self.delay_ms = map.next_value()?,
            "usage" => self.usage = Some(map.next_value::<Object<UsageFile>>()?.0.0),
            "reasoning" => self.reasoning = Some(map.next_value()?),
            "finish_reason" => self.finish_reason = Some(map.next_value()?),
            _ => self.cut_after = Some(map.next_value()?),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let texts = [self.text.is_some(), self.json.is_some(), self.echo, self.tool_result.is_some()];
        let texts = texts.into_iter().filter(|given| *given).count();
        let calls = self.calls.as_ref().is_some_and(|calls| !calls.is_empty());
        match (&self.error, texts, calls) {
            (Some(_), 0, false) | (None, 1, _) | (None, 0, true) => Ok(()),
            (Some(_), ..) => Err(
                "an answer with `error` can have no `text`, `json`, `echo`, `tool_result` or `tool_calls`"
                    .into(),
            ),
            (None, 0, false) => {
                Err("an answer needs one of `text`, `json`, `echo`, `tool_result`, `tool_calls` and `error`"
                    .into())
            }
            _ => Err("an answer can have only one of `text`, `json`, `echo` and `tool_result`".into()),
        }
    }
}

impl Keyed for Call {
    const WHAT: &'static str = "a tool call";
    const KEYS: &'static [&'static str] = &["name", "arguments", "id"];

    fn set<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "name" => self.name = map.next_value()?,
            "arguments" => self.arguments = arguments_text(&map.next_value()?),
            _ => self.id = Some(map.next_value()?),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        if self.name.is_empty() { Err("a tool call needs a `name`".into()) } else { Ok(()) }
    }
}

impl Keyed for When {
    const WHAT: &'static str = "`when`";
    const KEYS: &'static [&'static str] = &["contains", "schema", "turn"];

    fn set<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "contains" => self.contains = Some(map.next_value()?),
            "schema" => self.schema = Some(map.next_value()?),
            _ => self.turn = Some(map.next_value()?),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        if self.contains.is_none() && self.schema.is_none() && self.turn.is_none() {
            return Err("`when` needs `contains`, `schema`, or `turn`".into());
        }
        Ok(())
    }
}

#[derive(Default)]
struct ErrorFile {
    kind: Option<ErrorKind>,
    message: String,
    retry_after: Option<Duration>,
}

impl ErrorFile {
    fn into_error(self) -> Error {
        let error = Error::new(self.kind.unwrap_or(ErrorKind::Internal), self.message);
        match self.retry_after {
            Some(duration) => error.with_retry(Retry::After(duration)),
            None => error,
        }
    }
}

impl Keyed for ErrorFile {
    const WHAT: &'static str = "an error";
    const KEYS: &'static [&'static str] = &["kind", "message", "retry_after"];

    fn set<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "kind" => self.kind = Some(map.next_value()?),
            "message" => self.message = map.next_value()?,
            _ => {
                let seconds = Duration::try_from_secs_f64(map.next_value()?);
                self.retry_after = Some(
                    seconds.map_err(|_| A::Error::custom("`retry_after` must be seconds, zero or more"))?,
                );
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        match (self.kind, self.message.is_empty()) {
            (Some(_), false) => Ok(()),
            (None, _) => Err("an error needs a `kind`, such as `rate_limit`".into()),
            (Some(_), true) => Err("an error needs a `message`".into()),
        }
    }
}

#[derive(Default)]
struct UsageFile(Usage);

impl Keyed for UsageFile {
    const WHAT: &'static str = "`usage`";
    const KEYS: &'static [&'static str] = &["input", "output"];

    fn set<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "input" => self.0.input = map.next_value()?,
            _ => self.0.output = map.next_value()?,
        }
        Ok(())
    }
}
