//! Gemini's list of models.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;
use motet_core::model_list::{ModelInfo, ModelPage};
use motet_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::dialect::json::{Count, Text, parse};
use crate::dialect::operations::Listing;
use crate::dialect::{Answer, HttpRequest, Method, Origin, refusal};

/// Most models that one page may hold.
const PAGE: usize = 1_000;

pub(super) struct Gemini;

impl Listing for Gemini {
    fn name(&self) -> &'static str {
        "gemini-models"
    }

    fn doc(&self) -> &'static str {
        "Gemini's list of models."
    }

    fn encode(&self, page: Option<&str>) -> HttpRequest {
        let mut path = format!("/models?pageSize={PAGE}");
        if let Some(page) = page {
            path.push_str("&pageToken=");
            push_escaped(page, &mut path);
        }
        HttpRequest {
            method: Method::Get,
            path: Cow::Owned(path),
            headers: Vec::new(),
            body: Bytes::new(),
            warnings: Vec::new(),
        }
    }

    fn decode(&self, answer: &Answer<'_>, origin: &Origin) -> Result<ModelPage> {
        let body: Body<'_> = parse(answer.body, "the list of models")?;
        if let Some(error) = body.error.and_then(|error| refusal::of_value(error, origin)) {
            return Err(error);
        }
        let next = body.next_page_token.and_then(Text::filled).map(Cow::into_owned);
        // A page may be empty, and then the list is left out; anything else without one is no page.
        let Some(models) = body.models.or_else(|| next.is_some().then(Vec::new)) else {
            return Err(Error::new(ErrorKind::InvalidOutput, "the answer has no list of models"));
        };
        Ok(ModelPage { models: models.into_iter().map(info).collect(), next })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(borrow, default)]
    models: Option<Vec<Entry<'a>>>,
    #[serde(borrow, default)]
    next_page_token: Option<Text<'a>>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    display_name: Option<Text<'a>>,
    #[serde(default)]
    input_token_limit: Count,
    #[serde(default)]
    output_token_limit: Count,
}

fn info(entry: Entry<'_>) -> ModelInfo {
    // Models are asked for without the name of their collection; those of other collections keep it.
    let mut info = ModelInfo::new(entry.name.0.strip_prefix("models/").unwrap_or(&entry.name.0));
    info.display_name = entry.display_name.and_then(Text::filled).map(Cow::into_owned);
    info.context_window = entry.input_token_limit.0;
    info.max_output = entry.output_token_limit.0;
    info
}

/// Adds a text to a query, all but letters, digits, and a few marks by their numbers.
fn push_escaped(text: &str, query: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            query.push(char::from(byte));
        } else {
            let _ = write!(query, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    #[test]
    fn pages_follow_each_other_and_names_lose_their_collection() {
        assert_eq!(Gemini.encode(None).path, "/models?pageSize=1000");
        assert_eq!(Gemini.encode(Some("a+/b=")).path, "/models?pageSize=1000&pageToken=a%2B%2Fb%3D");
        let origin = Origin::new(rows::find("gemini").unwrap(), "gemini:m".parse().unwrap());
        let read =
            |body: &str| Gemini.decode(&Answer { status: 200, headers: &[], body: body.as_bytes() }, &origin);
        let page = read(
            r#"{"models":[{"name":"models/gemini-2.5-pro","displayName":"Gemini 2.5 Pro","inputTokenLimit":1048576,
                "outputTokenLimit":65536},{"name":"tunedModels/mine"}],"nextPageToken":"n"}"#,
        );
        let mut first = ModelInfo::new("gemini-2.5-pro");
        first.display_name = Some("Gemini 2.5 Pro".into());
        (first.context_window, first.max_output) = (Some(1_048_576), Some(65_536));
        let models = vec![first, ModelInfo::new("tunedModels/mine")];
        assert_eq!(page.unwrap(), ModelPage { models, next: Some("n".into()) });
        assert_eq!(read(r#"{"nextPageToken":"n"}"#).unwrap().models, []);
        assert_eq!(read("{}").unwrap_err().kind(), ErrorKind::InvalidOutput);
    }
}
