//! OpenAI's list of models, which most servers speak, each with facts of its own beside.
//!
//! The names under which servers tell the same fact are tried in turn.

use std::borrow::Cow;

use bytes::Bytes;
use motet_core::model_list::{ModelInfo, ModelPage};
use motet_core::{Error, ErrorKind, Result};
use serde_json::Value;

use crate::dialect::json::parse;
use crate::dialect::operations::Listing;
use crate::dialect::{Answer, HttpRequest, Method, Origin, refusal};

/// Where servers tell a model's name.
const IDS: &[&str] = &["/id", "/name", "/slug", "/model"];
/// Where servers tell the name for people.
const DISPLAY_NAMES: &[&str] = &["/display_name", "/name", "/displayName", "/model_spec/name"];
/// Where servers tell who made a model.
const OWNERS: &[&str] = &["/owned_by", "/vendor", "/organization", "/publisher"];
/// Where servers tell how many tokens fit into the context window; what is in force comes before what was trained.
const CONTEXT_WINDOWS: &[&str] = &[
    "/context_length",
    "/context_window",
    "/max_context_length",
    "/max_model_len",
    "/context_size",
    "/max_sequence_length",
    "/meta/n_ctx",
    "/meta/n_ctx_train",
    "/capabilities/limits/max_context_window_tokens",
    "/model_spec/availableContextTokens",
    "/top_provider/context_length",
    "/metadata/context_length",
    "/limits/max_input_tokens",
    "/max_input_tokens",
];
/// Where servers tell how many tokens a model can write.
const MAX_OUTPUTS: &[&str] = &[
    "/max_completion_tokens",
    "/max_output_tokens",
    "/max_output_length",
    "/top_provider/max_completion_tokens",
    "/capabilities/limits/max_output_tokens",
    "/model_spec/maxCompletionTokens",
    "/metadata/max_tokens",
    "/limits/max_output_tokens",
    "/max_tokens",
];

pub(super) struct OpenAi;

impl Listing for OpenAi {
    fn name(&self) -> &'static str {
        "openai-models"
    }

    fn doc(&self) -> &'static str {
        "OpenAI's list of models, which most servers speak."
    }

    fn encode(&self, page: Option<&str>) -> HttpRequest {
        HttpRequest {
            method: Method::Get,
            path: page.map_or(Cow::Borrowed("/models"), |last| Cow::Owned(format!("/models?after={last}"))),
            headers: Vec::new(),
            body: Bytes::new(),
            warnings: Vec::new(),
        }
    }

    fn decode(&self, answer: &Answer<'_>, origin: &Origin) -> Result<ModelPage> {
        let mut body: Value = parse(answer.body, "the list of models")?;
        if let Some(error) =
            body.get_mut("error").map(Value::take).and_then(|error| refusal::of_value(error, origin))
        {
            return Err(error);
        }
        let list = match &body {
            Value::Array(list) => Some(list),
            body => ["data", "models"].into_iter().find_map(|name| body.get(name)?.as_array()),
        };
        let Some(list) = list else {
            return Err(Error::new(ErrorKind::InvalidOutput, "the answer has no list of models"));
        };
        let more = body.get("has_more").is_some_and(|more| *more == true);
        let next = body.get("last_id").and_then(Value::as_str).filter(|last| more && is_cursor(last));
        Ok(ModelPage { models: list.iter().filter_map(model).collect(), next: next.map(str::to_owned) })
    }
}

/// Tells whether a text can stand in an address as it is.
fn is_cursor(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:~".contains(&byte))
}

