//! `motet rpc`: calls methods of other programs by JSON-RPC 2.0.

use std::io::Read as _;
use std::time::Duration;

use clap::{ArgMatches, Args, Subcommand};
use motet::core::rpc::{Incoming, Params, Request};
use motet::providers::rpc::{Address, MAX_MESSAGE_BYTES, RpcClient};
use motet::{Error, ErrorKind, Result, RunContext};
use serde_json::Value;

use super::{Row, arguments, length_of_time};
use crate::context::Context;
use crate::exit::Exit;

pub(super) const ROW: Row = Row { name: "rpc", build: Rpc::augment_args, run };

/// Calls methods of other programs by JSON-RPC 2.0
#[derive(Args)]
struct Rpc {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Calls one method, or sends a batch
    ///
    /// TARGET is an address that takes calls by POST, or a program with its arguments in one text, such as "python3
    /// server.py", which is given one call a line. Without a method, a call or a batch is read from standard input as it is
    /// sent, and the answers are printed whole.
    Call(Call),
}

#[derive(Args)]
struct Call {
    /// Address that takes calls by POST, or a program with its arguments
    target: String,
    /// Method to call; what stands on standard input where it is left out
    method: Option<String>,
    /// Parameters as JSON: a list or an object
    params: Option<String>,
    /// Sends a notification, which is not answered
    #[arg(long, requires = "method")]
    notify: bool,
    /// Header of every request, as `name: value`
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// Longest time to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = length_of_time)]
    timeout: Duration,
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Rpc { action: Action::Call(call) } = arguments(matches)?;
    let params = call.params.as_deref().map(params).transpose()?;
    let client = RpcClient::new("the other side", address(&call)?)?;
    let timeout = call.timeout;
    let Some(method) = call.method.clone() else { return batch(&context, &client, timeout) };
    let notify = call.notify;
    let called = context.block_on(|cancellation| async move {
        let run = RunContext::new().with_cancellation(cancellation);
        let called = if notify {
            client.notify(&run, &method, params, timeout).await.map(|()| None)
        } else {
            client.call(&run, &method, params, timeout).await.map(Some)
        };
        client.close().await;
        called
    });
    match called {
        Ok(Some(result)) => context.printer.data(&result, || pretty(&result)).map(|()| Exit::Success),
        Ok(None) => Ok(Exit::Success),
        Err(error) => failed(&context, error),
    }
}

/// Tells why a call failed. An error that the other side answered is the call's own, and no fault of what was given here,
/// whatever its code means.
fn failed(context: &Context, error: Error) -> Result<Exit> {
    if !error.context().iter().any(|(name, _)| name == "code") {
        return Err(error);
    }
    context.printer.failure(&error);
    Ok(Exit::Failed)
}

/// Sends what stands on standard input; the command fails if one of the calls did.
fn batch(context: &Context, client: &RpcClient, timeout: Duration) -> Result<Exit> {
    let mut text = Vec::new();
    let most = u64::try_from(MAX_MESSAGE_BYTES).unwrap_or(u64::MAX);
    std::io::stdin().take(most).read_to_end(&mut text).map_err(|error| {
        Error::new(ErrorKind::InvalidRequest, format!("standard input cannot be read: {error}"))
    })?;
    let (calls, is_batch) = match Incoming::read(&text) {
        Incoming::One(call) => (vec![call], false),
        Incoming::Batch(calls) => (calls, true),
    };
    let calls: Vec<Request> = calls.into_iter().collect::<Result<_, _>>().map_err(|answer| {
        let why = answer.outcome.err().map(|failure| failure.message).unwrap_or_default();
        Error::new(ErrorKind::InvalidRequest, format!("standard input holds no calls: {why}")).with_hint(
            r#"give a method, or write `{"jsonrpc": "2.0", "method": "name", "id": 1}` or a list of such calls"#,
        )
    })?;
    let answers = context.block_on(|cancellation| async move {
        let run = RunContext::new().with_cancellation(cancellation);
        let answers = match calls.as_slice() {
            [call] if !is_batch => client.whole(&run, call.clone(), timeout).await.map(Vec::from_iter),
            calls => client.batch(&run, calls, timeout).await,
        };
        client.close().await;
        answers
    });
    let answers = match answers {
        Ok(answers) => answers,
        Err(error) => return failed(context, error),
    };
    let is_failed = answers.iter().any(|answer| answer.outcome.is_err());
    let mut shown: Vec<Value> = answers.iter().map(motet::core::rpc::Response::to_json).collect();
    let whole = if is_batch { Value::Array(shown) } else { shown.pop().unwrap_or_default() };
    if !whole.is_null() && whole != Value::Array(Vec::new()) {
        context.printer.data(&whole, || pretty(&whole))?;
    }
    Ok(if is_failed { Exit::Failed } else { Exit::Success })
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

fn params(text: &str) -> Result<Params> {
    let wrong = |why: String| {
        Error::new(ErrorKind::InvalidRequest, format!("the parameters {why}"))
            .with_hint("write them as JSON, such as '[1, 2]' or '{\"name\": \"value\"}'")
    };
    let value = serde_json::from_str(text).map_err(|error| wrong(format!("are not JSON: {error}")))?;
    Params::read(value).ok_or_else(|| wrong("are neither a list nor an object".to_owned()))
}

fn address(call: &Call) -> Result<Address> {
    let target = call.target.trim();
    if target.starts_with("http://") || target.starts_with("https://") {
        let mut address = Address::http(target);
        if let Address::Http { headers, .. } = &mut address {
            for header in &call.headers {
                let (name, value) = header.split_once(':').ok_or_else(|| {
                    Error::new(ErrorKind::InvalidRequest, "a header has no `:`")
                        .with_hint("write it as `name: value`")
                })?;
                headers.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
        return Ok(address);
    }
    if !call.headers.is_empty() {
        return Err(Error::new(ErrorKind::InvalidRequest, "a program takes no headers")
            .with_hint("leave `--header` out, or give an address that begins with `http://` or `https://`"));
    }
    let mut words = words(target)?.into_iter();
    let command = words.next().ok_or_else(|| Error::new(ErrorKind::InvalidRequest, "the target is empty"))?;
    Ok(Address::stdio(command, words))
}

/// Divides a command as a shell does, as far as quotes go: nothing is expanded.
fn words(text: &str) -> Result<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in text.chars() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, space) if space.is_whitespace() => words.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err(Error::new(ErrorKind::InvalidRequest, "a quote in the target is not closed"));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_divided_at_spaces_outside_quotes() {
        assert_eq!(words("python3 -c 'a b' \"\" x'y'").unwrap(), ["python3", "-c", "a b", "", "xy"]);
        assert!(words("a 'b").is_err());
    }
}
