//! Error bodies in all the shapes that providers send them, read by one reader for all formats.
//!
//! Knows no provider: a shape is read wherever it comes from.

mod google;
mod text;

use motet_core::Error;
use motet_core::limits::RateLimits;
use serde_json::{Map, Value};

use super::limits;
use super::{Answer, Complaint, Origin, error_from};
pub(crate) use text::html_title;
use text::{event_data, text_of};

/// Fields that are shown beside a message and are none.
const NO_TEXTS: &[&str] = &["code", "type", "__type", "param", "status", "object", "request_id"];

/// Tells what a refused request means.
pub(crate) fn of_answer(answer: &Answer<'_>, origin: &Origin) -> Error {
    let text = String::from_utf8_lossy(answer.body);
    let text = event_data(text.trim());
    let mut complaint = match serde_json::from_str::<Value>(text) {
        Ok(body) => of_body(body),
        Err(_) if text.starts_with('<') => {
            Complaint { message: html_title(text), is_page: true, ..Complaint::default() }
        }
        Err(_) => Complaint { message: text.to_owned(), ..Complaint::default() },
    };
    complaint.status = Some(answer.status);
    if let Some(exception) = answer.header("x-amzn-errortype") {
        complaint.error_type = Some(bare_type(exception));
    }
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
        Value::Object(mut fields) => match fields.remove("error") {
            Some(Value::Object(inner)) => {
                let around = request_id(&fields);
                let complaint = of_fields(inner, true);
                Complaint { request_id: complaint.request_id.or(around), ..complaint }
            }
            Some(error) if !text_of(&error).is_empty() => {
                Complaint { message: text_of(&error), ..of_fields(fields, false) }
            }
            _ => of_fields(fields, false),
        },
        other => Complaint { message: text_of(&other), ..Complaint::default() },
    }
}

/// Reads the fields of an error; `nested` are those that stand below a field `error`, where `status` is a word.
fn of_fields(mut fields: Map<String, Value>, nested: bool) -> Complaint {
    fields.retain(|_, value| !value.is_null());
    let details = fields.get("details").map(google::read).unwrap_or_default();
    let from_proxy = fields.get("metadata").map(of_metadata).unwrap_or_default();
    let inner_code = fields.get("innererror").and_then(|inner| inner.get("code")?.as_str());
    let reason = details.reason.or(from_proxy.reason).or(inner_code.map(str::to_owned));
    let request_id = request_id(&fields);
    let message = if fields.keys().all(|name| NO_TEXTS.contains(&name.as_str())) {
        String::new()
    } else {
        text_of(&Value::Object(fields.clone()))
    };
    let after = ["retry_after", "retry_after_seconds", "estimated_time", "resets_in_seconds"];
    let after = after.iter().find_map(|name| fields.get(*name)?.as_f64());
    let numbers = ["raw_status_code", "originalStatusCode", "status_code", "statusCode", "status", "code"];
    let numbers: Vec<u16> =
        numbers.iter().filter_map(|name| text_of(fields.get(*name)?).parse().ok()).collect();
    let mut take =
        |name: &str| fields.remove(name).map(|value| text_of(&value)).filter(|text| !text.is_empty());
    Complaint {
        status: numbers.into_iter().find(|status| (300..600).contains(status)),
        message,
        code: take("code"),
        error_type: take("type")
            .or_else(|| take("status").filter(|_| nested))
            .or_else(|| take("__type").map(|name| bare_type(&name))),
        param: take("param"),
        reason,
        upstream: from_proxy.upstream,
        retry_after: details.retry_after.or_else(|| limits::reset_in(after?)).or(from_proxy.retry_after),
        exhausted: details.exhausted,
        request_id,
        limits: from_proxy.limits,
        is_page: false,
    }
}

/// Gives a type of Amazon's errors without its namespace and what follows a colon.
fn bare_type(name: &str) -> String {
    let name = name.split(':').next().unwrap_or_default();
    name.rsplit('#').next().unwrap_or_default().trim().to_owned()
}

/// Gives the id of the request, which some formats repeat in the body.
fn request_id(fields: &Map<String, Value>) -> Option<String> {
    let id = ["request_id", "requestId", "id"].iter().find_map(|name| fields.get(*name)?.as_str());
    id.filter(|id| !id.is_empty()).map(str::to_owned)
}

/// What a gateway tells of the provider behind it.
#[derive(Default)]
struct FromProxy {
    reason: Option<String>,
    upstream: Option<String>,
    retry_after: Option<std::time::Duration>,
    limits: RateLimits,
}

fn of_metadata(metadata: &Value) -> FromProxy {
    let flagged = metadata.get("flagged_input").is_some() || metadata.get("reasons").is_some();
    let headers = metadata.get("headers").and_then(Value::as_object);
    let headers: Vec<(String, String)> =
        headers.into_iter().flatten().map(|(name, value)| (name.to_lowercase(), text_of(value))).collect();
    let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let limits = limits::read(pairs, || limits::served_at(None));
    let full = limits.requests.filter(|requests| requests.remaining == Some(0));
    FromProxy {
        reason: flagged.then(|| "content_filter".to_owned()),
        upstream: metadata.get("raw").map(text_of).filter(|text| !text.is_empty()),
        retry_after: full.and_then(|requests| requests.reset),
        limits,
    }
}

#[cfg(test)]
mod tests;
