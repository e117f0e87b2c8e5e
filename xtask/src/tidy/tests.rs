//! One breach and one kept form of every rule, and the checkout itself.

use super::*;

fn breaches(rule: &str, path: &str, text: &str) -> Vec<usize> {
    let source = Source { path: path.to_owned(), text: text.to_owned() };
    let rule = RULES.iter().find(|row| row.name == rule).unwrap();
    assert!((rule.applies)(&source), "the rule `{}` is not for `{path}`", rule.name);
    (rule.check)(&source).into_iter().map(|finding| finding.line).collect()
}

/// What breaks a rule at which lines, and what keeps it. `@` is left out, so that this file keeps the rules.
const SAMPLES: &[(&str, &str, &str, &[usize])] = &[
    ("purpose", "a.rs", "use std::fmt;\n", &[1]),
    ("purpose", "a.rs", "//! Adds numbers.\nuse std::fmt;\n", &[]),
    ("module-files", "crates/core/src/id/mod.rs", "//! Ids.\n", &[1]),
    ("module-files", "crates/core/src/id.rs", "//! Ids.\n", &[]),
    ("words", "a.rs", "// TO@DO: more\nlet s = \"kept simple for@ now\";\n", &[1, 2]),
    ("words", "a.py", "# a simpli@fied form\n# FIX@ME\n# XX@X\n", &[1, 2, 3]),
    ("words", "a.rs", "// a todo list is a list; for nowhere\n", &[]),
    ("suppressions", "a.rs", "#[al@low(dead_code)]\nfn f() {}\n", &[1]),
    ("suppressions", "a.rs", "#[exp@ect(dead_code)]\nfn f() {}\n#![exp@ect(dead_code)]\n", &[1, 3]),
    ("suppressions", "a.rs", "#[exp@ect(\n    dead_code,\n    reason = \"why\"\n)]\nfn f() {}\n", &[]),
    ("ignored-tests", "a.rs", "#[test]\n#[ig@nore = \"slow\"]\nfn f() {}\n", &[2]),
    ("ignored-tests", "a.rs", "#[test]\nfn f() {}\n", &[]),
    ("names", "a.rs", "pub struct Tool@Manager;\nfn help@er_two() {}\nmod ut@ils;\n", &[1, 2, 3]),
    ("names", "crates/core/src/utils.rs", "//! Things.\n", &[1]),
    (
        "names",
        "a.rs",
        "// the struct Manager of others\n#[pyclass(name = \"ToolManager\")]\nstruct Tools;\n",
        &[],
    ),
    ("banners", "a.rs", "// @==== Parsing @====\n//! -@----\n", &[1, 2]),
    ("banners", "a.rs", "/// | a | b |\n/// |---|---|\n// -> next\n", &[]),
    ("whitespace", "a.md", "one @\ntwo", &[1, 2]),
    ("whitespace", "a.md", "one\n\n\n", &[3]),
    ("whitespace", "a.md", "one\n\ntwo\n", &[]),
    (
        "pure",
        "crates/core/src/a.rs",
        "use tokio::time;\nuse std::{fmt, fs};\nlet t = std::thread::spawn(f);\n",
        &[1, 2, 3],
    ),
    ("pure", "crates/core/src/a.rs", "use tokio_util::sync::Notify;\n", &[1]),
    (
        "pure",
        "crates/core/src/a.rs",
        "use tokio_util::sync::CancellationToken;\nlet id = std::process::id();\nuse std::{fmt, str};\n// no std::fs\n",
        &[],
    ),
    (
        "pure",
        "crates/core/src/a.rs",
        "#[cfg(test)]\nmod tests {\n    #[tokio::test]\n    async fn f() {}\n}\n",
        &[],
    ),
    ("machine-paths", "a.md", "see `/wo@rk/main`\nor \"/ro@ot/x\"\n/fa@rm/y\n", &[1, 2, 3]),
    ("machine-paths", "a.md", "GET /api/wo@rk/1 of https://example.com/ro@ot/\n", &[]),
    (
        "registries",
        "a.md",
        "see https://crates@.io/x\npip install --index@-url x\nhttps://pypi@.org\n",
        &[1, 2, 3],
    ),
    ("registries", "a.md", "pip install motet\n", &[]),
];

#[test]
fn every_rule_finds_its_breaches_and_nothing_else() {
    for (rule, path, text, lines) in SAMPLES {
        let text = text.replace('@', "");
        assert_eq!(breaches(rule, path, &text), *lines, "rule `{rule}` on `{path}`:\n{text}");
    }
}

#[test]
fn a_file_of_more_than_600_lines_is_too_long_unless_the_rest_is_tests() {
    let long = "//! Long.\n".to_owned() + &"fn f() {}\n".repeat(600);
    assert_eq!(breaches("length", "a.rs", &long), [600]);
    let tests =
        format!("//! Long.\n{}#[cfg(test)]\nmod tests {{\n    fn g() {{}}\n}}\n", "fn f() {}\n".repeat(598));
    assert!(breaches("length", "a.rs", &tests).is_empty());
}

#[test]
fn a_test_module_of_more_than_150_lines_belongs_into_its_own_file() {
    let module = |lines: usize| {
        format!("//! Long.\n#[cfg(test)]\nmod tests {{\n{}}}\nfn f() {{}}\n", "    fn g() {}\n".repeat(lines))
    };
    assert_eq!(breaches("test-length", "a.rs", &module(148)), [2]);
    assert!(breaches("test-length", "a.rs", &module(147)).is_empty());
}

#[test]
fn every_rule_has_a_sample_that_breaks_it() {
    let by_length = ["length", "test-length"];
    for rule in RULES.iter().filter(|rule| !by_length.contains(&rule.name)) {
        let broken = SAMPLES.iter().any(|(name, _, _, lines)| *name == rule.name && !lines.is_empty());
        assert!(broken, "the rule `{}` has no sample", rule.name);
    }
}

#[test]
fn a_pattern_of_pure_files_that_matches_nothing_is_reported() {
    let only_core = [Source { path: "crates/core/src/id.rs".to_owned(), text: String::new() }];
    let unused = pure::unused(&only_core);
    assert!(!unused.contains(&"crates/core/src/**"));
    assert!(unused.contains(&"crates/agents/src/machine{.rs,/**}"));
}

#[test]
fn a_pattern_of_pure_files_is_for_a_file_and_the_folder_beside_it() {
    let is_pure = |path: &str| pure::applies(&Source { path: path.to_owned(), text: String::new() });
    assert!(is_pure("crates/agents/src/machine.rs") && is_pure("crates/agents/src/machine/round.rs"));
    assert!(!is_pure("crates/agents/src/driver.rs") && !is_pure("crates/agents/src/machinery.rs"));
    assert!(!is_pure("crates/agents/src/machine/tests.rs"));
}

#[test]
fn the_checkout_keeps_the_house_rules() {
    let workspace = Workspace::find().unwrap();
    let breaches = check(&source::all(&workspace).unwrap());
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}
