//! One JSON text a line. Lines end in LF or CRLF, blank ones are ignored, and a last line without its end is handed out.
//!
//! Does not look into the texts: a line that is no JSON is the decoder's to refuse.

use motet_core::{Error, ErrorKind, Result};

use super::{Frame, FrameReader, FrameSink};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads lines out of pieces of any size; bytes are copied only when a line spans pieces.
#[derive(Debug)]
pub(super) struct Reader {
    limit: usize,
    /// Beginning of the line that is not complete yet.
    begun: Vec<u8>,
    past_first_line: bool,
}

impl Reader {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, begun: Vec::new(), past_first_line: false }
    }

    fn line(&mut self, line: &[u8], sink: &mut FrameSink<'_>) -> Result<()> {
        self.check_size(line.len())?;
        let line = match line.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) if !self.past_first_line => rest,
            _ => line,
        };
        self.past_first_line = true;
        let data = line.trim_ascii();
        if data.is_empty() { Ok(()) } else { sink(Frame { event: None, data }) }
    }

    fn check_size(&self, length: usize) -> Result<()> {
        if length <= self.limit {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidOutput,
            format!("a line of the streamed answer is larger than {} bytes", self.limit),
        ))
    }
}

impl FrameReader for Reader {
    fn feed(&mut self, bytes: &[u8], sink: &mut FrameSink<'_>) -> Result<()> {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            if self.begun.is_empty() {
                self.line(line, sink)?;
            } else {
                let mut begun = std::mem::take(&mut self.begun);
                begun.extend_from_slice(line);
                self.line(&begun, sink)?;
            }
        }
        self.begun.extend_from_slice(rest);
        self.check_size(self.begun.len())
    }

    fn finish(&mut self, sink: &mut FrameSink<'_>) -> Result<()> {
        let last = std::mem::take(&mut self.begun);
        self.line(&last, sink)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<String> {
        let mut frames = Vec::new();
        let mut sink = |frame: Frame<'_>| {
            frames.push(String::from_utf8(frame.data.to_vec()).unwrap());
            Ok(())
        };
        let mut reader = Reader::new(1_000);
        for piece in pieces {
            reader.feed(piece, &mut sink).unwrap();
        }
        reader.finish(&mut sink).unwrap();
        frames
    }

    #[test]
    fn lines_are_frames() {
        for (text, expected) in [
            ("{\"a\":1}\n{\"b\":2}\n", vec!["{\"a\":1}", "{\"b\":2}"]),
            ("{\"a\":1}\r\n\r\n \n{\"b\":2}\r\n", vec!["{\"a\":1}", "{\"b\":2}"]),
            ("{\"a\":1}\n{\"b\":", vec!["{\"a\":1}", "{\"b\":"]),
            ("\u{feff}{}\n\u{feff}{}", vec!["{}", "\u{feff}{}"]),
            ("\n\r\n  ", vec![]),
        ] {
            assert_eq!(read(&[text.as_bytes()]), expected, "{text:?}");
        }
    }

    #[test]
    fn an_endless_line_is_refused_in_pieces_and_whole() {
        let mut reader = Reader::new(64);
        reader.feed(&[b'x'; 64], &mut |_| Ok(())).unwrap();
        for (mut reader, piece) in [(reader, &b"x"[..]), (Reader::new(2), b"{ }\n")] {
            let error = reader.feed(piece, &mut |_| Ok(())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidOutput);
            assert!(error.message().starts_with("a line of the streamed answer is larger"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_frames(
            text in "\u{feff}?([a-zé{} ]{0,5}\r?\n?){0,12}",
            cuts in proptest::collection::vec(0usize..100, 0..6),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            let whole = read(&[bytes]);
            prop_assert_eq!(&read(&pieces), &whole);
            prop_assert_eq!(&read(&single), &whole);
        }
    }
}
