//! Gemini's count of the tokens of a request.

use std::borrow::Cow;

use motet_core::{ChatRequest, Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::dialect::json::{Count, parse};
use crate::dialect::operations::Counting;
use crate::dialect::{Answer, HttpRequest, Method, Origin, Profile, refusal};
use crate::dialects::gemini_generate::{self, Form, path};

pub(super) struct Gemini;

impl Counting for Gemini {
    fn name(&self) -> &'static str {
        "gemini-count-tokens"
    }

    fn doc(&self) -> &'static str {
        "Gemini's count of the tokens of a request."
    }

    fn encode(&self, request: &ChatRequest, profile: &Profile) -> Result<HttpRequest> {
        written(request, profile, Form::CountInside)
    }

    fn decode(&self, answer: &Answer<'_>, origin: &Origin) -> Result<u64> {
        read(answer, origin)
    }
}

/// Writes the request in the form in which it is counted.
pub(super) fn written(request: &ChatRequest, profile: &Profile, form: Form) -> Result<HttpRequest> {
    let (body, warnings) = gemini_generate::encode(request, profile, form)?;
    Ok(HttpRequest {
        method: Method::Post,
        path: Cow::Owned(path(request.model.model(), "countTokens")),
        headers: Vec::new(),
        body: body.into(),
        warnings,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(default)]
    total_tokens: Count,
    #[serde(default)]
    error: Option<Value>,
}

/// Reads the number out of an answer.
pub(super) fn read(answer: &Answer<'_>, origin: &Origin) -> Result<u64> {
    let body: Body = parse(answer.body, "the count")?;
    if let Some(error) = body.error.and_then(|error| refusal::of_value(error, origin)) {
        return Err(error);
    }
    body.total_tokens
        .0
        .ok_or_else(|| Error::new(ErrorKind::InvalidOutput, "the answer has no count of tokens"))
}

#[cfg(test)]
mod tests {
    use motet_core::Message;
    use motet_core::request::ToolSpec;
    use serde_json::json;

    use super::super::vertex::Vertex;
    use super::*;
    use crate::rows;

    #[test]
    fn all_that_is_read_is_counted() {
        let messages = vec![Message::system("Be brief."), Message::user("Hi")];
        let mut asked = ChatRequest::new("gemini:gemini-2.5-flash".parse().unwrap(), messages);
        asked.tools = vec![ToolSpec::new("now", "", json!({"type": "object", "properties": {}}))];
        asked.sampling.temperature = Some(0.5);
        asked.extra.insert("safetySettings".into(), json!([{"category": "c"}]));
        let profile = rows::find("gemini").unwrap().profile_of("gemini-2.5-flash");
        let mut counted = json!({
            "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "tools": [{"functionDeclarations": [
                {"name": "now", "parametersJsonSchema": {"type": "object", "properties": {}}},
            ]}],
            "generationConfig": {"temperature": 0.5},
        });
        let sent = |counter: &dyn Counting| {
            let sent = counter.encode(&asked, &profile).unwrap();
            assert_eq!(sent.path, "/models/gemini-2.5-flash:countTokens");
            serde_json::from_slice::<Value>(&sent.body).unwrap()
        };
        assert_eq!(sent(&Vertex), counted);
        counted["model"] = json!("models/gemini-2.5-flash");
        counted["safetySettings"] = json!([{"category": "c"}]);
        assert_eq!(sent(&Gemini), json!({"generateContentRequest": counted}));
    }

    #[test]
    fn a_count_is_read_and_its_absence_told() {
        let origin = Origin::new(rows::find("gemini").unwrap(), "gemini:m".parse().unwrap());
        let read = |body: &str| read(&Answer { status: 200, headers: &[], body: body.as_bytes() }, &origin);
        assert_eq!(read(r#"{"totalTokens":12,"promptTokensDetails":[]}"#).unwrap(), 12);
        assert_eq!(read("{}").unwrap_err().kind(), ErrorKind::InvalidOutput);
    }
}
