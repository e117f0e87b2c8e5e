//! Reads what a server's tools, resources, and prompts hold as parts that models are shown, within bounds.
//!
//! What cannot be shown is told in words, so that nothing is lost without a trace.

use motet_core::message::{Media, MediaSource};
use motet_core::{Part, ToolOutput};
use serde_json::Value;

/// Bytes of one result that are kept, texts and base64 together.
const LIMIT: usize = 8 << 20;

/// Reads the result of a tool call.
pub(super) fn output(result: &Value) -> ToolOutput {
    let is_error = result.get("isError").and_then(Value::as_bool).unwrap_or(false);
    let mut parts = Parts::default();
    for block in result.get("content").and_then(Value::as_array).into_iter().flatten() {
        parts.block(block);
    }
    if !parts.has_text
        && let Some(value) = result.get("structuredContent").filter(|value| !value.is_null())
    {
        parts.text(&value.to_string());
    }
    if parts.list.is_empty() {
        parts.text("[no content]");
    }
    ToolOutput { is_error, ..ToolOutput { content: parts.list, ..ToolOutput::text("") } }
}

/// Reads the contents of a resource.
pub(super) fn resource(result: &Value) -> Vec<Part> {
    let mut parts = Parts::default();
    for contents in result.get("contents").and_then(Value::as_array).into_iter().flatten() {
        parts.contents(contents, None);
    }
    parts.list
}

/// Reads one block of a prompt's message.
pub(super) fn block(block: &Value) -> Vec<Part> {
    let mut parts = Parts::default();
    parts.block(block);
    parts.list
}

/// Parts so far; texts in a row are one part, each on lines of its own.
#[derive(Default)]
struct Parts {
    list: Vec<Part>,
    used: usize,
    has_text: bool,
}

impl Parts {
    fn block(&mut self, block: &Value) {
        let field = |name: &str| block.get(name).and_then(Value::as_str);
        match field("type").unwrap_or_default() {
            "text" => {
                self.has_text = true;
                self.text(field("text").unwrap_or_default());
            }
            "image" => self.blob(field("data").unwrap_or_default(), field("mimeType"), "an image"),
            "audio" => {
                let kind = field("mimeType").unwrap_or("unknown type");
                let size = decoded(field("data").unwrap_or_default());
                self.text(&format!("[audio, {kind}, {size} bytes, which cannot be shown here]"));
            }
            "resource_link" => self.text(&link(block)),
            "resource" => {
                let contents = block.get("resource").unwrap_or(&Value::Null);
                self.has_text |= contents.get("text").is_some();
                self.contents(contents, contents.get("uri").and_then(Value::as_str));
            }
            other => {
                self.text(&format!("[content of the type `{}`, which cannot be shown here]", cut(other, 80)));
            }
        }
    }

    /// Adds what a resource holds, under its address where that is not known yet.
    fn contents(&mut self, contents: &Value, uri: Option<&str>) {
        let field = |name: &str| contents.get(name).and_then(Value::as_str);
        if let Some(uri) = uri {
            self.text(&format!("[resource {}]", cut(uri, 500)));
        }
        match (field("text"), field("blob")) {
            (Some(text), _) => self.text(text),
            (None, Some(blob)) => self.blob(blob, field("mimeType"), "a file"),
            (None, None) => self.text("[a resource without contents]"),
        }
    }

    fn blob(&mut self, data: &str, kind: Option<&str>, what: &str) {
        let kind = kind.unwrap_or("application/octet-stream");
        let is_image = kind.starts_with("image/") && kind.len() < 80;
        let fits = self.used.saturating_add(data.len()) <= LIMIT;
        if is_image && fits && !data.is_empty() {
            self.used += data.len();
            let source = MediaSource::Base64(data.to_owned());
            self.list.push(Part::Image(Media { media_type: Some(kind.to_owned()), source, name: None }));
            return;
        }
        let why = if is_image && !fits { "too large" } else { "which cannot be shown here" };
        self.text(&format!("[{what}, {}, {} bytes, {why}]", cut(kind, 80), decoded(data)));
    }

