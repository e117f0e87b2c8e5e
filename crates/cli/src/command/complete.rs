//! `motet complete`: asks a model once.

mod dry_run;

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgMatches, Args};
use futures::StreamExt as _;
use motet::agents::structured;
use motet::core::accumulate::Accumulator;
use motet::core::request::{Output, ReasoningEffort};
use motet::core::response::FinishReason;
use motet::core::settings::CacheMode;
use motet::core::store::Durability;
use motet::written;
use motet::{
    ChatRequest, ChatResponse, Delivery, Error, ErrorKind, Message, ModelId, Part, Result, RunContext,
    Runtime, StreamEvent,
};
use serde_json::{Map, Value, json};

use super::{Row, arguments, length_of_time, model_id};
use crate::attachment;
use crate::context::Context;
use crate::exit::Exit;
use crate::notices::notice;
use crate::printer::Printer;

pub(super) const ROW: Row = Row { name: "complete", build: Complete::augment_args, run };

/// Asks a model once and prints its answer
///
/// The prompt is the argument, or standard input where the argument is left out or is `-`.
#[derive(Args)]
struct Complete {
    /// What to ask
    prompt: Option<String>,
    /// Model as `provider:model`; the setting `model` where it is left out
    #[arg(long, short, value_parser = model_id)]
    model: Option<ModelId>,
    /// Instructions that stand above the prompt
    #[arg(long)]
    system: Option<String>,
    /// Address that replaces the provider's own
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Receives the answer as a stream and, as text, shows it as it comes
    #[arg(long)]
    stream: bool,
    /// File with a JSON schema that the answer must satisfy
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// File with a JSON list of tools that the model may ask for; they are shown, not run
    #[arg(long, value_name = "FILE")]
    tools: Option<PathBuf>,
    /// Image, PDF, or text file that goes with the prompt, or the address of one; may be given several times
    #[arg(long = "file", value_name = "FILE")]
    files: Vec<String>,
    /// Randomness, usually 0 to 2
    #[arg(long, allow_negative_numbers = true)]
    temperature: Option<f64>,
    /// Upper limit of output tokens
    #[arg(long, value_name = "TOKENS")]
    max_tokens: Option<u32>,
    /// Longest time of the whole call, retries and waits included
    #[arg(long, value_name = "DURATION", value_parser = length_of_time)]
    timeout: Option<Duration>,
    /// Shows the request that would be sent, its secrets masked, and sends nothing; works without a key
    #[arg(long)]
    dry_run: bool,
    /// Keeps the call in the store as a run, which `motet log show` and `motet replay` find
    #[arg(long, conflicts_with = "dry_run")]
    record: bool,
    /// How kept answers are used: off, read, write, read_write, or refresh; the setting `cache.mode` where it is left out
    #[arg(long, value_name = "MODE", value_parser = cache_mode)]
    cache: Option<CacheMode>,
    /// How hard a reasoning model should think: none, minimal, low, medium, high, or xhigh
    #[arg(long, value_parser = effort)]
    reasoning_effort: Option<ReasoningEffort>,
}

fn effort(text: &str) -> Result<ReasoningEffort, String> {
    serde_json::from_value(json!(text))
        .map_err(|_| "use none, minimal, low, medium, high, or xhigh".to_owned())
}

fn cache_mode(text: &str) -> Result<CacheMode, String> {
    CacheMode::find(text).ok_or_else(|| "use off, read, write, read_write, or refresh".to_owned())
}

