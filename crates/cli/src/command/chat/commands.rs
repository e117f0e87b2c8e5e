//! What can be typed beside talking: a table of commands, and how one is read.

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Help,
    Tools,
    Model,
    System,
    Save,
    Load,
    Fork,
    Edit,
    Undo,
    Retry,
    Cost,
    Clear,
    Compact,
    Quit,
}

/// Each command: its name, what follows it, and what it does.
const ROWS: &[(&str, &str, &str, Command)] = &[
    ("help", "", "lists the commands", Command::Help),
    ("tools", "", "lists the tools that the model may call", Command::Tools),
    ("model", "[ID]", "shows the model, or goes on with another", Command::Model),
    ("system", "[TEXT]", "shows the instructions, or sets others; `-` removes them", Command::System),
    ("save", "[NAME]", "keeps the conversation in the store from now on", Command::Save),
    ("load", "NAME", "goes on with a conversation of the store", Command::Load),
    ("fork", "[N] [NAME]", "goes on with a copy of the first N turns, or of all", Command::Fork),
    ("edit", "N [TEXT]", "says something else in turn N, and drops what followed it", Command::Edit),
    ("undo", "", "takes the last turn back", Command::Undo),
    ("retry", "", "asks for another answer to what was said last", Command::Retry),
    ("cost", "", "shows tokens and cost so far", Command::Cost),
    ("clear", "", "begins a new conversation", Command::Clear),
    ("compact", "", "has all but the newest part summarised", Command::Compact),
    ("quit", "", "leaves", Command::Quit),
];

/// Gives the names of all commands.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.0)
}

/// Gives the lines of `/help`.
pub(super) fn help() -> String {
    let rows = ROWS.iter().map(|(name, follows, what, _)| {
        let usage = format!("/{name} {follows}");
        format!("{usage:<20} {what}\n")
    });
    let rules = "A line that ends with \\ goes on in the next one, and so does all within ```. `//` begins a line that \
                 says `/`.\n";
    rows.chain([rules.to_owned()]).collect()
}

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    /// Something for the model.
    Words(&'a str),
    /// A command and what follows its name.
    Command(Command, &'a str),
    /// Looks like a command, and is none.
    Unknown(&'a str),
}

/// Reads a line.
pub(super) fn read(line: &str) -> Heard<'_> {
    if line.starts_with("//") {
        return Heard::Words(line.get(1..).unwrap_or_default());
    }
    let Some(command) = line.strip_prefix('/') else { return Heard::Words(line) };
    let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    match ROWS.iter().find(|row| row.0 == name) {
        Some(row) => Heard::Command(row.3, rest.trim()),
        None => Heard::Unknown(name),
    }
}
