//! The JSON of items, written straight into the body.

use motet_core::message::{Media, MediaSource};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Content, ContentPart, Item, Kept};

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Item::Message { role, content, kept } => {
                map.serialize_entry("type", "message")?;
                map.serialize_entry("role", role)?;
                kept.put(&mut map, &["type", "role", "content"])?;
                map.serialize_entry("content", content)?;
            }
            Item::Call { call, id, kept, free_form } => {
                let (kind, field) = match free_form {
                    true => ("custom_tool_call", "input"),
                    false => ("function_call", "arguments"),
                };
                let empty = !free_form && call.arguments.trim().is_empty();
                map.serialize_entry("type", kind)?;
                kept.put(&mut map, &["type", "call_id", "name", "arguments", "input"])?;
                map.serialize_entry("call_id", id)?;
                map.serialize_entry("name", &call.name)?;
                map.serialize_entry(field, if empty { "{}" } else { call.arguments.as_str() })?;
            }
            Item::Result { id, output, free_form } => {
                let kind = if *free_form { "custom_tool_call_output" } else { "function_call_output" };
                map.serialize_entry("type", kind)?;
                map.serialize_entry("call_id", id)?;
                map.serialize_entry("output", output)?;
            }
            Item::Own { fields, image: None } => fields.put(&mut map, &[])?,
            Item::Own { fields, image: Some(image) } => {
                fields.put(&mut map, &["result"])?;
                map.serialize_entry("result", image)?;
            }
        }
        map.end()
    }
}

impl Kept<'_> {
    /// Writes the fields except some.
    fn put<M: SerializeMap>(&self, map: &mut M, except: &[&str]) -> Result<(), M::Error> {
        for (name, value) in self.fields.into_iter().flatten() {
            let left_out = except.contains(&name.as_str()) || (name == "id" && !self.with_id);
            if !left_out {
                map.serialize_entry(name, value)?;
            }
        }
        Ok(())
    }
}

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Content::Text(text) => serializer.serialize_str(text),
            Content::Parts(parts) => serializer.collect_seq(parts),
        }
    }
}

impl Serialize for ContentPart<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            ContentPart::Given(text) => {
                map.serialize_entry("type", "input_text")?;
                map.serialize_entry("text", text)?;
            }
            ContentPart::Written(text) => {
                map.serialize_entry("type", "output_text")?;
                map.serialize_entry("text", text)?;
                // The format demands the field.
                map.serialize_entry::<_, [(); 0]>("annotations", &[])?;
            }
            ContentPart::Refused(text) => {
                map.serialize_entry("type", "refusal")?;
                map.serialize_entry("refusal", text)?;
            }
            ContentPart::Image(media) => {
                map.serialize_entry("type", "input_image")?;
                map.serialize_entry("image_url", &Address(media))?;
                map.serialize_entry("detail", "auto")?;
            }
            ContentPart::File(media) => {
                map.serialize_entry("type", "input_file")?;
                match media.source {
                    MediaSource::Url(_) => map.serialize_entry("file_url", &Address(media))?,
                    MediaSource::Base64(_) => {
                        map.serialize_entry("filename", media.name.as_deref().unwrap_or("document.pdf"))?;
                        map.serialize_entry("file_data", &Address(media))?;
                    }
                }
            }
        }
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
