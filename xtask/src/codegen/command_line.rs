//! The reference of the command line, gathered by asking every command for its help.

use std::fmt::Write;

use anyhow::{Result, ensure};

use crate::codegen::Motet;

/// Writes the help of `motet` and of every command below it, in the order of the help itself.
pub(crate) fn generate(motet: &Motet) -> Result<String> {
    let mut text = String::from(
        "<!-- Written by `cargo xtask codegen` from `motet --help`; edit the help texts in the code. -->\n\n\
         # Commands\n",
    );
    let found = visit(motet, &[], &mut text)?;
    ensure!(found > 0, "`motet --help` lists no commands");
    Ok(text)
}

/// Adds one command and those below it, and gives how many are below it.
fn visit(motet: &Motet, command: &[&str], text: &mut String) -> Result<usize> {
    let help = motet.print(&[command, &["--help"]].concat())?;
    let name = [&["motet"], command].concat().join(" ");
    write!(text, "\n## `{name}`\n\n```text\n{}\n```\n", trimmed(&help))?;
    let below = subcommands(&help);
    for subcommand in &below {
        visit(motet, &[command, &[subcommand]].concat(), text)?;
    }
    Ok(below.len())
}

/// Reads the names in the `Commands:` section of a help text; wrapped descriptions are indented further.
fn subcommands(help: &str) -> Vec<&str> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.is_empty() || line.starts_with(' '))
        .filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect()
}

fn trimmed(help: &str) -> String {
    help.trim().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_of_a_help_text_are_found() {
        let help = "One engine\n\nUsage: motet [OPTIONS] <COMMAND>\n\nCommands:\n  chat      Talks\n  run       Runs a\n            \
                    workflow\n  help      Print this message\n\nOptions:\n  -h, --help  Print help\n";
        assert_eq!(subcommands(help), ["chat", "run"]);
        assert!(subcommands("Usage: motet chat\n\nOptions:\n  -h, --help\n").is_empty());
    }
}
