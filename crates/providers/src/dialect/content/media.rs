//! Images and documents: whether the model takes them, and whether their bytes are what they are said to be.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use motet_core::message::{Media, MediaSource};
use motet_core::{Error, Part, Result};

use super::super::{Origin, Profile};
use super::{invalid, takers};

/// Characters of base64 by which the type of some bytes is told.
const HEAD: usize = 16;

/// Where a part stands, for messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Where {
    message: usize,
    in_result: bool,
}

impl Where {
    /// In a message, the first being 0.
    pub(super) fn message(message: usize) -> Self {
        Self { message, in_result: false }
    }

    /// In the result of a tool in a message.
    pub(super) fn result(message: usize) -> Self {
        Self { message, in_result: true }
    }
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let result = if self.in_result { "a tool's result in " } else { "" };
        write!(f, " in {result}message {}", self.message + 1)
    }
}

/// What differs between images and documents.
struct Kind {
    one: &'static str,
    all: &'static str,
    instead: &'static str,
    taken: fn(&Profile) -> bool,
    urls: fn(&Profile) -> bool,
    types: fn(&Profile) -> &'static [&'static str],
    limit: fn(&Profile) -> u64,
}

const IMAGE: Kind = Kind {
    one: "image",
    all: "images",
    instead: "leave them out",
    taken: |profile| profile.images,
    urls: |profile| profile.images && profile.image_urls,
    types: |profile| profile.image_types,
    limit: |profile| profile.image_limit,
};

const DOCUMENT: Kind = Kind {
    one: "document",
    all: "documents",
    instead: "send their text",
    taken: |profile| profile.documents,
    urls: |profile| profile.documents && profile.document_urls,
    types: |profile| profile.document_types,
    limit: |profile| profile.document_limit,
};

/// Refuses an image or document that the model does not take or that is malformed; other parts pass.
pub(super) fn check(part: &Part, place: Where, origin: &Origin) -> Result<()> {
    let (kind, media) = match part {
        Part::Image(media) => (&IMAGE, media),
        Part::Document(media) => (&DOCUMENT, media),
        _ => return Ok(()),
    };
    let given = media.media_type.as_deref().map(|given| given.split(';').next().unwrap_or(given).trim());
    let of_text = given.is_some_and(|given| starts_with(given, "text/"));
    let by_bytes = matches!(media.source, MediaSource::Base64(_));
    // Text goes as text to every model.
    let as_text = kind.one == DOCUMENT.one && of_text && by_bytes;
    if !as_text && !(kind.taken)(&origin.profile) {
        let place = place.to_string();
        return Err(takers::unsupported(kind.all, &place, origin, kind.instead, kind.taken));
    }
    if let Some(given) = given {
        check_type(kind, given, as_text, place, origin)?;
    }
    match &media.source {
        MediaSource::Url(url) => check_url(kind, url, place, origin),
        MediaSource::Base64(data) => check_bytes(kind, media, data, place, origin),
    }
}

fn check_type(kind: &Kind, given: &str, as_text: bool, place: Where, origin: &Origin) -> Result<()> {
    let is_image = starts_with(given, "image/");
    if is_image != (kind.one == IMAGE.one) {
        let message = format!("`{given}` is not the media type of {} {}{place}", article(kind.one), kind.one);
        let right = if is_image { "an image" } else { "a document" };
        return Err(invalid(message, &format!("send it as {right}, or set its own media type")));
    }
    let types = (kind.types)(&origin.profile);
    if as_text || types.is_empty() || types.iter().any(|known| known.eq_ignore_ascii_case(given)) {
        return Ok(());
    }
    let all = format!("{} of type `{given}`", kind.all);
    let list: Vec<String> = types.iter().map(|known| format!("`{known}`")).collect();
    let instead = format!("send one of {}", list.join(", "));
    let taken = |profile: &Profile| {
        let types = (kind.types)(profile);
        (kind.taken)(profile)
            && (types.is_empty() || types.iter().any(|known| known.eq_ignore_ascii_case(given)))
    };
    Err(takers::unsupported(&all, &place.to_string(), origin, &instead, taken))
}

