//! Turns answers into events; a plain answer takes the same way as a streamed one, in one piece.

use std::borrow::Cow;
use std::sync::Arc;

use motet_core::{Error, ErrorKind, FinishReason, Result, StreamEvent, Usage};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::dialect::json::{Count, Text, content_or_raw, parse};
use crate::dialect::{Decoder, Origin, call_ids, refusal};
use crate::framing::Frame;

/// Place of the reasoning in the message.
const REASONING: u32 = 0;
/// Place of the text.
const TEXT: u32 = 1;
/// Place of the first tool call.
const FIRST_CALL: u32 = 2;

/// A plain answer or one piece of a streamed one.
#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(borrow, default)]
    model: Option<Text<'a>>,
    #[serde(borrow, default)]
    message: Option<Message<'a>>,
    #[serde(default)]
    done: Option<bool>,
    #[serde(borrow, default)]
    done_reason: Option<Text<'a>>,
    #[serde(default)]
    prompt_eval_count: Count,
    #[serde(default)]
    eval_count: Count,
    #[serde(default)]
    total_duration: Count,
    #[serde(default)]
    load_duration: Count,
    #[serde(default)]
    prompt_eval_duration: Count,
    #[serde(default)]
    eval_duration: Count,
    #[serde(borrow, default)]
    logprobs: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<Text<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Text<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<Call<'a>>>,
}

/// A tool call, which always comes whole.
#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize, Default)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

/// Reads a plain answer; the pieces of a stream that came although none was asked for are read as well.
pub(super) fn plain(body: &[u8], origin: &Origin) -> Result<Vec<StreamEvent>> {
    let mut out = Vec::with_capacity(6);
    let mut reading = Reading::default();
    let mut pieces = serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>();
    let mut end = 0;
    while let Some(piece) = pieces.next() {
        match piece {
            Ok(raw) => reading.piece(raw.get().as_bytes(), origin, &mut out)?,
            // Read again for its error alone, which is told like any other.
            Err(_) => reading.piece(body.get(end..).unwrap_or_default(), origin, &mut out)?,
        }
        end = pieces.byte_offset();
    }
    if !reading.has_message {
        return Err(Error::new(ErrorKind::InvalidOutput, "the answer has no message"));
    }
    if !reading.ended && reading.goes_on {
        return Err(broken_off());
    }
    reading.close(None, &mut out);
    Ok(out)
}

/// Reads one streamed answer.
pub(super) struct StreamDecoder {
    origin: Arc<Origin>,
    reading: Reading,
}

impl StreamDecoder {
    pub(super) fn new(origin: Arc<Origin>) -> Self {
        Self { origin, reading: Reading::default() }
    }
}

impl Decoder for StreamDecoder {
    fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<StreamEvent>) -> Result<()> {
        if self.reading.ended { Ok(()) } else { self.reading.piece(frame.data, &self.origin, out) }
    }

    fn ended(&self) -> bool {
        self.reading.ended
    }

    fn finish(&mut self, _out: &mut Vec<StreamEvent>) -> Result<()> {
        if self.reading.ended { Ok(()) } else { Err(broken_off()) }
    }
}

fn broken_off() -> Error {
    Error::new(ErrorKind::Truncated, "the answer broke off before its end")
}

/// What is known of an answer so far.
#[derive(Default)]
struct Reading {
    has_model: bool,
    has_message: bool,
    /// The last piece said that another follows.
    goes_on: bool,
    ended: bool,
    calls: u32,
    logprobs: Vec<Value>,
}

