//! Turns the end of a child into a result or an error.
//!
//! Every error says what happened in one line and keeps the traceback and what was printed beside it.

use std::fs::File;
use std::io::Read;
use std::process::ExitStatus;
use std::time::Duration;

use motet_core::{Error, ErrorKind, Result, Retry};
use serde::Deserialize;
use serde_json::{Number, Value, json};

use super::child::{Cause, End};
use super::processes::Breach;
use super::request::Limits;

/// Room for what stands around a result, and for the report of a failure.
const FRAME_BYTES: u64 = 128 << 10;
/// How much of each output an error keeps, in characters from its end.
const TAIL: usize = 2_000;
/// How much of an exception's text the line of the error shows.
const MESSAGE: usize = 300;
/// Digits of the smallest integers that may not fit 64 bits.
const MANY_DIGITS: usize = 19;
/// The exit code that means "try again later", `EX_TEMPFAIL` of `sysexits.h`.
const TEMPORARY_FAILURE: i64 = 75;

/// What the child wrote about its end.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Result(Value),
    Exception(Exception),
    Exit(Number),
    Unusable(String),
    Oversized(u64),
}

#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Exception {
    #[serde(rename = "type")]
    kind: String,
    message: String,
    line: Option<u64>,
    traceback: String,
    again: bool,
}

/// Reads what the child wrote; `None` when it wrote nothing or did not come to the end of it.
pub(super) fn read_outcome(file: &File, max_result_bytes: u64) -> Option<Outcome> {
    let most = max_result_bytes.saturating_add(FRAME_BYTES);
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).ok()?;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length > most {
        return Some(Outcome::Oversized(length));
    }
    parse_outcome(&bytes)
}

fn parse_outcome(bytes: &[u8]) -> Option<Outcome> {
    if let Some(integer) = oversized_integer(bytes) {
        let why = format!("result: the integer {} does not fit 64 bits", cut(&integer, 40));
        return Some(Outcome::Unusable(why));
    }
    match serde_json::from_slice(bytes) {
        Ok(outcome) => Some(outcome),
        Err(error) if error.is_eof() => None,
        Err(error) => Some(Outcome::Unusable(format!("result: {error}"))),
    }
}

/// Finds an integer that a JSON reader would round.
fn oversized_integer(bytes: &[u8]) -> Option<String> {
    let mut rest = bytes.iter().copied().peekable();
    let mut in_text = false;
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => in_text = !in_text,
            b'\\' if in_text => {
                rest.next();
            }
            b'-' | b'0'..=b'9' if !in_text => {
                let mut number = String::from(char::from(byte));
                while let Some(next) = rest
                    .next_if(|next| next.is_ascii_digit() || matches!(next, b'.' | b'e' | b'E' | b'+' | b'-'))
                {
                    number.push(char::from(next));
                }
                let whole = !number.contains(['.', 'e', 'E']);
                if whole
                    && number.len() >= MANY_DIGITS
                    && number.parse::<i64>().is_err()
                    && number.parse::<u64>().is_err()
                {
                    return Some(number);
                }
            }
            _ => {}
        }
    }
    None
}

/// Gives the method's result, or the error that tells why there is none.
pub(super) fn conclude(end: End, outcome: Option<Outcome>, limits: &Limits, took: Duration) -> Result<Value> {
    let End { cause, stdout, stderr } = end;
    let (stdout, stderr) = (stdout.into_text(), stderr.into_text());
    let error = match judge(cause, outcome, limits) {
        Ok(result) => {
            return Ok(json!({
                "result": result,
                "output": stdout,
                "stderr": stderr,
                "success": true,
                "execution_time": took.as_secs_f64(),
            }));
        }
        Err(error) => error,
    };
    Err([("stdout", stdout), ("stderr", stderr)]
        .into_iter()
        .filter(|(_, text)| !text.trim().is_empty())
        .fold(error, |error, (name, text)| error.with_context(name, tail(&text))))
}

fn judge(cause: Cause, outcome: Option<Outcome>, limits: &Limits) -> Result<Value> {
    let status = match cause {
        Cause::Exit(status) => status,
        Cause::Timeout => return Err(timed_out(limits)),
        Cause::Deadline => {
            return Err(Error::new(ErrorKind::Timeout, "the run's deadline passed while python ran"));
        }
        Cause::Cancelled => {
            return Err(Error::new(ErrorKind::Cancelled, "the run was cancelled while python ran"));
        }
        Cause::Breach(breach) => return Err(breached(breach, limits)),
        Cause::Lost(error) => {
            return Err(failed(format!("lost sight of python: {error}")).with_source(error));
        }
    };
    match outcome {
        Some(Outcome::Exception(exception)) => Err(raised(exception, limits)),
        Some(Outcome::Unusable(why)) => Err(failed(format!("the result is not JSON: {why}"))
            .with_hint("hand back numbers, texts, true, false, None, lists, and dicts with text keys")),
        Some(Outcome::Oversized(length)) => Err(failed(format!(
            "the result has {length} bytes as JSON, more than the {} that it may have",
            limits.max_result_bytes
        ))
        .with_hint("write large results to a file and hand back its path")),
        Some(Outcome::Exit(code)) => Err(exited(code.as_i64(), &code.to_string())),
        Some(Outcome::Result(result)) if status.success() => Ok(result),
        None if status.success() => Err(failed("python ended without handing back a result")
            .with_hint("let the code come to its end or call `sys.exit()`; `os._exit` and `os.exec` skip the result, and `python.interpreter` must be a CPython")),
        Some(Outcome::Result(_)) | None => Err(ended(status)),
    }
}