fn check_url(kind: &Kind, url: &str, place: Where, origin: &Origin) -> Result<()> {
    if url.trim().is_empty() {
        return Err(invalid(
            format!("the {}{place} has an empty address", kind.one),
            "set its address or its bytes",
        ));
    }
    // A data address holds the bytes, and nobody has to fetch it.
    if (kind.urls)(&origin.profile) || starts_with(url, "data:") {
        return Ok(());
    }
    let all = format!("{} by address", kind.all);
    Err(takers::unsupported(&all, &place.to_string(), origin, "send the bytes instead", kind.urls))
}

fn check_bytes(kind: &Kind, media: &Media, data: &str, place: Where, origin: &Origin) -> Result<()> {
    let what = kind.one;
    let Some(given) = media.media_type.as_deref().filter(|given| !given.trim().is_empty()) else {
        let example = if what == IMAGE.one { "image/png" } else { "application/pdf" };
        return Err(invalid(
            format!("the {what}{place} is given by its bytes and has no media type"),
            &format!("set its media type, for example `{example}`"),
        ));
    };
    if data.is_empty() {
        return Err(invalid(format!("the {what}{place} has no bytes"), "set its bytes or its address"));
    }
    let size = check_base64(data).map_err(|(problem, hint)| {
        invalid(format!("the bytes of the {what}{place} are not base64: {problem}"), hint)
    })?;
    let limit = (kind.limit)(&origin.profile);
    if limit > 0 && size > limit {
        let message =
            format!("the {what}{place} has {size} bytes, and model `{}` takes at most {limit}", origin.model);
        return Err(invalid(message, "make it smaller, or split it"));
    }
    let found = data.get(..HEAD.min(data.len())).and_then(|head| STANDARD.decode(head).ok());
    let found = found.and_then(|head| type_of(&head));
    let differs = |found: &&str| {
        let same = found.eq_ignore_ascii_case(given)
            || (*found == "image/jpeg" && given.eq_ignore_ascii_case("image/jpg"));
        !same && (starts_with(given, "image/") || given.eq_ignore_ascii_case("application/pdf"))
    };
    match found.filter(differs) {
        Some(found) => Err(contradiction(what, given, found, place)),
        None => Ok(()),
    }
}

fn contradiction(what: &str, given: &str, found: &str, place: Where) -> Error {
    let message = format!("the {what}{place} is said to be `{given}`, but its bytes are `{found}`");
    invalid(message, &format!("set its media type to `{found}`"))
}

/// Gives the number of bytes that standard base64 with padding holds, or what is wrong with it.
fn check_base64(data: &str) -> Result<u64, (String, &'static str)> {
    const STANDARD_HINT: &str = "give them in standard base64 with padding, on one line";
    if starts_with(data, "data:") {
        return Err(("they are an address".to_owned(), "leave out `data:…;base64,` before the bytes"));
    }
    let bytes = data.as_bytes();
    let padding = bytes.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    let digits = bytes.get(..bytes.len() - padding).unwrap_or_default();
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    // The whole is looked at without a branch for each byte first, as there may be millions.
    if !digits.iter().fold(true, |all, byte| all & is_digit(byte)) {
        let wrong = digits.iter().position(|byte| !is_digit(byte)).unwrap_or_default();
        let shown = data.chars().find(|letter| !letter.is_ascii() || !is_digit(&(*letter as u8)));
        let shown = shown.map(|letter| letter.escape_default().to_string()).unwrap_or_default();
        return Err((format!("`{shown}` at byte {wrong}"), STANDARD_HINT));
    }
    if !bytes.len().is_multiple_of(4) {
        return Err((format!("{} characters, which is no multiple of four", bytes.len()), STANDARD_HINT));
    }
    Ok(bytes.len() as u64 / 4 * 3 - padding as u64)
}

/// Tells the type of some bytes by how they begin.
fn type_of(head: &[u8]) -> Option<&'static str> {
    match head {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        [b'%', b'P', b'D', b'F', b'-', ..] => Some("application/pdf"),
        _ => None,
    }
}

fn starts_with(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

fn article(word: &str) -> &'static str {
    if word.starts_with('i') { "an" } else { "a" }
}
