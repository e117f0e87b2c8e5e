//! Puts a module and its row into the parent that lists them, each where the alphabet wants it.
//!
//! Works on text alone. A parent declares its modules with `mod` lines, and its table is the constant slice whose rows
//! name those modules; how the text is laid out is left to rustfmt.

use anyhow::{Context, Result, bail, ensure};

use crate::scaffold::templates::camel_case;

/// Adds `mod name;` beside the other modules, with the visibility that they have.
pub(crate) fn module(parent: &str, name: &str) -> Result<String> {
    let declared = modules(parent);
    ensure!(!declared.iter().any(|module| module.name == name), "the module `{name}` is declared already");
    let last = declared.last().context("no `mod` line was found to put the new one beside")?;
    let before = declared.iter().rev().find(|module| module.name < name);
    let at = before.map_or_else(|| declared.first().map_or(0, |first| first.line), |module| module.line + 1);
    let mut lines: Vec<_> = parent.lines().collect();
    let line = format!("{}mod {name};", last.visibility);
    lines.insert(at, &line);
    Ok(lines.join("\n") + "\n")
}

/// Adds a row: that of a neighbour, with the new name in place of the neighbour's.
///
/// A table whose rows are not in the order of the alphabet has an order of its own, and takes the new row at its end.
pub(crate) fn row(parent: &str, name: &str) -> Result<String> {
    let declared = modules(parent);
    let table = table(parent, &declared)?;
    let sorted = table.rows.is_sorted_by_key(|row| row.module);
    let at = if sorted { table.rows.partition_point(|row| row.module < name) } else { table.rows.len() };
    let example = at.checked_sub(1).and_then(|before| table.rows.get(before)).or(table.rows.first());
    let example = example.context("the table has no row to take as an example")?;
    let mut rows: Vec<_> = table.rows.iter().map(|row| row.text.to_owned()).collect();
    rows.insert(at, renamed(example, name));
    let (before, after) = (parent.get(..table.begin), parent.get(table.end..));
    match before.zip(after) {
        Some((before, after)) => Ok(format!("{before}\n    {},\n{after}", rows.join(",\n    "))),
        None => bail!("the table could not be cut out of its file"),
    }
}

struct Module<'a> {
    line: usize,
    visibility: &'a str,
    name: &'a str,
}

struct Row<'a> {
    module: &'a str,
    text: &'a str,
}

struct Table<'a> {
    begin: usize,
    end: usize,
    rows: Vec<Row<'a>>,
}

/// Lists the modules that a parent declares as files of their own, without its tests.
fn modules(parent: &str) -> Vec<Module<'_>> {
    let declared = parent.lines().enumerate().filter_map(|(line, text)| {
        let (visibility, rest) = text.split_once("mod ")?;
        let name = rest.strip_suffix(';').filter(|name| *name != "tests")?;
        let plain = visibility.is_empty() || (visibility.starts_with("pub") && visibility.ends_with(' '));
        plain.then_some(Module { line, visibility, name })
    });
    declared.collect()
}

/// Finds the constant slice of which every row names a module.
fn table<'a>(parent: &'a str, modules: &[Module<'a>]) -> Result<Table<'a>> {
    for (at, _) in parent.match_indices("&[") {
        let declared = parent.get(..at).is_some_and(|before| before.trim_end().ends_with("] ="));
        let begin = at + "&[".len();
        if !declared {
            continue;
        }
        let Some(length) = parent.get(begin..).and_then(closing) else { continue };
        let items = split(parent.get(begin..begin + length).unwrap_or_default());
        let rows = items.iter().map(|text| {
            let module = modules.iter().find(|module| words(text).any(|word| word == module.name))?;
            Some(Row { module: module.name, text })
        });
        match rows.collect::<Option<Vec<_>>>() {
            Some(rows) if !rows.is_empty() => return Ok(Table { begin, end: begin + length, rows }),
            _ => {}
        }
    }
    bail!(
        "no table was found; it is a constant such as `const ROWS: &[&Row] = &[…];` whose rows name the modules"
    )
}

/// Finds the bracket that closes a slice, given the text after the one that opens it.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '[' | '(' | '{' => depth += 1,
            ']' | ')' | '}' if depth == 0 => return Some(at),
            ']' | ')' | '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Splits the inside of a slice at its own commas.
fn split(inside: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let (mut depth, mut begun) = (0_i32, 0);
    for (at, c) in inside.char_indices() {
        match c {
            '[' | '(' | '{' => depth += 1,
            ']' | ')' | '}' => depth -= 1,
            ',' if depth == 0 => {
                items.extend(inside.get(begun..at));
                begun = at + 1;
            }
            _ => {}
        }
    }
    items.extend(inside.get(begun..));
    items.into_iter().map(str::trim).filter(|item| !item.is_empty()).collect()
}

/// Writes a row for the new name after the example of another.
fn renamed(example: &Row<'_>, name: &str) -> String {
    let forms = [
        (example.module.to_owned(), name.to_owned()),
        (camel_case(example.module), camel_case(name)),
        (example.module.replace('_', "-"), name.replace('_', "-")),
    ];
    let mut text = example.text.to_owned();
    for (old, new) in forms {
        text = replace_word(&text, &old, &new);
    }
    text
}

fn replace_word(text: &str, old: &str, new: &str) -> String {
    let mut replaced = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(old) {
        let whole = !before.ends_with(is_part) && !after.starts_with(is_part);
        replaced.push_str(before);
        replaced.push_str(if whole { new } else { old });
        rest = after;
    }
    replaced + rest
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_part(c))
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
