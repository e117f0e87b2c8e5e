//! Images and speech that a model made, as parts of the answer.
//!
//! Speech is kept as a block that only its provider understands, since it is named by id when it goes back.

use motet_core::StreamEvent;
use motet_core::message::{Media, MediaSource, Opaque};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{AUDIO, FIRST_IMAGE};
use crate::dialect::{Origin, call_ids};

/// Fields of speech that come in pieces.
const GROWING: [&str; 2] = ["data", "transcript"];

/// What was made so far.
#[derive(Default)]
pub(super) struct Made {
    /// Marks of the images, as some servers repeat them in later pieces.
    images: Vec<u64>,
    audio: Map<String, Value>,
}

impl Made {
    /// Takes one image or a list of them; whatever has no address is passed over.
    pub(super) fn add_images(&mut self, raw: &RawValue, out: &mut Vec<StreamEvent>) {
        let images = match serde_json::from_str::<Value>(raw.get()) {
            Ok(Value::Array(list)) => list,
            Ok(one) => vec![one],
            Err(_) => return,
        };
        for image in &images {
            let holder = image.get("image_url").unwrap_or(image);
            let Some(url) = holder.as_str().or_else(|| holder.get("url")?.as_str()) else { continue };
            let mark = call_ids::fold(call_ids::FOLD_START, url.as_bytes());
            if !url.is_empty() && !self.images.contains(&mark) {
                let place = u32::try_from(self.images.len()).unwrap_or(u32::MAX);
                self.images.push(mark);
                out.push(StreamEvent::ImagePart {
                    part: FIRST_IMAGE.saturating_add(place),
                    image: media(url),
                });
            }
        }
    }

    /// Takes speech or a piece of it.
    pub(super) fn add_audio(&mut self, raw: &RawValue) {
        let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(raw.get()) else { return };
        for (name, value) in fields {
            match (self.audio.get_mut(&name), value) {
                (Some(Value::String(text)), Value::String(more)) if GROWING.contains(&&*name) => {
                    text.push_str(&more);
                }
                (_, value) => {
                    self.audio.insert(name, value);
                }
            }
        }
    }

    /// Gives the speech, if there is any.
    pub(super) fn close(&mut self, origin: &Origin, out: &mut Vec<StreamEvent>) {
        let audio = std::mem::take(&mut self.audio);
        let filled =
            |name: &str| audio.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        if filled("id") || filled("data") {
            let payload = json!({"audio": audio});
            let opaque = Opaque { provider: origin.row.name.to_owned(), payload };
            out.push(StreamEvent::NativePart { part: AUDIO, opaque });
        }
    }
}

/// Reads an address, which may hold the bytes themselves.
fn media(url: &str) -> Media {
    let inline = url.strip_prefix("data:").and_then(|rest| rest.split_once(','));
    let inline = inline.and_then(|(kind, data)| Some((kind.strip_suffix(";base64")?, data)));
    let (media_type, source) = match inline {
        Some((kind, data)) => (Some(kind.to_owned()), MediaSource::Base64(data.to_owned())),
        None => (None, MediaSource::Url(url.to_owned())),
    };
    Media { media_type: media_type.filter(|kind| !kind.is_empty()), source, name: None }
}
