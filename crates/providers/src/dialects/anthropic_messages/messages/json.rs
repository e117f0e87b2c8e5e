//! The JSON of turns, written straight into the body.

use motet_core::message::{Media, MediaSource};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::{Block, Document, Input, Side, Turn};

impl Serialize for Turn<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let role = match self.role {
            Side::User => "user",
            Side::Assistant => "assistant",
            Side::System => "system",
        };
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("role", role)?;
        map.serialize_entry("content", &Content(&self.blocks))?;
        map.end()
    }
}

/// Blocks, of which a single plain text may go as the text alone.
struct Content<'a, 'b>(&'b [Block<'a>]);

impl Serialize for Content<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [Block::Text { text, citations: None }] => serializer.serialize_str(text),
            blocks => serializer.collect_seq(blocks),
        }
    }
}

impl Serialize for Block<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Block::Native(block) = self {
            return block.serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        match self {
            Block::Text { text, citations } => {
                map.serialize_entry("type", "text")?;
                map.serialize_entry("text", text)?;
                if let Some(citations) = citations {
                    map.serialize_entry("citations", citations)?;
                }
            }
            Block::Thinking { text, payload } => put_thinking(&mut map, text, payload)?,
            Block::Call { id, name, input, beside } => {
                map.serialize_entry("type", "tool_use")?;
                map.serialize_entry("id", id)?;
                map.serialize_entry("name", name)?;
                map.serialize_entry("input", input)?;
                for (name, value) in beside.iter().flat_map(|fields| fields.iter()) {
                    if !["type", "id", "name", "input"].contains(&name.as_str()) {
                        map.serialize_entry(name, value)?;
                    }
                }
            }
            Block::Answer { id, content, is_error } => {
                map.serialize_entry("type", "tool_result")?;
                map.serialize_entry("tool_use_id", id)?;
                if !content.is_empty() {
                    map.serialize_entry("content", &Content(content))?;
                }
                if *is_error {
                    map.serialize_entry("is_error", &true)?;
                }
            }
            Block::Image(media) => {
                map.serialize_entry("type", "image")?;
                map.serialize_entry("source", &Source::of_image(media))?;
            }
            Block::Document(document) => {
                let (source, media) = Source::of_document(document);
                map.serialize_entry("type", "document")?;
                map.serialize_entry("source", &source)?;
                if let Some(title) = media.name.as_deref().filter(|name| !name.trim().is_empty()) {
                    map.serialize_entry("title", title)?;
                }
            }
            Block::Native(_) => {}
        }
        map.end()
    }
}

/// Writes a block of thinking as it came; the model was noted in it for this side alone.
fn put_thinking<M: SerializeMap>(
    map: &mut M,
    text: &str,
    payload: &Map<String, Value>,
) -> Result<(), M::Error> {
    for (name, value) in payload.iter().filter(|(name, _)| *name != "model") {
        map.serialize_entry(name, value)?;
        if name == "type" && value == "thinking" {
            map.serialize_entry("thinking", text)?;
        }
    }
    Ok(())
}

impl Serialize for Input<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Input::Object(object) => object.serialize(serializer),
            Input::Empty => serializer.collect_map::<&str, &str, _>([]),
            Input::Broken(text) => serializer.collect_map([("raw", text)]),
        }
    }
}

/// Where the bytes of an image or document are.
enum Source<'a> {
    Bytes { media_type: &'a str, data: &'a str },
    Url(&'a str),
    Text(&'a str),
}

impl<'a> Source<'a> {
    fn of_image(media: &'a Media) -> Self {
        match &media.source {
            MediaSource::Base64(data) => {
                Source::Bytes { media_type: media.media_type.as_deref().unwrap_or("image/png"), data }
            }
            MediaSource::Url(url) => Source::Url(url),
        }
    }

    fn of_document(document: &'a Document<'a>) -> (Self, &'a Media) {
        match document {
            Document::Bytes { media, data } => (Source::Bytes { media_type: "application/pdf", data }, media),
            Document::Url { media, url } => (Source::Url(url), media),
            Document::Text { media, text } => (Source::Text(text), media),
        }
    }
}

impl Serialize for Source<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Source::Bytes { media_type, data } => {
                serializer.collect_map([("type", "base64"), ("media_type", *media_type), ("data", *data)])
            }
            Source::Url(url) => serializer.collect_map([("type", "url"), ("url", *url)]),
            Source::Text(text) => {
                serializer.collect_map([("type", "text"), ("media_type", "text/plain"), ("data", *text)])
            }
        }
    }
}
