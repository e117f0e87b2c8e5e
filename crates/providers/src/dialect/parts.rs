//! Parts of messages that several formats treat alike: documents of plain text, and what a format has no place for.
//!
//! Knows no format.

use motet_core::message::{Media, MediaSource};
use motet_core::{Error, ErrorKind, Part, Result};

use super::documents;

/// Gives a document of plain text as text under its name, which every model reads.
///
/// # Errors
/// `Unsupported` when it is no plain text or not given by its bytes, `InvalidRequest` when it claims to be text and is
/// not.
pub(crate) fn text_document(media: &Media) -> Result<String> {
    let is_text = media.media_type.as_deref().is_some_and(|kind| kind.starts_with("text/"));
    if matches!(media.source, MediaSource::Url(_)) {
        return Err(unsupported("documents by address", "send the document's bytes instead"));
    }
    if !is_text {
        return Err(unsupported(
            "documents other than plain text",
            "take a model that reads documents, or send their text",
        ));
    }
    documents::as_text(media).map(Option::unwrap_or_default)
}

/// Makes the error for something that the model does not take.
pub(crate) fn unsupported(what: &str, hint: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the model does not accept {what}")).with_hint(hint)
}

/// Makes the error for a part in a message of a role where it means nothing.
pub(crate) fn out_of_place(part: &Part, role: &str) -> Error {
    let name = match part {
        Part::Text { .. } => "text",
        Part::Image(_) => "an image",
        Part::Document(_) => "a document",
        Part::ToolCall(_) => "a tool call",
        Part::ToolResult(_) => "a tool result",
        Part::Reasoning(_) => "reasoning",
        Part::Refusal { .. } => "a refusal",
        Part::Native { .. } => "a block of one provider",
        _ => "a part",
    };
    Error::new(ErrorKind::InvalidRequest, format!("{name} cannot stand in a message of role `{role}`"))
        .with_hint("move it to a message of the role that it belongs to")
}
