//! What the stages ran and could not run, and whether that is acceptable.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell::Workspace;

/// Names the file to which a test that cannot run appends one line with the reason.
pub(crate) const SKIPS_VARIABLE: &str = "MOTET_SKIPS";

/// Counts of what ran, and the reasons of what did not.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Tests of the crates and of the integration binary.
    pub(crate) rust: u64,
    /// Examples in doc comments.
    pub(crate) docs: u64,
    /// Tests of the wheel.
    pub(crate) python: u64,
    skips: Vec<String>,
    reported: PathBuf,
}

impl Tally {
    /// Starts with nothing run and an empty file for the reports of tests.
    pub(crate) fn start(workspace: &Workspace) -> Result<Self> {
        let reported = workspace.target.join("skipped-tests.txt");
        std::fs::create_dir_all(&workspace.target)
            .and_then(|()| std::fs::write(&reported, ""))
            .with_context(|| format!("cannot write `{}`", reported.display()))?;
        Ok(Self { rust: 0, docs: 0, python: 0, skips: Vec::new(), reported })
    }

    /// Gives the file to which tests report that they could not run.
    pub(crate) fn reported(&self) -> &Path {
        &self.reported
    }

    /// Gives how many things could not run so far.
    pub(crate) fn skips(&self) -> usize {
        self.skips.len()
    }

    /// Notes something that could not run.
    pub(crate) fn skip(&mut self, why: impl Into<String>) {
        let why = why.into();
        println!("skipped: {why}");
        self.skips.push(why);
    }

    /// Notes tests that their own runner counts as not run, without a reason.
    pub(crate) fn skip_unexplained(&mut self, count: u64, what: &str) {
        if count > 0 {
            self.skip(format!("{count} {what} did not run, and give no reason"));
        }
    }

    /// Takes over what the tests have reported; call it once, after the last stage.
    pub(crate) fn collect_reported(&mut self) -> Result<()> {
        let text = std::fs::read_to_string(&self.reported)
            .with_context(|| format!("cannot read `{}`", self.reported.display()))?;
        self.skips.extend(text.lines().filter(|line| !line.is_empty()).map(str::to_owned));
        Ok(())
    }

    /// Fails on a continuous-integration machine when anything but the corpus was missing.
    pub(crate) fn refuse_skips(&self, on_ci: bool) -> Result<()> {
        let refused: Vec<_> = self.skips.iter().filter(|why| !why.contains("corpus")).collect();
        if on_ci && !refused.is_empty() {
            bail!("{} skipped above, which is not accepted where CI=true", counted(refused.len(), "thing"));
        }
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for why in &self.skips {
            writeln!(f, "skipped: {why}")?;
        }
        write!(
            f,
            "Rust tests: {}, doc tests: {}, Python tests: {}, skipped: {}",
            self.rust,
            self.docs,
            self.python,
            self.skips.len()
        )
    }
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("{count} {noun} was") } else { format!("{count} {noun}s were") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(folder: &Path, reported: &str) -> Tally {
        let workspace = Workspace { root: folder.to_path_buf(), target: folder.join("target") };
        let mut tally = Tally::start(&workspace).unwrap();
        std::fs::write(tally.reported(), reported).unwrap();
        tally.collect_reported().unwrap();
        tally
    }

    #[test]
    fn what_tests_report_is_shown_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut tally = tally(folder.path(), "no python3 on the path\n\n");
        tally.rust = 12;
        assert_eq!(
            tally.to_string(),
            "skipped: no python3 on the path\nRust tests: 12, doc tests: 0, Python tests: 0, skipped: 1"
        );
    }

    #[test]
    fn a_skipped_test_fails_only_where_ci_is_set() {
        let folder = tempfile::tempdir().unwrap();
        let tally = tally(folder.path(), "no python3 on the path\n");
        assert!(tally.refuse_skips(false).is_ok());
        let message = tally.refuse_skips(true).unwrap_err().to_string();
        assert_eq!(message, "1 thing was skipped above, which is not accepted where CI=true");
    }

    #[test]
    fn an_absent_corpus_is_accepted_everywhere() {
        let folder = tempfile::tempdir().unwrap();
        assert!(tally(folder.path(), "the recorded traffic corpus is not here\n").refuse_skips(true).is_ok());
    }

    #[test]
    fn tests_that_give_no_reason_count_as_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let mut tally = tally(folder.path(), "");
        tally.skip_unexplained(0, "Rust tests");
        assert!(tally.refuse_skips(true).is_ok());
        tally.skip_unexplained(2, "Rust tests");
        assert!(tally.refuse_skips(true).is_err());
    }
}
