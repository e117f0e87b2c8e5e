//! Amazon's binary event stream: frames with a length, headers, a payload, and two checksums.
//!
//! Knows nothing of what events say; what the headers name becomes the frame's event.

use aws_smithy_eventstream::frame;
use motet_core::{Error, ErrorKind, Result};
use serde_json::json;

use super::{Frame, FrameReader, FrameSink};

/// Length of what stands before the headers: the frame's length, the headers' length, and the checksum of both.
const PRELUDE: usize = 12;
/// Bytes of the prelude that its checksum covers.
const CHECKED: usize = 8;
/// A frame without headers and payload: the prelude and the checksum at the end.
const SHORTEST: usize = 16;
/// What an event without a payload carries.
const NOTHING: &[u8] = b"{}";

/// Reads frames out of pieces of any size; bytes are copied only when a frame spans pieces.
#[derive(Debug)]
pub(super) struct Reader {
    limit: usize,
    /// Bytes of the frame that is not complete yet.
    buffer: Vec<u8>,
}

impl Reader {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, buffer: Vec::new() }
    }
}

impl FrameReader for Reader {
    fn feed(&mut self, bytes: &[u8], sink: &mut FrameSink<'_>) -> Result<()> {
        if self.buffer.is_empty() {
            let used = read(bytes, self.limit, sink)?;
            self.buffer.extend_from_slice(bytes.get(used..).unwrap_or_default());
        } else {
            self.buffer.extend_from_slice(bytes);
            let used = read(&self.buffer, self.limit, sink)?;
            self.buffer.drain(..used.min(self.buffer.len()));
        }
        Ok(())
    }

    fn finish(&mut self, _sink: &mut FrameSink<'_>) -> Result<()> {
        if std::mem::take(&mut self.buffer).is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Truncated, "the streamed answer broke off within a frame"))
    }
}

/// Hands out all whole frames and tells how many bytes they took.
fn read(bytes: &[u8], limit: usize, sink: &mut FrameSink<'_>) -> Result<usize> {
    let mut used = 0;
    loop {
        let rest = bytes.get(used..).unwrap_or_default();
        let Some(length) = length(rest, limit)? else { return Ok(used) };
        let Some(whole) = rest.get(..length) else { return Ok(used) };
        deliver(whole, sink)?;
        used += length;
    }
}

/// Gives the length of the frame at the start; `None` until it is known. The prelude's checksum is tried at once, as a
/// wrong length would make the reader wait for bytes that never come.
fn length(bytes: &[u8], limit: usize) -> Result<Option<usize>> {
    let Some(prelude) = bytes.first_chunk::<PRELUDE>() else { return Ok(None) };
    let [a, b, c, d, .., w, x, y, z] = *prelude;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if crc32fast::hash(prelude.get(..CHECKED).unwrap_or_default()) != u32::from_be_bytes([w, x, y, z]) {
        return Err(corrupt("the checksum of its beginning is wrong"));
    }
    if length < SHORTEST {
        return Err(corrupt("it is shorter than a frame can be"));
    }
    if length > limit {
        return Err(Error::new(
            ErrorKind::InvalidOutput,
            format!("a frame of the streamed answer is larger than {limit} bytes"),
        ));
    }
    Ok(Some(length))
}

fn deliver(whole: &[u8], sink: &mut FrameSink<'_>) -> Result<()> {
    let message = frame::read_message_from(whole).map_err(|error| corrupt(&error.to_string()))?;
    let header = |name: &str| {
        let header = message.headers().iter().find(|header| header.name().as_str() == name)?;
        header.value().as_string().ok().map(|text| text.as_str())
    };
    let payload = &message.payload()[..];
    let data = if payload.is_empty() { NOTHING } else { payload };
    match header(":message-type") {
        Some("exception") => {
            let event = format!("exception:{}", header(":exception-type").unwrap_or_default());
            sink(Frame { event: Some(&event), data })
        }
        Some("error") => {
            let event = format!("exception:{}", header(":error-code").unwrap_or_default());
            let told = header(":error-message").map(|text| json!({"message": text}).to_string());
            let data = told.as_deref().filter(|_| payload.is_empty()).map_or(data, str::as_bytes);
            sink(Frame { event: Some(&event), data })
        }
        _ => sink(Frame { event: header(":event-type"), data }),
    }
}

