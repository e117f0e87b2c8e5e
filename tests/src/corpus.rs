//! Recorded answers of real providers, and whether what Motet makes of them is what they say.
//!
//! Knows no wire: a line names its dialect, and the comparison is the same for all. Opens no socket.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use motet_core::accumulate::Accumulator;
use motet_core::{ChatResponse, Error, Message, ModelId, StreamEvent, Usage};
use motet_providers::dialect::{Answer, Dialect, Origin};
use motet_providers::driver::StreamReader;
use motet_providers::provider::ProviderRow;
use motet_providers::{dialects, rows};
use serde::Deserialize;
use serde_json::Value;

mod compare;
mod operations;

pub use compare::differences;
pub use operations::operation_differences;

/// One recorded exchange, as far as answers are concerned.
#[derive(Debug, Deserialize)]
pub struct Line {
    /// Name of the exchange.
    pub id: String,
    /// Who answered.
    pub provider: String,
    /// Format spoken, by the names of dialects.
    pub wire: String,
    /// What was done: `chat`, `embed`, `models`, `count-tokens`, or `rerank`.
    pub op: String,
    /// What is special about the exchange.
    pub kind: String,
    /// Exchanges of one session follow each other.
    pub session: String,
    /// Place in the session.
    pub step: u32,
    /// The request asked for a stream.
    #[serde(default)]
    pub stream: bool,
    /// The model that was asked, as the wire names it.
    #[serde(default)]
    pub model: Option<String>,
    /// What was sent.
    pub request: Request,
    /// What came back.
    pub response: Recorded,
    /// What a correct client reports.
    pub expect: Value,
}

/// A recorded request.
#[derive(Debug, Deserialize)]
pub struct Request {
    /// Path with the prefix of the provider's address.
    pub path: String,
    /// Body, null where there was none.
    #[serde(default)]
    pub body: Value,
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
        let binary = self.response.encoding == "base64";
        let text =
            self.response.encoding == "text" && (self.op == "chat" || self.wire.ends_with("-interactions"));
        (binary || text) && self.response.status < 400
    }

    /// Gives the body's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match (&self.response.body, self.response.encoding.as_str()) {
            (Value::String(text), "text") => text.clone().into_bytes(),
            (Value::String(text), "base64") => STANDARD.decode(text).unwrap_or_default(),
            (body, _) => body.to_string().into_bytes(),
        }
    }

    /// Gives who answers: the provider's row speaking the line's format, or the row for compatible servers.
    ///
    /// # Errors
    /// When the recorded model has no name that can be asked for.
    pub fn origin(&self) -> Result<Arc<Origin>> {
        let row = rows::find(&self.provider).or_else(|_| rows::find("custom"))?;
        let row = match dialects::find(&self.wire) {
            Ok(dialect) if dialect.name() != row.dialect => {
                &*Box::leak(Box::new(ProviderRow { dialect: dialect.name(), ..*row }))
            }
            _ => row,
        };
        let model = self.model.as_deref().filter(|model| !model.is_empty()).unwrap_or("recorded");
        Ok(Arc::new(Origin::new(row, ModelId::new(row.name, model)?)))
    }

    /// Gives the response's headers, names in lower case.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        self.response.headers.iter().map(|(name, value)| (name.to_lowercase(), text(value))).collect()
    }
}

/// Gives where the recorded answers are kept, beside the workspace.
#[must_use]
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/dev.jsonl")
}

/// Reads a file of recorded exchanges; `None` when it is not there.
///
/// # Errors
/// When a line cannot be read.
pub fn load(path: &Path) -> Result<Option<Vec<Line>>> {
    let Ok(text) = std::fs::read_to_string(path) else { return Ok(None) };
    let lines = text.lines().enumerate().map(|(number, text)| {
        serde_json::from_str(text).with_context(|| format!("line {} of the corpus", number + 1))
    });
    lines.collect::<Result<_>>().map(Some)
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
        // Events that do not fold are a defect, whatever else is wrong with the answer.
        Self { message, usage, result: pushed.and(result).and_then(|()| accumulator.finish()) }
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
    dialect.classify(&Answer { status: line.response.status, headers: &line.headers(), body }, origin)
}
