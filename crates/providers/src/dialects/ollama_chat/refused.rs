//! Refusals that need more than the common reading: an error inside the text of an error, and advice of this format.

use motet_core::{Error, ErrorKind};
use serde_json::Value;

use crate::dialect::{Answer, Origin, refusal};

/// What to do about texts that the server is known to answer with.
const ADVICE: &[(&str, &str)] = &[
    (
        "404 page not found",
        "set the base URL to the server's root, without `/v1` or `/api`, for example `http://localhost:11434`",
    ),
    ("does not support tools", "take a model that calls tools, or leave them out"),
    ("does not support thinking", "take a model that thinks, or leave the reasoning effort out"),
];

/// Tells what a refused request means.
pub(super) fn classify(answer: &Answer<'_>, origin: &Origin) -> Error {
    let inner = inner(answer.body);
    let body = inner.as_ref().map_or(answer.body, |text| text.as_bytes());
    let error = refusal::of_answer(&Answer { body, ..*answer }, origin);
    if let Some((_, advice)) = ADVICE.iter().find(|(text, _)| error.message().contains(text)) {
        return error.with_hint(*advice);
    }
    if error.kind() == ErrorKind::TokenLimit {
        return error.with_hint(
            "shorten the conversation, or widen the context window by `num_ctx` among the `options` of the request's \
             extra fields",
        );
    }
    error
}

/// Gives the error that the model's runner reported, where the server put its JSON into the text of its own error.
fn inner(body: &[u8]) -> Option<String> {
    let Value::Object(mut fields) = serde_json::from_slice(body).ok()? else { return None };
    let Some(Value::String(text)) = fields.remove("error") else { return None };
    serde_json::from_str::<Value>(&text).is_ok_and(|inner| inner.is_object()).then_some(text)
}
