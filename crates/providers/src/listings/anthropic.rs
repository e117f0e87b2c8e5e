//! Anthropic's list of models.
//!
//! Knows no provider by name.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;
use motet_core::model_list::{ModelInfo, ModelPage};
use motet_core::{Error, ErrorKind, Result};
use serde::Deserialize;

use crate::dialect::json::{Count, Text, parse};
use crate::dialect::operations::Listing;
use crate::dialect::{Answer, HttpRequest, Method, Origin, refusal};
use crate::dialects::anthropic_messages;

/// Entries of one page, the most that there can be.
const PAGE: u32 = 1_000;

pub(super) struct Anthropic;

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow, default)]
    data: Option<Vec<Entry<'a>>>,
    #[serde(default)]
    has_more: Option<bool>,
    #[serde(borrow, default)]
    last_id: Option<Text<'a>>,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    display_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    created_at: Option<Text<'a>>,
    #[serde(default)]
    max_input_tokens: Count,
    #[serde(default)]
    max_tokens: Count,
}

impl Listing for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic-models"
    }

    fn doc(&self) -> &'static str {
        "Anthropic's list of models."
    }

    fn encode(&self, page: Option<&str>) -> HttpRequest {
        let mut path = format!("/models?limit={PAGE}");
        if let Some(after) = page {
            path.push_str("&after_id=");
            push_escaped(&mut path, after);
        }
        HttpRequest {
            method: Method::Get,
            path: Cow::Owned(path),
            headers: anthropic_messages::headers(),
            body: Bytes::new(),
            warnings: Vec::new(),
        }
    }

    fn decode(&self, answer: &Answer<'_>, origin: &Origin) -> Result<ModelPage> {
        let page: Page<'_> = parse(answer.body, "the list of models")?;
        if let Some(error) = page.error.and_then(|error| refusal::of_value(error, origin)) {
            return Err(error);
        }
        let entries = page
            .data
            .ok_or_else(|| Error::new(ErrorKind::InvalidOutput, "the answer holds no list of models"))?;
        let last = page.last_id.and_then(Text::filled).or_else(|| entries.last()?.id.0.clone().into());
        let next = last.filter(|last| page.has_more == Some(true) && !last.is_empty()).map(Cow::into_owned);
        Ok(ModelPage { models: entries.into_iter().map(info).collect(), next })
    }
}

fn info(entry: Entry<'_>) -> ModelInfo {
    let mut info = ModelInfo::new(entry.id.0);
    info.display_name = entry.display_name.and_then(Text::filled).map(Cow::into_owned);
    info.created =
        entry.created_at.and_then(|time| time.0.parse::<jiff::Timestamp>().ok()).and_then(|time| {
            // A model whose date is unknown has the beginning of the epoch for one.
            u64::try_from(time.as_second()).ok().filter(|seconds| *seconds > 0)
        });
    info.context_window = entry.max_input_tokens.0;
    info.max_output = entry.max_tokens.0;
    info
}

/// Adds a text to a query, its marks written as percentages.
fn push_escaped(query: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            query.push(char::from(byte));
        } else {
            let _ = write!(query, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests;
