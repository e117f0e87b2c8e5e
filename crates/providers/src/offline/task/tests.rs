//! Tests of how instruction and material are told apart.

use motet_core::message::ToolResult;

use super::*;

const NOTE: &str = "The ship is late. It waits for the tide.";

#[track_caller]
fn check(user: &str, instruction: &str, material: &str) {
    let task = Task::of(user, "", "");
    assert_eq!((task.instruction.as_str(), task.material.as_str()), (instruction, material));
}

#[test]
fn a_marker_line_begins_the_material() {
    check(&format!("Summarise it.\n\nFile content from a/b.md:\n{NOTE}"), "Summarise it.", NOTE);
    check(&format!("Summarise it.\n**Text:**\n{NOTE}"), "Summarise it.", NOTE);
    check(
        &format!("Compare.\n\nFile content from a.md:\n{NOTE}\n\nFile content from b.md:\nMore."),
        "Compare.",
        &format!("{NOTE}\n\nMore."),
    );
}

#[test]
fn tags_and_longer_fences_hold_the_material() {
    check(
        &format!("Summarise it.\n<document>\n{NOTE}\n</document>\nBe brief."),
        "Summarise it.\nBe brief.",
        NOTE,
    );
    check(&format!("Summarise it.\n```text\n{NOTE}\n```"), "Summarise it.", NOTE);
}

#[test]
fn a_first_or_last_paragraph_may_be_the_instruction() {
    check(&format!("Why is the ship late?\n\n{NOTE}"), "Why is the ship late?", NOTE);
    check(&format!("{NOTE}\n\nWhy is the ship late?"), "Why is the ship late?", NOTE);
    check(&format!("{NOTE}\n\nQuestion: why?"), "why?", NOTE);
    check(&format!("Summarize in one sentence: {NOTE}"), "Summarize in one sentence", NOTE);
    check("Fasse zusammen: Das Schiff kommt später.", "Fasse zusammen", "Das Schiff kommt später.");
}

#[test]
fn a_text_alone_is_the_material_and_a_question_alone_looks_elsewhere() {
    check(NOTE, "", NOTE);
    check("Why is it late?", "Why is it late?", "");
    let asked = Task::of("Why is it late?", "You are kind.", NOTE);
    assert_eq!((asked.material.as_str(), asked.system.as_str()), (NOTE, "You are kind."));
    assert_eq!(Task::of("Why is it late?", NOTE, "").material, NOTE);
    let context = Task::of("Why is it late?", &format!("Answer from this.\n\nContext:\n{NOTE}"), "");
    assert_eq!((context.material.as_str(), context.system.as_str()), (NOTE, "Answer from this."));
}

#[test]
fn a_letter_is_no_instruction() {
    let letter = format!("Will,\n\n{NOTE} Come soon.");
    check(&letter, "", &letter);
}

#[test]
fn documents_and_tool_results_are_read_and_images_refused() {
    let id: motet_core::ModelId = "offline:extract".parse().unwrap();
    let document =
        |source| Part::Document(Media { media_type: Some("text/plain".into()), source, name: None });
    let encoded = base64::engine::general_purpose::STANDARD.encode(NOTE);
    let message = Message {
        role: Role::User,
        parts: vec![Part::text("Summarise it."), document(MediaSource::Base64(encoded))],
    };
    let task = Task::read(&ChatRequest::new(id.clone(), vec![message])).unwrap();
    assert_eq!((task.instruction.as_str(), task.material.as_str()), ("Summarise it.", NOTE));

    let result =
        ToolResult { id: "1".into(), name: "read".into(), content: vec![Part::text(NOTE)], is_error: false };
    let messages = vec![Message::user("Why is it late?"), Message::tool(vec![result])];
    assert_eq!(Task::read(&ChatRequest::new(id.clone(), messages)).unwrap().material, NOTE);

    let image =
        Part::Image(Media { media_type: None, source: MediaSource::Url("http://x".into()), name: None });
    let request = ChatRequest::new(id.clone(), vec![Message { role: Role::User, parts: vec![image] }]);
    assert_eq!(Task::read(&request).unwrap_err().kind(), ErrorKind::Unsupported);
    let request = ChatRequest::new(id, vec![Message::user(" \n")]);
    assert_eq!(Task::read(&request).unwrap_err().kind(), ErrorKind::InvalidRequest);
}
