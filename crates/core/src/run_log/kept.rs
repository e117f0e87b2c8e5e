//! What a model was asked, kept piece by piece: each message once, however many calls repeat it.
//!
//! Knows no store; a log decides whether it keeps requests at all.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Entry, Record};
use crate::error::{Error, ErrorKind, Result};
use crate::id::content_hash;
use crate::message::Message;
use crate::model_id::ModelId;
use crate::request::ChatRequest;

/// Hexadecimal digits of a piece's key: 128 bits, as a run has few pieces.
const KEY_LENGTH: usize = 32;

/// A request as a log keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptRequest {
    /// Hash of the request without the name of its model, by which a replay finds it whatever model it asks.
    pub fingerprint: String,
    /// Everything but the model and the messages.
    pub options: Piece,
    /// The messages in order.
    pub messages: Vec<Piece>,
}

/// A piece of a request: whole where it is kept the first time, and its key alone where it comes again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Piece {
    /// A piece that was kept before.
    Again(String),
    /// A new piece.
    First {
        /// Under which it is found again: a hash in a journal, a number in a cassette.
        key: String,
        /// The piece.
        value: Value,
    },
}

impl Piece {
    /// Gives the key.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Piece::Again(key) | Piece::First { key, .. } => key,
        }
    }
}

impl KeptRequest {
    /// Gives all pieces, the options first.
    pub fn pieces(&self) -> impl Iterator<Item = &Piece> {
        std::iter::once(&self.options).chain(&self.messages)
    }

    /// Gives all pieces, to replace them.
    pub fn pieces_mut(&mut self) -> impl Iterator<Item = &mut Piece> {
        std::iter::once(&mut self.options).chain(&mut self.messages)
    }

    /// Puts the request together again; `find` gives the pieces that were kept before.
    ///
    /// # Errors
    /// `Store` when a piece is missing or cannot be read.
    pub fn whole<'a>(
        &'a self,
        model: &ModelId,
        find: impl Fn(&str) -> Option<&'a Value>,
    ) -> Result<ChatRequest> {
        let value = |piece: &'a Piece| match piece {
            Piece::First { value, .. } => Ok(value),
            Piece::Again(key) => find(key).ok_or_else(|| {
                Error::new(ErrorKind::Store, format!("a recorded request lacks its piece `{key}`"))
            }),
        };
        let unreadable = |error: serde_json::Error| {
            Error::new(ErrorKind::Store, format!("a recorded request cannot be read: {error}"))
                .with_source(error)
        };
        let mut options = value(&self.options)?.clone();
        let fields = options.as_object_mut().ok_or_else(|| {
            Error::new(ErrorKind::Store, "a recorded request cannot be read: its options are no object")
        })?;
        fields.insert("model".to_owned(), Value::String(model.to_string()));
        fields.insert("messages".to_owned(), Value::Array(Vec::new()));
        let mut request: ChatRequest = serde_json::from_value(options).map_err(unreadable)?;
        for message in &self.messages {
            request.messages.push(Message::deserialize(value(message)?).map_err(unreadable)?);
        }
        Ok(request)
    }
}

/// Remembers which pieces a journal holds, so that each is kept once.
#[derive(Debug, Default)]
pub struct Shelf {
    held: HashSet<String>,
    /// The request seen last with the keys of its pieces: the next one mostly begins like it.
    options: Option<(ChatRequest, String)>,
    messages: Vec<(Message, String)>,
}

impl Shelf {
    /// Gives what is to be kept of a request: whole the pieces that are not held.
    ///
    /// # Errors
    /// `Internal` when the request cannot be written as JSON.
    pub fn keep(&mut self, request: &ChatRequest) -> Result<KeptRequest> {
        let options = without_messages(request);
        let key = match self.options.take() {
            Some((last, key)) if last == options => key,
            _ => key_of(&options_value(&options)?)?,
        };
        let kept_options = match self.held.contains(&key) {
            true => Piece::Again(key.clone()),
            false => Piece::First { key: key.clone(), value: options_value(&options)? },
        };
        self.options = Some((options, key));
        let mut messages = Vec::with_capacity(request.messages.len());
        for (place, message) in request.messages.iter().enumerate() {
            let key = self.message_key(place, message)?;
            messages.push(match self.held.contains(&key) {
                true => Piece::Again(key),
                false => Piece::First { key, value: to_value(message)? },
            });
        }
        self.messages.truncate(request.messages.len());
        let keys: Vec<&str> = std::iter::once(&kept_options).chain(&messages).map(Piece::key).collect();
        Ok(KeptRequest { fingerprint: content_hash(&keys)?, options: kept_options, messages })
    }

    /// Holds a request that is stored beside the journal, and gives its pieces.
    ///
    /// # Errors
    /// `Internal` when the request cannot be written as JSON.
    pub fn hold(&mut self, request: &ChatRequest) -> Result<KeptRequest> {
        let kept = self.keep(request)?;
        self.held.extend(kept.pieces().map(|piece| piece.key().to_owned()));
        Ok(kept)
    }

    /// Takes note of an entry that was written: the pieces in it are held from then on.
    pub fn note(&mut self, record: &Record) {
        if let Entry::Started { request: Some(request), .. } = record.entry() {
            let new = request.pieces().filter(|piece| matches!(piece, Piece::First { .. }));
            self.held.extend(new.map(|piece| piece.key().to_owned()));
        }
    }

