//! Pages as they are asked for and read.

use motet_core::ModelId;

use super::*;
use crate::rows;

fn read(body: &str) -> Result<ModelPage> {
    let model: ModelId = "anthropic:any".parse().unwrap();
    let origin = Origin::new(rows::find("anthropic").unwrap(), model);
    Anthropic.decode(&Answer { status: 200, headers: &[], body: body.as_bytes() }, &origin)
}

#[test]
fn pages_follow_each_other_by_the_last_name() {
    let first = Anthropic.encode(None);
    assert_eq!((first.path.as_ref(), first.headers.len()), ("/models?limit=1000", 1));
    assert_eq!(Anthropic.encode(Some("a/b c&é")).path, "/models?limit=1000&after_id=a%2Fb%20c%26%C3%A9");
    for (body, next) in [
        (r#"{"data":[{"id":"a"}],"has_more":true,"first_id":"a","last_id":"z"}"#, Some("z")),
        (r#"{"data":[{"id":"a"},{"id":"b"}],"has_more":true,"last_id":null}"#, Some("b")),
        (r#"{"data":[{"id":"a"}],"has_more":false,"last_id":"a"}"#, None),
        (r#"{"data":[{"id":"a"}],"last_id":"a"}"#, None),
        (r#"{"data":[],"has_more":true,"last_id":null}"#, None),
    ] {
        assert_eq!(read(body).unwrap().next.as_deref(), next, "{body}");
    }
}

#[test]
fn models_are_read_with_what_is_told_of_them() {
    let page = read(
        r#"{"data":[{"type":"model","id":"claude-x","display_name":"Claude X","created_at":"2025-02-19T00:00:00Z",
            "max_input_tokens":200000,"max_tokens":64000,"capabilities":{}},
            {"id":"claude-y","display_name":"","created_at":"1970-01-01T00:00:00Z"}],"has_more":false}"#,
    );
    let models = page.unwrap().models;
    let mut known = ModelInfo::new("claude-x");
    known.display_name = Some("Claude X".into());
    known.created = Some(1_739_923_200);
    (known.context_window, known.max_output) = (Some(200_000), Some(64_000));
    assert_eq!(models, [known, ModelInfo::new("claude-y")]);
    assert_eq!(read("{}").unwrap_err().kind(), ErrorKind::InvalidOutput);
    assert_eq!(
        read(r#"{"error":{"type":"authentication_error","message":"no"}}"#).unwrap_err().kind(),
        ErrorKind::Authentication
    );
}