fn corrupt(why: &str) -> Error {
    Error::new(ErrorKind::InvalidOutput, format!("a frame of the streamed answer is corrupt: {why}"))
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::event_stream::{Header, HeaderValue, Message};

    use super::*;

    fn frame(headers: &[(&'static str, &'static str)], payload: &'static str) -> Vec<u8> {
        let headers =
            headers.iter().map(|(name, value)| Header::new(*name, HeaderValue::String((*value).into())));
        let message = Message::new_from_parts(headers.collect(), payload.as_bytes());
        let mut bytes = Vec::new();
        frame::write_message_to(&message, &mut bytes).unwrap();
        bytes
    }

    fn event(name: &'static str, payload: &'static str) -> Vec<u8> {
        frame(
            &[(":message-type", "event"), (":event-type", name), (":content-type", "application/json")],
            payload,
        )
    }

    fn read_all(pieces: &[&[u8]], limit: usize) -> (Vec<(String, String)>, Result<()>) {
        let (mut reader, mut found) = (Reader::new(limit), Vec::new());
        let mut sink = |frame: Frame<'_>| {
            let text = String::from_utf8(frame.data.to_vec()).unwrap();
            found.push((frame.event.unwrap_or("-").to_owned(), text));
            Ok(())
        };
        let fed = pieces.iter().try_for_each(|piece| reader.feed(piece, &mut sink));
        let result = fed.and_then(|()| reader.finish(&mut sink));
        (found, result)
    }

    #[test]
    fn frames_are_the_same_however_the_bytes_are_cut() {
        let bytes = [
            event("messageStart", r#"{"role":"assistant"}"#),
            event("messageStop", ""),
            frame(
                &[(":message-type", "exception"), (":exception-type", "throttlingException")],
                r#"{"message":"slow"}"#,
            ),
            frame(
                &[(":message-type", "error"), (":error-code", "Gone"), (":error-message", "no \"more\"")],
                "",
            ),
            frame(&[], "x"),
        ]
        .concat();
        let expected = [
            ("messageStart", r#"{"role":"assistant"}"#),
            ("messageStop", "{}"),
            ("exception:throttlingException", r#"{"message":"slow"}"#),
            ("exception:Gone", r#"{"message":"no \"more\""}"#),
            ("-", "x"),
        ]
        .map(|(event, data)| (event.to_owned(), data.to_owned()));
        let singles: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read_all(&singles, 1_000).0, expected);
        for at in 0..bytes.len() {
            let (first, second) = bytes.split_at(at);
            let (found, result) = read_all(&[first, second], 1_000);
            assert!(result.is_ok());
            assert_eq!(found, expected, "split at {at}");
        }
    }

    #[test]
    fn what_is_corrupt_too_large_or_cut_is_an_error() {
        let whole = event("metadata", r#"{"usage":{}}"#);
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            let (found, result) = read_all(&[&flipped], 1_000);
            assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidOutput, "flipped at {at}");
            assert!(found.is_empty());
            let kind = read_all(&[&whole[..at]], 1_000).1.err().map(|error| error.kind());
            assert_eq!(kind, (at > 0).then_some(ErrorKind::Truncated), "cut at {at}");
        }
        let error = read_all(&[&whole[..PRELUDE]], whole.len() - 1).1.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOutput);
        assert!(error.message().contains("larger than"), "{error}");
        assert!(read_all(&[&whole], whole.len()).1.is_ok());
    }
}
