//! Recorded requests are made again as they were, and sessions go on with the history that Motet kept.

use motet_tests::requests::Verdict;
use motet_tests::{corpus, neutral, requests, sessions};

#[test]
fn every_recorded_request_is_made_again_and_sessions_go_on() {
    let path = corpus::path();
    let Some(lines) = corpus::load(&path).unwrap() else { return motet_tests::skip("no corpus") };
    let calls = neutral::load(&path).unwrap();
    let mut failures = Vec::new();
    let mut accepted = 0;
    for line in &lines {
        match requests::judge(line, &calls[&line.id]).unwrap() {
            Verdict::Refused(found) => failures.push(format!("{}: {}", line.id, found.join("; "))),
            Verdict::Accepted(_) => accepted += 1,
            Verdict::NoForm(_) => {}
        }
    }
    let mut by_agent = 0;
    for steps in sessions::sessions(&lines) {
        let replayed = sessions::replay(&steps, &calls).unwrap();
        by_agent += replayed.by_agent;
        failures.extend(replayed.refused);
    }
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
    assert!(accepted > 0 && by_agent > 0, "nothing was compared");
}
