//! Error bodies in all the shapes that providers send them, read by one reader for all formats.
//!
//! Knows no provider: a shape is read wherever it comes from.

use motet_core::Error;
use serde_json::{Map, Value};

use super::{Answer, Complaint, Origin, error_from};

/// Tells what a refused request means.
pub(crate) fn of_answer(answer: &Answer<'_>, origin: &Origin) -> Error {
    let text = String::from_utf8_lossy(answer.body);
    let text = event_data(text.trim());
    let mut complaint = match serde_json::from_str::<Value>(text) {
        Ok(body) => of_body(body),
        Err(_) if text.starts_with('<') => Complaint { message: html_title(text), ..Complaint::default() },
        Err(_) => Complaint { message: text.to_owned(), ..Complaint::default() },
    };
    complaint.status = Some(answer.status);
    complaint.error_type = answer.header("x-amzn-errortype").map(bare_type).or(complaint.error_type);
    error_from(complaint, Some(answer), origin)
}

/// Tells what an error inside an answer means; `None` when the value tells of no error.
pub(crate) fn of_value(value: Value, origin: &Origin) -> Option<Error> {
    let harmless = match &value {
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => true,
    };
    (!harmless).then(|| error_from(of_body(value), None, origin))
}

fn of_body(body: Value) -> Complaint {
    match body {
        Value::Array(list) => list.into_iter().next().map(of_body).unwrap_or_default(),
        Value::String(message) => Complaint { message, ..Complaint::default() },
        Value::Object(mut fields) => match fields.remove("error") {
            Some(Value::Object(inner)) => of_fields(inner),
            Some(Value::String(message)) if !message.is_empty() => Complaint { message, ..of_fields(fields) },
            _ => of_fields(fields),
        },
        Value::Null => Complaint::default(),
        other => Complaint { message: other.to_string(), ..Complaint::default() },
    }
}

fn of_fields(mut fields: Map<String, Value>) -> Complaint {
    let message = ["message", "Message", "detail", "title", "error_description"]
        .into_iter()
        .find_map(|name| fields.get(name).filter(|value| !value.is_null()))
        .map(as_text)
        .unwrap_or_default();
    let detail = fields.get("metadata").and_then(|metadata| metadata.get("raw")).map(as_text);
    let message = match detail {
        Some(detail) if message == "Provider returned error" => format!("{message}: {detail}"),
        _ => message,
    };
    let mut take =
        |name: &str| fields.remove(name).filter(|value| !value.is_null()).map(|value| as_text(&value));
    let code = take("code");
    let error_type = take("type").or_else(|| take("status"));
    let error_type = error_type.or_else(|| take("__type").map(|name| bare_type(&name)));
    let numbers = [take("status_code"), take("originalStatusCode"), code.clone()];
    let status = numbers.into_iter().flatten().filter_map(|text| text.parse::<u16>().ok());
    Complaint {
        status: status.into_iter().find(|status| (300..600).contains(status)),
        message,
        code,
        error_type,
        param: take("param"),
    }
}

/// Gives a type of Amazon's errors without its namespace and what follows a colon.
fn bare_type(name: &str) -> String {
    let name = name.split(':').next().unwrap_or_default();
    name.rsplit('#').next().unwrap_or_default().trim().to_owned()
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Gives the JSON of an error that was sent as one server-sent event.
fn event_data(text: &str) -> &str {
    let is_event = text.starts_with("data:") || text.starts_with("event:");
    let data = text.lines().find_map(|line| line.strip_prefix("data:"));
    if is_event { data.map_or(text, str::trim) } else { text }
}

/// Gives what a web page calls itself, since its markup helps nobody.
fn html_title(page: &str) -> String {
    let lower = page.to_ascii_lowercase();
    let title = ["title>", "h1>"].into_iter().find_map(|tag| {
        let start = lower.find(tag)? + tag.len();
        let end = start + lower.get(start..)?.find('<')?;
        page.get(start..end).map(str::trim).filter(|title| !title.is_empty())
    });
    match title {
        Some(title) => format!("a web page came instead of an answer: `{title}`"),
        None => "a web page came instead of an answer".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use motet_core::ErrorKind;

    use super::*;
    use crate::rows;

    fn origin() -> Origin {
        Origin::new(rows::find("openai").unwrap(), "openai:gpt-4o".parse().unwrap())
    }

    fn message(status: u16, body: &str) -> String {
        of_answer(&Answer { status, headers: &[], body: body.as_bytes() }, &origin()).to_string()
    }

    #[test]
    fn every_shape_of_body_gives_its_message() {
        for (body, expected) in [
            (
                r#"{"error":{"message":"bad","type":"t","code":"c","param":"p"}}"#,
                "bad (code: c, type: t, param: p)",
            ),
            (r#"{"error":"text"}"#, "text"),
            (r#"{"error":"text","code":7}"#, "text (code: 7)"),
            (r#"{"object":"error","message":"flat","code":400}"#, "flat (code: 400)"),
            (r#"{"detail":[{"loc":["body"]}]}"#, r#"[{"loc":["body"]}]"#),
            (r#"{"detail":"not found"}"#, "not found"),
            (r#"[{"error":{"message":"wrapped","status":"INVALID"}}]"#, "wrapped (type: INVALID)"),
            (r#"{"Message":"capital"}"#, "capital"),
            (
                r#"{"__type":"com.amazon.coral.service#AccessDeniedException"}"#,
                "`openai` answered with status 400 and no message (type: AccessDeniedException)",
            ),
            (r#""just text""#, "just text"),
            ("plain words\n", "plain words"),
            ("data: {\"error\":{\"message\":\"in an event\"}}\n\n", "in an event"),
            (
                "<html><head><title>502 Bad Gateway</title></head></html>",
                "a web page came instead of an answer: `502 Bad Gateway`",
            ),
            ("<p>", "a web page came instead of an answer"),
            ("", "`openai` answered with status 400 and no message"),
            ("null", "`openai` answered with status 400 and no message"),
        ] {
            assert_eq!(message(400, body), expected, "{body}");
        }
    }

    #[test]
    fn the_type_in_a_header_of_amazon_decides() {
        let headers =
            [("x-amzn-errortype".to_owned(), "ThrottlingException:http://internal.amazon.com/x/".to_owned())];
        let body = br#"{"message":"Too many tokens, please wait before trying again."}"#;
        let error = of_answer(&Answer { status: 400, headers: &headers, body }, &origin());
        assert_eq!(error.kind(), ErrorKind::RateLimit);
        assert!(error.to_string().ends_with("(type: ThrottlingException)"), "{error}");
    }

    #[test]
    fn an_error_inside_an_answer_counts_only_when_it_says_something() {
        for harmless in ["null", "\"\"", "{}", "false", "0", "[]"] {
            assert!(of_value(serde_json::from_str(harmless).unwrap(), &origin()).is_none(), "{harmless}");
        }
        let error = of_value(serde_json::json!({"message": "slow", "code": 429}), &origin()).unwrap();
        assert_eq!((error.kind(), error.status()), (ErrorKind::RateLimit, None));
    }
}
