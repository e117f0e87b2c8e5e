//! Every recorded answer is read as it says, in whatever pieces it comes, and never as whole when it was cut.

use motet_core::ErrorKind;
use motet_tests::corpus::{self, Line};

fn recorded(wire: &str) -> Vec<Line> {
    match corpus::load(&corpus::path(), wire).unwrap() {
        Some(lines) => lines,
        None => {
            motet_tests::skip("no corpus");
            Vec::new()
        }
    }
}

fn streams(wire: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = recorded(wire).into_iter().filter(Line::is_streamed).collect();
    lines.sort_by_key(|line| line.bytes().len());
    lines
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

/// Gives where the genuine end of an OpenAI stream begins to be known: the end of the line that tells of it.
fn genuine_end(line: &Line) -> usize {
    let bytes = line.bytes();
    let text = String::from_utf8(bytes).unwrap();
    let mut offset = 0;
    for row in text.split_inclusive('\n') {
        let content = row.trim_end();
        let data = content.strip_prefix("data:").map(str::trim).unwrap_or_default();
        let json: serde_json::Value = serde_json::from_str(data).unwrap_or_default();
        let finished = json["choices"].as_array().into_iter().flatten().any(|choice| {
            choice["index"] == 0 && choice["finish_reason"].as_str().is_some_and(|raw| !raw.is_empty())
        });
        if data == "[DONE]" || finished {
            return offset + content.len();
        }
        offset += row.len();
    }
    text.len()
}

#[test]
fn every_recorded_openai_chat_answer_is_read_as_it_says() {
    let lines = recorded("openai-chat");
    let mut failures = Vec::new();
    for line in &lines {
        let outcome = corpus::read(line).unwrap();
        failures.extend(
            corpus::differences(line, &outcome).into_iter().map(|what| format!("{}: {what}", line.id)),
        );
    }
    println!("{} recorded answers", lines.len());
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn any_split_and_any_line_end_gives_the_same_answer() {
    let lines = streams("openai-chat");
    let mut numbers = Numbers(1);
    for (place, line) in lines.iter().enumerate() {
        let bytes = line.bytes();
        let whole = corpus::read(line).unwrap().fingerprint();
        let same = |pieces: &[&[u8]], how: &str| {
            let read = corpus::read_stream(line, pieces).unwrap().fingerprint();
            assert_eq!(read, whole, "{} {how}", line.id);
        };
        same(&bytes.chunks(1).collect::<Vec<_>>(), "in single bytes");
        if place < lines.len() / 2 {
            for at in 0..=bytes.len() {
                let (first, second) = bytes.split_at(at);
                same(&[first, second], &format!("split at {at}"));
            }
        }
        for _ in 0..20 {
            let cuts = 1 + numbers.below(12);
            same(&numbers.pieces(&bytes, cuts), "split at random");
        }
        let text = String::from_utf8(bytes).unwrap().replace("\r\n", "\n").replace('\r', "\n");
        for end in ["\n", "\r\n", "\r"] {
            let other = text.replace('\n', end).into_bytes();
            same(&[&other], &format!("with {end:?}"));
            same(&other.chunks(1).collect::<Vec<_>>(), &format!("with {end:?} in single bytes"));
            same(&numbers.pieces(&other, 9), &format!("with {end:?} split at random"));
        }
    }
}

#[test]
fn a_stream_that_is_cut_before_its_end_is_never_whole() {
    let mut numbers = Numbers(2);
    for line in streams("openai-chat") {
        let bytes = line.bytes();
        let end = genuine_end(&line);
        let mut points: Vec<usize> = (0..40).map(|_| numbers.below(end)).collect();
        points.extend([0, end - 1]);
        for at in points {
            let outcome = corpus::read_stream(&line, &[&bytes[..at]]).unwrap();
            let error = outcome.result.expect_err(&format!("{} cut at {at} of {end}", line.id));
            let expected = line.expect["error"]["message"].as_str();
            assert!(
                error.kind() == ErrorKind::Truncated || expected == Some(error.message()),
                "{} cut at {at} of {end}: {error}",
                line.id
            );
        }
    }
}
