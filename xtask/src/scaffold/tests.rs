//! Rows and modules put into parents of the shapes that the workspace has, and templates filled in.

use super::*;

const PARENT: &str = "\
//! Things, as rows.

pub mod apple;
pub mod melon;

use core::fmt;

const OTHER: &[u8] = &[1, 2];

pub const ROWS: &[&Thing] =
    &[&apple::ROW, &melon::ROW];

fn after() {}

#[cfg(test)]
mod tests;
";

fn added(parent: &str, name: &str) -> String {
    insert::module(parent, name).and_then(|parent| insert::row(&parent, name)).unwrap()
}

fn assert_has(text: &str, part: &str) {
    assert!(text.contains(part), "`{part}` is not in:\n{text}");
}

#[test]
fn a_name_goes_where_the_alphabet_wants_it() {
    let first = added(PARENT, "acorn");
    assert_has(&first, "\n\npub mod acorn;\npub mod apple;\npub mod melon;\n\n");
    assert_has(&first, "=\n    &[\n    &acorn::ROW,\n    &apple::ROW,\n    &melon::ROW,\n];\n\nfn after");
    let between = added(PARENT, "grape");
    assert_has(&between, "pub mod apple;\npub mod grape;\npub mod melon;\n");
    assert_has(&between, "    &apple::ROW,\n    &grape::ROW,\n    &melon::ROW,\n];");
    let last = added(PARENT, "zebra");
    assert_has(&last, "pub mod melon;\npub mod zebra;\n\nuse core::fmt;");
    assert_has(&last, "    &melon::ROW,\n    &zebra::ROW,\n];");
    assert_has(&last, "const OTHER: &[u8] = &[1, 2];");
}

#[test]
fn a_table_with_an_order_of_its_own_takes_the_row_at_its_end() {
    let parent = "mod custom;\nmod openai;\n\npub const ALL: &[&Row] = &[&openai::ROW, &custom::ROW];\n";
    let text = added(parent, "groq");
    assert_has(&text, "mod custom;\nmod groq;\nmod openai;\n");
    assert_has(&text, "    &openai::ROW,\n    &custom::ROW,\n    &groq::ROW,\n];\n");
}

#[test]
fn types_and_words_of_the_neighbour_are_renamed_with_it() {
    let parent = "mod map_reduce;\n\nconst ROWS: &[Row] = &[\n    \
                  Row { name: \"map-reduce\", make: || Arc::new(map_reduce::MapReduce), of: [1, 2] },\n];\n";
    let text = added(parent, "tree_of_thoughts");
    let row = "    Row { name: \"tree-of-thoughts\", make: || Arc::new(tree_of_thoughts::TreeOfThoughts), of: [1, 2] },\n];";
    assert_has(&text, row);
}

#[test]
fn what_cannot_be_added_is_told() {
    assert_eq!(
        insert::module(PARENT, "apple").unwrap_err().to_string(),
        "the module `apple` is declared already"
    );
    assert!(
        insert::module("//! Nothing.\n", "pear")
            .unwrap_err()
            .to_string()
            .starts_with("no `mod` line was found")
    );
    let no_table = insert::row("mod apple;\nconst OTHER: &[u8] = &[1];\n", "pear").unwrap_err().to_string();
    assert!(no_table.starts_with("no table was found"), "{no_table}");
}

#[test]
fn names_are_words_of_lower_case_letters() {
    assert_eq!(name("round_robin").unwrap(), "round_robin");
    for wrong in ["Groq", "9lives", "round-robin", "", "_x"] {
        assert!(name(wrong).is_err(), "`{wrong}`");
    }
}

#[test]
fn templates_are_filled_in_completely() {
    for set in SETS {
        for text in [set.template].iter().chain(set.next) {
            let filled = templates::fill(text, "tree_of_thoughts");
            assert!(!filled.contains('%'), "{filled}");
        }
        assert!(templates::fill(set.template, "groq").starts_with("//! "), "{:?}", set.kind);
    }
    assert_eq!(templates::fill("%name% %Name% %NAME% %na-me%", "a_bc"), "a_bc ABc A_BC a-bc");
}

#[test]
fn every_parent_of_the_workspace_takes_a_new_row() {
    let workspace = Workspace::find().unwrap();
    for set in SETS {
        let parent = workspace.read(set.parent).unwrap();
        let text = added(&parent, "zz_new");
        assert_has(&text, "mod zz_new;");
        assert_has(&text, "zz_new::");
    }
}
