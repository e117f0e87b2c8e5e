//! The files that the rules look at, and where in them the tests are.
//!
//! Knows no rule.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;

use anyhow::{Context, Result};

use crate::shell::{self, Workspace};

/// Endings of the files that are looked at.
const ENDINGS: &[&str] = &["rs", "py", "pyi", "md", "toml", "yaml", "yml"];

/// One text file of the checkout.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Path from the root, with forward slashes.
    pub(crate) path: String,
    /// All of its text.
    pub(crate) text: String,
}

impl Source {
    /// Tells whether it is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.has_ending(&["rs"])
    }

    /// Tells whether it is a program's text, and not prose or data.
    pub(crate) fn is_code(&self) -> bool {
        self.has_ending(&["rs", "py", "pyi"])
    }

    /// Tells whether all of it is tests.
    pub(crate) fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// Gives the lines with their numbers, from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Gives the lines, without the test modules among them.
    pub(crate) fn lines_outside_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        let modules = self.test_modules();
        self.lines().filter(move |(number, _)| !modules.iter().any(|module| module.contains(number)))
    }

    /// Finds the test modules written inside the file, from their `#[cfg(test)]` to their closing brace.
    pub(crate) fn test_modules(&self) -> Vec<RangeInclusive<usize>> {
        let mut modules = Vec::new();
        let mut begun: Option<usize> = None;
        let mut inside = false;
        for (number, line) in self.lines() {
            match begun {
                None if line == "#[cfg(test)]" => begun = Some(number),
                Some(first) if inside && line == "}" => {
                    modules.push(first..=number);
                    (begun, inside) = (None, false);
                }
                Some(_) if inside || line.starts_with("#[") => {}
                Some(_) if line.contains("mod ") && line.ends_with('{') => inside = true,
                _ => begun = None,
            }
        }
        modules
    }

    fn has_ending(&self, endings: &[&str]) -> bool {
        has_ending(&self.path, endings)
    }
}

/// Reads every text file that is tracked or could be: what git ignores is left out.
pub(crate) fn all(workspace: &Workspace) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in paths(workspace)?.into_iter().filter(|path| has_ending(path, ENDINGS)) {
        let full = workspace.root.join(&path);
        if full.is_file() {
            let text = std::fs::read_to_string(&full).with_context(|| format!("cannot read `{path}`"))?;
            sources.push(Source { path, text });
        }
    }
    Ok(sources)
}

fn paths(workspace: &Workspace) -> Result<BTreeSet<String>> {
    let mut git = workspace.command("git");
    git.args(["-c", "core.quotePath=false", "ls-files", "--cached", "--others", "--exclude-standard"]);
    if let Ok(listed) = shell::capture(git) {
        return Ok(listed.lines().map(str::to_owned).collect());
    }
    let mut found = BTreeSet::new();
    walk(&workspace.root, "", &mut found)?;
    Ok(found)
}

/// Lists the files of a checkout that came without its git folder.
fn walk(root: &Path, below: &str, found: &mut BTreeSet<String>) -> Result<()> {
    for entry in std::fs::read_dir(root.join(below)).with_context(|| format!("cannot list `{below}`"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        if !entry.file_type()?.is_dir() {
            found.insert(path);
        } else if !name.starts_with('.') && name != "target" && name != "output" {
            walk(root, &path, found)?;
        }
    }
    Ok(())
}

fn has_ending(path: &str, endings: &[&str]) -> bool {
    path.rsplit_once('.').is_some_and(|(_, ending)| endings.contains(&ending))
}