/// Reads one model; `None` for what has no name.
fn model(entry: &Value) -> Option<ModelInfo> {
    let text = |places: &[&str]| {
        let texts = places.iter().filter_map(|place| entry.pointer(place)?.as_str());
        texts.map(str::trim).find(|text| !text.is_empty()).map(str::to_owned)
    };
    let count = |places: &[&str]| {
        places.iter().filter_map(|place| entry.pointer(place)?.as_u64()).find(|count| *count > 0)
    };
    let id = entry.as_str().map(str::to_owned).or_else(|| text(IDS))?;
    let mut info = ModelInfo::new(id.strip_prefix("models/").unwrap_or(&id));
    info.display_name = text(DISPLAY_NAMES).filter(|name| *name != id);
    info.owner = text(OWNERS);
    info.created = count(&["/created"]);
    info.context_window = count(CONTEXT_WINDOWS);
    info.max_output = count(MAX_OUTPUTS);
    Some(info)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rows;

    fn read(body: &Value) -> Result<ModelPage> {
        let origin = Origin::new(rows::find("custom").unwrap(), "custom:m".parse().unwrap());
        OpenAi.decode(&Answer { status: 200, headers: &[], body: body.to_string().as_bytes() }, &origin)
    }

    fn only(entry: &Value) -> ModelInfo {
        read(&json!({"data": [entry]})).unwrap().models.remove(0)
    }

    #[test]
    fn lists_are_read_wherever_they_stand() {
        let named = |body: Value| -> Vec<String> {
            read(&body).unwrap().models.into_iter().map(|model| model.id).collect()
        };
        assert_eq!(named(json!({"object": "list", "data": [{"id": "a"}, {"id": "b"}]})), ["a", "b"]);
        assert_eq!(named(json!([{"id": "a"}, {"name": "b"}, {"odd": 1}])), ["a", "b"]);
        assert_eq!(named(json!({"models": [{"slug": "a"}, "b", {"id": "models/c"}]})), ["a", "b", "c"]);
        assert_eq!(named(json!({"data": [], "models": [{"name": "a"}]})), [] as [&str; 0]);
        assert_eq!(read(&json!({})).unwrap_err().kind(), ErrorKind::InvalidOutput);
        let error = read(&json!({"error": {"message": "no", "code": "invalid_api_key"}})).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication);
    }

    #[test]
    fn facts_are_read_under_all_their_names() {
        for (entry, window, output) in [
            (json!({"id": "a", "context_length": 8}), Some(8), None),
            (json!({"id": "a", "context_window": 8, "max_completion_tokens": 4}), Some(8), Some(4)),
            (json!({"id": "a", "max_context_length": 8}), Some(8), None),
            (json!({"id": "a", "max_model_len": 8}), Some(8), None),
            (json!({"id": "a", "meta": {"n_ctx": 8, "n_ctx_train": 16}}), Some(8), None),
            (
                json!({"id": "a", "capabilities": {"limits": {"max_context_window_tokens": 8, "max_output_tokens": 4}}}),
                Some(8),
                Some(4),
            ),
            (json!({"id": "a", "model_spec": {"availableContextTokens": 8}}), Some(8), None),
            (
                json!({"id": "a", "context_length": null, "top_provider": {"context_length": 8}}),
                Some(8),
                None,
            ),
            (json!({"id": "a", "context_length": 0}), None, None),
        ] {
            let info = only(&entry);
            assert_eq!((info.context_window, info.max_output), (window, output), "{entry}");
        }
        let info = only(&json!({"id": "a", "name": "A", "vendor": "V", "created": 7}));
        assert_eq!(info.display_name.as_deref(), Some("A"));
        assert_eq!((info.owner.as_deref(), info.created), (Some("V"), Some(7)));
        let info = only(&json!({"id": "a", "name": "a", "created": 0, "owned_by": ""}));
        assert_eq!(info, ModelInfo::new("a"));
    }

    #[test]
    fn a_further_page_is_asked_for_by_the_last_name() {
        let page = |body: Value| read(&body).unwrap().next;
        let last = page(json!({"data": [{"id": "a"}], "has_more": true, "last_id": "a"}));
        assert_eq!(OpenAi.encode(last.as_deref()).path, "/models?after=a");
        assert_eq!(page(json!({"data": [], "has_more": false, "last_id": "a"})), None);
        assert_eq!(page(json!({"data": [], "has_more": true, "last_id": "a&b"})), None);
        assert_eq!(OpenAi.encode(None).path, "/models");
    }
}
