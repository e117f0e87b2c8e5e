//! Server-sent events, as the WHATWG standard reads them; a last event that no blank line closes is delivered too.

use std::ops::Range;

use motet_core::{Error, ErrorKind, Result};

use super::{Frame, FrameReader, FrameSink};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads events out of pieces of any size; bytes are copied only when an event spans pieces.
#[derive(Debug)]
pub(super) struct Reader {
    limit: usize,
    /// Bytes of the event that is not complete yet.
    buffer: Vec<u8>,
    cursor: Cursor,
}

/// Where the reading stands, in positions of the bytes at hand.
#[derive(Debug, Default)]
struct Cursor {
    event_start: usize,
    line_start: usize,
    scanned: usize,
    name: Option<Range<usize>>,
    data: Data,
    /// The last line ended in CR, so that a LF which comes next belongs to it.
    after_cr: bool,
    past_first_line: bool,
}

/// The data of one event: almost always one line, which stays where it is.
#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    Line(Range<usize>),
    Lines(Vec<u8>),
}

impl Reader {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, buffer: Vec::new(), cursor: Cursor::default() }
    }

    fn check_size(&self) -> Result<()> {
        let joined = if let Data::Lines(lines) = &self.cursor.data { lines.len() } else { 0 };
        if self.buffer.len().max(joined) <= self.limit {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidOutput,
            format!("an event of the streamed answer is larger than {} bytes", self.limit),
        ))
    }
}

impl FrameReader for Reader {
    fn feed(&mut self, bytes: &[u8], sink: &mut FrameSink<'_>) -> Result<()> {
        if self.buffer.is_empty() {
            self.cursor.read(bytes, sink)?;
            let used = self.cursor.rebase();
            self.buffer.extend_from_slice(bytes.get(used..).unwrap_or_default());
        } else {
            self.buffer.extend_from_slice(bytes);
            self.cursor.read(&self.buffer, sink)?;
            let used = self.cursor.rebase();
            self.buffer.drain(..used.min(self.buffer.len()));
        }
        self.check_size()
    }

    fn finish(&mut self, sink: &mut FrameSink<'_>) -> Result<()> {
        let bytes = std::mem::take(&mut self.buffer);
        let mut cursor = std::mem::take(&mut self.cursor);
        let last = cursor.line_start..bytes.len();
        if !last.is_empty() {
            cursor.line(&bytes, last, sink)?;
        }
        cursor.dispatch(&bytes, sink)
    }
}

impl Cursor {
    /// Reads all whole lines from where the reading stands.
    fn read(&mut self, bytes: &[u8], sink: &mut FrameSink<'_>) -> Result<()> {
        loop {
            if self.after_cr {
                let Some(next) = bytes.get(self.line_start) else { return Ok(()) };
                self.after_cr = false;
                if *next == b'\n' {
                    self.skip_line_feed();
                }
            }
            let rest = bytes.get(self.scanned..).unwrap_or_default();
            let Some(offset) = memchr::memchr2(b'\n', b'\r', rest) else {
                self.scanned = bytes.len();
                return Ok(());
            };
            let end = self.scanned + offset;
            let line = self.line_start..end;
            self.after_cr = rest.get(offset) == Some(&b'\r');
            self.line_start = end + 1;
            self.scanned = end + 1;
            self.line(bytes, line, sink)?;
        }
    }

    fn skip_line_feed(&mut self) {
        if self.event_start == self.line_start {
            self.event_start += 1;
        }
        self.line_start += 1;
        self.scanned = self.scanned.max(self.line_start);
    }

    fn line(&mut self, bytes: &[u8], mut line: Range<usize>, sink: &mut FrameSink<'_>) -> Result<()> {
        let mut text = bytes.get(line.clone()).unwrap_or_default();
        if !self.past_first_line {
            self.past_first_line = true;
            if let Some(rest) = text.strip_prefix(BYTE_ORDER_MARK) {
                line.start += BYTE_ORDER_MARK.len();
                text = rest;
            }
        }
        if text.is_empty() {
            return self.dispatch(bytes, sink);
        }
        if let Some(rest) = text.strip_prefix(b"data") {
            if let Some(value) = value_of(rest, line.end) {
                self.add_data(bytes, value);
            }
        } else if let Some(rest) = text.strip_prefix(b"event") {
            if let Some(value) = value_of(rest, line.end) {
                self.name = Some(value);
            }
        } else {
            self.forget_ignored_line();
        }
        Ok(())
    }

    /// Lets comments and unknown fields between events go, so that they never pile up.
    fn forget_ignored_line(&mut self) {
        if self.name.is_none() && matches!(self.data, Data::None) {
            self.event_start = self.line_start;
        }
    }

