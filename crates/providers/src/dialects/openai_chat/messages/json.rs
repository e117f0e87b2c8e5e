//! The JSON of messages, written straight into the body.

use motet_core::message::{Media, MediaSource};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::{Content, ContentPart, WireCall, WireMessage};

impl Serialize for WireMessage<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("role", self.role)?;
        map.serialize_entry("content", &self.content)?;
        if let Some((field, text)) = &self.reasoning {
            map.serialize_entry(field, text)?;
        }
        for (name, value) in &self.own {
            map.serialize_entry(name, value)?;
        }
        if !self.calls.is_empty() {
            map.serialize_entry("tool_calls", &self.calls)?;
        }
        if let Some(id) = &self.answers {
            map.serialize_entry("tool_call_id", id)?;
        }
        map.end()
    }
}

impl Serialize for WireCall<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let call = self.call;
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("id", &self.id)?;
        if self.free_form {
            map.serialize_entry("type", "custom")?;
            map.serialize_entry("custom", &Pair([("name", &call.name), ("input", &call.arguments)]))?;
        } else {
            let empty = call.arguments.trim().is_empty();
            let arguments = if empty { "{}" } else { call.arguments.as_str() };
            map.serialize_entry("type", "function")?;
            map.serialize_entry("function", &Pair([("name", &call.name), ("arguments", arguments)]))?;
        }
        if let Some(extra) = self.extra {
            map.serialize_entry("extra_content", extra)?;
        }
        map.end()
    }
}

/// A small object of texts.
struct Pair<'a, const N: usize>([(&'static str, &'a str); N]);

impl<const N: usize> Serialize for Pair<'_, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0)
    }
}

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Content::Null => serializer.serialize_unit(),
            Content::Text(text) => serializer.serialize_str(text),
            Content::Parts(parts) => {
                let mut seq = serializer.serialize_seq(Some(parts.len()))?;
                for part in parts {
                    seq.serialize_element(part)?;
                }
                seq.end()
            }
        }
    }
}

impl Serialize for ContentPart<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        match self {
            ContentPart::Text(text) => {
                map.serialize_entry("type", "text")?;
                map.serialize_entry("text", text)?;
            }
            ContentPart::Image(media) => {
                map.serialize_entry("type", "image_url")?;
                map.serialize_entry("image_url", &ImageUrl(media))?;
            }
            ContentPart::File(media) => {
                map.serialize_entry("type", "file")?;
                map.serialize_entry("file", &File(media))?;
            }
            ContentPart::Document(media) => {
                map.serialize_entry("type", "document_url")?;
                map.serialize_entry("document_url", &Address(media))?;
                if let Some(name) = &media.name {
                    map.serialize_entry("document_name", name)?;
                }
            }
            ContentPart::Thinking(text) => {
                let text = Pair([("type", "text"), ("text", text)]);
                map.serialize_entry("type", "thinking")?;
                map.serialize_entry("thinking", &[text])?;
            }
        }
        map.end()
    }
}

struct ImageUrl<'a>(&'a Media);

impl Serialize for ImageUrl<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([("url", Address(self.0))])
    }
}

struct File<'a>(&'a Media);

impl Serialize for File<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("filename", self.0.name.as_deref().unwrap_or("document.pdf"))?;
        map.serialize_entry("file_data", &Address(self.0))?;
        map.end()
    }
}

/// The address of some bytes, or the bytes as a data URL.
struct Address<'a>(&'a Media);

impl Serialize for Address<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0.source {
            MediaSource::Url(url) => serializer.serialize_str(url),
            MediaSource::Base64(data) => {
                let media_type = self.0.media_type.as_deref().unwrap_or("application/pdf");
                serializer.collect_str(&format_args!("data:{media_type};base64,{data}"))
            }
        }
    }
}
