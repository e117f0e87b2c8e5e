//! Messages in one neutral form: what people, models, and tools say to each other.
//!
//! Knows no provider's wire. What only one provider understands travels as an [`Opaque`] payload labelled with its name.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions that stand above the conversation.
    System,
    /// The person or program that asks.
    User,
    /// The model.
    Assistant,
    /// Results of tools that the model called.
    Tool,
}

/// One turn of a conversation: a role and its parts in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part>,
}

impl Message {
    /// Makes a message of one text part.
    #[must_use]
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self { role, parts: vec![Part::text(text)] }
    }

    /// Makes a system message.
    #[must_use]
    pub fn system(text: impl Into<String>) -> Self {
        Self::text(Role::System, text)
    }

    /// Makes a user message.
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        Self::text(Role::User, text)
    }

    /// Makes an assistant message.
    #[must_use]
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::text(Role::Assistant, text)
    }

    /// Makes the message that answers tool calls.
    #[must_use]
    pub fn tool(results: Vec<ToolResult>) -> Self {
        Self { role: Role::Tool, parts: results.into_iter().map(Part::ToolResult).collect() }
    }

    /// Gives all visible text, pieces joined with nothing between.
    #[must_use]
    pub fn visible_text(&self) -> String {
        self.parts.iter().filter_map(Part::as_text).collect()
    }

    /// Gives all reasoning text, pieces joined with nothing between.
    #[must_use]
    pub fn reasoning_text(&self) -> String {
        self.parts
            .iter()
            .filter_map(|part| if let Part::Reasoning(r) = part { Some(r.text.as_str()) } else { None })
            .collect()
    }

    /// Gives the tool calls in the order asked.
    pub fn tool_calls(&self) -> impl Iterator<Item = &ToolCall> {
        self.parts.iter().filter_map(|part| if let Part::ToolCall(call) = part { Some(call) } else { None })
    }
}

/// One piece of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Part {
    /// Visible text.
    Text {
        /// The text.
        text: String,
        /// What the provider needs back with exactly this part.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        opaque: Option<Opaque>,
    },
    /// An image.
    Image(Media),
    /// A document such as a PDF.
    Document(Media),
    /// A tool call by the model.
    ToolCall(ToolCall),
    /// The answer to a tool call.
    ToolResult(ToolResult),
    /// What the model thought, as far as the provider shows it.
    Reasoning(Reasoning),
    /// The model declined to answer, in its own words.
    Refusal {
        /// The refusal's text.
        text: String,
    },
    /// A block that only its provider understands, such as a search that it ran itself and what that found; it goes
    /// back to that provider unchanged and is left out for any other.
    Native {
        /// The block.
        opaque: Opaque,
    },
}

impl Part {
    /// Makes a text part.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Part::Text { text: text.into(), opaque: None }
    }

    /// Gives the text of a text part.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Part::Text { text, .. } = self { Some(text) } else { None }
    }
}

/// An image or document: its bytes or its address, and its media type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Media {
    /// IANA media type such as `image/png`; may be left out for an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Where the bytes are.
    pub source: MediaSource,
    /// File name, which some providers need for documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Where the bytes of a [`Media`] are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaSource {
    /// The bytes themselves, in standard base64 with padding.
    Base64(String),
    /// An address that the provider fetches.
    Url(String),
}

/// A call of a tool that the model asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    /// Name of the call within the conversation; its result carries the same.
    pub id: String,
    /// Name of the tool.
    pub name: String,
    /// Arguments exactly as the model wrote them, usually the text of a JSON object.
    pub arguments: String,
    /// True when the provider sent no id and Motet made this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub minted: bool,
    /// What the provider needs back with exactly this call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opaque: Option<Opaque>,
}

impl ToolCall {
    /// Reads the arguments; an empty text, which some providers send for no arguments, is an empty object.
    ///
    /// # Errors
    /// `InvalidOutput` with the JSON error and its place when the text is not JSON.
    pub fn parsed_arguments(&self) -> Result<Value> {
        if self.arguments.trim().is_empty() {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        serde_json::from_str(&self.arguments).map_err(|error| {
            Error::new(
                ErrorKind::InvalidOutput,
                format!("arguments of tool call `{}` are not valid JSON: {error}", self.name),
            )
        })
    }
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolResult {
    /// The id of the call that this answers.
    pub id: String,
    /// Name of the tool, which some providers match by.
    pub name: String,
    /// The answer's parts: text, images, documents.
    pub content: Vec<Part>,
    /// True when the tool failed; the model sees the reason and can correct itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
}

impl ToolResult {
    /// Gives the visible text of the answer.
    #[must_use]
    pub fn text(&self) -> String {
        self.content.iter().filter_map(Part::as_text).collect()
    }
}

/// What the model thought: visible text, and what the provider needs back.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reasoning {
    /// Visible reasoning text; empty where the provider hides it.
    #[serde(default)]
    pub text: String,
    /// Signatures, encrypted items, or details to send back unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opaque: Option<Opaque>,
}

/// A provider's payload that is kept byte-exact and only ever sent back to that provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opaque {
    /// Provider row that sent it.
    pub provider: String,
    /// The payload as it came.
    pub payload: Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_arguments_are_an_empty_object() {
        let call = |arguments: &str| ToolCall {
            id: "1".into(),
            name: "now".into(),
            arguments: arguments.into(),
            minted: false,
            opaque: None,
        };
        assert_eq!(call(" ").parsed_arguments().unwrap(), serde_json::json!({}));
        assert_eq!(call("null").parsed_arguments().unwrap(), Value::Null);
        assert_eq!(call("{\"a\":").parsed_arguments().unwrap_err().kind(), ErrorKind::InvalidOutput);
    }

    #[test]
    fn a_message_reads_back_as_written() {
        let message = Message {
            role: Role::Assistant,
            parts: vec![
                Part::Reasoning(Reasoning { text: "hm".into(), opaque: None }),
                Part::text("Hello"),
                Part::Image(Media {
                    media_type: Some("image/png".into()),
                    source: MediaSource::Base64("AA==".into()),
                    name: None,
                }),
            ],
        };
        let json = serde_json::to_string(&message).unwrap();
        assert_eq!(serde_json::from_str::<Message>(&json).unwrap(), message);
        assert_eq!(message.visible_text(), "Hello");
    }
}
