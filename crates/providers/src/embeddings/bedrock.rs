//! Embedding models behind Amazon Bedrock: Titan, Nova, and Cohere.
//!
//! Each maker's models have a body of their own; which is whose stands in [`FAMILIES`].

use motet_core::embedding::EmbedPurpose;
use motet_core::{EmbedRequest, EmbedResponse, Error, ErrorKind, Result, Usage};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::dialect::json::{Count, parse};
use crate::dialect::operations::Embedding;
use crate::dialect::{Answer, HttpRequest, Origin, Profile};
use crate::dialect::{fields, refusal};
use crate::dialects::bedrock_converse;

/// Texts that one request of a model holds that takes many.
const MANY: usize = 96;
/// Header that counts the tokens that were read.
const COUNT_HEADER: &str = "x-amzn-bedrock-input-token-count";

pub(super) struct Bedrock;

/// How the body of a family of models is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// One text; the vectors' length is fixed.
    TitanFixed,
    /// One text.
    Titan,
    /// One text; the length stands in a configuration.
    TitanImage,
    /// One text within a task.
    Nova,
    /// Many texts; the vectors' length is fixed.
    CohereFixed,
    /// Many texts.
    Cohere,
}

/// What names of models hold, the longer before the shorter, and how these models are asked.
const FAMILIES: &[(&str, Family)] = &[
    ("titan-embed-text-v1", Family::TitanFixed),
    ("titan-embed-g1", Family::TitanFixed),
    ("titan-embed-image", Family::TitanImage),
    ("titan-embed", Family::Titan),
    ("nova-2-multimodal-embeddings", Family::Nova),
    ("cohere.embed-english-v3", Family::CohereFixed),
    ("cohere.embed-multilingual-v3", Family::CohereFixed),
    ("cohere.embed", Family::Cohere),
];

fn family(model: &str) -> Option<Family> {
    FAMILIES.iter().find(|(mark, _)| model.contains(mark)).map(|(_, family)| *family)
}

impl Embedding for Bedrock {
    fn name(&self) -> &'static str {
        "bedrock-invoke-embed"
    }

    fn doc(&self) -> &'static str {
        "Embedding models behind Amazon Bedrock: Titan, Nova, and Cohere."
    }

    fn batch(&self, model: &str) -> usize {
        match family(model) {
            Some(Family::Cohere | Family::CohereFixed) => MANY,
            _ => 1,
        }
    }

    fn encode(&self, request: &EmbedRequest, _profile: &Profile) -> Result<HttpRequest> {
        let model = request.model.model();
        let Some(family) = family(model) else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("how model `{model}` is asked for vectors is not known"),
            )
            .with_hint("take a model of `amazon.titan-embed`, `amazon.nova-2-multimodal-embeddings`, or `cohere.embed`"));
        };
        let fixed = matches!(family, Family::TitanFixed | Family::CohereFixed);
        if fixed && request.dimensions.is_some() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("the vectors of `{model}` have one length"),
            )
            .with_hint("leave `dimensions` out, or take a newer model"));
        }
        let mut body = body(request, family)?;
        let ignored = request
            .purpose
            .filter(|_| matches!(family, Family::Titan | Family::TitanFixed | Family::TitanImage));
        let warnings =
            ignored.map(|purpose| format!("the model knows no purpose; `{}` was left out", purpose.as_str()));
        body.extend(request.extra.clone());
        Ok(bedrock_converse::post(model, "invoke", fields::written(&body)?, warnings.into_iter().collect()))
    }

    fn decode(&self, answer: &Answer<'_>, origin: &Origin) -> Result<EmbedResponse> {
        let read: Vectors<'_> = parse(answer.body, "the answer")?;
        let vectors = match (read.embedding, read.embeddings) {
            (Some(vector), _) => vec![vector],
            (None, Some(raw)) => many(raw)?,
            (None, None) => {
                let told = serde_json::from_slice::<Value>(answer.body)
                    .ok()
                    .filter(|body| body.get("message").is_some());
                let told = told.and_then(|body| refusal::of_value(body, origin));
                return Err(
                    told.unwrap_or_else(|| Error::new(ErrorKind::InvalidOutput, "the answer has no vectors"))
                );
            }
        };
        let counted = answer.header(COUNT_HEADER).and_then(|count| count.trim().parse::<u64>().ok());
        let mut response = EmbedResponse::new(origin.model.clone(), vectors);
        response.usage = read.input_text_token_count.0.or(counted).map(|input| Usage::new(input, 0));
        response.request_id = answer.header("x-amzn-requestid").map(str::to_owned);
        Ok(response)
    }
}

