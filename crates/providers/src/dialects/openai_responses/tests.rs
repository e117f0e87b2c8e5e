//! What is sent for what is asked, what is read out of answers, and what goes back of them.

mod answers;
mod history;
mod requests;

use std::sync::Arc;

use motet_core::accumulate::Accumulator;
use motet_core::{ChatRequest, ChatResponse, Error, Message, ModelId, StreamEvent};
use serde_json::Value;

use super::OpenAiResponses;
use crate::dialect::{Dialect as _, Origin};
use crate::driver::StreamReader;
use crate::rows;

fn origin(model: &str) -> Arc<Origin> {
    let model: ModelId = model.parse().unwrap();
    Arc::new(Origin::new(rows::find(model.provider()).unwrap(), model))
}

fn request(model: &str, messages: Vec<Message>) -> ChatRequest {
    ChatRequest::new(model.parse().unwrap(), messages)
}

fn fold(origin: &Origin, events: Vec<StreamEvent>) -> Result<ChatResponse, Error> {
    let mut accumulator = Accumulator::new(origin.model.clone());
    events.into_iter().try_for_each(|event| accumulator.push(event))?;
    accumulator.finish()
}

/// Reads a plain answer.
fn plain(model: &str, body: &Value) -> Result<ChatResponse, Error> {
    let origin = origin(model);
    fold(&origin, OpenAiResponses.decode(body.to_string().as_bytes(), &origin)?)
}

/// Reads a streamed answer; gives its events too.
fn streamed(model: &str, events: &[Value]) -> (Vec<StreamEvent>, Result<ChatResponse, Error>) {
    let origin = origin(model);
    let mut reader = StreamReader::new(&OpenAiResponses, &origin);
    let mut out = Vec::new();
    let fed =
        events.iter().try_for_each(|event| reader.feed(format!("data: {event}\n\n").as_bytes(), &mut out));
    let result = fed.and_then(|()| reader.finish(&mut out)).and_then(|()| fold(&origin, out.clone()));
    (out, result)
}
