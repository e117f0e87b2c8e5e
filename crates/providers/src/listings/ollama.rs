//! The models that an Ollama server holds.

use std::borrow::Cow;

use bytes::Bytes;
use motet_core::Result;
use motet_core::model_list::{ModelInfo, ModelPage};
use serde::Deserialize;

use crate::dialect::json::{Text, parse};
use crate::dialect::operations::Listing;
use crate::dialect::{Answer, HttpRequest, Method, Origin};

pub(super) struct Ollama;

impl Listing for Ollama {
    fn name(&self) -> &'static str {
        "ollama-tags"
    }

    fn doc(&self) -> &'static str {
        "The models that an Ollama server holds."
    }

    /// There is only one page.
    fn encode(&self, _page: Option<&str>) -> HttpRequest {
        HttpRequest {
            method: Method::Get,
            path: Cow::Borrowed("/api/tags"),
            headers: Vec::new(),
            body: Bytes::new(),
            warnings: Vec::new(),
        }
    }

    fn decode(&self, answer: &Answer<'_>, _origin: &Origin) -> Result<ModelPage> {
        let read: Read<'_> = parse(answer.body, "the list of models")?;
        let entries = read.models.or(read.data).into_iter().flatten();
        let models = entries.filter_map(|entry| {
            let name = [entry.name, entry.id, entry.model].into_iter().flatten().find_map(Text::filled)?;
            Some(ModelInfo::new(name))
        });
        Ok(ModelPage { models: models.collect(), next: None })
    }
}

#[derive(Deserialize)]
struct Read<'a> {
    #[serde(borrow, default)]
    models: Option<Vec<Entry<'a>>>,
    /// Where servers that imitate this one put the list of the other format, some of them beside this one's.
    #[serde(borrow, default)]
    data: Option<Vec<Entry<'a>>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    model: Option<Text<'a>>,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    #[test]
    fn models_are_read_by_the_names_they_are_asked_by() {
        let origin = Origin::new(rows::find("ollama").unwrap(), "ollama:m".parse().unwrap());
        assert_eq!(Ollama.encode(None).path, "/api/tags");
        for (body, expected) in [
            (
                r#"{"models":[{"name":"qwen3:4b","model":"qwen3:4b","size":1,"details":{"family":"qwen3"}},{"model":"b"}]}"#,
                vec!["qwen3:4b", "b"],
            ),
            (r#"{"object":"list","data":[{"id":"a","object":"model"}]}"#, vec!["a"]),
            (r#"{"models":[{"name":"a"}],"data":[{"id":"b"}]}"#, vec!["a"]),
            (r#"{"models":null}"#, vec![]),
        ] {
            let answer = Answer { status: 200, headers: &[], body: body.as_bytes() };
            let page = Ollama.decode(&answer, &origin).unwrap();
            let names: Vec<&str> = page.models.iter().map(|model| model.id.as_str()).collect();
            assert_eq!((names, page.next), (expected, None));
        }
    }
}