fn body(request: &EmbedRequest, family: Family) -> Result<Map<String, Value>> {
    let one = || match request.inputs.as_slice() {
        [one] => Ok(one),
        _ => Err(Error::new(ErrorKind::InvalidRequest, "the model takes one text a request")
            .with_hint("send the texts one by one")),
    };
    let length = request.dimensions;
    let body = match family {
        Family::TitanFixed => json!({"inputText": one()?}),
        Family::Titan => with(json!({"inputText": one()?}), "dimensions", length),
        Family::TitanImage => {
            let configuration = length.map(|length| json!({"outputEmbeddingLength": length}));
            with(json!({"inputText": one()?}), "embeddingConfig", configuration)
        }
        Family::Nova => {
            let purpose = nova_purpose(request.purpose);
            let text = json!({"truncationMode": "NONE", "value": one()?});
            let parameters =
                with(json!({"embeddingPurpose": purpose, "text": text}), "embeddingDimension", length);
            json!({"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": parameters})
        }
        Family::CohereFixed | Family::Cohere => {
            let body = json!({"texts": request.inputs, "input_type": cohere_purpose(request.purpose)});
            with(body, "output_dimension", length)
        }
    };
    Ok(if let Value::Object(body) = body { body } else { Map::new() })
}

/// Adds a field that has a value.
fn with<T: Into<Value>>(mut body: Value, name: &str, value: Option<T>) -> Value {
    if let (Value::Object(fields), Some(value)) = (&mut body, value) {
        fields.insert(name.to_owned(), value.into());
    }
    body
}

/// Gives Cohere's word for a purpose, which it demands; without one, texts are there to be found.
fn cohere_purpose(purpose: Option<EmbedPurpose>) -> &'static str {
    match purpose {
        Some(EmbedPurpose::Query) => "search_query",
        Some(EmbedPurpose::Classification) => "classification",
        Some(EmbedPurpose::Clustering) => "clustering",
        _ => "search_document",
    }
}

/// Gives Nova's word for a purpose, which it demands.
fn nova_purpose(purpose: Option<EmbedPurpose>) -> &'static str {
    match purpose {
        Some(EmbedPurpose::Query) => "TEXT_RETRIEVAL",
        Some(EmbedPurpose::Classification) => "CLASSIFICATION",
        Some(EmbedPurpose::Clustering) => "CLUSTERING",
        _ => "GENERIC_INDEX",
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vectors<'a> {
    #[serde(default)]
    embedding: Option<Vec<f32>>,
    /// A list of vectors, a list of objects that hold one, or an object of such lists by their type.
    #[serde(borrow, default)]
    embeddings: Option<&'a RawValue>,
    #[serde(default)]
    input_text_token_count: Count,
}

#[derive(Deserialize)]
struct Held {
    embedding: Vec<f32>,
}

