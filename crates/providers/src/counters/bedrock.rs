//! Amazon Bedrock's count of the tokens of a conversation.

use motet_core::{ChatRequest, Error, ErrorKind, Result};
use serde::Deserialize;

use crate::dialect::json::{Count, parse};
use crate::dialect::operations::Counting;
use crate::dialect::{Answer, HttpRequest, Origin, Profile};
use crate::dialects::bedrock_converse;

pub(super) struct Bedrock;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counted {
    #[serde(default)]
    input_tokens: Count,
}

impl Counting for Bedrock {
    fn name(&self) -> &'static str {
        "bedrock-count-tokens"
    }

    fn doc(&self) -> &'static str {
        "Amazon Bedrock's count of the tokens of a conversation."
    }

    fn encode(&self, request: &ChatRequest, profile: &Profile) -> Result<HttpRequest> {
        bedrock_converse::encode_count(request, profile)
    }

    fn decode(&self, answer: &Answer<'_>, _origin: &Origin) -> Result<u64> {
        let counted: Counted = parse(answer.body, "the count")?;
        counted
            .input_tokens
            .0
            .ok_or_else(|| Error::new(ErrorKind::InvalidOutput, "the answer has no count of tokens"))
    }
}

#[cfg(test)]
mod tests {
    use motet_core::Message;
    use motet_core::request::ToolSpec;
    use serde_json::{Value, json};

    use super::*;
    use crate::rows;

    #[test]
    fn only_what_counts_is_sent_and_to_the_model_itself() {
        let id = "bedrock:us.anthropic.claude-sonnet-4-20250514-v1:0".parse().unwrap();
        let mut request = ChatRequest::new(id, vec![Message::system("Be brief."), Message::user("Hi")]);
        request.tools = vec![ToolSpec::new("now", "", json!({"type": "object"}))];
        request.max_tokens = Some(5);
        request.extra.insert("guardrailConfig".to_owned(), json!({"guardrailIdentifier": "x"}));
        let profile = rows::find("bedrock").unwrap().profile_of(request.model.model());
        let sent = Bedrock.encode(&request, &profile).unwrap();
        assert_eq!(sent.path, "/model/anthropic.claude-sonnet-4-20250514-v1%3A0/count-tokens");
        assert_eq!(
            serde_json::from_slice::<Value>(&sent.body).unwrap(),
            json!({"input": {"converse": {
                "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
                "system": [{"text": "Be brief."}],
                "toolConfig": {"tools": [{"toolSpec": {"name": "now", "inputSchema": {"json": {"type": "object"}}}}]},
            }}})
        );
    }

    #[test]
    fn the_count_is_read_and_its_absence_told() {
        let row = rows::find("bedrock").unwrap();
        let origin = Origin::new(row, "bedrock:m".parse().unwrap());
        let read = |body: &str| {
            Bedrock.decode(&Answer { status: 200, headers: &[], body: body.as_bytes() }, &origin)
        };
        assert_eq!(read(r#"{"inputTokens":375}"#).unwrap(), 375);
        assert_eq!(read("{}").unwrap_err().kind(), ErrorKind::InvalidOutput);
    }
}
