//! Knows a piece of a stream that differs from one before it in nothing but its text, without reading it as JSON.
//!
//! Nearly all pieces of an answer are such: an envelope of two or three hundred bytes around a few letters. Where the
//! bytes before and after the text are the same, they mean the same; what is not the same is read in full.

use std::borrow::Cow;

use crate::dialects::openai_chat::wire::{Answer, Choice, Content, Message};

/// The field whose text is different in each piece and says nothing, to hide the length of the answer's words.
const PADDING: &[u8] = b"\"obfuscation\":\"";

/// The bytes around the text of a piece that says nothing else.
#[derive(Default)]
pub(super) struct Envelope {
    /// Up to the text's opening quote; empty where no such piece was read.
    before: Vec<u8>,
    /// From the text's closing quote on, up to the padding if there is any.
    after: Vec<u8>,
    /// From the padding's closing quote on.
    end: Option<Vec<u8>>,
}

impl Envelope {
    /// Gives the text of a piece in this envelope; `None` where the piece has to be read in full.
    pub(super) fn text<'a>(&self, piece: &'a [u8]) -> Option<Cow<'a, str>> {
        if self.before.is_empty() {
            return None;
        }
        let rest = piece.strip_prefix(&*self.before)?;
        let length = length_of_text(rest)?;
        let (text, rest) = rest.split_at_checked(length)?;
        let rest = rest.strip_prefix(&*self.after)?;
        match &self.end {
            None if rest.is_empty() => {}
            Some(end) if is_padding(rest.strip_suffix(&**end)?) => {}
            _ => return None,
        }
        if !text.contains(&b'\\') {
            return std::str::from_utf8(text).ok().map(Cow::Borrowed);
        }
        // With its quotes, which lie around it.
        let quoted = piece.get(self.before.len() - 1..=self.before.len() + length)?;
        serde_json::from_slice::<String>(quoted).ok().map(Cow::Owned)
    }

    /// Keeps the envelope of a piece that was read in full and says nothing but a text.
    pub(super) fn keep(&mut self, piece: &[u8], text: &str) {
        let start = text.as_ptr().addr().wrapping_sub(piece.as_ptr().addr());
        let (Some(before), Some(after)) = (piece.get(..start), piece.get(start + text.len()..)) else {
            return;
        };
        if before.last() != Some(&b'"') || after.first() != Some(&b'"') {
            return;
        }
        let padding = memchr::memmem::find(after, PADDING).map(|at| at + PADDING.len());
        let end = padding.and_then(|start| {
            let length = length_of_text(after.get(start..)?)?;
            Some((start, after.get(start + length..)?.to_vec()))
        });
        let (after, end) = match end {
            Some((start, end)) => (after.get(..start).unwrap_or(after), Some(end)),
            None => (after, None),
        };
        *self = Self { before: before.to_vec(), after: after.to_vec(), end };
    }
}

/// Gives where a text of JSON ends whose opening quote was before; `None` where it is none.
fn length_of_text(bytes: &[u8]) -> Option<usize> {
    let mut end = 0;
    loop {
        end += memchr::memchr2(b'"', b'\\', bytes.get(end..)?)?;
        if bytes.get(end) == Some(&b'"') {
            break;
        }
        end += 2;
    }
    // Such letters have to be escaped; whoever reads in full refuses them.
    (!bytes.get(..end)?.iter().any(|byte| *byte < b' ')).then_some(end)
}

fn is_padding(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\') || *byte == b' ')
}

/// Gives the text of a piece that says nothing else, so that it could be said again with another text.
///
/// Names every field that there is, so that none is added without a thought for it.
pub(super) fn only_text<'a>(answer: &Answer<'a>) -> Option<&'a str> {
    // The tier, like the ids, is outside the text, and so the same when the piece is said again.
    let Answer {
        id: _,
        model: _,
        created: _,
        service_tier: _,
        choices,
        usage,
        error,
        x_groq,
        citations,
        search_results,
    } = answer;
    if usage.is_some()
        || error.is_some()
        || x_groq.is_some()
        || citations.is_some()
        || search_results.is_some()
    {
        return None;
    }
    let Choice { index, message, delta, finish_reason, native_finish_reason, logprobs, error } =
        choices.only()?;
    if index.value() != 0
        || message.is_some()
        || finish_reason.is_some()
        || native_finish_reason.is_some()
        || logprobs.is_some()
        || error.is_some()
    {
        return None;
    }
    text_alone(delta.as_deref()?)
}

fn text_alone<'a>(message: &Message<'a>) -> Option<&'a str> {
    let Message {
        content,
        reasoning_content,
        reasoning,
        reasoning_details,
        reasoning_opaque,
        reasoning_encrypted,
        refusal,
        tool_calls,
        annotations,
        images,
        audio,
        executed_tools,
        function_call,
    } = message;
    let texts = [reasoning_content, reasoning, refusal];
    let raw = [
        reasoning_details,
        reasoning_opaque,
        reasoning_encrypted,
        annotations,
        images,
        audio,
        executed_tools,
    ];
    let is_alone = texts.iter().all(|text| text.is_none())
        && raw.iter().all(|raw| raw.is_none())
        && tool_calls.is_none()
        && function_call.is_none();
    match content {
        Content::Text(Cow::Borrowed(text)) if is_alone => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