impl Reading {
    fn piece(&mut self, text: &[u8], origin: &Origin, out: &mut Vec<StreamEvent>) -> Result<()> {
        let mut piece: Piece<'_> = parse(text, "a piece of the answer")?;
        if piece.error.is_some()
            && let Some(error) = failure(text, origin)
        {
            return Err(error);
        }
        if self.ended {
            return Ok(());
        }
        if let Some(model) = piece.model.take().and_then(Text::filled).filter(|_| !self.has_model) {
            self.has_model = true;
            out.push(StreamEvent::ResponseStarted {
                response_id: None,
                request_id: None,
                served_model: Some(model.into_owned()),
            });
        }
        if let Some(message) = piece.message.take() {
            self.has_message = true;
            self.message(message, text, out);
        }
        if let Some(Ok(Value::Array(more))) = piece.logprobs.map(|raw| serde_json::from_str(raw.get())) {
            self.logprobs.extend(more);
        }
        self.goes_on = piece.done == Some(false);
        if piece.done == Some(true) {
            if let Some(input) = piece.prompt_eval_count.or(Count(piece.eval_count.0.map(|_| 0))).0 {
                out.push(StreamEvent::Usage { usage: Usage::new(input, piece.eval_count.value()) });
            }
            durations(&piece, out);
            self.close(piece.done_reason.and_then(Text::filled), out);
        }
        Ok(())
    }

    fn message(&mut self, message: Message<'_>, text: &[u8], out: &mut Vec<StreamEvent>) {
        if let Some(thinking) = message.thinking.and_then(Text::filled) {
            out.push(StreamEvent::ReasoningDelta { part: REASONING, text: thinking.into_owned() });
        }
        if let Some(content) = message.content.and_then(Text::filled) {
            out.push(StreamEvent::TextDelta { part: TEXT, text: content.into_owned() });
        }
        for call in message.tool_calls.into_iter().flatten() {
            self.call(call, text, out);
        }
    }

    fn call(&mut self, call: Call<'_>, text: &[u8], out: &mut Vec<StreamEvent>) {
        let function = call.function.unwrap_or_default();
        let sent = call.id.and_then(Text::filled).map(Cow::into_owned);
        let minted = sent.is_none();
        // A piece tells its time, so that no two answers give the same id.
        let made = || call_ids::minted(call_ids::fold(call_ids::FOLD_START, text), self.calls as usize);
        let part = FIRST_CALL.saturating_add(self.calls);
        let name = function.name.unwrap_or_default().0.into_owned();
        out.push(StreamEvent::ToolCallStarted { part, id: sent.unwrap_or_else(made), name, minted });
        let arguments = content_or_raw(function.arguments);
        if !arguments.is_empty() {
            out.push(StreamEvent::ToolCallDelta { part, arguments: arguments.into_owned() });
        }
        out.push(StreamEvent::ToolCallEnded { part });
        self.calls = self.calls.saturating_add(1);
    }

    fn close(&mut self, raw: Option<Cow<'_, str>>, out: &mut Vec<StreamEvent>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if !self.logprobs.is_empty() {
            let value = Value::Array(std::mem::take(&mut self.logprobs));
            out.push(StreamEvent::Metadata { name: "logprobs".to_owned(), value });
        }
        let called = self.calls > 0;
        let reason = match raw.as_deref() {
            None | Some("stop") if called => FinishReason::ToolCalls,
            None => FinishReason::Unknown,
            Some("stop") => FinishReason::Stop,
            Some("length") => FinishReason::Length,
            Some("tool_calls") => FinishReason::ToolCalls,
            // `load` and `unload`: nothing was asked, the model was only brought into memory or out of it.
            Some(_) => FinishReason::Other,
        };
        out.push(StreamEvent::Finished { reason, raw: raw.map(Cow::into_owned) });
    }
}

/// Tells how long what took, in nanoseconds, as far as the server says.
fn durations(piece: &Piece<'_>, out: &mut Vec<StreamEvent>) {
    let told = [
        ("total_duration", piece.total_duration),
        ("load_duration", piece.load_duration),
        ("prompt_eval_duration", piece.prompt_eval_duration),
        ("eval_duration", piece.eval_duration),
    ];
    let told = told.into_iter().filter_map(|(name, count)| Some((name, count.0?)));
    out.extend(told.map(|(name, nanoseconds)| StreamEvent::Metadata {
        name: name.to_owned(),
        value: Value::from(nanoseconds),
    }));
}

/// Reads the error that a piece tells of; `None` when it says nothing.
fn failure(text: &[u8], origin: &Origin) -> Option<Error> {
    let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(text) else { return None };
    let says_nothing = match fields.get("error") {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    };
    if says_nothing { None } else { refusal::of_value(Value::Object(fields), origin) }
}
