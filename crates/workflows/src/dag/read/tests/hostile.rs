//! Large, broken, and random files: read within bounds, without panic.

use proptest::prelude::*;

use super::{MAX_TASKS, problems, read, rules};

const VALID: &str = include_str!("../../../../../../examples/brief.yaml");

fn tasks(count: usize, task: impl Fn(usize) -> String) -> String {
    let tasks: String =
        (0..count).map(|number| format!("- {{id: t{number}, method: llm/chat{}}}\n", task(number))).collect();
    format!("name: w\ntasks:\n{tasks}")
}

#[test]
fn the_largest_workflow_is_read_and_a_larger_one_refused() {
    let chain =
        |number: usize| if number == 0 { String::new() } else { format!(", depends_on: [t{}]", number - 1) };
    let spec = read(tasks(MAX_TASKS, chain).as_bytes(), &rules()).unwrap();
    assert_eq!(spec.tasks[MAX_TASKS - 1].dependencies, [format!("t{}", MAX_TASKS - 2)]);
    let larger = problems(&format!("name: w\ntasks:\n{}", "- 0\n".repeat(MAX_TASKS + 1)));
    assert_eq!(
        larger,
        ["2:1: the workflow has 100001 tasks, but may have 100000 | use `for_each` for work on many items"]
    );
}

#[test]
fn a_large_file_full_of_mistakes_is_told_in_short() {
    let wrong = tasks(2_000, |number| format!(", promt: x, depends_on: [u{number}]"));
    let found = problems(&wrong);
    assert_eq!(found.len(), 1_001);
    assert!(found[1_000].contains(" further problems are not listed"), "{}", found[1_000]);
    let ring = tasks(10_000, |number| format!(", depends_on: [t{}]", (number + 1) % 10_000));
    assert_eq!(problems(&ring).len(), 1);
}

#[test]
fn a_dense_graph_with_many_circles_is_checked() {
    let dense = tasks(200, |number| {
        let all: Vec<String> =
            (0..200).filter(|other| *other != number).map(|other| format!("t{other}")).collect();
        format!(", depends_on: [{}]", all.join(", "))
    });
    // Long circles that are shortened to the same words are one problem.
    assert_eq!(problems(&dense).len(), 11);
    let back_to_start = |number: usize| {
        let next = (number + 1) % 10_000;
        format!(", depends_on: [t{next}, t{}]", number / 2)
    };
    assert!(problems(&tasks(10_000, back_to_start)).len() > 1);
}

/// Changes bytes of a valid file.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), 0..6usize, prop::collection::vec(any::<u8>(), 0..4));
    let pieces = prop::sample::select(vec![
        "${",
        "}",
        "[",
        "{",
        ": ",
        "\n",
        "\n  ",
        "- ",
        "&a ",
        "*a",
        "<<",
        "'",
        "\"",
        "|",
        "#",
        "!",
        "null",
        "tasks:",
        "for_each: ",
    ]);
    prop::collection::vec((edit, pieces), 1..8).prop_map(|edits| {
        let mut bytes = VALID.as_bytes().to_vec();
        for ((at, removed, inserted), piece) in edits {
            let at = at.index(bytes.len() + 1);
            let end = (at + removed).min(bytes.len());
            let new = if inserted.len() > 2 { inserted } else { piece.as_bytes().to_vec() };
            bytes.splice(at..end, new);
        }
        bytes
    })
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        drop(read(&bytes, &rules()));
    }

    #[test]
    fn no_change_of_a_valid_file_makes_it_panic_and_places_lie_in_the_file(bytes in mutated()) {
        if let Err(problems) = read(&bytes, &rules()) {
            let lines = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 1;
            prop_assert!(problems.len() > 0);
            for problem in &problems {
                prop_assert!((1..=lines + 1).contains(&problem.line) && problem.column >= 1, "{}", problem);
            }
        }
    }
}
