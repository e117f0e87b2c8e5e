//! The `motet` command.

mod attachment;
mod command;
mod context;
mod exit;
mod notices;
mod printer;
mod progress;
mod table;

use std::process::ExitCode;

fn main() -> ExitCode {
    let matches = match command::cli().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return printer::usage(&error),
    };
    let printer = printer::Printer::new(&matches);
    command::dispatch(&matches, &printer).unwrap_or_else(|error| printer.failure(&error)).into()
}
