//! Images and documents: their formats, names, and where their bytes are.

use std::borrow::Cow;
use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use motet_core::message::{Media, MediaSource};
use motet_core::{Error, ErrorKind, Result};
use serde::Serialize;

use super::Block;
use crate::dialect::Profile;

/// What an address begins with that the provider itself can read.
const STORED: &str = "s3://";
/// Longest name of a document, with room for a number.
const NAME_LIMIT: usize = 180;

/// Formats of images, by media type and by ending.
const IMAGES: &[(&str, &str)] = &[
    ("image/png", "png"),
    ("image/jpeg", "jpeg"),
    ("image/jpg", "jpeg"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
    ("png", "png"),
    ("jpeg", "jpeg"),
    ("jpg", "jpeg"),
    ("gif", "gif"),
    ("webp", "webp"),
];

/// Formats of documents, by media type and by ending.
const DOCUMENTS: &[(&str, &str)] = &[
    ("application/pdf", "pdf"),
    ("text/csv", "csv"),
    ("application/msword", "doc"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("text/html", "html"),
    ("text/markdown", "md"),
    ("application/json", "txt"),
    ("application/xml", "txt"),
    ("pdf", "pdf"),
    ("csv", "csv"),
    ("doc", "doc"),
    ("docx", "docx"),
    ("xls", "xls"),
    ("xlsx", "xlsx"),
    ("html", "html"),
    ("md", "md"),
    ("txt", "txt"),
];

#[derive(Serialize)]
pub(in super::super) struct Image<'a> {
    format: &'static str,
    source: Source<'a>,
}

#[derive(Serialize)]
pub(in super::super) struct Document<'a> {
    name: String,
    format: &'static str,
    source: Source<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Source<'a> {
    Bytes(&'a str),
    S3Location { uri: &'a str },
}

/// Writes an image.
pub(super) fn image<'a>(media: &'a Media, profile: &Profile) -> Result<Block<'a>> {
    if !profile.images {
        return Err(unsupported("images", "take a model that reads images, or leave them out"));
    }
    let format = format(media, IMAGES).ok_or_else(|| no_format("an image", "image/png", media))?;
    Ok(Block::Image(Image { format, source: source(media, "images", profile.image_urls)? }))
}

/// Writes a document; where the model takes none, one of plain text as text, which every model reads.
pub(super) fn document<'a>(media: &'a Media, profile: &Profile, names: &mut Names) -> Result<Block<'a>> {
    let is_text = media.media_type.as_deref().is_some_and(|kind| kind.starts_with("text/"));
    match &media.source {
        MediaSource::Base64(bytes) if is_text && !profile.documents => text_document(media, bytes),
        _ if !profile.documents => {
            Err(unsupported("documents", "take a model that reads documents, or send their text"))
        }
        _ => {
            let format = format(media, DOCUMENTS).or(is_text.then_some("txt"));
            let format = format.ok_or_else(|| no_format("a document", "application/pdf", media))?;
            let source = source(media, "documents", profile.document_urls)?;
            Ok(Block::Document(Document { name: names.name(media), format, source }))
        }
    }
}

/// Finds the format by the media type, else by the ending of the address or name.
fn format(media: &Media, formats: &[(&str, &'static str)]) -> Option<&'static str> {
    let find = |mark: &str| formats.iter().find(|(known, _)| *known == mark).map(|(_, format)| *format);
    if let Some(kind) = &media.media_type {
        return find(kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str());
    }
    let address = if let MediaSource::Url(url) = &media.source { Some(url.as_str()) } else { None };
    let ending = |name: &str| Some(name.split(['?', '#']).next()?.rsplit_once('.')?.1.to_ascii_lowercase());
    address
        .and_then(ending)
        .or_else(|| media.name.as_deref().and_then(ending))
        .and_then(|ending| find(&ending))
}

fn source<'a>(media: &'a Media, what: &str, addresses: bool) -> Result<Source<'a>> {
    match &media.source {
        MediaSource::Base64(bytes) => Ok(Source::Bytes(bytes)),
        MediaSource::Url(uri) if addresses && uri.starts_with(STORED) => Ok(Source::S3Location { uri }),
        MediaSource::Url(_) if addresses => Err(unsupported(
            &format!("{what} by this address"),
            "send the bytes instead, or an address that begins with `s3://`",
        )),
        MediaSource::Url(_) => Err(unsupported(&format!("{what} by address"), "send the bytes instead")),
    }
}

/// Sends a document of plain text as text.
fn text_document<'a>(media: &Media, bytes: &str) -> Result<Block<'a>> {
    let decoded = STANDARD.decode(bytes).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(text) = decoded else {
        return Err(Error::new(ErrorKind::InvalidRequest, "a text document is not base64 of UTF-8 text")
            .with_hint("give its bytes in standard base64 with padding"));
    };
    let name = media.name.as_deref().unwrap_or("document");
    Ok(Block::Text(Cow::Owned(format!("<document name=\"{name}\">\n{text}\n</document>"))))
}

fn unsupported(what: &str, hint: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the model does not accept {what}")).with_hint(hint)
}

fn no_format(what: &str, example: &str, media: &Media) -> Error {
    match &media.media_type {
        Some(kind) => {
            unsupported(&format!("{what} of type `{kind}`"), "convert it to a type that it accepts")
        }
        None => Error::new(ErrorKind::InvalidRequest, format!("the media type of {what} is not known"))
            .with_hint(format!("set its media type, for example `{example}`")),
    }
}

/// The names of a conversation's documents, of which no two may be alike.
#[derive(Default)]
pub(super) struct Names {
    used: HashSet<String>,
}

impl Names {
    /// Gives a document's name as the format takes it: letters, digits, single spaces, hyphens, and brackets.
    fn name(&mut self, media: &Media) -> String {
        let given = media.name.as_deref().unwrap_or_default();
        let stem = given.rsplit_once('.').map_or(given, |(stem, _)| stem);
        let keeps = |c: char| c.is_ascii_alphanumeric() || "-()[]".contains(c);
        let words = stem.split(|c: char| !keeps(c)).filter(|word| !word.is_empty());
        let mut name = words.collect::<Vec<_>>().join(" ");
        name.truncate(NAME_LIMIT);
        let name = name.trim_end();
        let first = if name.is_empty() { "Document 1" } else { name };
        let stem = if name.is_empty() { "Document" } else { name };
        let numbered = (2u32..).map(|number| format!("{stem} {number}"));
        let free =
            std::iter::once(first.to_owned()).chain(numbered).find(|name| self.used.insert(name.clone()));
        free.unwrap_or_default()
    }
}
