//! Requests as they are sent, and vectors in every form in which they come.

use motet_core::embedding::EmbedPurpose;
use serde_json::json;

use super::*;
use crate::rows;

fn request(texts: &[&str]) -> EmbedRequest {
    let inputs = texts.iter().map(|text| (*text).to_owned()).collect();
    EmbedRequest::new("custom:e".parse().unwrap(), inputs)
}

fn body(request: &EmbedRequest, profile: &Profile) -> Value {
    serde_json::from_slice(&OpenAi.encode(request, profile).unwrap().body).unwrap()
}

fn read(body: &str) -> Result<EmbedResponse> {
    let origin = Origin::new(rows::find("custom").unwrap(), "custom:e".parse().unwrap());
    OpenAi.decode(&Answer { status: 200, headers: &[], body: body.as_bytes() }, &origin)
}

fn packed(numbers: &[f32]) -> String {
    BASE64.encode(numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())
}

#[test]
fn a_request_says_no_more_than_was_asked() {
    let mut asked = request(&["a", "b"]);
    let sent = OpenAi.encode(&asked, &Profile::COMMON).unwrap();
    assert_eq!((sent.method, &*sent.path, sent.warnings.len()), (Method::Post, "/embeddings", 0));
    assert_eq!(body(&asked, &Profile::COMMON), json!({"model": "e", "input": ["a", "b"]}));
    asked.dimensions = Some(64);
    asked.purpose = Some(EmbedPurpose::Query);
    asked.extra = json!({"user": "u"}).as_object().unwrap().clone();
    let packed = Profile { embed_base64: true, ..Profile::COMMON };
    let expected = json!({
        "model": "e", "input": ["a", "b"], "dimensions": 64, "encoding_format": "base64", "user": "u",
    });
    assert_eq!(body(&asked, &packed), expected);
    let warnings = OpenAi.encode(&asked, &packed).unwrap().warnings;
    assert_eq!(warnings, ["the format has no purpose of vectors; `query` was left out"]);
    asked.extra = json!({"encoding_format": "float"}).as_object().unwrap().clone();
    assert_eq!(body(&asked, &packed)["encoding_format"], "float");
    let error = OpenAi.encode(&request(&[]), &Profile::COMMON).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidRequest, "there are no texts to embed"));
}

#[test]
fn vectors_are_read_in_every_form_and_given_in_the_order_of_the_texts() {
    let (first, second) = (vec![0.5, -2.0], vec![1.0, 3.0]);
    for (data, expected) in [
        (json!([{"embedding": [0.5, -2]}, {"embedding": [1, 3.0]}]), vec![&first, &second]),
        (
            json!([{"index": 1, "embedding": [1.0, 3.0], "object": "embedding"}, {"embedding": [0.5, -2.0], "index": 0}]),
            vec![&first, &second],
        ),
        (
            json!([{"embedding": packed(&first)}, {"embedding": packed(&second).trim_end_matches('=')}]),
            vec![&first, &second],
        ),
        (json!([{"embedding": packed(&second)}, {"embedding": [0.5, -2.0]}]), vec![&second, &first]),
        (json!([{"embedding": "AQL9/w=="}]), vec![&vec![1.0, 2.0, -3.0, -1.0]]),
        (json!([{"embedding": "AQL9"}]), vec![&vec![1.0, 2.0, -3.0]]),
        (json!([]), vec![]),
    ] {
        let found = read(&json!({"data": data}).to_string()).unwrap().embeddings;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{data}");
    }
}

#[test]
fn what_stands_beside_the_vectors_is_read_and_errors_are_told() {
    let with = |usage: Value| {
        let body = json!({"data": [{"embedding": [1]}], "model": "e-2", "usage": usage, "error": null});
        let read = read(&body.to_string()).unwrap();
        (read.served_model, read.usage.map(|usage| (usage.input, usage.output)))
    };
    let named = || Some("e-2".to_owned());
    assert_eq!(with(json!({"prompt_tokens": 4, "total_tokens": 5})), (named(), Some((4, 0))));
    assert_eq!(with(json!({"total_tokens": 5, "cost": {"usd": 1}})), (named(), Some((5, 0))));
    assert_eq!(with(Value::Null), (named(), None));
    for (body, kind) in [
        (r#"{"error": {"message": "slow down", "code": 429}}"#, ErrorKind::RateLimit),
        (r#"{"object": "list"}"#, ErrorKind::InvalidOutput),
        (r#"{"data": [{"index": 0}]}"#, ErrorKind::InvalidOutput),
        (r#"{"data": [{"embedding": "?"}]}"#, ErrorKind::InvalidOutput),
        (r#"{"data": [{"embedding": ["a"]}]}"#, ErrorKind::InvalidOutput),
        (r#"{"data": [{"embedding": [0.1, "#, ErrorKind::Truncated),
    ] {
        assert_eq!(read(body).unwrap_err().kind(), kind, "{body}");
    }
}
