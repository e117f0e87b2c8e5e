//! Every recorded answer is read as it says, in whatever pieces it comes, and never as whole when it was cut.

use motet_tests::conformance::{Depth, Verdict, judge};
use motet_tests::corpus::{self, Line};

fn recorded() -> Vec<Line> {
    match corpus::load(&corpus::path()).unwrap() {
        Some(lines) => lines,
        None => {
            motet_tests::skip("no corpus");
            Vec::new()
        }
    }
}

fn failures(lines: &[Line], depth: Depth) -> Vec<String> {
    let failure = |line: &Line| match judge(line, depth).unwrap() {
        Verdict::Fail(found) => Some(format!("{}: {}", line.id, found.join("; "))),
        _ => None,
    };
    lines.iter().filter_map(failure).collect()
}

#[test]
fn every_recorded_answer_is_read_as_it_says() {
    let failures = failures(&recorded(), Depth::Reading);
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn any_split_and_line_end_gives_the_same_answer_and_a_cut_is_told() {
    let streams: Vec<Line> = recorded().into_iter().filter(Line::is_streamed).collect();
    let failures = failures(&streams, Depth::Samples);
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}
