//! Answers as they are kept: which ones are, and how they are written.
//!
//! Knows not where they are kept.

use std::sync::Arc;

use motet_core::message::Part;
use motet_core::rerank::RerankResponse;
use motet_core::{ChatResponse, Error, ErrorKind, FinishReason, Result};
use serde::Serialize;

/// First bytes of what is written, by what it is.
const CHAT: u8 = b'c';
const VECTOR: u8 = b'v';
const RANKING: u8 = b'r';

/// One kept answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kept {
    Chat(Arc<ChatResponse>),
    Vector(Arc<Vector>),
    Ranking(Arc<RerankResponse>),
}

/// The vector of one text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Vector {
    pub(super) numbers: Vec<f32>,
    /// The model that made it, in the provider's words.
    pub(super) served_model: Option<String>,
}

/// Tells whether an answer is worth being given again: complete, not stopped by a filter, and not one that goes on.
///
/// One that met its length limit is: it is the answer to a request with that limit.
pub(super) fn is_good(response: &ChatResponse) -> bool {
    let ended = match response.finish_reason {
        FinishReason::Stop | FinishReason::Length | FinishReason::ToolCalls | FinishReason::Unknown => true,
        FinishReason::ContentFilter | FinishReason::Paused | FinishReason::Other => false,
        _ => false,
    };
    let message = &response.message;
    let says_something = message.parts.iter().any(|part| match part {
        Part::Text { text, .. } => !text.trim().is_empty(),
        Part::Reasoning(_) => false,
        _ => true,
    });
    let declined = message.parts.iter().any(|part| matches!(part, Part::Refusal { .. }));
    ended && says_something && !declined && message.tool_calls().all(|call| call.parsed_arguments().is_ok())
}

impl Kept {
    /// Writes it for a store.
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        match self {
            Kept::Chat(response) => json(CHAT, &**response),
            Kept::Ranking(response) => json(RANKING, &**response),
            Kept::Vector(vector) => Ok(vector.encode()),
        }
    }

    /// Reads what was written; `None` where it is something else.
    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let (kind, rest) = body.split_first()?;
        match *kind {
            CHAT => Some(Kept::Chat(Arc::new(serde_json::from_slice(rest).ok()?))),
            RANKING => Some(Kept::Ranking(Arc::new(serde_json::from_slice(rest).ok()?))),
            VECTOR => Vector::decode(rest).map(|vector| Kept::Vector(Arc::new(vector))),
            _ => None,
        }
    }
}

fn json(kind: u8, value: &impl Serialize) -> Result<Vec<u8>> {
    let mut body = vec![kind];
    serde_json::to_writer(&mut body, value).map_err(|error| {
        Error::new(ErrorKind::Internal, "an answer cannot be written as JSON").with_source(error)
    })?;
    Ok(body)
}

impl Vector {
    /// Writes the length of the model's name, the name, and the numbers, four bytes each, lowest first.
    fn encode(&self) -> Vec<u8> {
        let name = self.served_model.as_deref().unwrap_or_default().as_bytes();
        let length = u16::try_from(name.len()).unwrap_or(0);
        let name = name.get(..usize::from(length)).unwrap_or_default();
        let mut body = Vec::with_capacity(3 + name.len() + self.numbers.len() * 4);
        body.push(VECTOR);
        body.extend(length.to_le_bytes());
        body.extend(name);
        self.numbers.iter().for_each(|number| body.extend(number.to_le_bytes()));
        body
    }

    fn decode(body: &[u8]) -> Option<Self> {
        let (length, rest) = body.split_first_chunk::<2>()?;
        let (name, numbers) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        let (numbers, left) = numbers.as_chunks::<4>();
        let name = std::str::from_utf8(name).ok()?;
        left.is_empty().then(|| Self {
            numbers: numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            served_model: (!name.is_empty()).then(|| name.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use motet_core::message::{Message, Role, ToolCall};
    use motet_core::rerank::Ranked;
    use proptest::prelude::*;

    use super::*;

    fn response(parts: Vec<Part>, reason: FinishReason) -> ChatResponse {
        let message = Message { role: Role::Assistant, parts };
        ChatResponse::new("openai:x".parse().unwrap(), message, reason)
    }

    #[test]
    fn only_complete_good_answers_are_kept() {
        let call = |arguments: &str| {
            let (id, name) = ("1".to_owned(), "now".to_owned());
            Part::ToolCall(ToolCall {
                id,
                name,
                arguments: arguments.to_owned(),
                minted: false,
                opaque: None,
            })
        };
        let text = || vec![Part::text("Hi")];
        for (parts, reason, kept) in [
            (text(), FinishReason::Stop, true),
            (text(), FinishReason::Length, true),
            (text(), FinishReason::Unknown, true),
            (text(), FinishReason::ContentFilter, false),
            (text(), FinishReason::Paused, false),
            (text(), FinishReason::Other, false),
            (vec![call("{}")], FinishReason::ToolCalls, true),
            (vec![call("")], FinishReason::ToolCalls, true),
            (vec![call("{\"a\":")], FinishReason::ToolCalls, false),
            (vec![], FinishReason::Stop, false),
            (vec![Part::text(" \n")], FinishReason::Stop, false),
            (vec![Part::Reasoning(motet_core::message::Reasoning::default())], FinishReason::Stop, false),
            (vec![Part::text("No."), Part::Refusal { text: "I will not".into() }], FinishReason::Stop, false),
        ] {
            let response = response(parts, reason);
            assert_eq!(is_good(&response), kept, "{response:?}");
        }
    }

    #[test]
    fn answers_and_rankings_read_back_as_written_and_nothing_else_does() {
        let mut chat = response(vec![Part::text("Hi")], FinishReason::Stop);
        chat.usage = Some(motet_core::Usage::new(3, 5));
        chat.cost = Some(motet_core::Cost::from_nanos(7));
        let results = vec![Ranked { index: 1, score: 0.1 + 0.2 }];
        let ranking = RerankResponse::new("cohere:x".parse().unwrap(), results);
        for kept in [Kept::Chat(Arc::new(chat)), Kept::Ranking(Arc::new(ranking))] {
            assert_eq!(Kept::decode(&kept.encode().unwrap()), Some(kept));
        }
        for body in [&b""[..], b"c", b"c{}", b"v", b"v\x05\0ab", b"v\0\0abc", b"x123", b"r[]"] {
            assert_eq!(Kept::decode(body), None, "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn vectors_read_back_to_the_last_bit(bits in prop::collection::vec(any::<u32>(), 0..40), name in ".{0,12}") {
            let numbers: Vec<f32> = bits.iter().map(|bits| f32::from_bits(*bits)).collect();
            let served_model = (!name.is_empty()).then_some(name);
            let vector = Vector { numbers, served_model };
            let Some(Kept::Vector(back)) = Kept::decode(&vector.encode()) else { panic!() };
            let back_bits: Vec<u32> = back.numbers.iter().map(|number| number.to_bits()).collect();
            prop_assert_eq!(back_bits, bits);
            prop_assert_eq!(&back.served_model, &vector.served_model);
        }
    }
}
