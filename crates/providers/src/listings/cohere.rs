//! Cohere's list of models, which only the first version of its interface has.

use std::borrow::Cow;

use bytes::Bytes;
use motet_core::Result;
use motet_core::model_list::{ModelInfo, ModelPage};
use serde::Deserialize;

use crate::dialect::json::{Count, Text, parse};
use crate::dialect::operations::Listing;
use crate::dialect::{Answer, HttpRequest, Method, Origin};

/// Beside the base URL's own version; joining an address takes the dots out.
const PATH: &str = "/../v1/models?page_size=1000";

pub(super) struct Cohere;

impl Listing for Cohere {
    fn name(&self) -> &'static str {
        "cohere-models"
    }

    fn doc(&self) -> &'static str {
        "Cohere's list of models."
    }

    fn encode(&self, page: Option<&str>) -> HttpRequest {
        let path = match page {
            None => Cow::Borrowed(PATH),
            Some(token) => Cow::Owned(format!("{PATH}&page_token={}", escaped(token))),
        };
        HttpRequest {
            method: Method::Get,
            path,
            headers: Vec::new(),
            body: Bytes::new(),
            warnings: Vec::new(),
        }
    }

    fn decode(&self, answer: &Answer<'_>, _origin: &Origin) -> Result<ModelPage> {
        let read: Read<'_> = parse(answer.body, "the list of models")?;
        let models = read.models.into_iter().flatten().filter_map(|entry| {
            let mut info = ModelInfo::new(entry.name?.filled()?);
            info.context_window = entry.context_length.0.filter(|tokens| *tokens > 0);
            Some(info)
        });
        let next = read.next_page_token.and_then(Text::filled).map(Cow::into_owned);
        Ok(ModelPage { models: models.collect(), next })
    }
}

/// Writes a text so that it can stand in a query.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            other => escaped.push_str(&format!("%{other:02X}")),
        }
    }
    escaped
}

#[derive(Deserialize)]
struct Read<'a> {
    #[serde(borrow, default)]
    models: Option<Vec<Entry<'a>>>,
    #[serde(borrow, default)]
    next_page_token: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(default)]
    context_length: Count,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    #[test]
    fn pages_follow_each_other_by_their_token() {
        let origin = Origin::new(rows::find("cohere").unwrap(), "cohere:m".parse().unwrap());
        let body = r#"{"models":[{"name":"command-a-03-2025","endpoints":["chat"],"context_length":288000.0},
            {"name":"rerank-v3.5","context_length":0}],"next_page_token":"a b/="}"#;
        let page =
            Cohere.decode(&Answer { status: 200, headers: &[], body: body.as_bytes() }, &origin).unwrap();
        let found: Vec<_> =
            page.models.iter().map(|model| (model.id.as_str(), model.context_window)).collect();
        assert_eq!(found, [("command-a-03-2025", Some(288_000)), ("rerank-v3.5", None)]);
        assert_eq!(Cohere.encode(None).path, "/../v1/models?page_size=1000");
        let next = Cohere.encode(page.next.as_deref());
        assert_eq!(next.path, "/../v1/models?page_size=1000&page_token=a%20b%2F%3D");
        let last = Answer { status: 200, headers: &[], body: br#"{"models":[],"next_page_token":""}"# };
        assert_eq!(Cohere.decode(&last, &origin).unwrap(), ModelPage::default());
    }
}
