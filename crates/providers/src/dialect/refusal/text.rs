//! The readable text of an error in whatever value it stands.

use serde_json::{Map, Value};

use crate::dialect::shortened;

/// Names of fields that hold a text for people, the best one first.
const TEXTS: &[&str] =
    &["message", "detail", "title", "error_description", "Message", "msg", "error", "errors", "status_msg"];

/// Gives the text for people of a value: of an object its message, of a list of complaints one after the other.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(fields) => message(fields).unwrap_or_else(|| value.to_string()),
        Value::Array(list) if !list.is_empty() => complaints(list).unwrap_or_else(|| value.to_string()),
        other => other.to_string(),
    }
}

fn message(fields: &Map<String, Value>) -> Option<String> {
    let texts = TEXTS.iter().filter_map(|name| fields.get(*name));
    texts.map(text_of).find(|text| !text.is_empty() && text != "[]" && text != "{}")
}

/// Gives complaints of fields as `path: complaint`, with `; ` between.
fn complaints(list: &[Value]) -> Option<String> {
    let complaints = list.iter().map(|one| match one {
        Value::String(text) => Some(text.clone()),
        Value::Object(fields) => {
            let text = message(fields)?;
            let place = fields.get("loc").and_then(Value::as_array).map(|loc| path(loc)).unwrap_or_default();
            Some(if place.is_empty() { text } else { format!("{place}: {text}") })
        }
        _ => None,
    });
    complaints.collect::<Option<Vec<String>>>().map(|complaints| complaints.join("; "))
}

/// Gives where in the body a complaint points to, such as `messages.0.content`.
fn path(loc: &[Value]) -> String {
    let pieces: Vec<String> = loc.iter().map(text_of).collect();
    let pieces = if pieces.first().is_some_and(|first| first == "body") { pieces.get(1..) } else { None }
        .unwrap_or(&pieces);
    pieces.join(".")
}

/// Gives the JSON of an error that was sent as one server-sent event.
pub(super) fn event_data(text: &str) -> &str {
    let is_event = text.starts_with("data:") || text.starts_with("event:");
    let data = text.lines().find_map(|line| line.strip_prefix("data:"));
    if is_event { data.map_or(text, str::trim) } else { text }
}

/// Gives what a web page calls itself, since its markup helps nobody.
pub(crate) fn html_title(page: &str) -> String {
    let lower = page.to_ascii_lowercase();
    let title = ["title", "h1"].into_iter().find_map(|tag| {
        let open = lower.find(&format!("<{tag}"))?;
        let start = open + lower.get(open..)?.find('>')? + 1;
        let end = start + lower.get(start..)?.find('<')?;
        let title = page.get(start..end)?.split_whitespace().collect::<Vec<_>>().join(" ");
        (!title.is_empty()).then_some(title)
    });
    match title {
        Some(title) => format!("a web page came instead of an answer: `{}`", shortened(&title, 200)),
        None => "a web page came instead of an answer".to_owned(),
    }
}
