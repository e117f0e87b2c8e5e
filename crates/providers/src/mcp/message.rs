//! Reads what a server sends without letting it ask too much: every message is bounded in size and nesting.
//!
//! One tool whose schema nests too deep must not take the whole list with it, nor leave its request without an answer.

use rmcp::model::{CustomResult, JsonRpcMessage, ServerJsonRpcMessage, ServerResult};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Largest message that is read, in bytes.
pub(super) const MESSAGE_LIMIT: usize = 16 << 20;
/// Deepest nesting that is read.
const DEPTH_LIMIT: usize = 100;
/// Field of a tool that says why it was left out before it was read.
pub(super) const LEFT_OUT: &str = "motet-left-out";

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    id: Value,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    tools: Vec<&'a RawValue>,
    #[serde(default, rename = "nextCursor")]
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    name: String,
}

/// Reads a message; `None` for what is not the protocol.
pub(super) fn read(text: &[u8]) -> Option<ServerJsonRpcMessage> {
    // A list would be read as the fields of a message, one after the other.
    if !text.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let bounded = bounded(text);
    let text = bounded.as_deref().unwrap_or(text);
    if let Some(answer) = answer(text) {
        return Some(answer);
    }
    serde_json::from_slice(text).ok()
}

/// Gives a message in the place of one that nests too deep; `None` where it may be read as it is.
pub(super) fn bounded(text: &[u8]) -> Option<Vec<u8>> {
    if depth(text) <= DEPTH_LIMIT {
        return None;
    }
    // Raw values are passed over without recursion, however deep they are.
    let envelope: Envelope<'_> = serde_json::from_slice(text).ok()?;
    if envelope.id.is_null() {
        return None;
    }
    let page = envelope.result.and_then(|result| serde_json::from_str::<Page<'_>>(result.get()).ok());
    let Some(page) = page else {
        let message = format!("the answer nests deeper than {DEPTH_LIMIT} levels and is not read");
        let error = json!({"code": -32603, "message": message});
        return Some(json!({"jsonrpc": "2.0", "id": envelope.id, "error": error}).to_string().into_bytes());
    };
    let tools: Vec<Value> = page.tools.into_iter().map(whole_or_stub).collect();
    let mut result = json!({"tools": tools});
    if let (Some(cursor), Some(fields)) = (page.next_cursor, result.as_object_mut()) {
        fields.insert("nextCursor".to_owned(), cursor.into());
    }
    Some(json!({"jsonrpc": "2.0", "id": envelope.id, "result": result}).to_string().into_bytes())
}

fn whole_or_stub(tool: &RawValue) -> Value {
    let text = tool.get();
    if depth(text.as_bytes()) < DEPTH_LIMIT
        && let Ok(whole) = serde_json::from_str(text)
    {
        return whole;
    }
    let name = serde_json::from_str::<Named>(text).map(|tool| tool.name).unwrap_or_default();
    let why = format!("its schema nests deeper than {DEPTH_LIMIT} levels");
    json!({"name": name, "inputSchema": {"type": "object"}, LEFT_OUT: why})
}

/// Reads an answer, whose result is kept as it is: it is read by whoever asked, and more patiently than all at once.
fn answer(text: &[u8]) -> Option<ServerJsonRpcMessage> {
    #[derive(Deserialize)]
    struct Answer {
        id: rmcp::model::RequestId,
        result: Value,
    }
    let Answer { id, result } = serde_json::from_slice(text).ok()?;
    // The handshake is read by the library.
    if result.get("protocolVersion").is_some() || result.get("supportedVersions").is_some() {
        return None;
    }
    Some(JsonRpcMessage::response(ServerResult::CustomResult(CustomResult::new(result)), id))
}

/// Counts how deep brackets nest outside texts.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels))
    }

    #[test]
    fn one_tool_that_nests_too_deep_leaves_the_others() {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":7,"result":{{"tools":[
                {{"name":"deep","inputSchema":{}}},{{"name":"flat","inputSchema":{{"type":"object"}}}}
            ],"nextCursor":"n"}}}}"#,
            nested(5000)
        );
        let Some(JsonRpcMessage::Response(response)) = read(text.as_bytes()) else { panic!("no answer") };
        let ServerResult::CustomResult(CustomResult(page)) = response.result else {
            panic!("another result")
        };
        assert_eq!(page["tools"][0]["name"], "deep");
        assert_eq!(page["tools"][0][LEFT_OUT], "its schema nests deeper than 100 levels");
        assert_eq!(page["tools"][1], json!({"name": "flat", "inputSchema": {"type": "object"}}));
        assert_eq!(page["nextCursor"], "n");
    }

    #[test]
    fn another_answer_that_nests_too_deep_is_an_error_for_its_request() {
        let text = format!(r#"{{"jsonrpc":"2.0","id":"x","result":{}}}"#, nested(5000));
        let Some(JsonRpcMessage::Error(error)) = read(text.as_bytes()) else { panic!("no error") };
        assert_eq!(error.error.message, "the answer nests deeper than 100 levels and is not read");
    }

    #[test]
    fn brackets_in_texts_do_not_count() {
        assert_eq!(depth(br#"{"a": "[[[\"[[", "b": [1]}"#), 2);
        assert_eq!(depth(b"]]]["), 1);
    }

    #[test]
    fn what_is_not_the_protocol_is_no_message() {
        for text in ["", "hello", "{\"a\": 1}", "[1, 2]", "\u{1b}[31mred"] {
            assert!(read(text.as_bytes()).is_none(), "{text}");
        }
    }
}
