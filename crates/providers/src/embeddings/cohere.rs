//! Cohere's embeddings: asked for by the second version, read in the shape of both.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use motet_core::embedding::EmbedPurpose;
use motet_core::{EmbedRequest, EmbedResponse, Error, ErrorKind, Result, Usage};
use serde::Deserialize;
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::dialect::fields::{self, Fields};
use crate::dialect::json::{Count, parse};
use crate::dialect::operations::Embedding;
use crate::dialect::{Answer, HttpRequest, Method, Origin, Profile};

pub(super) struct Cohere;

impl Embedding for Cohere {
    fn name(&self) -> &'static str {
        "cohere-embed"
    }

    fn doc(&self) -> &'static str {
        "Cohere's embeddings."
    }

    fn batch(&self, _model: &str) -> usize {
        96
    }

    fn encode(&self, request: &EmbedRequest, _profile: &Profile) -> Result<HttpRequest> {
        let mut warnings = Vec::new();
        if request.purpose == Some(EmbedPurpose::Similarity) {
            warnings
                .push("the provider knows no purpose `similarity`; `clustering` was sent instead".to_owned());
        }
        Ok(HttpRequest {
            method: Method::Post,
            path: Cow::Borrowed("/embed"),
            headers: Vec::new(),
            body: fields::written(&Body(request))?.into(),
            warnings,
        })
    }

    fn decode(&self, answer: &Answer<'_>, origin: &Origin) -> Result<EmbedResponse> {
        let read: Read<'_> = parse(answer.body, "the answer")?;
        let Some(raw) = read.embeddings else {
            return Err(Error::new(ErrorKind::InvalidOutput, "the answer has no vectors"));
        };
        let mut response = EmbedResponse::new(origin.model.clone(), vectors(raw)?);
        let billed = read.meta.and_then(|meta| meta.billed_units);
        response.usage = billed.and_then(|units| units.input_tokens.0).map(|input| Usage::new(input, 0));
        Ok(response)
    }
}

/// Gives the kind of input by which the provider makes vectors; it demands one, and documents are the common case.
fn input_type(purpose: Option<EmbedPurpose>) -> &'static str {
    match purpose {
        Some(EmbedPurpose::Query) => "search_query",
        Some(EmbedPurpose::Classification) => "classification",
        // Both compare like with like, which the kinds for searching do not.
        Some(EmbedPurpose::Clustering | EmbedPurpose::Similarity) => "clustering",
        _ => "search_document",
    }
}

struct Body<'a>(&'a EmbedRequest);

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.0;
        let mut fields = Fields::new(serializer.serialize_map(None)?, &request.extra);
        fields.put("model", request.model.model())?;
        fields.put("texts", &request.inputs)?;
        fields.put("input_type", input_type(request.purpose))?;
        fields.put_some("output_dimension", request.dimensions)?;
        fields.put("embedding_types", &["float"])?;
        // Without this the provider cuts off the end of a text that does not fit and tells nobody.
        fields.put("truncate", "NONE")?;
        fields.end()
    }
}

#[derive(Deserialize)]
struct Read<'a> {
    #[serde(borrow, default)]
    embeddings: Option<&'a RawValue>,
    #[serde(default)]
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    billed_units: Option<BilledUnits>,
}

#[derive(Deserialize)]
struct BilledUnits {
    #[serde(default)]
    input_tokens: Count,
}

/// Vectors by the type of their numbers, of which the caller's own fields may ask for others than floats.
#[derive(Deserialize, Default)]
#[serde(default)]
struct ByType {
    float: Option<Vec<Vec<f32>>>,
    int8: Option<Vec<Vec<f32>>>,
    uint8: Option<Vec<Vec<f32>>>,
    binary: Option<Vec<Vec<f32>>>,
    ubinary: Option<Vec<Vec<f32>>>,
    base64: Option<Vec<String>>,
}

