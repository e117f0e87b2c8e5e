//! Pieces that are alike are read as if each had been read in full.

use std::sync::Arc;

use motet_core::{Result, StreamEvent};
use proptest::prelude::*;

use super::super::StreamDecoder;
use crate::dialect::{Decoder as _, Origin};
use crate::framing::Frame;
use crate::rows;

fn decoder() -> StreamDecoder {
    let row = rows::find("openai").unwrap();
    StreamDecoder::new(Arc::new(Origin::new(row, "openai:m".parse().unwrap())))
}

/// Reads pieces, each in full where envelopes are forgotten after every one.
fn read(pieces: &[Vec<u8>], forgetful: bool) -> (Vec<StreamEvent>, Vec<Result<(), String>>) {
    let (mut decoder, mut events, mut ends) = (decoder(), Vec::new(), Vec::new());
    for piece in pieces {
        if forgetful {
            decoder.envelope = super::Envelope::default();
        }
        let end = decoder.frame(Frame { event: None, data: piece }, &mut events);
        ends.push(end.map_err(|error| error.to_string()));
    }
    (events, ends)
}

fn piece(delta: &str, rest: &str) -> Vec<u8> {
    format!(r#"{{"id":"c","model":"m","choices":[{{"index":0,"delta":{delta}}}]{rest}}}"#).into_bytes()
}

fn text(text: &str, padding: &str) -> Vec<u8> {
    piece(&format!(r#"{{"content":"{text}"}}"#), &format!(r#","usage":null,"obfuscation":"{padding}""#))
}

#[test]
fn pieces_that_differ_in_text_and_padding_alone_are_not_read_in_full() {
    let mut decoder = decoder();
    let mut events = Vec::new();
    decoder.frame(Frame { event: None, data: &text("Hel", "abc") }, &mut events).unwrap();
    for (new, expected) in
        [("lo", Some("lo")), ("", Some("")), (r#"\n\u00e4\""#, Some("\nä\"")), ("é", Some("é"))]
    {
        assert_eq!(decoder.envelope.text(&text(new, "x9")).as_deref(), expected, "{new}");
    }
    for other in [
        text("a\nb", "x"),
        text("a", "x\\\"y"),
        text(r"\ud800", "x"),
        piece(r#"{"content":"a"}"#, r#","usage":{"prompt_tokens":1},"obfuscation":"x""#),
        piece(r#"{"content":"a"}"#, r#","usage":null,"obfuscation":"x","error":{"message":"no"}"#),
        b"[DONE]".to_vec(),
        Vec::new(),
    ] {
        assert!(decoder.envelope.text(&other).is_none(), "{}", String::from_utf8_lossy(&other));
    }
}

#[test]
fn what_says_more_than_a_text_is_no_pattern() {
    for more in [
        piece(r#"{"content":"a","reasoning":"b"}"#, ""),
        piece(
            r#"{"content":"a","tool_calls":[{"index":0,"id":"i","function":{"name":"n","arguments":""}}]}"#,
            "",
        ),
        piece(r#"{"content":"a","annotations":[1]}"#, ""),
        piece(r#"{"content":"a"}"#, r#","usage":{"prompt_tokens":1}"#),
        piece(r#"{"content":"a"}"#, r#","citations":["https://h"]"#),
        piece(r#"{"content":[{"type":"text","text":"a"}]}"#, ""),
        br#"{"choices":[{"index":1,"delta":{"content":"a"}}]}"#.to_vec(),
        br#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#.to_vec(),
        br#"{"choices":[{"delta":{"content":"a"},"logprobs":{"content":[{"token":"a"}]}}]}"#.to_vec(),
        br#"{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}"#.to_vec(),
    ] {
        let mut decoder = decoder();
        decoder.frame(Frame { event: None, data: &more }, &mut Vec::new()).unwrap();
        assert!(decoder.envelope.text(&more).is_none(), "{}", String::from_utf8_lossy(&more));
    }
}

fn any_piece() -> impl Strategy<Value = Vec<u8>> {
    let letters = prop_oneof![8 => "[ a-zé]{0,4}", 1 => Just(r"\n".to_owned()), 1 => Just(r#"\"\\"#.to_owned()), 1 => Just("\n".to_owned()), 1 => Just(r"\x".to_owned())];
    let field = prop_oneof![
        8 => Just(""),
        1 => Just(r#","usage":null"#),
        1 => Just(r#","usage":{"prompt_tokens":3}"#),
        1 => Just(r#","citations":["u"]"#),
    ];
    let delta = prop_oneof![
        8 => Just("content"),
        1 => Just("reasoning"),
        1 => Just("refusal"),
    ];
    (delta, letters, field, "[a-z]{0,3}", any::<bool>(), 0..20u8).prop_map(
        |(delta, letters, field, padding, padded, odd)| {
            let padding = if padded { format!(r#","obfuscation":"{padding}""#) } else { String::new() };
            match odd {
                0 => b"[DONE]".to_vec(),
                1 => br#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#.to_vec(),
                2 => b"{\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}".to_vec(),
                _ => piece(&format!(r#"{{"{delta}":"{letters}"}}"#), &format!("{field}{padding}")),
            }
        },
    )
}

proptest! {
    #[test]
    fn any_stream_is_read_as_if_every_piece_were_read_in_full(pieces in proptest::collection::vec(any_piece(), 0..30)) {
        prop_assert_eq!(read(&pieces, false), read(&pieces, true));
    }
}
