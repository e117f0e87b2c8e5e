//! `motet completions`: prints what a shell needs to complete the command line.

use clap::{ArgMatches, Args};
use clap_complete::Shell;
use motet::Result;

use super::{Row, arguments, cli};
use crate::context::Context;
use crate::exit::Exit;

pub(super) const ROW: Row = Row { name: "completions", build: Completions::augment_args, run };

/// Prints the completion script of a shell
///
/// For example: motet completions bash > ~/.local/share/bash-completion/completions/motet
#[derive(Args)]
struct Completions {
    /// Which shell
    shell: Shell,
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Completions { shell } = arguments(matches)?;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli(), "motet", &mut script);
    context.printer.text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}
