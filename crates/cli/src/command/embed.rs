//! `motet embed`: turns texts into vectors.

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgMatches, Args};
use motet::core::embedding::EmbedPurpose;
use motet::core::event::EventSink;
use motet::{EmbedRequest, EmbedResponse, Error, ErrorKind, ModelId, Result, RunContext, StreamEvent};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Row, arguments, model_id};
use crate::context::Context;
use crate::exit::Exit;
use crate::notices::Notices;

pub(super) const ROW: Row = Row { name: "embed", build: Embed::augment_args, run };

/// Turns texts into vectors and prints one JSON list of numbers a text
///
/// The texts are the arguments, or the lines of a file or of standard input; empty lines are left out.
#[derive(Args)]
struct Embed {
    /// Texts
    texts: Vec<String>,
    /// File with one text a line
    #[arg(long, value_name = "FILE", conflicts_with = "texts")]
    file: Option<PathBuf>,
    /// Model as `provider:model`, for example `offline:extract`
    #[arg(long, short, value_parser = model_id)]
    model: ModelId,
    /// Address that replaces the provider's own
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Length of the vectors, where the model can shorten them
    #[arg(long)]
    dimensions: Option<u32>,
    /// What the vectors are for: query, document, similarity, classification, or clustering
    #[arg(long, value_parser = purpose)]
    purpose: Option<EmbedPurpose>,
}

fn purpose(text: &str) -> Result<EmbedPurpose, String> {
    serde_json::from_value(json!(text))
        .map_err(|_| "use query, document, similarity, classification, or clustering".to_owned())
}

fn run(mut context: Context, matches: &ArgMatches) -> Result<Exit> {
    let args: Embed = arguments(matches)?;
    if let Some(url) = &args.base_url {
        context.set(&format!("providers.{}.base_url", args.model.provider()), url, "flag --base-url");
    }
    let mut request = EmbedRequest::new(args.model.clone(), texts(&args)?);
    request.dimensions = args.dimensions;
    request.purpose = args.purpose;
    let runtime = context.runtime()?;
    let printer = context.printer;
    let notices = Notices::new(printer.is_json());
    let tell = move |event: &StreamEvent| {
        if let Some(line) = notices.line(event) {
            printer.note(&line);
        }
    };
    let tell = Arc::new(tell);
    let events = Arc::clone(&tell) as Arc<dyn EventSink>;
    let response = context.block_on(|cancellation| async move {
        let run = RunContext::new().with_cancellation(cancellation).with_events(events);
        runtime.embed(&run, &request).await
    })?;
    // What was told as it happened is not told again.
    for warning in response.metadata.get("warnings").and_then(Value::as_array).into_iter().flatten() {
        tell.emit(&StreamEvent::Warning { message: warning.as_str().unwrap_or_default().to_owned() });
    }
    context.printer.data(&Shape::of(&response), || lines(&response))?;
    Ok(Exit::Success)
}

/// Gives the texts of the arguments, or the lines of what is read instead.
fn texts(args: &Embed) -> Result<Vec<String>> {
    if !args.texts.is_empty() {
        return Ok(args.texts.clone());
    }
    let unreadable = |what: &str, error: std::io::Error| {
        Error::new(ErrorKind::InvalidRequest, format!("{what} cannot be read: {error}"))
    };
    let mut text = String::new();
    if let Some(path) = &args.file {
        text = std::fs::read_to_string(path)
            .map_err(|error| unreadable(&format!("`{}`", path.display()), error))?;
    } else if !std::io::stdin().is_terminal() {
        std::io::stdin().read_to_string(&mut text).map_err(|error| unreadable("standard input", error))?;
    }
    let lines: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if lines.is_empty() {
        return Err(Error::new(ErrorKind::InvalidRequest, "there is no text to embed")
            .with_hint("give texts as arguments, or one a line in `--file` or on standard input"));
    }
    Ok(lines)
}

/// The documented shape of the answer.
#[derive(Serialize)]
struct Shape<'a> {
    embeddings: &'a [Vec<f32>],
    dimensions: usize,
    usage: Option<motet::Usage>,
    cost: Option<f64>,
    model: &'a ModelId,
    served_model: Option<&'a str>,
    provider: &'a str,
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    metadata: &'a Map<String, Value>,
}

impl<'a> Shape<'a> {
    fn of(response: &'a EmbedResponse) -> Self {
        Self {
            embeddings: &response.embeddings,
            dimensions: response.embeddings.first().map_or(0, Vec::len),
            usage: response.usage,
            cost: response.cost.map(motet::Cost::dollars),
            model: &response.model,
            served_model: response.served_model.as_deref(),
            provider: response.model.provider(),
            request_id: response.request_id.as_deref(),
            metadata: &response.metadata,
        }
    }
}

fn lines(response: &EmbedResponse) -> String {
    let line = |vector: &Vec<f32>| {
        let numbers: Vec<String> = vector.iter().map(f32::to_string).collect();
        format!("[{}]\n", numbers.join(","))
    };
    response.embeddings.iter().map(line).collect()
}
