//! Reads a streamed answer out of bytes: framing, decoding, and the policy for frames that are unknown, corrupt, or cut.
//!
//! Does no I/O. Events of unknown names are the decoder's to ignore; a corrupt frame ends the answer, and one that the
//! end of the bytes cut is a truncation, not corruption.

use std::sync::Arc;

use motet_core::{Error, ErrorKind, Result, StreamEvent};

use crate::dialect::{Decoder, Dialect, Origin, refusal};
use crate::framing::{FrameReader, FramingKind};

/// Largest frame of a streamed answer, in bytes.
const FRAME_LIMIT: usize = 16 << 20;

/// Bytes of a web page in which its title is looked for.
const PAGE_LIMIT: usize = 64 << 10;

/// Reads one streamed answer, whatever pieces its bytes come in.
pub struct StreamReader {
    frames: Box<dyn FrameReader>,
    decoder: Box<dyn Decoder>,
}

impl StreamReader {
    /// Starts an answer.
    #[must_use]
    pub fn new(dialect: &dyn Dialect, origin: &Arc<Origin>) -> Self {
        Self { frames: dialect.framing().reader(FRAME_LIMIT), decoder: dialect.decoder(origin) }
    }

    /// Takes more bytes and appends the events that they complete, also when it fails.
    ///
    /// # Errors
    /// `InvalidOutput` when a frame is corrupt or too large, or the error that a frame tells of.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<StreamEvent>) -> Result<()> {
        let Self { frames, decoder } = self;
        frames.feed(bytes, &mut |frame| decoder.frame(frame, out))
    }

    /// Tells whether the genuine end was seen and nothing that follows matters.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.decoder.ended()
    }

    /// Takes the end of the bytes and appends what was held back, also when it fails.
    ///
    /// # Errors
    /// `Truncated` when the answer was not complete, or the error that the last frame tells of.
    pub fn finish(&mut self, out: &mut Vec<StreamEvent>) -> Result<()> {
        let Self { frames, decoder } = self;
        match frames.finish(&mut |frame| decoder.frame(frame, out)) {
            Err(error) if is_cut(&error) => decoder.finish(out),
            Err(error) => Err(error),
            Ok(()) => decoder.finish(out),
        }
    }
}

/// Tells whether the last frame could not be read, rather than told of an error; only what is told names who told it.
fn is_cut(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidOutput | ErrorKind::Truncated) && error.provider().is_none()
}

/// Tells whether a body that should be JSON is an event stream.
pub(super) fn is_event_stream(body: &[u8]) -> bool {
    let start = body.trim_ascii_start();
    let start = start.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(start);
    [&b"data:"[..], b"event:", b"id:", b"retry:", b":"].iter().any(|field| start.starts_with(field))
}

/// Tells whether the beginning of a body that should be a stream is JSON or a web page, to be read whole.
pub(super) fn is_whole(start: &[u8], framing: FramingKind) -> bool {
    match start.trim_ascii_start().first() {
        Some(b'<') => true,
        // Lines of JSON begin like one JSON text, and one is read as well as the other.
        Some(b'{' | b'[') => framing != FramingKind::NdJson,
        _ => false,
    }
}

/// Makes the error for a web page that came where an answer was due; `None` when it is none.
pub(super) fn foreign_page(body: &[u8]) -> Option<Error> {
    let start = body.trim_ascii_start();
    start.starts_with(b"<").then(|| {
        let page = String::from_utf8_lossy(start.get(..PAGE_LIMIT).unwrap_or(start));
        Error::new(ErrorKind::InvalidOutput, refusal::html_title(&page))
            .with_hint("check the base URL, and whether a proxy or login page stands between")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dialects, rows};

    #[test]
    fn a_last_frame_that_is_not_closed_tells_of_its_error_or_is_cut() {
        let origin = Origin::new(rows::find("groq").unwrap(), "groq:m".parse().unwrap());
        let read = |text: &str| {
            let mut reader =
                StreamReader::new(dialects::find("openai-chat").unwrap(), &Arc::new(origin.clone()));
            let mut out = Vec::new();
            reader.feed(text.as_bytes(), &mut out).unwrap();
            reader.finish(&mut out).unwrap_err()
        };
        let told = read(r#"data: {"error":{"message":"no call","code":"tool_use_failed"}}"#);
        assert_eq!((told.kind(), told.message()), (ErrorKind::InvalidOutput, "no call"));
        assert_eq!(read(r#"data: {"error":{"message":"no ca"#).kind(), ErrorKind::Truncated);
        assert_eq!(read("data: {]").kind(), ErrorKind::Truncated);
    }
}