    fn message_key(&mut self, place: usize, message: &Message) -> Result<String> {
        if let Some((_, key)) = self.messages.get(place).filter(|(last, _)| last == message) {
            return Ok(key.clone());
        }
        let key = key_of(message)?;
        self.messages.truncate(place);
        self.messages.push((message.clone(), key.clone()));
        Ok(key)
    }
}

/// Gives the hash of a request without the name of its model; see [`KeptRequest::fingerprint`].
///
/// # Errors
/// `Internal` when the request cannot be written as JSON.
pub fn fingerprint(request: &ChatRequest) -> Result<String> {
    Ok(Shelf::default().keep(request)?.fingerprint)
}

fn key_of(value: &impl Serialize) -> Result<String> {
    let mut hash = content_hash(value)?;
    hash.truncate(KEY_LENGTH);
    Ok(hash)
}

fn to_value(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| {
        Error::new(ErrorKind::Internal, "a value cannot be written as JSON").with_source(error)
    })
}

fn options_value(request: &ChatRequest) -> Result<Value> {
    let mut value = to_value(request)?;
    if let Some(fields) = value.as_object_mut() {
        fields.shift_remove("model");
        fields.shift_remove("messages");
    }
    Ok(value)
}

/// Copies a request without its messages, which are many; a new field of requests has to be named here.
fn without_messages(request: &ChatRequest) -> ChatRequest {
    let ChatRequest {
        model,
        messages: _,
        tools,
        tool_choice,
        parallel_tool_calls,
        output,
        sampling,
        reasoning_effort,
        max_tokens,
        stop,
        metadata,
        extra,
    } = request;
    ChatRequest {
        model: model.clone(),
        messages: Vec::new(),
        tools: tools.clone(),
        tool_choice: tool_choice.clone(),
        parallel_tool_calls: *parallel_tool_calls,
        output: output.clone(),
        sampling: sampling.clone(),
        reasoning_effort: *reasoning_effort,
        max_tokens: *max_tokens,
        stop: stop.clone(),
        metadata: metadata.clone(),
        extra: extra.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::run_log::StepKind;
    use crate::tool::Effect;

    fn request(texts: &[&str]) -> ChatRequest {
        let messages = texts.iter().map(|text| Message::user(*text)).collect();
        let mut request = ChatRequest::new("openai:gpt-4o".parse().unwrap(), messages);
        request.max_tokens = Some(7);
        request
    }

    fn record(kept: &KeptRequest) -> Record {
        let entry = Entry::Started {
            kind: StepKind::Model,
            request_hash: "h".into(),
            effect: Effect::Pure,
            label: "openai:gpt-4o".into(),
            request: Some(Box::new(kept.clone())),
        };
        Record::new("model", entry)
    }

    fn new_pieces(kept: &KeptRequest) -> usize {
        kept.pieces().filter(|piece| matches!(piece, Piece::First { .. })).count()
    }

    #[test]
    fn each_piece_is_kept_once_and_every_request_is_whole_again() {
        let mut shelf = Shelf::default();
        let requests = [request(&["a"]), request(&["a", "b"]), request(&["b", "a", "b"]), request(&["c"])];
        let mut held: HashMap<String, Value> = HashMap::new();
        for (request, expected) in requests.iter().zip([2, 1, 0, 1]) {
            let kept = shelf.keep(request).unwrap();
            assert_eq!(new_pieces(&kept), expected);
            assert_eq!(kept.fingerprint, fingerprint(request).unwrap());
            shelf.note(&record(&kept));
            for piece in kept.pieces() {
                if let Piece::First { key, value } = piece {
                    held.insert(key.clone(), value.clone());
                }
            }
            let whole = kept.whole(&request.model, |key| held.get(key)).unwrap();
            assert_eq!(&whole, request);
        }
    }

    #[test]
    fn what_was_not_written_is_kept_again() {
        let mut shelf = Shelf::default();
        assert_eq!(new_pieces(&shelf.keep(&request(&["a"])).unwrap()), 2);
        assert_eq!(new_pieces(&shelf.keep(&request(&["a"])).unwrap()), 2, "nothing was noted as written");
    }

    #[test]
    fn the_fingerprint_tells_everything_apart_but_the_model() {
        let one = request(&["a"]);
        let other_model = ChatRequest { model: "replay:x.jsonl".parse().unwrap(), ..one.clone() };
        assert_eq!(fingerprint(&one).unwrap(), fingerprint(&other_model).unwrap());
        let warmer = ChatRequest { max_tokens: Some(8), ..one.clone() };
        for other in [warmer, request(&["b"]), request(&["a", "a"]), request(&[])] {
            assert_ne!(fingerprint(&one).unwrap(), fingerprint(&other).unwrap());
        }
    }

    #[test]
    fn a_missing_piece_is_an_error_and_no_other_request() {
        let mut shelf = Shelf::default();
        let kept = shelf.keep(&request(&["a"])).unwrap();
        shelf.note(&record(&kept));
        let again = shelf.keep(&request(&["a"])).unwrap();
        let error = again.whole(&"a:b".parse().unwrap(), |_| None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store);
    }
}
