//! Judges recorded exchanges: read as they say, the same in any pieces and with any line ends, never whole when cut.
//!
//! Knows no wire: the dialects read, and the comparison is the same for all.

use motet_core::ErrorKind;
use motet_providers::dialects;
use motet_providers::framing::FramingKind;

use crate::corpus::{self, Line};

/// How much is tried beside reading a line as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Nothing.
    Reading,
    /// Some splits and cuts of each stream.
    Samples,
    /// Every split and cut of streams up to 20,000 bytes, samples of longer ones.
    Every,
}

/// Longest stream of which every split is tried, in bytes.
const EVERY_LIMIT: usize = 20_000;

/// Exchanges that Motet does not read, and why.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// What became of one exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All is as it should be.
    Pass,
    /// Motet does not do this, for a reason.
    Excepted(&'static str),
    /// What is wrong.
    Fail(Vec<String>),
}

/// Judges one exchange.
///
/// # Errors
/// When there is no format for the line, which is no defect of its reading.
pub fn judge(line: &Line, depth: Depth) -> anyhow::Result<Verdict> {
    if let Some((_, reason)) = EXCEPTIONS.iter().find(|(wire, _)| *wire == line.wire) {
        return Ok(Verdict::Excepted(reason));
    }
    let mut found = if line.op == "chat" {
        corpus::differences(line, &corpus::read(line)?)
    } else {
        corpus::operation_differences(line)?
    };
    if found.is_empty() && depth != Depth::Reading && line.op == "chat" && line.is_streamed() {
        found.extend(first_split_that_differs(line, depth)?);
        found.extend(first_cut_that_passes(line, depth)?);
    }
    Ok(if found.is_empty() { Verdict::Pass } else { Verdict::Fail(found) })
}

/// Reads a stream in many pieces and with other line ends; gives the first difference.
fn first_split_that_differs(line: &Line, depth: Depth) -> anyhow::Result<Option<String>> {
    let bytes = line.bytes();
    let whole = corpus::read(line)?.fingerprint();
    let mut numbers = Numbers(1);
    let same = |pieces: &[&[u8]]| anyhow::Ok(corpus::read_stream(line, pieces)?.fingerprint() == whole);
    if !same(&bytes.chunks(1).collect::<Vec<_>>())? {
        return Ok(Some("read in single bytes, it differs".to_owned()));
    }
    for at in points(bytes.len(), depth, &mut numbers) {
        let (first, second) = bytes.split_at(at);
        if !same(&[first, second])? {
            return Ok(Some(format!("split at byte {at}, it differs")));
        }
    }
    for _ in 0..10 {
        let cuts = 1 + numbers.below(12);
        if !same(&numbers.pieces(&bytes, cuts))? {
            return Ok(Some("split at random, it differs".to_owned()));
        }
    }
    if dialects::find(&line.wire)?.framing() != FramingKind::Sse {
        return Ok(None);
    }
    let text = String::from_utf8(bytes)?.replace("\r\n", "\n").replace('\r', "\n");
    for (name, end) in [("LF", "\n"), ("CRLF", "\r\n"), ("CR", "\r")] {
        let other = text.replace('\n', end).into_bytes();
        if !same(&[&other])?
            || !same(&other.chunks(1).collect::<Vec<_>>())?
            || !same(&numbers.pieces(&other, 9))?
        {
            return Ok(Some(format!("with {name} at the ends of lines, it differs")));
        }
    }
    Ok(None)
}

/// Cuts a stream at many points; gives the first at which it counts as whole although the message is not.
fn first_cut_that_passes(line: &Line, depth: Depth) -> anyhow::Result<Option<String>> {
    let bytes = line.bytes();
    let whole = corpus::read(line)?;
    let mut numbers = Numbers(2);
    for at in points(bytes.len(), depth, &mut numbers) {
        let cut = corpus::read_stream(line, &[&bytes[..at]])?;
        let told = match (&cut.result, &whole.result) {
            (Err(error), _) if error.kind() == ErrorKind::Truncated => true,
            (Err(error), Err(expected)) => error.message() == expected.message(),
            (Ok(cut), Ok(whole)) => {
                let same = cut.message == whole.message || tells_its_end_again(line, &bytes[at..]);
                same && cut.finish_reason == whole.finish_reason
            }
            _ => false,
        };
        if !told {
            let what = match &cut.result {
                Ok(_) => "counts as whole".to_owned(),
                Err(error) => format!("is `{}`: {error}", error.kind()),
            };
            return Ok(Some(format!("cut at byte {at} of {}, it {what}", bytes.len())));
        }
    }
    Ok(None)
}

/// Tells whether the reason to finish, which is all of an end that this format has, is told again by what was cut off.
fn tells_its_end_again(line: &Line, rest: &[u8]) -> bool {
    line.wire == "gemini-generate" && String::from_utf8_lossy(rest).contains("\"finishReason\"")
}

fn points(length: usize, depth: Depth, numbers: &mut Numbers) -> Vec<usize> {
    if depth == Depth::Every && length <= EVERY_LIMIT {
        return (0..length).collect();
    }
    let mut points: Vec<usize> = (0..60).map(|_| numbers.below(length)).collect();
    points.extend([0, 1.min(length), length.saturating_sub(1)]);
    points
}

/// Pseudo-random numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }

    /// Cuts bytes at random points.
    fn pieces<'a>(&mut self, bytes: &'a [u8], cuts: usize) -> Vec<&'a [u8]> {
        let mut points: Vec<usize> = (0..cuts).map(|_| self.below(bytes.len() + 1)).collect();
        points.extend([0, bytes.len()]);
        points.sort_unstable();
        points.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
    }
}
