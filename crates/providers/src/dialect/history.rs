//! What becomes of a conversation's parts that only one provider understands, when another is next.
//!
//! The rules: reasoning, payloads, and native blocks go back byte for byte to the provider that sent them, and are left
//! out for any other; a payload that belongs to a part that stays (text, a tool call) is dropped and the part is sent
//! plain. Whatever is left out is told. Calls of tools and their results are kept together.

use std::collections::BTreeMap;

use motet_core::message::{Opaque, ToolCall};
use motet_core::{Error, ErrorKind, Message, Part, Result, Role};
use serde_json::Value;

/// Gives the payload if it came from this provider.
pub(crate) fn own<'a>(opaque: Option<&'a Opaque>, provider: &str) -> Option<&'a Value> {
    opaque.filter(|opaque| opaque.provider == provider).map(|opaque| &opaque.payload)
}

/// Refuses a conversation in which a call of a tool is not answered before it goes on, or a result answers no call.
///
/// Instructions between a call and its result are no answer and no obstacle, as many formats send them elsewhere.
pub(crate) fn check_pairs(messages: &[Message]) -> Result<()> {
    let mut open: Vec<&ToolCall> = Vec::new();
    for message in messages.iter().filter(|message| message.role != Role::System) {
        for part in &message.parts {
            let Part::ToolResult(result) = part else { continue };
            match open.iter().position(|call| call.id == result.id) {
                Some(place) => open.remove(place),
                None => return Err(stray_result(&result.id, &result.name)),
            };
        }
        let goes_on = message.parts.iter().any(|part| !matches!(part, Part::ToolResult(_)));
        if let Some(call) = open.first().filter(|_| goes_on) {
            return Err(unanswered(call));
        }
        if message.role == Role::Assistant {
            open.extend(message.tool_calls());
        }
    }
    open.first().map_or(Ok(()), |call| Err(unanswered(call)))
}

fn unanswered(call: &ToolCall) -> Error {
    let text = format!("the call `{}` of tool `{}` is not answered", call.id, call.name);
    Error::new(ErrorKind::InvalidRequest, text).with_hint(
        "put the results of all calls right after them; when you shorten a conversation, drop both together",
    )
}

fn stray_result(id: &str, tool: &str) -> Error {
    let text = format!("the result of tool `{tool}` for call `{id}` answers no call before it");
    Error::new(ErrorKind::InvalidRequest, text)
        .with_hint("keep the message with the call; when you shorten a conversation, drop both together")
}

/// Counts what was left out of a conversation, to be told in one warning each.
#[derive(Debug, Default)]
pub(crate) struct Losses(BTreeMap<(&'static str, String), usize>);

impl Losses {
    /// Notes that something that came from a provider was left out, such as `reasoning` or `signature`.
    pub(crate) fn note(&mut self, what: &'static str, from: &str) {
        *self.0.entry((what, from.to_owned())).or_default() += 1;
    }

    /// Notes a payload that came from another provider than the one asked; `None` and the provider's own are no loss.
    pub(crate) fn note_foreign(&mut self, what: &'static str, opaque: Option<&Opaque>, provider: &str) {
        if let Some(opaque) = opaque.filter(|opaque| opaque.provider != provider) {
            self.note(what, &opaque.provider);
        }
    }

    /// Gives one warning for each kind of loss.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|((what, from), count)| {
            let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
            let from = if from.is_empty() { String::new() } else { format!(" of `{from}`") };
            format!("{what}{from} was left out {times}, as this model cannot take it")
        })
    }
}

#[cfg(test)]
mod tests {
    use motet_core::message::ToolResult;
    use serde_json::json;

    use super::*;

    fn calls(ids: &[&str]) -> Message {
        let call = |id: &&str| ToolCall {
            id: (*id).into(),
            name: "add".into(),
            arguments: "{}".into(),
            minted: false,
            opaque: None,
        };
        Message { role: Role::Assistant, parts: ids.iter().map(|id| Part::ToolCall(call(id))).collect() }
    }

    fn result(id: &str) -> Part {
        let content = vec![Part::text("4")];
        Part::ToolResult(ToolResult { id: id.into(), name: "add".into(), content, is_error: false })
    }

    fn says(role: Role, parts: Vec<Part>) -> Message {
        Message { role, parts }
    }

    #[test]
    fn every_call_is_answered_before_the_conversation_goes_on() {
        let text = || Part::text("and?");
        let unanswered = |id: &str| Some(format!("the call `{id}` of tool `add` is not answered"));
        let stray =
            |id: &str| Some(format!("the result of tool `add` for call `{id}` answers no call before it"));
        for (messages, expected) in [
            (vec![Message::user("Hi")], None),
            (vec![calls(&["a"]), says(Role::Tool, vec![result("a")])], None),
            (vec![calls(&["a", "b"]), says(Role::Tool, vec![result("b"), result("a")])], None),
            (
                vec![
                    calls(&["a", "b"]),
                    says(Role::Tool, vec![result("a")]),
                    Message::system("Be brief."),
                    says(Role::User, vec![result("b"), text()]),
                ],
                None,
            ),
            (
                vec![
                    calls(&["a"]),
                    says(Role::Tool, vec![result("a")]),
                    calls(&["a"]),
                    says(Role::Tool, vec![result("a")]),
                ],
                None,
            ),
            (vec![calls(&["a"])], unanswered("a")),
            (vec![calls(&["a"]), Message::user("Hi")], unanswered("a")),
            (vec![calls(&["a", "b"]), says(Role::User, vec![result("a"), text()])], unanswered("b")),
            (vec![calls(&["a"]), calls(&["b"])], unanswered("a")),
            (vec![says(Role::Tool, vec![result("a")])], stray("a")),
            (
                vec![calls(&["a"]), says(Role::Tool, vec![result("a")]), says(Role::Tool, vec![result("a")])],
                stray("a"),
            ),
        ] {
            let found = check_pairs(&messages).err();
            assert!(found.as_ref().is_none_or(|error| error.kind() == ErrorKind::InvalidRequest));
            assert_eq!(found.map(|error| error.message().to_owned()), expected, "{messages:?}");
        }
    }

    #[test]
    fn what_is_foreign_is_counted_and_what_is_own_is_given() {
        let opaque = Opaque { provider: "a".into(), payload: json!({"signature": "x"}) };
        assert_eq!(own(Some(&opaque), "a"), Some(&json!({"signature": "x"})));
        assert_eq!(own(Some(&opaque), "b"), None);
        let mut losses = Losses::default();
        losses.note_foreign("a signature", Some(&opaque), "a");
        losses.note_foreign("a signature", None, "b");
        assert_eq!(losses.warnings().count(), 0);
        losses.note_foreign("a signature", Some(&opaque), "b");
        losses.note_foreign("a signature", Some(&opaque), "b");
        losses.note("reasoning", "");
        let warnings: Vec<String> = losses.warnings().collect();
        assert_eq!(
            warnings,
            [
                "a signature of `a` was left out 2 times, as this model cannot take it",
                "reasoning was left out once, as this model cannot take it",
            ]
        );
    }
}
