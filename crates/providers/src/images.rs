//! Images as models are shown them: read from files within a scope, from base64, or from data URLs.
//!
//! What an image is, its content says, not its name or what somebody wrote beside it. Blocks on the file system.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use motet_core::message::{Media, MediaSource};
use motet_core::method::FileScope;
use motet_core::{Error, ErrorKind, Result};

use crate::files;

/// The largest image that is taken: 20 MiB before it is encoded.
pub const MAX_IMAGE_BYTES: u64 = 20 << 20;

/// Tells what an image is by its first bytes.
#[must_use]
pub fn media_type(bytes: &[u8]) -> Option<&'static str> {
    let at = |start: usize, magic: &[u8]| bytes.get(start..start + magic.len()) == Some(magic);
    if at(0, b"\x89PNG\r\n\x1a\n") {
        Some("image/png")
    } else if at(0, b"\xff\xd8\xff") {
        Some("image/jpeg")
    } else if at(0, b"GIF87a") || at(0, b"GIF89a") {
        Some("image/gif")
    } else if at(0, b"RIFF") && at(8, b"WEBP") {
        Some("image/webp")
    } else if at(4, b"ftypheic") || at(4, b"ftypheix") || at(4, b"ftypmif1") {
        Some("image/heic")
    } else if at(0, b"BM") {
        Some("image/bmp")
    } else {
        None
    }
}

/// Reads the image in a file.
///
/// # Errors
/// As [`files::read_bytes`]; `InvalidRequest` when it is no image of a known kind.
pub fn from_file(scope: &FileScope, path: impl AsRef<Path>) -> Result<Media> {
    let path = path.as_ref();
    let bytes = files::read_bytes(scope, path, MAX_IMAGE_BYTES)?;
    media(&bytes, &format!("`{}`", path.display()))
}

/// Reads an image from base64 or a data URL; an address of the web is handed on for the provider to fetch.
///
/// # Errors
/// `InvalidRequest` when it is neither, or no image of a known kind; `LimitReached` when it is too large.
pub fn from_text(text: &str) -> Result<Media> {
    let text = text.trim();
    if text.starts_with("https://") || text.starts_with("http://") {
        return Ok(Media { media_type: None, source: MediaSource::Url(text.to_owned()), name: None });
    }
    let encoded = match text.strip_prefix("data:") {
        None => text,
        Some(rest) => match rest.split_once(";base64,") {
            Some((_, encoded)) => encoded,
            None => {
                return Err(invalid("a data URL of an image must hold base64")
                    .with_hint("write it as `data:image/png;base64,...`"));
            }
        },
    };
    if u64::try_from(encoded.len() / 4 * 3).is_ok_and(|length| length > MAX_IMAGE_BYTES + 3) {
        return Err(Error::new(
            ErrorKind::LimitReached,
            format!("an image is larger than the {MAX_IMAGE_BYTES} bytes that may be sent"),
        )
        .with_hint("make it smaller"));
    }
    let plain: String = encoded.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
    let bytes = STANDARD.decode(&plain).or_else(|_| STANDARD_NO_PAD.decode(&plain));
    let bytes = bytes.or_else(|_| URL_SAFE.decode(&plain)).map_err(|error| {
        invalid(&format!("an image is not base64: {error}"))
            .with_hint("give base64, a data URL, or the path of a file as `image_path`")
    })?;
    media(&bytes, "an image")
}

fn media(bytes: &[u8], what: &str) -> Result<Media> {
    let Some(kind) = media_type(bytes) else {
        return Err(invalid(&format!("{what} is no image of a known kind"))
            .with_hint("give a PNG, JPEG, GIF, WebP, HEIC, or BMP image"));
    };
    let source = MediaSource::Base64(STANDARD.encode(bytes));
    Ok(Media { media_type: Some(kind.to_owned()), source, name: None })
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIF: &[u8] = b"GIF89a\x01\x00\x01\x00";

    #[test]
    fn what_an_image_is_its_bytes_say() {
        for (bytes, kind) in [
            (&b"\x89PNG\r\n\x1a\nrest"[..], Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (GIF, Some("image/gif")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"RIFF\0\0\0\0WAVE", None),
            (b"", None),
            (b"<svg>", None),
        ] {
            assert_eq!(media_type(bytes), kind);
        }
    }

    #[test]
    fn base64_and_data_urls_are_one_and_the_content_decides() {
        let encoded = STANDARD.encode(GIF);
        let gif = Media {
            media_type: Some("image/gif".to_owned()),
            source: MediaSource::Base64(encoded.clone()),
            name: None,
        };
        assert_eq!(from_text(&encoded).unwrap(), gif);
        assert_eq!(from_text(&format!("data:image/png;base64,{encoded}")).unwrap(), gif);
        assert_eq!(from_text(encoded.trim_end_matches('=')).unwrap(), gif);
        for wrong in ["data:image/png,abc", "not base64!", "aGVsbG8gd29ybGQ="] {
            assert_eq!(from_text(wrong).unwrap_err().kind(), ErrorKind::InvalidRequest, "{wrong}");
        }
        let large = "A".repeat(usize::try_from(MAX_IMAGE_BYTES).unwrap() / 3 * 4 + 40);
        assert_eq!(from_text(&large).unwrap_err().kind(), ErrorKind::LimitReached);
    }

    #[test]
    fn files_are_read_within_their_scope() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.png"), GIF).unwrap();
        std::fs::write(folder.path().join("b.png"), "text").unwrap();
        let scope = FileScope { base: folder.path().to_owned(), allowed: Vec::new() };
        assert_eq!(from_file(&scope, "a.png").unwrap().media_type.as_deref(), Some("image/gif"));
        assert_eq!(from_file(&scope, "b.png").unwrap_err().kind(), ErrorKind::InvalidRequest);
        assert_eq!(from_file(&scope, "/etc/passwd").unwrap_err().kind(), ErrorKind::Permission);
    }
}
