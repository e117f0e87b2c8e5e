//! Recorded answers of real providers, and whether what Motet makes of them is what they say.
//!
//! Knows no wire: a line names its dialect, and the comparison is the same for all. Opens no socket.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use motet_core::accumulate::Accumulator;
use motet_core::{ChatResponse, Error, Message, ModelId, StreamEvent, Usage};
use motet_providers::dialect::{Dialect, ErrorAnswer, Origin};
use motet_providers::driver::StreamReader;
use motet_providers::{dialects, rows};
use serde::Deserialize;
use serde_json::Value;

mod compare;

pub use compare::differences;

/// One recorded exchange, as far as answers are concerned.
#[derive(Debug, Deserialize)]
pub struct Line {
    /// Name of the exchange.
    pub id: String,
    /// Who answered.
    pub provider: String,
    /// Format spoken, by the names of dialects.
    pub wire: String,
    /// The request asked for a stream.
    pub stream: bool,
    /// What came back.
    pub response: Recorded,
    /// What a correct client reports.
    pub expect: Value,
}

/// A recorded response.
#[derive(Debug, Deserialize)]
pub struct Recorded {
    /// HTTP status.
    pub status: u16,
    /// Headers that were kept, names in lower case.
    pub headers: serde_json::Map<String, Value>,
    /// How `body` is written down: `json`, `text`, or `base64`.
    pub encoding: String,
    /// The body.
    pub body: Value,
}

impl Line {
    /// Tells whether the answer came as a stream of frames.
    #[must_use]
    pub fn is_streamed(&self) -> bool {
        self.response.encoding == "text" && self.response.status < 400
    }

    /// Gives the body's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match (&self.response.body, self.response.encoding.as_str()) {
            (Value::String(text), "text") => text.clone().into_bytes(),
            (body, _) => body.to_string().into_bytes(),
        }
    }

    /// Gives who answers: the provider's row where there is one, else the one for compatible servers.
    ///
    /// # Errors
    /// When neither is there.
    pub fn origin(&self) -> Result<Arc<Origin>> {
        let row = rows::find(&self.provider).or_else(|_| rows::find("custom"))?;
        let row = if row.dialect == self.wire { row } else { rows::find("custom")? };
        Ok(Arc::new(Origin::new(row, ModelId::new(row.name, "recorded")?)))
    }
}

/// Gives where the recorded answers are kept, beside the workspace.
#[must_use]
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/dev.jsonl")
}

/// Reads the recorded answers of one wire format; `None` when there is no corpus.
///
/// # Errors
/// When a line cannot be read.
pub fn load(path: &Path, wire: &str) -> Result<Option<Vec<Line>>> {
    let Ok(text) = std::fs::read_to_string(path) else { return Ok(None) };
    let mut lines = Vec::new();
    for (number, text) in text.lines().enumerate() {
        let line: Line = serde_json::from_str(text).with_context(|| format!("line {}", number + 1))?;
        if line.wire == wire {
            lines.push(line);
        }
    }
    Ok(Some(lines))
}

/// What Motet made of an answer.
#[derive(Debug)]
pub struct Outcome {
    /// What arrived, also when the answer failed.
    pub message: Message,
    /// Tokens counted, also when the answer failed.
    pub usage: Option<Usage>,
    /// The whole answer, or why there is none.
    pub result: Result<ChatResponse, Error>,
}

impl Outcome {
    fn of(model: &ModelId, events: Vec<StreamEvent>, result: Result<(), Error>) -> Self {
        let mut accumulator = Accumulator::new(model.clone());
        let pushed = events.into_iter().try_for_each(|event| accumulator.push(event));
        let (message, usage) = (accumulator.partial(), accumulator.usage());
        Self { message, usage, result: result.and(pushed).and_then(|()| accumulator.finish()) }
    }

    /// Gives all that two readings of one answer must agree on.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        match &self.result {
            Ok(response) => format!("{response:?}"),
            Err(error) => format!("{:?} {:?} {}: {error}", self.message, self.usage, error.kind()),
        }
    }
}

/// Reads a recorded answer in the form it came.
///
/// # Errors
/// When there is no dialect of the line's name.
pub fn read(line: &Line) -> Result<Outcome> {
    if line.is_streamed() {
        let bytes = line.bytes();
        return read_stream(line, &[&bytes]);
    }
    let dialect = dialects::find(&line.wire)?;
    let origin = line.origin()?;
    let body = line.bytes();
    let (events, result) = if line.response.status >= 400 {
        (Vec::new(), Err(refused(line, dialect, &body, &origin)))
    } else {
        match dialect.decode(&body, &origin) {
            Ok(events) => (events, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        }
    };
    Ok(Outcome::of(&origin.model, events, result))
}

/// Reads a streamed answer whose bytes come in the given pieces.
///
/// # Errors
/// When there is no dialect of the line's name.
pub fn read_stream(line: &Line, pieces: &[&[u8]]) -> Result<Outcome> {
    let origin = line.origin()?;
    let mut reader = StreamReader::new(dialects::find(&line.wire)?, &origin);
    let mut events = Vec::new();
    let mut result = Ok(());
    for piece in pieces {
        result = result.and_then(|()| reader.feed(piece, &mut events));
    }
    let result = result.and_then(|()| reader.finish(&mut events));
    Ok(Outcome::of(&origin.model, events, result))
}

fn refused(line: &Line, dialect: &dyn Dialect, body: &[u8], origin: &Origin) -> Error {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let headers: Vec<(String, String)> =
        line.response.headers.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    dialect.classify(&ErrorAnswer { status: line.response.status, headers: &headers, body }, origin)
}