/// Reads vectors that stand in a list, or in lists by the type of their numbers.
pub(super) fn vectors(raw: &RawValue) -> Result<Vec<Vec<f32>>> {
    // The first version gives a plain list.
    if raw.get().starts_with('[') {
        return parse(raw.get().as_bytes(), "the list of vectors");
    }
    let by_type: ByType = parse(raw.get().as_bytes(), "the vectors")?;
    let coded = by_type.base64.map(|texts| texts.iter().map(|text| decoded(text)).collect::<Result<_>>());
    let lists =
        [by_type.float, coded.transpose()?, by_type.int8, by_type.uint8, by_type.binary, by_type.ubinary];
    lists
        .into_iter()
        .flatten()
        .find(|vectors| !vectors.is_empty())
        .ok_or_else(|| Error::new(ErrorKind::InvalidOutput, "the answer has no vectors of a known type"))
}

/// Reads a vector of four bytes a number, the lowest first.
fn decoded(text: &str) -> Result<Vec<f32>> {
    let broken = |_| Error::new(ErrorKind::InvalidOutput, "a vector is not base64");
    let bytes = STANDARD.decode(text).map_err(broken)?;
    let (numbers, _) = bytes.as_chunks::<4>();
    Ok(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::rows;

    fn body(request: &EmbedRequest) -> Value {
        serde_json::from_slice(&Cohere.encode(request, &Profile::COMMON).unwrap().body).unwrap()
    }

    #[test]
    fn a_request_says_what_the_vectors_are_for() {
        let mut request = EmbedRequest::new("cohere:embed-v4.0".parse().unwrap(), vec!["a".into()]);
        let expected = json!({
            "model": "embed-v4.0", "texts": ["a"], "input_type": "search_document", "embedding_types": ["float"],
            "truncate": "NONE",
        });
        assert_eq!(body(&request), expected);
        request.dimensions = Some(256);
        request.extra = json!({"truncate": "END", "priority": 1}).as_object().unwrap().clone();
        assert_eq!(body(&request)["output_dimension"], 256);
        assert_eq!((&body(&request)["truncate"], &body(&request)["priority"]), (&json!("END"), &json!(1)));
        for (purpose, expected, warnings) in [
            (EmbedPurpose::Query, "search_query", 0),
            (EmbedPurpose::Document, "search_document", 0),
            (EmbedPurpose::Classification, "classification", 0),
            (EmbedPurpose::Clustering, "clustering", 0),
            (EmbedPurpose::Similarity, "clustering", 1),
        ] {
            request.purpose = Some(purpose);
            assert_eq!(body(&request)["input_type"], expected);
            assert_eq!(Cohere.encode(&request, &Profile::COMMON).unwrap().warnings.len(), warnings);
        }
    }

    #[test]
    fn every_shape_of_vectors_is_read() {
        let origin = Origin::new(rows::find("cohere").unwrap(), "cohere:m".parse().unwrap());
        let read =
            |body: &str| Cohere.decode(&Answer { status: 200, headers: &[], body: body.as_bytes() }, &origin);
        let two = vec![vec![0.5, -1.0], vec![2.0, 3.0]];
        for (body, expected, input) in [
            (r#"{"embeddings":[[0.5,-1],[2,3]],"meta":{"billed_units":{"input_tokens":4}}}"#, &two, Some(4)),
            (r#"{"embeddings":{"float":[[0.5,-1],[2,3]]},"meta":{"billed_units":{"images":1}}}"#, &two, None),
            (r#"{"embeddings":{"float":null,"base64":["AAAAPwAAgL8=","AAAAQAAAQEA="]}}"#, &two, None),
            (r#"{"embeddings":{"int8":[[2,3]]}}"#, &vec![vec![2.0, 3.0]], None),
        ] {
            let response = read(body).unwrap();
            assert_eq!((&response.embeddings, response.usage.map(|usage| usage.input)), (expected, input));
        }
        for body in ["{}", r#"{"embeddings":{}}"#, r#"{"embeddings":{"base64":["?"]}}"#] {
            assert_eq!(read(body).unwrap_err().kind(), ErrorKind::InvalidOutput, "{body}");
        }
    }
}
