//! Open sets are rows: the files of a folder, the modules its parent declares, and the rows of its table are the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;

/// The parents of open sets; the files are in the folder of the same name.
const PARENTS: &[&str] = &[
    "crates/cli/src/command.rs",
    "crates/providers/src/counters.rs",
    "crates/providers/src/dialects.rs",
    "crates/providers/src/embeddings.rs",
    "crates/providers/src/listings.rs",
    "crates/providers/src/rerankers.rs",
    "crates/providers/src/rows.rs",
    "crates/workflows/src/pattern.rs",
];

#[test]
fn every_file_of_an_open_set_is_a_module_and_a_row() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut differences = Vec::new();
    for parent in PARENTS {
        let text =
            std::fs::read_to_string(root.join(parent)).unwrap_or_else(|error| panic!("`{parent}`: {error}"));
        let files = files(&root.join(parent.trim_end_matches(".rs"))).unwrap();
        differences
            .extend(compare(&files, &text).into_iter().map(|difference| format!("{parent}: {difference}")));
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[test]
fn a_file_without_a_module_or_a_row_is_told() {
    let files = ["apple", "grape", "melon"].map(str::to_owned).into();
    let parent = "pub mod apple;\npub mod melon;\npub mod pear;\n\n#[cfg(test)]\nmod tests;\n\n\
                  pub const ROWS: &[&Row] = &[\n    &apple::ROW,\n    &apple::ROW,\n    &pear::ROW,\n];\n";
    assert_eq!(
        compare(&files, parent),
        [
            "`apple` has 2 rows in the table",
            "`grape.rs` is not declared as a module",
            "`melon` has 0 rows in the table",
            "the module `pear` has no file",
        ]
    );
}

#[test]
fn a_parent_without_a_table_has_no_rows() {
    let files = ["apple".to_owned()].into();
    assert_eq!(compare(&files, "mod apple;\n"), ["`apple` has 0 rows in the table"]);
    assert!(
        compare(
            &files,
            "mod apple;\n\nconst OTHER: &[u8] = &[1];\nconst ROWS: &[Row] =\n    &[Row { run: apple::run }];\n"
        )
        .is_empty()
    );
}

#[test]
fn every_dialect_is_fuzzed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    for dialect in motet_providers::dialects::ALL {
        let target = folder.join(format!("{}.rs", dialect.name().replace('-', "_")));
        assert!(target.is_file(), "`{}` has no fuzz target", dialect.name());
    }
}

/// Where a provider's name may stand: its row, its models' prices, what no network is needed for, and the examples in
/// the help of settings.
const NAMED: &[&str] = &[
    "crates/providers/src/rows/",
    "crates/motet/src/prices",
    "crates/providers/src/offline",
    "crates/providers/src/scripted",
    "crates/core/src/settings/",
];

#[test]
fn no_code_knows_a_provider_by_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for file in sources(&root.join("crates")) {
        let path = file.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        if NAMED.iter().any(|allowed| path.starts_with(allowed)) || path.contains("/tests") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        for (number, line) in lines {
            // `custom` is the row for a server of any name, and a word of the language of tools besides.
            let names = motet_providers::rows::ALL
                .iter()
                .map(|row| row.name)
                .filter(|name| *name != "custom" && motet_providers::dialects::find(name).is_err());
            let named = names
                .filter(|name| line.contains(&format!("\"{name}\"")) || line.contains(&format!("\"{name}:")));
            found.extend(named.map(|name| format!("{path}:{}: `{name}`", number + 1)));
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// Gives every Rust file below a folder's `src` folders.
fn sources(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Tells each name that is not one file, one module, and one row.
fn compare(files: &BTreeSet<String>, parent: &str) -> Vec<String> {
    let modules = modules(parent);
    let rows = rows(parent, &modules);
    let mut differences = Vec::new();
    for name in files.union(&modules) {
        if !files.contains(name) {
            differences.push(format!("the module `{name}` has no file"));
        } else if !modules.contains(name) {
            differences.push(format!("`{name}.rs` is not declared as a module"));
        } else if rows.get(name) != Some(&1) {
            differences.push(format!("`{name}` has {} rows in the table", rows.get(name).unwrap_or(&0)));
        }
    }
    differences
}

fn files(folder: &Path) -> anyhow::Result<BTreeSet<String>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list `{}`", folder.display()))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names = names.collect::<std::io::Result<Vec<_>>>()?;
    let modules = names.iter().filter_map(|name| name.strip_suffix(".rs")).filter(|name| *name != "tests");
    Ok(modules.map(str::to_owned).collect())
}

fn modules(parent: &str) -> BTreeSet<String> {
    let names = parent.lines().filter_map(|line| {
        let declared = line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub ")).unwrap_or(line);
        declared.strip_prefix("mod ")?.strip_suffix(';')
    });
    names.filter(|name| *name != "tests").map(str::to_owned).collect()
}

/// Counts how often the rows name each module; the table is the constant slice whose rows name any of them.
fn rows(parent: &str, modules: &BTreeSet<String>) -> BTreeMap<String, usize> {
    let begun = parent.match_indices("&[").filter(|(at, _)| parent[..*at].trim_end().ends_with("] ="));
    let tables = begun.filter_map(|(at, _)| parent[at..].split_once("];"));
    let counts = tables.map(|(table, _)| {
        let words: Vec<_> = table.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').collect();
        let names = |word: &str, name: &str| word.split_once("::").is_some_and(|(module, _)| module == name);
        let count = |name: &String| words.iter().filter(|word| names(word, name)).count();
        modules.iter().map(|name| (name.clone(), count(name))).collect::<BTreeMap<_, _>>()
    });
    counts.max_by_key(|counts| counts.values().sum::<usize>()).unwrap_or_default()
}
