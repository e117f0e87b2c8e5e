//! Cuts bytes into frames: server-sent events, lines of JSON, and Amazon's binary event stream.
//!
//! Does no I/O and knows nothing of what frames say. Bytes may come in pieces of any size; the frames are the same.

mod aws_event_stream;
mod ndjson;
mod sse;

use motet_core::Result;

/// One frame of a streamed answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Name of the event, where one was given; of Amazon's exceptions, `exception:` and the exception's type.
    pub event: Option<&'a str>,
    /// What it carries, never empty.
    pub data: &'a [u8],
}

/// Takes frames as they are found; an error stops the reading.
pub type FrameSink<'a> = dyn FnMut(Frame<'_>) -> Result<()> + 'a;

/// How a streamed answer is cut into frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FramingKind {
    /// Server-sent events.
    Sse,
    /// One JSON text a line.
    NdJson,
    /// Amazon's binary event stream.
    AwsEventStream,
}

impl FramingKind {
    /// Makes a reader that refuses frames of more than `limit` bytes.
    #[must_use]
    pub fn reader(self, limit: usize) -> Box<dyn FrameReader> {
        match self {
            FramingKind::Sse => Box::new(sse::Reader::new(limit)),
            FramingKind::NdJson => Box::new(ndjson::Reader::new(limit)),
            FramingKind::AwsEventStream => Box::new(aws_event_stream::Reader::new(limit)),
        }
    }
}

/// Finds the frames in bytes that come in pieces.
pub trait FrameReader: Send {
    /// Takes more bytes and hands out every frame that they complete.
    ///
    /// # Errors
    /// `InvalidOutput` when a frame is too large, or the sink's error.
    fn feed(&mut self, bytes: &[u8], sink: &mut FrameSink<'_>) -> Result<()>;

    /// Takes the end of the bytes and hands out a last frame that no blank line closed.
    ///
    /// # Errors
    /// The sink's error.
    fn finish(&mut self, sink: &mut FrameSink<'_>) -> Result<()>;
}