fn run(mut context: Context, matches: &ArgMatches) -> Result<Exit> {
    let args: Complete = arguments(matches)?;
    if let (Some(url), Some(model)) = (&args.base_url, &args.model) {
        context.set(&format!("providers.{}.base_url", model.provider()), url, "flag --base-url");
    } else if args.base_url.is_some() {
        return Err(Error::new(ErrorKind::Configuration, "`--base-url` needs `--model`")
            .with_hint("name the provider whose address it is, for example `--model custom:my-model`"));
    }
    if let Some(mode) = args.cache {
        context.set("cache.mode", mode.as_str(), "flag --cache");
    }
    if args.record {
        context.set("record.calls", "true", "flag --record");
    }
    let runtime = context.runtime()?;
    let request = request(&args, &runtime)?;
    let printer = context.printer;
    if args.dry_run {
        let delivery = if args.stream { Delivery::Streamed } else { Delivery::Plain };
        return dry_run::show(&runtime, &request, delivery, printer);
    }
    context.block_on(|cancellation| async move {
        let warn = move |event: &StreamEvent| {
            if let Some(line) = notice(event) {
                printer.note(&line);
            }
        };
        let mut run = RunContext::new().with_cancellation(cancellation).with_events(Arc::new(warn));
        if let Some(timeout) = args.timeout {
            run = run.with_timeout(timeout);
        }
        let answered = answer(&runtime, &run, request, args.stream, printer).await;
        if args.record {
            tell_recorded(&runtime, &run, printer).await?;
        }
        answered
    })
}

/// Tells where the call is kept, which it is not where it failed before it began.
async fn tell_recorded(runtime: &Runtime, run: &RunContext, printer: Printer) -> Result<()> {
    let (id, store) = (run.run_id(), runtime.store().await?);
    if store.run(id).await?.is_none() {
        return Ok(());
    }
    printer.note(&match store.capabilities().durability {
        Durability::None => {
            "warning: the store keeps nothing beyond this command, and so not the call".to_owned()
        }
        _ => format!("recorded as run {id}; `motet log show {id}` shows it"),
    });
    Ok(())
}

async fn answer(
    runtime: &Runtime,
    run: &RunContext,
    request: ChatRequest,
    stream: bool,
    printer: Printer,
) -> Result<Exit> {
    let asked_for_json = matches!(request.output, Output::JsonSchema(_));
    if stream {
        let response = streamed(runtime, run, &request, printer).await?;
        let value = asked_for_json.then(|| structured::value_of(&request, &response)).transpose()?;
        return print(&response, value, printer, !printer.is_json());
    }
    if asked_for_json {
        let (value, response) = runtime.structured(run, request).await?;
        return print(&response, Some(value), printer, false);
    }
    print(&runtime.complete(run, &request).await?, None, printer, false)
}

fn request(args: &Complete, runtime: &Runtime) -> Result<ChatRequest> {
    let model = args.model.clone().map_or_else(|| runtime.default_model(), Ok)?;
    let mut messages: Vec<Message> = args.system.clone().map(Message::system).into_iter().collect();
    let mut question = Message::user(prompt(args.prompt.as_deref())?);
    for file in &args.files {
        question.parts.push(attachment::part(file)?);
    }
    messages.push(question);
    let mut request = ChatRequest::new(model, messages);
    request.sampling.temperature = args.temperature;
    request.max_tokens = args.max_tokens;
    request.reasoning_effort = args.reasoning_effort;
    if let Some(path) = &args.schema {
        request.output = written::schema(read_json(path)?);
    }
    if let Some(path) = &args.tools {
        request.tools = written::tools(read_json(path)?)
            .map_err(|error| error.with_context("file", path.display().to_string()))?;
    }
    Ok(request)
}

/// Gives the argument, or what is piped in.
pub(super) fn prompt(argument: Option<&str>) -> Result<String> {
    let mut prompt = argument.filter(|text| *text != "-").unwrap_or_default().to_owned();
    let stdin = std::io::stdin();
    if argument.is_none_or(|text| text == "-") && !stdin.is_terminal() {
        stdin.lock().read_to_string(&mut prompt).map_err(|error| {
            Error::new(ErrorKind::InvalidRequest, format!("standard input cannot be read as text: {error}"))
        })?;
    }
    if prompt.trim().is_empty() {
        return Err(Error::new(ErrorKind::InvalidRequest, "there is no prompt")
            .with_hint("give it as an argument or on standard input"));
    }
    Ok(prompt)
}

pub(super) fn read_json(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::new(ErrorKind::InvalidRequest, format!("`{}` cannot be read: {error}", path.display()))
    })?;
    serde_json::from_str(&text).map_err(|error| {
        Error::new(ErrorKind::InvalidRequest, format!("`{}` is not valid JSON: {error}", path.display()))
    })
}