fn raised(exception: Exception, limits: &Limits) -> Error {
    let Exception { kind, message, line, traceback, again } = exception;
    let first = cut(message.lines().next().unwrap_or_default(), MESSAGE);
    let what = if first.is_empty() { kind.clone() } else { format!("{kind}: {first}") };
    let place = line.map(|line| format!(" on line {line}")).unwrap_or_default();
    let retry = if again { Retry::Backoff } else { Retry::Never };
    let error = failed(format!("python raised `{what}`{place}")).with_retry(retry);
    let error = match kind.as_str() {
        kind if kind.ends_with("MemoryError") => error.with_hint(memory_hint(limits)),
        "ModuleNotFoundError" => error.with_hint(
            "install the module for the Python of the setting `python.interpreter`; only `file` finds the modules beside it",
        ),
        _ => error,
    };
    error.with_context("traceback", format!("\n{}", traceback.trim_end()))
}

fn ended(status: ExitStatus) -> Error {
    if let Some(code) = status.code() {
        return exited(Some(code.into()), &code.to_string());
    }
    let text = status.to_string();
    let signal = text.strip_prefix("signal: ").unwrap_or(&text);
    let error = failed(format!("python was killed by signal {signal}"));
    // Kill and terminate come from outside: an operator, or a machine that runs out of memory.
    if signal.starts_with("9 ") || signal.starts_with("15 ") {
        return error.with_retry(Retry::Backoff).with_hint("see whether the machine ran out of memory");
    }
    error.with_hint("a native module crashed, or the code sent the signal")
}

fn exited(code: Option<i64>, text: &str) -> Error {
    let retry = if code == Some(TEMPORARY_FAILURE) { Retry::Backoff } else { Retry::Never };
    failed(format!("python exited with code {text}")).with_retry(retry)
}

fn timed_out(limits: &Limits) -> Error {
    Error::new(ErrorKind::Timeout, format!("python was stopped after {} s", limits.timeout.as_secs_f64()))
        .with_hint("give the task a larger `timeout`, or raise the setting `python.timeout`")
}

fn breached(breach: Breach, limits: &Limits) -> Error {
    match breach {
        Breach::Memory => failed(format!(
            "python was stopped: its processes together used more than {} MiB of memory",
            limits.memory_bytes >> 20
        ))
        .with_hint(memory_hint(limits)),
        Breach::Processes => failed(format!(
            "python was stopped: the code started too many processes, more than {}",
            limits.max_processes
        ))
        .with_hint("start fewer, or raise the setting `python.max_processes`"),
    }
}

fn memory_hint(limits: &Limits) -> String {
    format!(
        "the limit is {} MiB; give the task a larger `memory_mb`, or raise the setting `python.memory_mb`",
        limits.memory_bytes >> 20
    )
}

fn failed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::ToolFailed, message)
}

fn cut(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn tail(text: &str) -> String {
    let text = text.trim_end();
    match text.char_indices().rev().nth(TAIL) {
        Some((start, _)) => format!("\n…{}", text.get(start..).unwrap_or_default()),
        None => format!("\n{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_kept_exactly_or_refused() {
        for fits in [
            "9223372036854775807",
            "-9223372036854775808",
            "18446744073709551615",
            "1e400",
            "0.12345678901234567890",
        ] {
            assert_eq!(oversized_integer(format!("[{fits}]").as_bytes()), None, "{fits}");
        }
        for large in ["18446744073709551616", "-9223372036854775809"] {
            let json = format!(r#"{{"a\"1":"{large}","b":{large}}}"#);
            assert_eq!(oversized_integer(json.as_bytes()).as_deref(), Some(large));
        }
        assert_eq!(oversized_integer(br#"["99999999999999999999"]"#), None);
    }

    #[test]
    fn an_outcome_that_breaks_off_is_none() {
        assert_eq!(parse_outcome(b""), None);
        assert_eq!(parse_outcome(br#"{"result":[1,"#), None);
        assert_eq!(parse_outcome(br#"{"result":null}"#), Some(Outcome::Result(Value::Null)));
        let nested = format!(r#"{{"result":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
        assert!(
            matches!(parse_outcome(nested.as_bytes()), Some(Outcome::Unusable(why)) if why.contains("recursion"))
        );
    }
}
