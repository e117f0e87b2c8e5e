//! Files and addresses that go with a prompt. What a model takes of them is judged where the request is written.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use motet::core::message::{Media, MediaSource};
use motet::{Error, ErrorKind, Part, Result};

/// Extensions of the files that are no text, and their media types.
const BINARY: &[(&str, &str)] = &[
    ("gif", "image/gif"),
    ("heic", "image/heic"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("webp", "image/webp"),
];

/// Tells whether a file is an image or a document that is no text, by its name.
pub(crate) fn is_media(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    BINARY.iter().any(|(known, _)| *known == extension)
}

/// Reads a file, or names an address, which the provider fetches itself.
pub(crate) fn part(written: &str) -> Result<Part> {
    // `gs://` and `s3://` are addresses too, which their owners' providers take.
    let is_address = written.contains("://");
    let path =
        Path::new(if is_address { written.split(['?', '#']).next().unwrap_or(written) } else { written });
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let binary = BINARY.iter().find(|(known, _)| *known == extension).map(|(_, media_type)| *media_type);
    if is_address {
        // An address without a telling end is most often an image.
        return Ok(media(binary, MediaSource::Url(written.to_owned()), path));
    }
    let refused = |why: String| Error::new(ErrorKind::InvalidRequest, format!("`{written}` {why}"));
    let bytes = std::fs::read(path).map_err(|error| refused(format!("cannot be read: {error}")))?;
    if binary.is_none() && std::str::from_utf8(&bytes).is_err() {
        let known: Vec<&str> = BINARY.iter().map(|(extension, _)| *extension).collect();
        return Err(refused("is neither text in UTF-8 nor a known kind of file".to_owned())
            .with_hint(format!("files that are no text must end in one of: {}", known.join(", "))));
    }
    let source = MediaSource::Base64(STANDARD.encode(bytes));
    Ok(media(Some(binary.unwrap_or("text/plain")), source, path))
}

fn media(media_type: Option<&str>, source: MediaSource, path: &Path) -> Part {
    let is_image = media_type.is_none_or(|kind| kind.starts_with("image/"));
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let media = Media { media_type: media_type.map(str::to_owned), source, name: name.filter(|_| !is_image) };
    if is_image { Part::Image(media) } else { Part::Document(media) }
}
