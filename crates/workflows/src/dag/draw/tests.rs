//! What is drawn of a workflow, in each language, and that names stay names.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn spec(tasks: serde_json::Value) -> WorkflowSpec {
    serde_json::from_value(json!({"name": "Drawn", "tasks": tasks})).unwrap()
}

fn drawn(states: &[(&str, TaskState)]) -> Drawing {
    let spec = spec(json!([
        {"id": "ask", "method": "llm/chat", "on_failure": "continue"},
        {"id": "each", "method": "llm/chat", "for_each": {"items": [1, 2]}, "dependencies": ["ask"]},
        {"id": "last", "method": "file/write", "when": "${each}", "dependencies": ["each", "ask"]},
    ]));
    Drawing::new(&spec, &states.iter().map(|(id, state)| ((*id).to_owned(), *state)).collect())
}

#[test]
fn a_flowchart_has_a_box_for_each_task_and_an_arrow_for_each_dependency() {
    assert_eq!(
        drawn(&[("ask", TaskState::Done), ("each", TaskState::Failed)]).mermaid(),
        r#"%% Drawn
flowchart TD
    n0["ask<br/><small>llm/chat</small>"]:::done
    n1[["each<br/><small>llm/chat × 2</small>"]]:::failed
    n2{{"last<br/><small>file/write, perhaps</small>"}}
    n0 -.-> n1
    n1 --> n2
    n0 -.-> n2
    classDef done fill:#dafbe1,stroke:#1a7f37,color:#1f2328
    classDef failed fill:#ffebe9,stroke:#cf222e,color:#1f2328
"#
    );
}

#[test]
fn the_language_of_graphviz_says_the_same() {
    assert_eq!(
        drawn(&[("ask", TaskState::Skipped)]).dot(),
        r##"digraph workflow {
    label="Drawn";
    labelloc=t;
    rankdir=TB;
    node [shape=box, style="rounded,filled", fontname="sans-serif"];
    n0 [label="ask\nllm/chat", fillcolor="#eaeef2", color="#8c959f", tooltip="skipped"];
    n1 [label="each\nllm/chat × 2", fillcolor="#f6f8fa", color="#57606a", shape=box3d];
    n2 [label="last\nfile/write, perhaps", fillcolor="#f6f8fa", color="#57606a", shape=hexagon];
    n0 -> n1 [style=dashed];
    n1 -> n2;
    n0 -> n2 [style=dashed];
}
"##
    );
}

#[test]
fn boxes_stand_below_what_they_wait_for_and_never_on_each_other() {
    let tasks: Vec<_> = (0..40)
        .map(|at: usize| {
            let needs: Vec<String> = (0..at)
                .filter(|other| (at * 7 + other).is_multiple_of(5))
                .map(|other| format!("t{other}"))
                .collect();
            json!({"id": format!("t{at}"), "method": "llm/chat", "dependencies": needs})
        })
        .collect();
    let drawing = Drawing::new(&spec(json!(tasks)), &BTreeMap::new());
    let layout = layout::layout(&drawing, 0.0);
    for edge in &drawing.edges {
        assert!(layout.spots[edge.from].y + layout::HEIGHT < layout.spots[edge.to].y, "{edge:?}");
    }
    for (at, one) in layout.spots.iter().enumerate() {
        assert!(one.x >= 0.0 && one.x + one.width <= layout.width && one.y + layout::HEIGHT <= layout.height);
        for other in &layout.spots[at + 1..] {
            let apart = one.y != other.y || one.x + one.width < other.x || other.x + other.width < one.x;
            assert!(apart, "{one:?} and {other:?}");
        }
    }
}

#[test]
fn a_graph_of_two_chains_is_drawn_without_crossings() {
    let drawing = Drawing::new(
        &spec(json!([
            {"id": "a", "method": "m"}, {"id": "b", "method": "m"},
            {"id": "of_b", "method": "m", "dependencies": ["b"]}, {"id": "of_a", "method": "m", "dependencies": ["a"]},
        ])),
        &BTreeMap::new(),
    );
    let spots = layout::layout(&drawing, 0.0).spots;
    assert_eq!(spots[0].x < spots[1].x, spots[3].x < spots[2].x);
}

#[test]
fn an_empty_graph_is_drawn_too() {
    let drawing = Drawing::new(&spec(json!([])), &BTreeMap::new());
    assert!(drawing.svg().ends_with("</svg>\n"));
}

proptest! {
    /// A name of any characters leaves the same marks of the language as a plain one.
    #[test]
    fn names_stay_names(name in "\\PC{0,30}|[\"\\\\<>&';#{}\\[\\]%\n\r\u{202e}-]{1,20}|</text><script>|\"]; end|%%\\{init\\}") {
        let draw = |name: &str| {
            let mut spec = spec(json!([{"id": "t", "method": "llm/chat"}]));
            spec.name = name.to_owned();
            spec.tasks[0].id = name.to_owned();
            Drawing::new(&spec, &BTreeMap::new())
        };
        let (plain, hostile) = (draw("plain"), draw(&name));
        let count = |text: &str, marks: &[char]| text.chars().filter(|c| marks.contains(c)).count();
        let lines = |text: &str| text.lines().count();
        prop_assert_eq!(count(&hostile.svg(), &['<', '>', '"']), count(&plain.svg(), &['<', '>', '"']));
        let (mermaid, usual) = (hostile.mermaid(), plain.mermaid());
        prop_assert_eq!(lines(&mermaid), lines(&usual));
        let body = |text: &str| text.split_once('\n').unwrap().1.to_owned();
        prop_assert_eq!(count(&body(&mermaid), &['"', '[', ']', '<', '>']), count(&body(&usual), &['"', '[', ']', '<', '>']));
        prop_assert_ne!(mermaid.chars().nth(3), Some('{'));
        prop_assert!(!mermaid.contains("%%\u{7b}"), "a directive");
        let dot = hostile.dot();
        prop_assert_eq!(lines(&dot), lines(&plain.dot()));
        let open = dot.replace("\\\\", "").replace("\\\"", "");
        prop_assert_eq!(count(&open, &['"']), count(&plain.dot(), &['"']));
    }
}
