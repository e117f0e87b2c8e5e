//! Documents of plain text, which go to every model as text.
//!
//! Knows no format.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use motet_core::message::{Media, MediaSource};
use motet_core::{Error, ErrorKind, Result};

/// Gives the text of a document of plain text with its name; `None` when it is no such document.
///
/// # Errors
/// `InvalidRequest` when its bytes are no text.
pub(crate) fn as_text(media: &Media) -> Result<Option<String>> {
    let is_text = media.media_type.as_deref().is_some_and(|kind| kind.starts_with("text/"));
    let MediaSource::Base64(bytes) = &media.source else { return Ok(None) };
    if !is_text {
        return Ok(None);
    }
    let decoded = STANDARD.decode(bytes).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(text) = decoded else {
        return Err(Error::new(ErrorKind::InvalidRequest, "a text document is not base64 of UTF-8 text")
            .with_hint("give its bytes in standard base64 with padding"));
    };
    let name = media.name.as_deref().unwrap_or("document");
    Ok(Some(format!("<document name=\"{name}\">\n{text}\n</document>")))
}
