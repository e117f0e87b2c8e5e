//! Tests of the block reader.

use super::*;

fn shown(text: &str) -> Vec<String> {
    let line = |block: &Block| match (&block.kind, &block.label) {
        (Kind::Heading(level), _) => format!("h{level} {}", block.text),
        (Kind::Paragraph, Some(label)) => format!("p [{label}] {}", block.text),
        (Kind::Paragraph, None) => format!("p {}", block.text),
        (Kind::Item, _) => format!("- {}", block.text),
        (Kind::Row, _) => format!("| {}", block.text),
        (Kind::Label, label) => format!("{}= {}", label.as_deref().unwrap_or_default(), block.text),
        (Kind::Line, _) => format!("l {}", block.text),
    };
    read(text).iter().map(line).collect()
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(shown(text), expected);
}

#[test]
fn markdown_becomes_plain_blocks() {
    check(
        "# A *big* title\n\nText over\ntwo lines, with [a link](http://x.example) and `code`.\n\n- one\n  more\n2) two\n- [x] done\n\nSub\n---\n\n***\nEnd of it.",
        &[
            "h1 A big title",
            "p Text over two lines, with a link and code.",
            "- one more",
            "- two",
            "- done",
            "h2 Sub",
            "p End of it.",
        ],
    );
}

#[test]
fn tables_keep_their_columns() {
    let text = "| Who | What |\n|---|:--|\n| Ada | Write *it* \\| now |\n\n| x | y |";
    check(text, &["| Ada – Write it | now", "| x – y"]);
    let who = ("Who".to_owned(), "Ada".to_owned());
    assert_eq!(read(text).first().unwrap().cells.first(), Some(&who));
}

#[test]
fn labels_speakers_and_lines_are_told_from_sentences() {
    check(
        "**Date:** 2026-03-14\n**Opened:** 18:02 · **Closed:** 21:24\n\n**Ada Quill:** It works. I saw it.\n\nResolved unanimously: the plan is approved.\n\nStill open:\n",
        &[
            "Date= 2026-03-14",
            "Opened= 18:02",
            "Closed= 21:24",
            "p [Ada Quill] It works. I saw it.",
            "p Resolved unanimously: the plan is approved.",
            "l Still open:",
        ],
    );
    check("Kind regards\nAda Quill\nHead of Ships", &["l Kind regards", "l Ada Quill", "l Head of Ships"]);
}

#[test]
fn mails_lose_their_quotation_marks_and_attributions() {
    check(
        "Subject: Re: Ships\nFrom: Ada Quill <ada@x.example>\n\nYes.\n\n> On Monday, Bo <bo@x.example> wrote:\n>\n> Does it\n> really work for all of the ships that we have in the harbour tonight?",
        &[
            "Subject= Re: Ships",
            "From= Ada Quill ada@x.example",
            "p Yes.",
            "p Does it really work for all of the ships that we have in the harbour tonight?",
        ],
    );
}

#[test]
fn code_is_left_out_and_an_open_fence_ends_with_the_text() {
    check("Before it.\n```rust\nfn main() {}\n```\nAfter it.\n~~~\nlost", &["p Before it.", "p After it."]);
}

#[test]
fn inline_markup_goes_and_arithmetic_stays() {
    for (text, expected) in [
        ("2 * 3 and **bold** and snake_case _it_", "2 * 3 and bold and snake_case it"),
        ("![alt](a.png) \\*star\\* [not a link]", "alt *star* [not a link]"),
        ("a   b\u{20} c", "a b c"),
        ("x < y and y > z", "x < y and y > z"),
    ] {
        assert_eq!(plain(text), expected);
    }
}
