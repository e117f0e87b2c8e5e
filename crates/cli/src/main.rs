//! The `motet` command.

mod command;
mod context;
mod exit;
mod printer;
mod progress;
mod table;

use std::process::ExitCode;

fn main() -> ExitCode {
    let matches = command::cli().get_matches();
    let printer = printer::Printer::new(&matches);
    command::dispatch(&matches, &printer).unwrap_or_else(|error| printer.failure(&error)).into()
}
