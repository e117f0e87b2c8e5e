//! The shape of answers, read leniently and without copying: one shape for plain answers and streamed pieces.
//!
//! What is rarely there or takes many forms stays raw JSON text and is read where it is needed.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::dialect::json::{Count, Text};

/// A plain answer or one piece of a streamed one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer<'a> {
    #[serde(borrow, default)]
    pub(super) candidates: Option<Vec<Candidate<'a>>>,
    #[serde(borrow, default)]
    pub(super) prompt_feedback: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) usage_metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) model_version: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) response_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
}

impl Answer<'_> {
    /// Tells whether anything in it belongs to an answer.
    pub(super) fn is_answer(&self) -> bool {
        self.candidates.is_some() || self.prompt_feedback.is_some() || self.usage_metadata.is_some()
    }
}

/// One candidate; only the first is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    #[serde(default)]
    pub(super) index: Count,
    #[serde(borrow, default)]
    pub(super) content: Option<Content<'a>>,
    #[serde(borrow, default)]
    pub(super) finish_reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) finish_message: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) safety_ratings: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) grounding_metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) citation_metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) url_context_metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) logprobs_result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) avg_logprobs: Option<&'a RawValue>,
}

/// What a candidate says.
#[derive(Deserialize)]
pub(super) struct Content<'a> {
    #[serde(borrow, default)]
    pub(super) parts: Option<Vec<Part<'a>>>,
}

/// One part of what a candidate says; what is neither text nor a call stays raw.
#[derive(Default)]
pub(super) struct Part<'a> {
    pub(super) text: Option<Text<'a>>,
    pub(super) thought: bool,
    pub(super) signature: Option<Cow<'a, str>>,
    pub(super) call: Option<Call<'a>>,
    pub(super) rest: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl Part<'_> {
    /// Gives the part as it came.
    pub(super) fn whole(&self) -> Value {
        let read = |raw: &RawValue| serde_json::from_str(raw.get()).unwrap_or_default();
        let mut fields: Map<String, Value> =
            self.rest.iter().map(|(name, raw)| (name.to_string(), read(raw))).collect();
        if let Some(text) = &self.text {
            fields.insert("text".to_owned(), Value::from(text.0.as_ref()));
        }
        if self.thought {
            fields.insert("thought".to_owned(), Value::Bool(true));
        }
        if let Some(signature) = &self.signature {
            fields.insert("thoughtSignature".to_owned(), Value::from(signature.as_ref()));
        }
        Value::Object(fields)
    }
}

/// A call of a tool, always whole unless the caller asked for pieces.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Call<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) args: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) partial_args: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) will_continue: Option<bool>,
}

/// The bytes of a medium.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InlineData {
    #[serde(default)]
    pub(super) mime_type: Option<String>,
    #[serde(default)]
    pub(super) data: String,
}

impl<'de: 'a, 'a> Deserialize<'de> for Part<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PartVisitor)
    }
}

struct PartVisitor;

impl<'de> Visitor<'de> for PartVisitor {
    type Value = Part<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a part of an answer")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Part<'de>, A::Error> {
        let mut part = Part::default();
        while let Some(Text(name)) = map.next_key::<Text<'de>>()? {
            match &*name {
                "text" => part.text = map.next_value()?,
                "thought" => part.thought = map.next_value::<Option<bool>>()?.unwrap_or(false),
                "thoughtSignature" => {
                    part.signature = map.next_value::<Option<Text<'de>>>()?.and_then(Text::filled);
                }
                "functionCall" => part.call = map.next_value()?,
                _ => {
                    let raw = map.next_value::<&'de RawValue>()?;
                    if raw.get() != "null" {
                        part.rest.push((name, raw));
                    }
                }
            }
        }
        Ok(part)
    }
}
