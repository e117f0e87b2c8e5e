//! `cargo xtask tidy`: the house rules that a compiler does not check, over every file of the checkout.
//!
//! Reads files and changes none. A rule is one function and one row in [`rules::RULES`].

mod pure;
mod rules;
mod source;

use anyhow::{Result, bail};

use crate::shell::Workspace;
use crate::tidy::rules::RULES;
use crate::tidy::source::Source;

/// One breach of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Line in the file, from 1.
    pub(crate) line: usize,
    /// What is wrong and what to do instead.
    pub(crate) message: String,
}

impl Finding {
    /// Makes a finding at a line.
    pub(crate) fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

/// Checks the whole checkout and prints each breach with its place and its rule.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let sources = source::all(workspace)?;
    let breaches = check(&sources);
    for breach in &breaches {
        println!("{breach}");
    }
    match breaches.len() {
        0 => println!("tidy: {} files keep {} rules", sources.len(), RULES.len()),
        1 => bail!("a house rule is broken, see above"),
        count => bail!("house rules are broken in {count} places, see above"),
    }
    Ok(())
}

fn check(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for rule in RULES {
        for source in sources.iter().filter(|source| (rule.applies)(source)) {
            for Finding { line, message } in (rule.check)(source) {
                breaches.push(format!("{}:{line}: {message} [{}: {}]", source.path, rule.name, rule.doc));
            }
        }
    }
    for folder in pure::unused(sources) {
        breaches.push(format!("xtask/src/tidy/pure.rs:1: no file matches `{folder}` [pure]"));
    }
    breaches
}

#[cfg(test)]
mod tests;
