//! Shortens what old tool calls answered, so that long runs fit a model's context: calls, arguments, and roles stay.

use motet_core::message::ToolResult;
use motet_core::{Message, Part, Role};

/// How old results are shortened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condense {
    /// The newest rounds, which stay whole.
    pub keep_rounds: usize,
    /// Characters that an older result keeps at most.
    pub max_chars: usize,
}

/// Shortens the results of all rounds but the newest; gives whether anything changed.
pub(crate) fn condense(messages: &mut [Message], rules: Condense) -> bool {
    let mut rounds = 0;
    let mut changed = false;
    for message in messages.iter_mut().rev().filter(|message| message.role == Role::Tool) {
        rounds += 1;
        if rounds <= rules.keep_rounds {
            continue;
        }
        for part in &mut message.parts {
            if let Part::ToolResult(result) = part {
                changed |= shorten(result, rules.max_chars);
            }
        }
    }
    changed
}

fn shorten(result: &mut ToolResult, max_chars: usize) -> bool {
    let text = result.text();
    let other = result.content.iter().filter(|part| part.as_text().is_none()).count();
    let total = text.chars().count();
    // A result that was shortened before is as long as its notice allows, and is left as it is.
    if (total <= max_chars && other == 0) || text.ends_with(NOTICE_END) {
        return false;
    }
    let mut kept: String = text.chars().take(max_chars).collect();
    let parts = if other == 0 { String::new() } else { format!(" and {other} other parts") };
    kept.push_str(&format!(
        "\n[an older result: the first {max_chars} of {total} characters{parts}{NOTICE_END}"
    ));
    result.content = vec![Part::text(kept)];
    true
}

const NOTICE_END: &str = " are left]";

#[cfg(test)]
mod tests {
    use super::*;

    fn result(text: &str) -> Message {
        Message::tool(vec![ToolResult {
            id: "c".into(),
            name: "read".into(),
            content: vec![Part::text(text)],
            is_error: false,
        }])
    }

    #[test]
    fn only_old_and_long_results_are_shortened_and_only_once() {
        let long = "x".repeat(100);
        let mut messages = vec![result(&long), result("short"), Message::user("?"), result(&long)];
        let rules = Condense { keep_rounds: 1, max_chars: 10 };
        assert!(condense(&mut messages, rules));
        let text = |message: &Message| match &message.parts[0] {
            Part::ToolResult(result) => result.text(),
            other => panic!("a result was expected, not {other:?}"),
        };
        assert_eq!(
            text(&messages[0]),
            "xxxxxxxxxx\n[an older result: the first 10 of 100 characters are left]"
        );
        assert_eq!((text(&messages[1]), text(&messages[3])), ("short".into(), long));
        assert!(!condense(&mut messages, rules));
    }
}
