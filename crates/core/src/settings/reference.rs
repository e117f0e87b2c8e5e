//! Writes the reference of all options as Markdown, from the table alone.

use super::environment::RESERVED;
use super::row::OptionRow;
use super::table::OPTIONS;

const HEAD: &str = "\
# Settings

Every option can be set in `motet.toml`, in `.env`, by an environment variable, and by a flag or from code; each of
these wins over the ones before it. `motet config show` tells where every value comes from.

- A variable that is empty counts as not set. `.env` holds the same variables as the environment.
- `<NAME>` in a variable is the provider's name in capitals, with `_` for `-`.
- A variable marked with `{…}` holds a JSON object with everything below that place.
- Durations are written `500ms`, `30s`, `2m`, `1h`, or as a number of seconds.
- Prices are dollars per million tokens with at most six decimals, as numbers or texts.

| Option | Type | Default | Environment variable | What it does | Example |
|---|---|---|---|---|---|
";

/// Gives the reference: one row per option with type, default, environment variable, doc, and example.
#[must_use]
pub fn reference_markdown() -> String {
    let mut text = HEAD.to_owned();
    text.extend(OPTIONS.iter().map(line));
    text.push_str("\nThese variables look like options and are none:\n\n");
    text.extend(RESERVED.iter().map(|(name, doc)| format!("- `{name}` {doc}\n")));
    text
}

fn line(row: &OptionRow) -> String {
    let default = row.default_text().map_or_else(|| "none".to_owned(), |text| code(&text));
    let object = if row.environment_is_object() { " `{…}`" } else { "" };
    let (path, variable, example) = (code(row.path), code(&row.environment()), code(&row.example_toml()));
    format!("| {path} | {} | {default} | {variable}{object} | {} | {example} |\n", row.kind, cell(row.doc))
}

fn code(text: &str) -> String {
    format!("`{}`", cell(text))
}

/// Keeps a `|` from ending a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
