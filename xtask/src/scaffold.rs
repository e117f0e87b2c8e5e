//! `cargo xtask new`: the file and the row with which a provider, a pattern, or a command begins.
//!
//! Knows the text of the parents and templates, and nothing of what they do.

mod insert;
mod templates;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::shell::{self, Workspace};

/// What to start.
#[derive(Args)]
pub(crate) struct Options {
    /// What kind of thing it is.
    kind: Kind,
    /// Its name, such as `groq` or `round_robin`.
    #[arg(value_parser = name)]
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A vendor with a wire format we speak.
    Provider,
    /// A way in which agents work together.
    Pattern,
    /// A command of `motet`.
    Command,
}

/// An open set: where it lives and what begins a new member.
struct Set {
    kind: Kind,
    parent: &'static str,
    template: &'static str,
    next: &'static [&'static str],
}

const SETS: &[Set] = &[
    Set {
        kind: Kind::Provider,
        parent: "crates/providers/src/rows.rs",
        template: templates::PROVIDER,
        next: templates::PROVIDER_NEXT,
    },
    Set {
        kind: Kind::Pattern,
        parent: "crates/workflows/src/pattern.rs",
        template: templates::PATTERN,
        next: templates::PATTERN_NEXT,
    },
    Set {
        kind: Kind::Command,
        parent: "crates/cli/src/command.rs",
        template: templates::COMMAND,
        next: templates::COMMAND_NEXT,
    },
];

/// Writes the new file, adds its module and its row, and prints what to do next.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let set = SETS.iter().find(|set| set.kind == options.kind).context("this kind has no set")?;
    let name = &options.name;
    let file = format!("{}/{name}.rs", set.parent.trim_end_matches(".rs"));
    if workspace.root.join(&file).exists() {
        bail!("`{file}` is there already");
    }
    let parent = insert::module(&workspace.read(set.parent)?, name)
        .and_then(|parent| insert::row(&parent, name))
        .with_context(|| format!("cannot add `{name}` to `{}`", set.parent))?;
    let file_text = formatted(workspace, templates::fill(set.template, name))?;
    let parent_text = formatted(workspace, parent)?;
    workspace.write(&file, &file_text)?;
    workspace.write(set.parent, &parent_text)?;
    println!("written: {file}\nchanged: {}\nnext:", set.parent);
    for step in set.next {
        println!("  - {}", templates::fill(step, name));
    }
    Ok(())
}

/// Lays Rust text out by the rules of the workspace.
fn formatted(workspace: &Workspace, text: String) -> Result<String> {
    let mut rustfmt = workspace.command("rustfmt");
    rustfmt.args(["--edition", "2024", "--emit", "stdout", "--config-path"]).arg(&workspace.root);
    shell::filter(rustfmt, text).context("the new text cannot be formatted")
}

/// Takes a name that can be a file, a module, and a word on the command line.
fn name(text: &str) -> Result<String, String> {
    let starts = text.starts_with(|c: char| c.is_ascii_lowercase());
    if starts && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
        return Ok(text.to_owned());
    }
    Err("a name has lower-case letters, digits, and `_`, and begins with a letter".to_owned())
}

#[cfg(test)]
mod tests;