/// Shows the answer as it comes, and folds it; what was shown ends with a line end, even if the answer breaks off.
async fn streamed(
    runtime: &Runtime,
    run: &RunContext,
    request: &ChatRequest,
    printer: Printer,
) -> Result<ChatResponse> {
    let mut line_is_open = false;
    let answer = folded(runtime, run, request, |text| {
        if printer.is_json() || text.is_empty() {
            return Ok(());
        }
        line_is_open = !text.ends_with('\n');
        printer.text(text)
    })
    .await;
    if line_is_open {
        printer.text("\n")?;
    }
    answer
}

async fn folded(
    runtime: &Runtime,
    run: &RunContext,
    request: &ChatRequest,
    mut show: impl FnMut(&str) -> Result<()>,
) -> Result<ChatResponse> {
    let mut events = runtime.stream(run, request.clone()).await?;
    let mut answer = Accumulator::new(request.model.clone());
    while let Some(event) = events.next().await {
        let event = event?;
        if let StreamEvent::TextDelta { text, .. } = &event {
            show(text)?;
        }
        answer.push(event)?;
    }
    answer.finish()
}

/// Prints the answer; `shown` tells that its text is on the screen already.
fn print(response: &ChatResponse, value: Option<Value>, printer: Printer, shown: bool) -> Result<Exit> {
    printer.data(&json_shape(response, value.as_ref()), || {
        let mut text = if shown { String::new() } else { response.text() };
        if !(text.is_empty() || text.ends_with('\n')) {
            text.push('\n');
        }
        for call in response.message.tool_calls() {
            text.push_str(&format!("{}({})\n", call.name, call.arguments));
        }
        text
    })?;
    if let (Some(shortfall), false) = (shortfall(response), printer.is_json()) {
        printer.note(&format!("warning: {shortfall}"));
    }
    Ok(Exit::Success)
}

/// Tells why there is less text than a reader expects, which JSON has in fields of its own.
fn shortfall(response: &ChatResponse) -> Option<String> {
    if let Some(words) = refusal(response) {
        return Some(format!("the model declined to answer: {words}"));
    }
    let is_empty = response.text().is_empty() && response.message.tool_calls().next().is_none();
    match response.finish_reason {
        FinishReason::Length => {
            Some("the answer was cut off by its length limit; `--max-tokens` sets it".to_owned())
        }
        FinishReason::ContentFilter => Some("a content filter ended the answer".to_owned()),
        _ if is_empty => Some("the answer holds no text".to_owned()),
        _ => None,
    }
}

fn refusal(response: &ChatResponse) -> Option<&str> {
    let mut parts = response.message.parts.iter();
    parts.find_map(|part| if let Part::Refusal { text } = part { Some(text.as_str()) } else { None })
}

/// The documented shape of an answer.
fn json_shape(response: &ChatResponse, value: Option<&Value>) -> Value {
    let calls = response.message.tool_calls().map(|call| {
        let parsed = call.parsed_arguments();
        let mut shape = json!({"id": call.id, "name": call.name, "arguments": parsed.as_ref().ok()});
        if parsed.is_err() {
            shape["arguments_raw"] = json!(call.arguments);
        }
        shape
    });
    let reasoning = response.message.reasoning_text();
    let mut shape: Map<String, Value> = Map::new();
    let mut set = |name: &str, value: Value| shape.insert(name.to_owned(), value);
    set("text", json!(response.text()));
    set("reasoning", if reasoning.is_empty() { Value::Null } else { json!(reasoning) });
    set("refusal", json!(refusal(response)));
    set("tool_calls", calls.collect());
    set("finish_reason", json!(response.finish_reason));
    set("raw_finish_reason", json!(response.raw_finish_reason));
    set("usage", json!(response.usage));
    set("cost", json!(response.cost.map(motet::Cost::dollars)));
    set("model", json!(response.model));
    set("served_model", json!(response.served_model));
    set("provider", json!(response.model.provider()));
    set("response_id", json!(response.response_id));
    set("request_id", json!(response.request_id));
    if let Some(value) = value {
        set("json", value.clone());
    }
    if !response.metadata.is_empty() {
        set("metadata", Value::Object(response.metadata.clone()));
    }
    Value::Object(shape)
}