    fn add_data(&mut self, bytes: &[u8], value: Range<usize>) {
        let piece = |range: Range<usize>| bytes.get(range).unwrap_or_default();
        self.data = match std::mem::take(&mut self.data) {
            Data::None => Data::Line(value),
            Data::Line(first) => Data::Lines([piece(first), b"\n", piece(value)].concat()),
            Data::Lines(mut lines) => {
                lines.push(b'\n');
                lines.extend_from_slice(piece(value));
                Data::Lines(lines)
            }
        };
    }

    fn dispatch(&mut self, bytes: &[u8], sink: &mut FrameSink<'_>) -> Result<()> {
        self.event_start = self.line_start;
        let name = self.name.take();
        let data = std::mem::take(&mut self.data);
        let data = match &data {
            Data::None => return Ok(()),
            Data::Line(range) => bytes.get(range.clone()).unwrap_or_default(),
            Data::Lines(lines) => lines,
        };
        if data.is_empty() {
            return Ok(());
        }
        let name = name.and_then(|range| bytes.get(range)).and_then(|name| std::str::from_utf8(name).ok());
        sink(Frame { event: name.filter(|name| !name.is_empty()), data })
    }

    /// Lets go of what is read: positions count from the start of the open event; gives how many bytes are done with.
    fn rebase(&mut self) -> usize {
        let used = self.event_start;
        let shift = |range: &mut Range<usize>| {
            range.start -= used;
            range.end -= used;
        };
        self.event_start = 0;
        self.line_start -= used;
        self.scanned -= used;
        self.name.as_mut().map(shift);
        if let Data::Line(range) = &mut self.data {
            shift(range);
        }
        used
    }
}

/// Gives where a field's value lies, from what follows the field's name; `None` when the name goes on.
fn value_of(rest: &[u8], end: usize) -> Option<Range<usize>> {
    let value = match rest {
        [] => rest,
        [b':', b' ', value @ ..] | [b':', value @ ..] => value,
        _ => return None,
    };
    Some(end - value.len()..end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<(Option<String>, String)> {
        let mut frames = Vec::new();
        let mut sink = |frame: Frame<'_>| {
            frames.push((frame.event.map(str::to_owned), String::from_utf8(frame.data.to_vec()).unwrap()));
            Ok(())
        };
        let mut reader = Reader::new(1_000);
        for piece in pieces {
            reader.feed(piece, &mut sink).unwrap();
        }
        reader.finish(&mut sink).unwrap();
        frames
    }

    fn frame(event: &str, data: &str) -> (Option<String>, String) {
        ((!event.is_empty()).then(|| event.to_owned()), data.to_owned())
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        for (text, expected) in [
            ("data: a\n\ndata:b\n\n", vec![frame("", "a"), frame("", "b")]),
            ("\u{feff}data:  two\n\n", vec![frame("", " two")]),
            (": comment\n\ndata: a\nid: 7\ndata: b\n\n", vec![frame("", "a\nb")]),
            ("event: ping\n\nevent: x\ndata: 1\r\rdata: 2\r\n\r\n", vec![frame("x", "1"), frame("", "2")]),
            ("data: a\n\ndata: open", vec![frame("", "a"), frame("", "open")]),
            ("data\n\ndata:\n\ndatax: no\nevents: no\n\n", vec![]),
            ("data: a\ndata\n\n", vec![frame("", "a\n")]),
        ] {
            assert_eq!(read(&[text.as_bytes()]), expected, "{text:?}");
        }
    }

    #[test]
    fn an_endless_event_is_refused_and_endless_comments_are_not() {
        let mut reader = Reader::new(64);
        for _ in 0..100 {
            reader.feed(b": keep-alive\n\n", &mut |_| Ok(())).unwrap();
        }
        reader.feed(b"data: ", &mut |_| Ok(())).unwrap();
        let error = reader.feed(&[b'x'; 64], &mut |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOutput);
        assert!(error.message().contains("64 bytes"), "{error}");
    }

    fn line() -> impl Strategy<Value = String> {
        let text = prop_oneof![
            Just(String::new()),
            "data: ?[a-zé:]{0,6}",
            "event: ?[a-z]{0,3}",
            ":[a-z ]{0,4}",
            "id: 1",
            "[a-z]{1,4}"
        ];
        (text, prop_oneof![Just("\n"), Just("\r\n"), Just("\r")]).prop_map(|(text, end)| text + end)
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_frames(
            mark in any::<bool>(),
            lines in proptest::collection::vec(line(), 0..12),
            cuts in proptest::collection::vec(0usize..200, 0..6),
        ) {
            let text = format!("{}{}", if mark { "\u{feff}" } else { "" }, lines.concat());
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
