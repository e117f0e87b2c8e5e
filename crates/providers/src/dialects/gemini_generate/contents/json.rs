//! The JSON of contents, written straight into the body.

use motet_core::message::MediaSource;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Content;
use super::parts::{Arguments, Data, FunctionResult, WirePart};

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("role", self.role)?;
        map.serialize_entry("parts", &self.parts)?;
        map.end()
    }
}

impl Serialize for WirePart<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match &self.data {
            Data::Text(text) => map.serialize_entry("text", text)?,
            Data::Media { media, .. } => match &media.source {
                MediaSource::Base64(_) => map.serialize_entry("inlineData", &Medium(&self.data))?,
                MediaSource::Url(_) => map.serialize_entry("fileData", &Medium(&self.data))?,
            },
            Data::Call { name, arguments, id } => {
                map.serialize_entry("functionCall", &FunctionCall { name, arguments, id: *id })?;
            }
            Data::Result(result) => map.serialize_entry("functionResponse", result)?,
            Data::Native(fields) => {
                for (name, value) in *fields {
                    map.serialize_entry(name, value)?;
                }
            }
        }
        if self.thought {
            map.serialize_entry("thought", &true)?;
        }
        if let Some(signature) = self.signature {
            map.serialize_entry("thoughtSignature", signature)?;
        }
        map.end()
    }
}

/// The bytes or the address of a medium.
struct Medium<'a, 'b>(&'b Data<'a>);

impl Serialize for Medium<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        if let Data::Media { media, media_type } = self.0 {
            if let Some(media_type) = media_type {
                map.serialize_entry("mimeType", media_type)?;
            }
            match &media.source {
                MediaSource::Base64(data) => map.serialize_entry("data", data)?,
                MediaSource::Url(url) => map.serialize_entry("fileUri", url)?,
            }
        }
        map.end()
    }
}

struct FunctionCall<'a, 'b> {
    name: &'a str,
    arguments: &'b Arguments<'a>,
    id: Option<&'a str>,
}

impl Serialize for FunctionCall<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(id) = self.id {
            map.serialize_entry("id", id)?;
        }
        map.serialize_entry("name", self.name)?;
        map.serialize_entry("args", self.arguments)?;
        map.end()
    }
}

impl Serialize for Arguments<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Arguments::Object(raw) => raw.serialize(serializer),
            Arguments::None => serializer.serialize_map(Some(0))?.end(),
            Arguments::Text(text) => serializer.collect_map([("arguments", text)]),
        }
    }
}

impl Serialize for FunctionResult<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(id) = self.id {
            map.serialize_entry("id", id)?;
        }
        map.serialize_entry("name", self.name)?;
        map.serialize_entry("response", &Response(self))?;
        if !self.media.is_empty() {
            map.serialize_entry("parts", &self.media)?;
        }
        map.end()
    }
}

/// The text of a result under the names that the format gives to outcomes and failures.
///
/// A text of JSON stays a text: the format reads numbers of objects as floats, which would spoil long ones.
struct Response<'a, 'b>(&'b FunctionResult<'a>);

impl Serialize for Response<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = if self.0.is_error { "error" } else { "output" };
        serializer.collect_map([(name, &self.0.text)])
    }
}
