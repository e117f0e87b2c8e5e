//! Reads how many tests ran from what the test runners print.

use anyhow::{Context, Result};

/// How many tests ran, and how many their runner left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Tests that ran and passed.
    pub(crate) passed: u64,
    /// Tests that the runner counts as skipped or ignored.
    pub(crate) skipped: u64,
}

/// Reads the summary of cargo-nextest: `Summary [ 0.1s] 3 tests run: 3 passed, 1 skipped`.
pub(crate) fn nextest(output: &str) -> Result<Counts> {
    let summary = output
        .lines()
        .rev()
        .find(|line| line.trim_start().starts_with("Summary ["))
        .context("cargo-nextest printed no summary")?;
    Ok(Counts {
        passed: before(summary, "passed").unwrap_or(0),
        skipped: before(summary, "skipped").unwrap_or(0),
    })
}

/// Adds up the summaries of Rust's own runner, of which each binary prints one: `test result: ok. 3 passed; …`.
pub(crate) fn libtest(output: &str) -> Counts {
    let mut counts = Counts::default();
    for line in output.lines().filter(|line| line.starts_with("test result:")) {
        counts.passed += before(line, "passed").unwrap_or(0);
        counts.skipped += before(line, "ignored").unwrap_or(0);
    }
    counts
}

/// Reads how many tests passed from the last line of pytest: `3 passed, 1 skipped in 0.02s`.
pub(crate) fn pytest(output: &str) -> Result<u64> {
    output
        .lines()
        .rev()
        .find(|line| line.contains(" in ") && (line.contains(" passed") || line.contains(" skipped")))
        .map(|line| before(line, "passed").unwrap_or(0))
        .context("pytest printed no summary")
}

/// Lists the reasons that pytest gives under `-rs`, without the places: `SKIPPED [1] tests/test_a.py:3: why`.
pub(crate) fn pytest_skips(output: &str) -> Vec<&str> {
    output
        .lines()
        .filter_map(|line| line.strip_prefix("SKIPPED ["))
        .filter_map(|rest| rest.split_once(": ").map(|(_, reason)| reason))
        .collect()
}

/// Finds the number that stands before a word: 3 in `3 passed, 1 skipped` for `passed`.
fn before(line: &str, word: &str) -> Option<u64> {
    let words: Vec<_> = line.split_whitespace().collect();
    words.windows(2).find_map(|pair| match pair {
        [number, next] if next.trim_end_matches([',', ';', '.']) == word => number.parse().ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_nextest_is_read() {
        let output = "        PASS [   0.0s] a b\n────\n     Summary [   0.005s] 10 tests run: 10 passed (1 slow), 2 skipped\n";
        assert_eq!(nextest(output).unwrap(), Counts { passed: 10, skipped: 2 });
        assert!(nextest("error: no tests to run").is_err());
    }

    #[test]
    fn the_summaries_of_all_test_binaries_are_added() {
        let output = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s\n\
                      test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s\n";
        assert_eq!(libtest(output), Counts { passed: 7, skipped: 1 });
    }

    #[test]
    fn the_summary_and_the_reasons_of_pytest_are_read() {
        let output =
            "..s [100%]\nSKIPPED [1] crates/py/tests/test_a.py:3: no server\n2 passed, 1 skipped in 0.02s\n";
        assert_eq!(pytest(output).unwrap(), 2);
        assert_eq!(pytest_skips(output), ["no server"]);
        assert!(pytest("no tests ran in 0.01s").is_err());
    }
}
