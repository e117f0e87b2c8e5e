//! What an answer is kept under: a hash of everything that may change it, and of nothing else.
//!
//! Not in it: labels of the request, how the answer travels, and ids of runs. Field names stand in one order; what users
//! write into schemas and opaque payloads keeps theirs, since models answer by it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use motet_core::embedding::EmbedPurpose;
use motet_core::message::{Media, MediaSource, Message, Part, Role};
use motet_core::request::{Output, ReasoningEffort, Sampling, ToolChoice, ToolSpec};
use motet_core::rerank::RerankRequest;
use motet_core::{ChatRequest, EmbedRequest, Error, ErrorKind, ModelId, Result};
use serde::ser::SerializeSeq as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// Version of what keys are made of and of what is kept under them; raised with either, so that nothing old is found.
pub const FORMAT: u32 = 1;

/// The hash of a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// For whom, and where, a request is answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// What tells the server from the provider's usual one.
    pub server: Option<Arc<str>>,
    /// On whose account the work is done: answers are never given to another.
    pub tenant: Option<String>,
}

impl Key {
    /// Makes the key of a chat.
    ///
    /// # Errors
    /// `Internal` when the request cannot be written as JSON.
    pub fn of_chat(request: &ChatRequest, scope: &Scope) -> Result<Self> {
        // Every field is named, so that a new one cannot be forgotten.
        let ChatRequest {
            model,
            messages,
            tools,
            tool_choice,
            parallel_tool_calls,
            output,
            sampling,
            reasoning_effort,
            max_tokens,
            stop,
            metadata: _,
            extra,
        } = request;
        let content = Chat {
            messages: messages.iter().map(Spoken).collect(),
            tools,
            tool_choice,
            parallel_tool_calls: *parallel_tool_calls,
            output,
            sampling,
            reasoning_effort: *reasoning_effort,
            max_tokens: *max_tokens,
            stop,
            extra: sorted(extra),
        };
        Self::of("chat", model, scope, &content)
    }

    /// Makes the key of each text's vector.
    ///
    /// # Errors
    /// `Internal` when the request cannot be written as JSON.
    pub fn of_texts(request: &EmbedRequest, scope: &Scope) -> Result<Vec<Self>> {
        let EmbedRequest { model, inputs, dimensions, purpose, extra } = request;
        let key = |text: &String| {
            let extra = sorted(extra);
            Self::of("embed", model, scope, &Text { text, dimensions: *dimensions, purpose: *purpose, extra })
        };
        inputs.iter().map(key).collect()
    }

    /// Makes the key of a ranking.
    ///
    /// # Errors
    /// `Internal` when the request cannot be written as JSON.
    pub fn of_ranking(request: &RerankRequest, scope: &Scope) -> Result<Self> {
        let RerankRequest { model, query, documents, top_n, extra } = request;
        let content = Ranking { query, documents, top_n: *top_n, extra: sorted(extra) };
        Self::of("rerank", model, scope, &content)
    }

    fn of(operation: &str, model: &ModelId, scope: &Scope, content: &impl Serialize) -> Result<Self> {
        let Scope { server, tenant } = scope;
        let asked = Asked { format: FORMAT, operation, model, server: server.as_deref(), tenant, content };
        let text = serde_json::to_vec(&asked).map_err(|error| {
            Error::new(ErrorKind::Internal, "a request cannot be written as JSON").with_source(error)
        })?;
        Ok(Self(*blake3::hash(&text).as_bytes()))
    }
}

/// What is hashed.
#[derive(Serialize)]
struct Asked<'a, C> {
    format: u32,
    operation: &'a str,
    model: &'a ModelId,
    server: Option<&'a str>,
    tenant: &'a Option<String>,
    content: &'a C,
}

#[derive(Serialize)]
struct Chat<'a> {
    messages: Vec<Spoken<'a>>,
    tools: &'a [ToolSpec],
    tool_choice: &'a ToolChoice,
    parallel_tool_calls: Option<bool>,
    output: &'a Output,
    sampling: &'a Sampling,
    reasoning_effort: Option<ReasoningEffort>,
    max_tokens: Option<u32>,
    stop: &'a [String],
    extra: BTreeMap<&'a str, &'a Value>,
}

#[derive(Serialize)]
struct Text<'a> {
    text: &'a str,
    dimensions: Option<u32>,
    purpose: Option<EmbedPurpose>,
    extra: BTreeMap<&'a str, &'a Value>,
}

#[derive(Serialize)]
struct Ranking<'a> {
    query: &'a str,
    documents: &'a [String],
    top_n: Option<u32>,
    extra: BTreeMap<&'a str, &'a Value>,
}

/// Gives the fields of a request's body, whose order means nothing, in one order.
fn sorted(extra: &Map<String, Value>) -> BTreeMap<&str, &Value> {
    extra.iter().map(|(name, value)| (name.as_str(), value)).collect()
}

/// A message whose media stand as digests.
struct Spoken<'a>(&'a Message);

impl Serialize for Spoken<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            role: Role,
            parts: Parts<'a>,
        }
        let Message { role, parts } = self.0;
        Written { role: *role, parts: Parts(parts) }.serialize(serializer)
    }
}

struct Parts<'a>(&'a [Part]);

impl Serialize for Parts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for part in self.0 {
            match part {
                Part::Image(media) => list.serialize_element(&Digested::of("image", media))?,
                Part::Document(media) => list.serialize_element(&Digested::of("document", media))?,
                Part::ToolResult(result) => list.serialize_element(&Answered {
                    r#type: "tool_result",
                    id: &result.id,
                    name: &result.name,
                    content: Parts(&result.content),
                    is_error: result.is_error,
                })?,
                other => list.serialize_element(other)?,
            }
        }
        list.end()
    }
}

#[derive(Serialize)]
struct Answered<'a> {
    r#type: &'static str,
    id: &'a str,
    name: &'a str,
    content: Parts<'a>,
    is_error: bool,
}

/// Media by the digest of their bytes, or by their address.
#[derive(Serialize)]
struct Digested<'a> {
    r#type: &'static str,
    media_type: &'a Option<String>,
    name: &'a Option<String>,
    blake3: Option<String>,
    url: Option<&'a str>,
}

impl<'a> Digested<'a> {
    fn of(kind: &'static str, media: &'a Media) -> Self {
        let Media { media_type, source, name } = media;
        let (blake3, url) = match source {
            MediaSource::Base64(bytes) => (Some(blake3::hash(bytes.as_bytes()).to_hex().to_string()), None),
            MediaSource::Url(url) => (None, Some(url.as_str())),
        };
        Self { r#type: kind, media_type, name, blake3, url }
    }
}

#[cfg(test)]
mod tests;
