//! The shape of answers, read leniently and without copying: one shape for plain answers and streamed pieces.
//!
//! What is rarely there or takes many forms stays raw JSON text and is read where it is needed.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde_json::value::RawValue;

use crate::dialect::json::{Count, Text};

/// A plain answer or one piece of a streamed one.
#[derive(Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) model: Option<Text<'a>>,
    #[serde(default)]
    pub(super) created: Count,
    #[serde(borrow, default)]
    pub(super) choices: Choices<'a>,
    #[serde(borrow, default)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) service_tier: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) x_groq: Option<Extension<'a>>,
    #[serde(borrow, default)]
    pub(super) citations: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) search_results: Option<&'a RawValue>,
}

/// Where some servers put what others put beside the choices.
#[derive(Deserialize)]
pub(super) struct Extension<'a> {
    #[serde(borrow, default)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
}

/// The candidates; almost always there is one, which then costs no allocation.
#[derive(Default)]
pub(super) struct Choices<'a> {
    first: Option<Choice<'a>>,
    more: Vec<Choice<'a>>,
}

impl<'a> Choices<'a> {
    /// Gives the candidate if there is no other.
    pub(super) fn only(&self) -> Option<&Choice<'a>> {
        self.first.as_ref().filter(|_| self.more.is_empty())
    }
}

impl<'a> IntoIterator for Choices<'a> {
    type Item = Choice<'a>;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Choice<'a>>, std::vec::IntoIter<Choice<'a>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.more)
    }
}

/// One candidate; only the first is asked for.
#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    pub(super) index: Count,
    /// The whole message; boxed, as moving it around costs more.
    #[serde(borrow, default)]
    pub(super) message: Option<Box<Message<'a>>>,
    /// A piece of the message; some servers repeat all that came before under `message`.
    #[serde(borrow, default)]
    pub(super) delta: Option<Box<Message<'a>>>,
    #[serde(borrow, default)]
    pub(super) finish_reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) native_finish_reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) logprobs: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
}

/// A message or a piece of one.
#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    pub(super) content: Content<'a>,
    #[serde(borrow, default)]
    pub(super) reasoning_content: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) reasoning: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) reasoning_details: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) reasoning_opaque: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) reasoning_encrypted: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) refusal: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow, default)]
    pub(super) annotations: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) images: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) audio: Option<&'a RawValue>,
    /// Tools that the provider ran itself.
    #[serde(borrow, default)]
    pub(super) executed_tools: Option<&'a RawValue>,
    /// The one call of the time before `tool_calls`.
    #[serde(borrow, default)]
    pub(super) function_call: Option<Function<'a>>,
}

/// A tool call or a piece of one.
#[derive(Deserialize)]
pub(super) struct Call<'a> {
    #[serde(default)]
    pub(super) index: Count,
    #[serde(borrow, default)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) function: Option<Function<'a>>,
    #[serde(borrow, default)]
    pub(super) custom: Option<Custom<'a>>,
    /// What the provider wants back with the call.
    #[serde(borrow, default)]
    pub(super) extra_content: Option<&'a RawValue>,
}

/// What a tool call calls.
#[derive(Deserialize, Default)]
pub(super) struct Function<'a> {
    #[serde(borrow, default)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) arguments: Option<&'a RawValue>,
}

impl Function<'_> {
    /// Tells whether it is more than a filler.
    pub(super) fn says_something(&self) -> bool {
        let named = self.name.as_ref().is_some_and(|name| !name.0.is_empty());
        named || self.arguments.is_some_and(|raw| !matches!(raw.get(), "null" | "\"\""))
    }
}

impl<'a> Call<'a> {
    /// Makes a call of the form that has no list; its pieces share a place of their own.
    pub(super) fn single(function: Function<'a>) -> Self {
        Call {
            index: Count(Some(u64::MAX)),
            id: None,
            function: Some(function),
            custom: None,
            extra_content: None,
        }
    }
}

/// A call of a free-form tool.
#[derive(Deserialize)]
pub(super) struct Custom<'a> {
    #[serde(borrow, default)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) input: Option<Text<'a>>,
}

/// What a message shows: a text, or parts of several types.
#[derive(Default)]
pub(super) enum Content<'a> {
    #[default]
    Nothing,
    Text(Cow<'a, str>),
    Parts(Vec<ContentPart<'a>>),
}

/// A typed part of a message's content.
#[derive(Deserialize, Default)]
pub(super) struct ContentPart<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) part_type: Text<'a>,
    #[serde(borrow, default)]
    pub(super) text: Option<Text<'a>>,
    /// Thinking in parts of its own, or as a text.
    #[serde(borrow, default)]
    pub(super) thinking: Content<'a>,
    #[serde(borrow, default)]
    pub(super) image_url: Option<&'a RawValue>,
    /// What a reference names: passages that the caller gave.
    #[serde(borrow, default)]
    pub(super) reference_ids: Option<&'a RawValue>,
    /// What a reference of a tool names: the tool that found a page, and the page.
    #[serde(borrow, default)]
    pub(super) tool: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) title: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) url: Option<Text<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, parts, or null")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Content<'de>, E> {
        Ok(Content::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content<'de>, E> {
        Ok(Content::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Content<'de>, E> {
        Ok(Content::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Content<'de>, A::Error> {
        let mut parts = Vec::new();
        while let Some(Piece(part)) = seq.next_element::<Piece<'de>>()? {
            parts.push(part);
        }
        Ok(Content::Parts(parts))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Content<'de>, A::Error> {
        Ok(Content::Parts(vec![ContentPart::deserialize(MapAccessDeserializer::new(map))?]))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Choices<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ChoicesVisitor)
    }
}

struct ChoicesVisitor;

impl<'de> Visitor<'de> for ChoicesVisitor {
    type Value = Choices<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of choices or null")
    }

    fn visit_unit<E>(self) -> Result<Choices<'de>, E> {
        Ok(Choices::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Choices<'de>, A::Error> {
        let mut choices = Choices { first: seq.next_element()?, more: Vec::new() };
        while let Some(choice) = seq.next_element()? {
            choices.more.push(choice);
        }
        Ok(choices)
    }
}

/// One entry of a list of parts: a part, or a bare text.
struct Piece<'a>(ContentPart<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Piece<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Piece(match Content::deserialize(deserializer)? {
            Content::Parts(mut parts) => parts.pop().unwrap_or_else(|| text_part(Cow::Borrowed(""))),
            Content::Text(text) => text_part(text),
            Content::Nothing => text_part(Cow::Borrowed("")),
        }))
    }
}

/// Makes the part that a bare text is.
pub(super) fn text_part(text: Cow<'_, str>) -> ContentPart<'_> {
    ContentPart { part_type: Text(Cow::Borrowed("text")), text: Some(Text(text)), ..ContentPart::default() }
}
