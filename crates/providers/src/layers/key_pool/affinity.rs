//! Which account a conversation belongs to: what was made there may be readable and cached only there.
//!
//! Knows no keys, only numbers of groups; remembers in this process alone, and forgets the oldest.

use std::collections::HashMap;

use motet_core::{ChatRequest, Part, Role};
use serde_json::Value;

use crate::layers::Ask;

/// What is known of a call's past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Past {
    /// Print of the instructions and the first question, which all turns of a conversation have in common.
    pub(super) conversation: Option<u64>,
    /// The model has answered before.
    pub(super) is_continued: bool,
    /// Print of the newest payload that only this provider, and perhaps only one account of it, can read.
    pub(super) payload: Option<u64>,
}

impl Past {
    /// Reads what is asked.
    pub(super) fn of(ask: &Ask<'_>) -> Self {
        let Ask::Chat { request, .. } = ask else { return Self::default() };
        Self {
            conversation: conversation(request),
            is_continued: request.messages.iter().any(|message| message.role == Role::Assistant),
            payload: payload(request),
        }
    }
}

fn conversation(request: &ChatRequest) -> Option<u64> {
    let first = request.messages.iter().position(|message| message.role == Role::User)?;
    let begin = request.messages.get(..=first)?;
    let texts = begin.iter().flat_map(|message| message.parts.iter().filter_map(Part::as_text));
    Some(texts.fold(Print::default(), |print, text| print.text(text)).0)
}

fn payload(request: &ChatRequest) -> Option<u64> {
    let provider = request.model.provider();
    let answers = request.messages.iter().rev().filter(|message| message.role == Role::Assistant);
    let opaques = answers.flat_map(|message| message.parts.iter().rev()).filter_map(|part| match part {
        Part::Text { opaque, .. } => opaque.as_ref(),
        Part::Reasoning(reasoning) => reasoning.opaque.as_ref(),
        Part::ToolCall(call) => call.opaque.as_ref(),
        Part::Native { opaque } => Some(opaque),
        _ => None,
    });
    opaques.filter(|opaque| opaque.provider == provider).find_map(|opaque| print_of(&opaque.payload))
}

/// Gives the print of a payload; `None` where it holds nothing that could be bound to an account.
///
/// Lists grow while an answer arrives, so their last item stands for them.
pub(super) fn print_of(payload: &Value) -> Option<u64> {
    match payload {
        Value::Null => None,
        Value::Array(items) => print_of(items.last()?),
        other => Some(Print::default().value(other).0),
    }
}

/// Bytes of each end of a text that count; what lies between changes nothing that matters here.
const END: usize = 512;

/// A hash (FNV-1a) that is the same in every process and version.
#[derive(Debug, Clone, Copy)]
struct Print(u64);

impl Default for Print {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Print {
    fn bytes(self, bytes: &[u8]) -> Self {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(bytes.iter().fold(self.0, step))
    }

    fn text(self, text: &str) -> Self {
        let bytes = text.as_bytes();
        let print = self.bytes(&(bytes.len() as u64).to_le_bytes());
        match (bytes.get(..END), bytes.len().checked_sub(END).and_then(|start| bytes.get(start..))) {
            (Some(head), Some(tail)) if bytes.len() > 2 * END => print.bytes(head).bytes(tail),
            _ => print.bytes(bytes),
        }
    }

    fn value(self, value: &Value) -> Self {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter().fold(self, Self::value),
            Value::Object(fields) => {
                fields.iter().fold(self, |print, (name, field)| print.text(name).value(field))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => self.text(&value.to_string()),
        }
    }
}

/// Chooses one of several by a print: most prints keep their choice when one comes or goes, and each is chosen by its
/// weight (rendezvous hashing).
pub(super) fn rendezvous(print: u64, choices: impl Iterator<Item = (usize, u32)>) -> Option<usize> {
    let score = |choice: usize, weight: u32| {
        // Mixed as splitmix64 does, and read as a fraction that is never 0.
        let mut mixed = print ^ (choice as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        #[expect(clippy::cast_precision_loss, reason = "a draw needs no more digits")]
        let fraction = ((mixed >> 11) as f64 + 1.0) / ((1u64 << 53) as f64 + 1.0);
        -f64::from(weight) / fraction.ln()
    };
    let scored = choices.map(|(choice, weight)| (score(choice, weight), choice));
    scored.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, choice)| choice)
}

