//! OpenAI's count of the input of a response.

use motet_core::{ChatRequest, Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::dialect::json::{Count, parse};
use crate::dialect::operations::Counting;
use crate::dialect::{Answer, HttpRequest, Origin, Profile, refusal};
use crate::dialects::openai_responses;

pub(super) struct OpenAiResponses;

#[derive(Deserialize)]
struct Counted {
    #[serde(default)]
    input_tokens: Count,
    #[serde(default)]
    error: Value,
}

impl Counting for OpenAiResponses {
    fn name(&self) -> &'static str {
        "openai-input-tokens"
    }

    fn doc(&self) -> &'static str {
        "OpenAI's count of the input of a response."
    }

    fn encode(&self, request: &ChatRequest, profile: &Profile) -> Result<HttpRequest> {
        openai_responses::count(request, profile)
    }

    fn decode(&self, answer: &Answer<'_>, origin: &Origin) -> Result<u64> {
        let counted: Counted = parse(answer.body, "the count of tokens")?;
        if let Some(error) = refusal::of_value(counted.error, origin) {
            return Err(error);
        }
        counted
            .input_tokens
            .0
            .ok_or_else(|| Error::new(ErrorKind::InvalidOutput, "the count of tokens has no `input_tokens`"))
    }
}

#[cfg(test)]
mod tests {
    use motet_core::Message;
    use motet_core::request::ToolSpec;
    use serde_json::json;

    use super::*;
    use crate::rows;

    #[test]
    fn what_is_counted_is_the_input_and_what_bears_on_it() {
        let row = rows::find("openai-responses").unwrap();
        let mut asked = ChatRequest::new(
            "openai-responses:gpt-4.1-mini".parse().unwrap(),
            vec![Message::system("Be brief."), Message::user("Hi")],
        );
        asked.max_tokens = Some(50);
        asked.sampling.temperature = Some(0.5);
        asked.tools = vec![ToolSpec::new("now", "", json!({"type": "object"}))];
        asked.extra = json!({"truncation": "auto", "service_tier": "flex"}).as_object().unwrap().clone();
        let sent = OpenAiResponses.encode(&asked, &row.profile_of("gpt-4.1-mini")).unwrap();
        assert_eq!(sent.path, "/responses/input_tokens");
        let expected = json!({
            "model": "gpt-4.1-mini",
            "input": [
                {"type": "message", "role": "system", "content": "Be brief."},
                {"type": "message", "role": "user", "content": "Hi"},
            ],
            "tools": [{"type": "function", "name": "now", "parameters": {"type": "object"}, "strict": false}],
            "truncation": "auto",
        });
        assert_eq!(serde_json::from_slice::<Value>(&sent.body).unwrap(), expected);
    }

    #[test]
    fn a_count_is_read_and_its_absence_is_an_error() {
        let origin = Origin::new(rows::find("openai").unwrap(), "openai:gpt-4.1".parse().unwrap());
        let read = |body: &str| {
            let answer = Answer { status: 200, headers: &[], body: body.as_bytes() };
            OpenAiResponses
                .decode(&answer, &origin)
                .map_err(|error| (error.kind(), error.message().to_owned()))
        };
        assert_eq!(read(r#"{"object":"response.input_tokens","input_tokens":18}"#), Ok(18));
        let missing = "the count of tokens has no `input_tokens`".to_owned();
        assert_eq!(read(r#"{"input_tokens":null}"#), Err((ErrorKind::InvalidOutput, missing)));
        let told = Err((ErrorKind::RateLimit, "slow down".to_owned()));
        assert_eq!(read(r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#), told);
    }
}
