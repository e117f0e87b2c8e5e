//! What is written of conversations, and where they may be cut.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::*;
use crate::message::{Part, ToolCall, ToolResult};

fn call() -> Message {
    let call =
        ToolCall { id: "c1".into(), name: "now".into(), arguments: "{}".into(), minted: false, opaque: None };
    Message { role: Role::Assistant, parts: vec![Part::ToolCall(call)] }
}

fn result() -> Message {
    let result = ToolResult {
        id: "c1".into(),
        name: "now".into(),
        content: vec![Part::text("noon")],
        is_error: false,
    };
    Message::tool(vec![result])
}

#[test]
fn no_cut_separates_a_call_from_its_results() {
    let (ask, say) = (Message::user("When?"), Message::assistant("At noon."));
    let messages = [ask, call(), result(), say];
    let allowed: Vec<bool> = (0..=messages.len())
        .map(|at| may_cut(at.checked_sub(1).and_then(|before| messages.get(before)), messages.get(at)))
        .collect();
    assert_eq!(allowed, [true, true, false, true, true]);
}

#[test]
fn names_are_short_and_plain() {
    for (text, fits) in [("trip-to.rome_2", true), ("", false), ("a b", false), ("ä", false), ("x/y", false)]
    {
        assert_eq!(text.parse::<ConversationId>().is_ok(), fits, "{text}");
    }
    assert!("x".repeat(65).parse::<ConversationId>().is_err());
}

#[test]
fn an_unknown_price_makes_the_sum_unknown() {
    let mut head = ConversationHead::new("a".parse().unwrap(), Millis(0));
    let mut turn = Turn::new(vec![Message::user("Hi")]);
    (turn.usage, turn.cost) = (Usage::new(3, 2), Some(Cost::from_nanos(7)));
    head.add_turn(&turn);
    assert_eq!((head.usage.total(), head.cost, head.messages), (5, Some(Cost::from_nanos(7)), 1));
    turn.cost = None;
    head.add_turn(&turn);
    assert_eq!((head.usage.total(), head.cost, head.turns), (10, None, 2));
}

fn reads_back<T: DeserializeOwned + Serialize>(line: &str) {
    let value: T = serde_json::from_str(line).unwrap();
    assert_eq!(serde_json::to_string(&value).unwrap(), line);
}

#[test]
fn what_was_written_by_every_version_can_be_read() {
    let mut lines = include_str!("golden-v1.jsonl").lines();
    reads_back::<StoredTurn>(lines.next().unwrap());
    reads_back::<StoredSummary>(lines.next().unwrap());
    reads_back::<StoredConversation>(lines.next().unwrap());
    assert_eq!(lines.next(), None);
}

#[test]
fn a_turn_is_put_together_again() {
    let mut turn = Turn::new(vec![Message::user("When?"), call(), result(), Message::assistant("At noon.")]);
    turn.measured = Some(Measured { messages: 4, summarised: 0, input: 9, output: 3, estimated: 8 });
    turn.unsummarised = Some(Unsummarised { tokens: 5, summarised: 2 });
    let stored = serde_json::to_value(StoredTurn::of(&turn)).unwrap();
    assert_eq!(stored["version"], json!("1"));
    assert!(stored.get("messages").is_none());
    let stored: StoredTurn = serde_json::from_value(stored).unwrap();
    assert_eq!(stored.with_messages(turn.messages.clone()), turn);
}
