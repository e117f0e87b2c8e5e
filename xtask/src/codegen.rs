//! `cargo xtask codegen`: the committed files that are made from the code, so that each fact is written once.
//!
//! Knows no crate of ours: what the code says is asked of the built `motet` program.

mod command_line;
mod methods;
mod providers;
mod schemas;
mod settings;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::shell::{self, Workspace};

/// What to do with the generated files.
#[derive(Args)]
pub(crate) struct Options {
    /// Compares and fails where a file is out of date, and writes none.
    #[arg(long)]
    check: bool,
    /// Lists the generated files and writes none.
    #[arg(long, conflicts_with = "check")]
    list: bool,
}

struct Generator {
    name: &'static str,
    doc: &'static str,
    output: &'static str,
    generate: fn(&Motet) -> Result<String>,
}

const GENERATORS: &[Generator] = &[
    Generator {
        name: "cli-reference",
        doc: "the help of every command",
        output: "docs/reference/cli.md",
        generate: command_line::generate,
    },
    Generator {
        name: "config-reference",
        doc: "every setting with its type, default, and example",
        output: "docs/reference/settings.md",
        generate: settings::generate,
    },
    Generator {
        name: "method-reference",
        doc: "what tasks of workflows can call",
        output: "docs/reference/methods.md",
        generate: methods::generate,
    },
    Generator {
        name: "provider-reference",
        doc: "every provider that models can be named of",
        output: "docs/reference/providers.md",
        generate: providers::generate,
    },
    Generator {
        name: "workflow-schema",
        doc: "the schema of workflow files, for editors",
        output: "docs/reference/workflow.schema.json",
        generate: schemas::workflow,
    },
];

/// Writes or compares every generated file.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    if options.list {
        for generator in GENERATORS {
            println!("{:16}  {:26}  {}", generator.name, generator.output, generator.doc);
        }
        return Ok(());
    }
    shell::run(workspace.cargo(&["build", "--quiet", "--package", "motet-cli"]))
        .context("the generated files come from `motet`, which does not build")?;
    let motet = Motet::built(workspace)?;
    if options.check {
        return check(workspace, &motet);
    }
    for generator in GENERATORS {
        let text = generate(generator, &motet)?;
        if workspace.read(generator.output).is_ok_and(|old| old == text) {
            println!("{}: unchanged", generator.output);
        } else {
            workspace.write(generator.output, &text)?;
            println!("{}: written", generator.output);
        }
    }
    Ok(())
}

/// Compares every generated file with what the code says now.
pub(crate) fn check(workspace: &Workspace, motet: &Motet) -> Result<()> {
    let mut stale = 0;
    for generator in GENERATORS {
        let text = generate(generator, motet)?;
        let committed = workspace.read(generator.output).unwrap_or_default();
        match first_difference(&committed, &text) {
            None => println!("{}: up to date", generator.output),
            Some(difference) => {
                stale += 1;
                println!("{}:{difference}", generator.output);
            }
        }
    }
    if stale > 0 {
        bail!("{stale} of {} generated files are out of date; run `cargo xtask codegen`", GENERATORS.len());
    }
    Ok(())
}

fn generate(generator: &Generator, motet: &Motet) -> Result<String> {
    let text =
        (generator.generate)(motet).with_context(|| format!("cannot generate `{}`", generator.output))?;
    Ok(format!("{}\n", text.trim_end()))
}

/// The built `motet` program, run so that nothing of this machine shows in what it prints.
pub(crate) struct Motet {
    program: PathBuf,
    folder: PathBuf,
}

impl Motet {
    /// Takes the program from the folder of everything that is built.
    pub(crate) fn built(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.target.join("codegen");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        Ok(Self { program: workspace.target.join("debug/motet"), folder })
    }

    /// Runs the program in an empty folder and an empty environment, and gives what it printed.
    pub(crate) fn print(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(&self.folder).env_clear().env("COLUMNS", "100");
        let printed = shell::capture(command)?;
        if printed.trim().is_empty() {
            bail!("`motet {}` printed nothing", arguments.join(" "));
        }
        Ok(printed)
    }
}

/// Describes the first line in which a committed file and its new text differ.
fn first_difference(committed: &str, generated: &str) -> Option<String> {
    if committed == generated {
        return None;
    }
    let (mut old, mut new) = (committed.lines(), generated.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (old.next(), new.next()) {
            (Some(left), Some(right)) if left == right => {}
            (None, None) => return Some(format!("{number}: the ends of lines differ")),
            (left, right) => {
                let show = |line: Option<&str>| line.map_or("(end of file)".to_owned(), str::to_owned);
                return Some(format!("{number}:\n  committed: {}\n  generated: {}", show(left), show(right)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_do_not_differ() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
    }

    #[test]
    fn the_first_line_that_differs_is_shown() {
        assert_eq!(first_difference("a\nb\n", "a\nc\n").unwrap(), "2:\n  committed: b\n  generated: c");
        assert_eq!(first_difference("", "a\n").unwrap(), "1:\n  committed: (end of file)\n  generated: a");
        assert_eq!(first_difference("a", "a\n").unwrap(), "2: the ends of lines differ");
    }

    #[test]
    fn no_two_generators_write_one_file() {
        let mut outputs: Vec<_> = GENERATORS.iter().map(|generator| generator.output).collect();
        outputs.sort_unstable();
        outputs.dedup();
        assert_eq!(outputs.len(), GENERATORS.len());
    }
}
