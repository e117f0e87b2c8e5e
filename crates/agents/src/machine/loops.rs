//! Notices runs that go in circles: rounds that repeat themselves, and rounds of calls that can never be run.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _};

use super::ToolUse;

/// What the rounds so far have in common.
#[derive(Debug, Default)]
pub(super) struct Loops {
    /// How often each round happened, by the hash of its calls and results.
    seen: HashMap<u64, u32>,
    /// Rounds in a row of which no call could be run.
    refused: u32,
}

/// The same hash in every process, as a resumed run must decide alike.
type Hash = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;

/// What a round makes of the run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// It goes on.
    Fine,
    /// One more like it ends the run.
    Warn,
    /// It ends, for this reason.
    Stuck(String),
}

impl Loops {
    /// Counts a round. Zero is no limit.
    pub(super) fn count(&mut self, uses: &[ToolUse], max_repeats: u32, max_refused: u32) -> Finding {
        if uses.iter().any(|call| call.executed) {
            self.refused = 0;
        } else {
            self.refused += 1;
            if max_refused > 0 && self.refused >= max_refused {
                let last = uses.last().map_or("", |call| call.result.as_str());
                return Finding::Stuck(format!(
                    "the model made {max_refused} rounds in a row of calls that cannot be run; the last one was {last}"
                ));
            }
        }
        if max_repeats == 0 {
            return Finding::Fine;
        }
        let times = self.seen.entry(hash(uses)).or_default();
        *times += 1;
        if *times >= max_repeats {
            let names: Vec<_> = uses.iter().map(|call| format!("`{}`", call.name)).collect();
            return Finding::Stuck(format!(
                "the model made the same calls with the same results {times} times: {}",
                names.join(", ")
            ));
        }
        if *times + 1 == max_repeats && max_repeats > 2 { Finding::Warn } else { Finding::Fine }
    }
}

fn hash(uses: &[ToolUse]) -> u64 {
    let mut hasher = Hash::default().build_hasher();
    for call in uses {
        for text in [&call.name, &call.arguments, &call.result] {
            hasher.write(text.as_bytes());
            hasher.write_u8(0xff);
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(name: &str, result: &str, executed: bool) -> [ToolUse; 1] {
        [ToolUse {
            round: 0,
            id: "c".into(),
            name: name.into(),
            arguments: "{}".into(),
            result: result.into(),
            is_error: !executed,
            executed,
        }]
    }

    #[test]
    fn a_ping_pong_of_equal_rounds_is_noticed_after_a_warning() {
        let mut loops = Loops::default();
        let (ping, pong) = (round("ping", "1", true), round("pong", "2", true));
        for _ in 0..2 {
            assert_eq!(loops.count(&ping, 4, 0), Finding::Fine);
            assert_eq!(loops.count(&pong, 4, 0), Finding::Fine);
        }
        assert_eq!(loops.count(&ping, 4, 0), Finding::Warn);
        assert!(matches!(loops.count(&ping, 4, 0), Finding::Stuck(reason) if reason.contains("`ping`")));
    }

    #[test]
    fn polling_whose_result_changes_is_no_loop_and_zero_is_no_limit() {
        let mut loops = Loops::default();
        for n in 0..50 {
            assert_eq!(loops.count(&round("poll", &n.to_string(), true), 3, 3), Finding::Fine);
            assert_eq!(loops.count(&round("same", "", false), 0, 0), Finding::Fine);
            loops.refused = 0;
        }
    }

    #[test]
    fn a_call_that_runs_ends_a_row_of_refused_ones() {
        let mut loops = Loops::default();
        for n in 0..4 {
            let bad = round("nope", &n.to_string(), false);
            assert_eq!(loops.count(&bad, 0, 3), Finding::Fine);
            assert_eq!(loops.count(&bad, 0, 3), Finding::Fine);
            assert_eq!(loops.count(&round("good", "", true), 0, 3), Finding::Fine);
        }
        for _ in 0..2 {
            assert_eq!(loops.count(&round("nope", "no", false), 0, 3), Finding::Fine);
        }
        assert!(matches!(loops.count(&round("nope", "no", false), 0, 3), Finding::Stuck(_)));
    }
}
