//! OpenAI's embeddings, which most servers speak.
//!
//! Vectors are read from the text of the answer straight into their final form, whether they come as numbers or packed
//! in base64: which of the two comes is for the server to say, whatever was asked for.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use motet_core::{EmbedRequest, EmbedResponse, Error, ErrorKind, Result, Usage};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::dialect::fields::{self, Fields};
use crate::dialect::json::{Count, Text, parse};
use crate::dialect::operations::Embedding;
use crate::dialect::{Answer, HttpRequest, Method, Origin, Profile, billing, refusal};

/// Texts that OpenAI takes in one request.
const BATCH: usize = 2_048;

/// Takes base64 with its padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) struct OpenAi;

impl Embedding for OpenAi {
    fn name(&self) -> &'static str {
        "openai-embeddings"
    }

    fn doc(&self) -> &'static str {
        "OpenAI's embeddings, which most servers speak."
    }

    fn batch(&self, _model: &str) -> usize {
        BATCH
    }

    fn encode(&self, request: &EmbedRequest, profile: &Profile) -> Result<HttpRequest> {
        if request.inputs.is_empty() {
            return Err(Error::new(ErrorKind::InvalidRequest, "there are no texts to embed")
                .with_hint("give at least one text"));
        }
        let mut warnings = Vec::new();
        if let Some(purpose) = request.purpose {
            warnings
                .push(format!("the format has no purpose of vectors; `{}` was left out", purpose.as_str()));
        }
        Ok(HttpRequest {
            method: Method::Post,
            path: Cow::Borrowed("/embeddings"),
            headers: Vec::new(),
            body: fields::written(&Body { request, profile })?.into(),
            warnings,
        })
    }

    fn decode(&self, answer: &Answer<'_>, origin: &Origin) -> Result<EmbedResponse> {
        let read: Read<'_> = parse(answer.body, "the answer")?;
        if let Some(error) = read.error.and_then(|value| refusal::of_value(value, origin)) {
            return Err(error);
        }
        let Some(Vectors(mut vectors)) = read.data else {
            return Err(Error::new(ErrorKind::InvalidOutput, "the answer has no vectors"));
        };
        if !vectors.is_sorted_by_key(|vector| vector.index) {
            vectors.sort_by_key(|vector| vector.index);
        }
        let vectors: Result<Vec<Vec<f32>>> =
            vectors.into_iter().map(|vector| vector.numbers.unpacked()).collect();
        let mut response = EmbedResponse::new(origin.model.clone(), vectors?);
        response.served_model = read.model.and_then(|model| model.filled()).map(Cow::into_owned);
        response.usage = read.usage.and_then(usage);
        response.cost = read.usage.and_then(billing::reported);
        Ok(response)
    }
}

struct Body<'a> {
    request: &'a EmbedRequest,
    profile: &'a Profile,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.request;
        let mut fields = Fields::new(serializer.serialize_map(None)?, &request.extra);
        fields.put("model", request.model.model())?;
        fields.put("input", &request.inputs)?;
        fields.put_some("dimensions", request.dimensions)?;
        fields.put_some("encoding_format", self.profile.embed_base64.then_some("base64"))?;
        fields.end()
    }
}

/// An answer.
#[derive(serde::Deserialize)]
struct Read<'a> {
    #[serde(borrow, default)]
    data: Option<Vectors<'a>>,
    #[serde(borrow, default)]
    model: Option<Text<'a>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Counts {
    prompt_tokens: Count,
    input_tokens: Count,
    total_tokens: Count,
}

fn usage(raw: &RawValue) -> Option<Usage> {
    let counts: Counts = serde_json::from_str(raw.get()).ok()?;
    let input = counts.prompt_tokens.or(counts.input_tokens).or(counts.total_tokens);
    input.0.map(|input| Usage::new(input, 0))
}

/// The vectors in the order of the wire.
struct Vectors<'a>(Vec<Vector<'a>>);

/// One vector and its place; one without a place keeps the place where it stands.
struct Vector<'a> {
    index: u64,
    numbers: Numbers<'a>,
}

/// A vector's numbers, or the text that they are packed in.
enum Numbers<'a> {
    Plain(Vec<f32>),
    Packed(Cow<'a, str>),
}

impl Numbers<'_> {
    /// Gives the numbers; packed ones are floats of 32 bits, or signed bytes where they can be no floats.
    fn unpacked(self) -> Result<Vec<f32>> {
        let text = match self {
            Numbers::Plain(numbers) => return Ok(numbers),
            Numbers::Packed(text) => text,
        };
        let bytes = BASE64.decode(text.as_bytes()).map_err(|error| {
            Error::new(ErrorKind::InvalidOutput, format!("a vector is no base64: {error}"))
        })?;
        let (floats, rest) = bytes.as_chunks::<4>();
        let floats = floats.iter().map(|float| f32::from_le_bytes(*float));
        if rest.is_empty() && are_plausible(floats.clone()) {
            return Ok(floats.collect());
        }
        Ok(bytes.iter().map(|byte| f32::from(byte.cast_signed())).collect())
    }
}

/// Tells whether numbers can be those of a vector: small signed bytes, four taken for a float, are nearly all far
/// too small or too large, which no answer says in words.
fn are_plausible(numbers: impl Iterator<Item = f32>) -> bool {
    let (mut likely, mut unlikely) = (0_usize, 0_usize);
    for number in numbers.take(256).filter(|number| *number != 0.0) {
        *(if (1e-15..1e9).contains(&number.abs()) { &mut likely } else { &mut unlikely }) += 1;
    }
    likely >= unlikely
}

impl<'de: 'a, 'a> serde::Deserialize<'de> for Vectors<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(VectorsVisitor)
    }
}

struct VectorsVisitor;

impl<'de> Visitor<'de> for VectorsVisitor {
    type Value = Vectors<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of vectors")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let (mut vectors, mut length): (Vec<Vector<'de>>, usize) = (Vec::new(), 0);
        while let Some(vector) = seq.next_element_seed(VectorSeed { place: vectors.len() as u64, length })? {
            if let Numbers::Plain(numbers) = &vector.numbers {
                length = numbers.len();
            }
            vectors.push(vector);
        }
        Ok(Vectors(vectors))
    }
}

/// Reads one vector, given where it stands and how long the one before was.
struct VectorSeed {
    place: u64,
    length: usize,
}

impl<'de> DeserializeSeed<'de> for VectorSeed {
    type Value = Vector<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for VectorSeed {
    type Value = Vector<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a vector")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut index, mut numbers) = (self.place, None);
        while let Some(name) = map.next_key::<Text<'de>>()? {
            match &*name.0 {
                "embedding" => numbers = Some(map.next_value_seed(NumbersSeed(self.length))?),
                "index" => index = map.next_value::<Count>()?.0.unwrap_or(self.place),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let numbers = numbers.ok_or_else(|| serde::de::Error::missing_field("embedding"))?;
        Ok(Vector { index, numbers })
    }
}

/// Reads the numbers of one vector, given how many to expect.
struct NumbersSeed(usize);

impl<'de> DeserializeSeed<'de> for NumbersSeed {
    type Value = Numbers<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NumbersSeed {
    type Value = Numbers<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vector as numbers or in base64")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Numbers::Packed(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Numbers::Packed(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut numbers = Vec::with_capacity(self.0);
        while let Some(number) = seq.next_element()? {
            numbers.push(number);
        }
        Ok(Numbers::Plain(numbers))
    }
}

#[cfg(test)]
mod tests;