    fn text(&mut self, text: &str) {
        let left = LIMIT.saturating_sub(self.used);
        let mut shown = text;
        if text.len() > left {
            shown = text.get(..text.floor_char_boundary(left)).unwrap_or_default();
        }
        self.used += shown.len();
        let lost = text.len() - shown.len();
        let notice = if lost > 0 { format!("\n[{lost} bytes more were cut off]") } else { String::new() };
        match self.list.last_mut() {
            Some(Part::Text { text: before, .. }) => {
                before.push('\n');
                before.push_str(shown);
                before.push_str(&notice);
            }
            _ => self.list.push(Part::text(format!("{shown}{notice}"))),
        }
    }
}

fn link(block: &Value) -> String {
    let field = |name: &str| block.get(name).and_then(Value::as_str).map(|text| cut(text, 500));
    let mut text = format!("[resource {}", field("uri").unwrap_or_default());
    for (name, before) in [("name", ": "), ("mimeType", ", "), ("description", ", ")] {
        if let Some(value) = field(name) {
            text.push_str(before);
            text.push_str(value);
        }
    }
    text + "]"
}

/// Gives the size of what base64 stands for.
fn decoded(data: &str) -> usize {
    data.trim_end_matches('=').len() * 3 / 4
}

fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(result: &Value) -> (String, bool) {
        let output = output(result);
        (output.content.iter().filter_map(Part::as_text).collect(), output.is_error)
    }

    #[test]
    fn every_kind_of_content_is_shown_or_told() {
        let (text, is_error) = texts(&json!({"content": [
            {"type": "text", "text": "one"},
            {"type": "text", "text": "two"},
            {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"},
            {"type": "resource_link", "uri": "file:///a", "name": "a", "mimeType": "text/plain"},
            {"type": "resource", "resource": {"uri": "file:///b", "text": "inside"}},
            {"type": "resource", "resource": {"uri": "file:///c", "blob": "AAAA", "mimeType": "application/zip"}},
            {"type": "hologram"},
        ]}));
        assert!(!is_error);
        assert_eq!(
            text,
            "one\ntwo\n[audio, audio/wav, 3 bytes, which cannot be shown here]\n[resource file:///a: a, text/plain]\n\
             [resource file:///b]\ninside\n[resource file:///c]\n\
             [a file, application/zip, 3 bytes, which cannot be shown here]\n\
             [content of the type `hologram`, which cannot be shown here]"
        );
    }

    #[test]
    fn images_stay_images() {
        let result =
            json!({"content": [{"type": "image", "data": "AA==", "mimeType": "image/png"}], "isError": true});
        let output = output(&result);
        assert!(output.is_error);
        assert!(
            matches!(&output.content[..], [Part::Image(media)] if media.media_type.as_deref() == Some("image/png"))
        );
    }

    #[test]
    fn structured_content_is_shown_where_there_is_no_text() {
        assert_eq!(texts(&json!({"structuredContent": {"n": 1}})).0, r#"{"n":1}"#);
        let both = json!({"content": [{"type": "text", "text": "n is 1"}], "structuredContent": {"n": 1}});
        assert_eq!(texts(&both).0, "n is 1");
        assert_eq!(texts(&json!({"content": []})).0, "[no content]");
    }

    #[test]
    fn a_large_result_is_cut_and_says_so() {
        let text = "ä".repeat(LIMIT);
        let (shown, _) =
            texts(&json!({"content": [{"type": "text", "text": text}, {"type": "text", "text": "b"}]}));
        assert!(shown.len() < LIMIT + 200);
        assert!(shown.contains("bytes more were cut off]"));
        let image = json!({"type": "image", "data": "A".repeat(LIMIT + 4), "mimeType": "image/png"});
        assert_eq!(texts(&json!({"content": [image]})).0, "[an image, image/png, 6291459 bytes, too large]");
    }
}