/// Prints that are remembered at least; as many older ones may still be known.
const REMEMBERED: usize = 8192;

/// Which group a conversation or a payload came from.
#[derive(Debug, Default)]
pub(super) struct Memory {
    young: HashMap<u64, usize>,
    old: HashMap<u64, usize>,
}

impl Memory {
    pub(super) fn find(&self, print: u64) -> Option<usize> {
        self.young.get(&print).or_else(|| self.old.get(&print)).copied()
    }

    pub(super) fn keep(&mut self, print: u64, group: usize) {
        if self.young.len() >= REMEMBERED && !self.young.contains_key(&print) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(print, group);
    }
}

#[cfg(test)]
mod tests {
    use crate::layers::Lent;
    use motet_core::message::{Opaque, Reasoning};
    use motet_core::{Delivery, Message};
    use serde_json::json;

    use super::*;

    fn past(messages: Vec<Message>) -> Past {
        let request = ChatRequest::new("openai:m".parse().unwrap(), messages);
        Past::of(&Ask::Chat { request: Lent::owned(request), delivery: Delivery::Plain })
    }

    fn thought(provider: &str, payload: Value) -> Message {
        let opaque = Some(Opaque { provider: provider.to_owned(), payload });
        let part = Part::Reasoning(Reasoning { text: String::new(), opaque });
        Message { role: Role::Assistant, parts: vec![part] }
    }

    #[test]
    fn turns_of_one_conversation_have_one_print() {
        let begin = || vec![Message::system("Be brief."), Message::user("Hello")];
        let first = past(begin());
        let later = past([begin(), vec![Message::assistant("Hi"), Message::user("More")]].concat());
        assert_eq!(first.conversation, later.conversation);
        assert!(!first.is_continued && later.is_continued && later.payload.is_none());
        let other = past(vec![Message::system("Be brief."), Message::user("Hallo")]);
        assert_ne!(first.conversation, other.conversation);
        let long = |end: &str| past(vec![Message::user(format!("{}{end}", "a".repeat(9_000)))]).conversation;
        assert_ne!(long("b"), long("c"));
    }

    #[test]
    fn the_newest_payload_of_this_provider_counts_and_lists_by_their_last_item() {
        let print = |messages| past(messages).payload;
        let one = print(vec![Message::user("q"), thought("openai", json!([{"a": 1}, {"b": 2}]))]);
        assert!(one.is_some() && one == print_of(&json!([{"b": 2}])));
        let turns = vec![
            thought("openai", json!("x")),
            thought("openai", Value::Null),
            thought("anthropic", json!("y")),
        ];
        assert_eq!(print(turns), print_of(&json!("x")));
        assert_eq!(print(vec![thought("anthropic", json!("y"))]), None);
    }

    #[test]
    fn rendezvous_follows_weights_and_keeps_most_choices() {
        let weights = [(0, 2), (1, 1), (2, 1)];
        let chosen: Vec<usize> = (0..4_000u64)
            .map(|number| rendezvous(Print::default().bytes(&number.to_le_bytes()).0, weights.into_iter()))
            .map(Option::unwrap)
            .collect();
        let count = |of: usize| chosen.iter().filter(|choice| **choice == of).count();
        assert!((1_850..2_150).contains(&count(0)) && (850..1_150).contains(&count(1)), "{}", count(0));
        for (number, before) in (0..4_000u64).zip(chosen).filter(|(_, before)| *before != 2) {
            let print = Print::default().bytes(&number.to_le_bytes()).0;
            assert_eq!(rendezvous(print, weights.into_iter().take(2)), Some(before));
        }
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let mut memory = Memory::default();
        for print in 0..3 * REMEMBERED as u64 {
            memory.keep(print, 1);
        }
        assert_eq!((memory.find(0), memory.find(3 * REMEMBERED as u64 - 1)), (None, Some(1)));
        assert!(memory.young.len() + memory.old.len() <= 2 * REMEMBERED);
    }
}