fn many(raw: &RawValue) -> Result<Vec<Vec<f32>>> {
    const WHAT: &str = "the list of vectors";
    let text = raw.get().as_bytes();
    match text {
        [b'{', ..] => super::cohere::vectors(raw),
        [b'[', rest @ ..] if rest.trim_ascii_start().starts_with(b"{") => {
            parse::<Vec<Held>>(text, WHAT).map(|list| list.into_iter().map(|held| held.embedding).collect())
        }
        _ => parse(text, WHAT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    fn request(model: &str, inputs: &[&str]) -> EmbedRequest {
        let id = format!("bedrock:{model}").parse().unwrap();
        EmbedRequest::new(id, inputs.iter().map(|text| (*text).to_owned()).collect())
    }

    fn sent(request: &EmbedRequest) -> Result<(String, Value)> {
        let sent = Bedrock.encode(request, &Profile::COMMON)?;
        Ok((sent.path.into_owned(), serde_json::from_slice(&sent.body).unwrap()))
    }

    #[test]
    fn each_family_is_asked_in_its_own_way() {
        let with =
            |model, length, purpose| EmbedRequest { dimensions: length, purpose, ..request(model, &["a"]) };
        for (request, path, body) in [
            (
                with("amazon.titan-embed-text-v2:0", Some(256), None),
                "/model/amazon.titan-embed-text-v2%3A0/invoke",
                json!({"inputText": "a", "dimensions": 256}),
            ),
            (
                with("amazon.titan-embed-image-v1", Some(384), None),
                "/model/amazon.titan-embed-image-v1/invoke",
                json!({"inputText": "a", "embeddingConfig": {"outputEmbeddingLength": 384}}),
            ),
            (
                with("us.cohere.embed-v4:0", Some(512), Some(EmbedPurpose::Query)),
                "/model/us.cohere.embed-v4%3A0/invoke",
                json!({"texts": ["a"], "input_type": "search_query", "output_dimension": 512}),
            ),
            (
                with("cohere.embed-english-v3", None, None),
                "/model/cohere.embed-english-v3/invoke",
                json!({"texts": ["a"], "input_type": "search_document"}),
            ),
            (
                with("amazon.nova-2-multimodal-embeddings-v1:0", Some(1024), None),
                "/model/amazon.nova-2-multimodal-embeddings-v1%3A0/invoke",
                json!({"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": {
                    "embeddingPurpose": "GENERIC_INDEX", "embeddingDimension": 1024,
                    "text": {"truncationMode": "NONE", "value": "a"},
                }}),
            ),
        ] {
            assert_eq!(sent(&request).unwrap(), (path.to_owned(), body));
        }
        assert_eq!(
            (Bedrock.batch("amazon.titan-embed-text-v2:0"), Bedrock.batch("cohere.embed-v4:0")),
            (1, 96)
        );
    }

    #[test]
    fn what_a_model_cannot_do_is_refused_with_advice() {
        let fixed = EmbedRequest { dimensions: Some(8), ..request("cohere.embed-english-v3", &["a"]) };
        for (request, kind) in [
            (fixed, ErrorKind::Unsupported),
            (request("stability.sd3", &["a"]), ErrorKind::Unsupported),
            (request("amazon.titan-embed-text-v2:0", &["a", "b"]), ErrorKind::InvalidRequest),
        ] {
            let error = sent(&request).unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn every_shape_of_vectors_is_read() {
        let origin = Origin::new(rows::find("bedrock").unwrap(), "bedrock:m".parse().unwrap());
        let headers = [(COUNT_HEADER.to_owned(), "7".to_owned())];
        for (body, vectors, tokens) in [
            (r#"{"embedding":[1.0,2],"inputTextTokenCount":3}"#, vec![vec![1.0, 2.0]], 3),
            (r#"{"embeddings":[[1.0],[2.0]],"id":"x","texts":["a","b"]}"#, vec![vec![1.0], vec![2.0]], 7),
            (r#"{"embeddings":{"float":[[1.0]]}}"#, vec![vec![1.0]], 7),
            (r#"{"embeddings":{"int8":[[-3, 4]]}}"#, vec![vec![-3.0, 4.0]], 7),
            (r#"{"embeddings":[ {"embeddingType":"TEXT","embedding":[0.5]}]}"#, vec![vec![0.5]], 7),
        ] {
            let answer = Answer { status: 200, headers: &headers, body: body.as_bytes() };
            let read = Bedrock.decode(&answer, &origin).unwrap();
            assert_eq!((read.embeddings, read.usage), (vectors, Some(Usage::new(tokens, 0))), "{body}");
        }
        let decode = |body: &str| {
            Bedrock.decode(&Answer { status: 200, headers: &[], body: body.as_bytes() }, &origin)
        };
        assert_eq!(decode("{}").unwrap_err().kind(), ErrorKind::InvalidOutput);
        assert_eq!(decode(r#"{"message":"too busy"}"#).unwrap_err().message(), "too busy");
    }
}
