//! How many tokens an image takes, by its size: pure reading of the first bytes.

use motet_core::message::{Media, MediaSource};

/// Pixels that make a token, as Anthropic states it; the largest rule of the providers that publish one.
const PIXELS_PER_TOKEN: u64 = 750;
/// Longest edge that is not scaled down first.
const LONGEST_EDGE: u64 = 1_568;
/// Tokens of an image whose size is not known: about those of the largest.
const UNKNOWN: u64 = 1_600;
/// Bytes that are looked at for the size.
const LOOK: usize = 64 << 10;

/// Estimates the tokens of an image.
pub(super) fn tokens(image: &Media) -> u64 {
    let MediaSource::Base64(data) = &image.source else { return UNKNOWN };
    size(&decoded(data)).map_or(UNKNOWN, |(width, height)| {
        let longest = width.max(height).max(1);
        let scaled = |edge: u64| if longest > LONGEST_EDGE { edge * LONGEST_EDGE / longest } else { edge };
        (scaled(width) * scaled(height)).div_ceil(PIXELS_PER_TOKEN).clamp(1, UNKNOWN)
    })
}

/// Decodes the beginning of a base64 text, up to what is none.
fn decoded(text: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0u32, 0u32);
    for six in text.bytes().take(LOOK).map_while(value) {
        held = ((held << 6) | u32::from(six)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.extend(u8::try_from((held >> bits) & 0xff));
        }
    }
    bytes
}

/// Gives width and height of a PNG, GIF, or JPEG.
fn size(bytes: &[u8]) -> Option<(u64, u64)> {
    let big = |at: usize, count: usize| {
        let digits = bytes.get(at..at + count)?;
        Some(digits.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
    };
    if bytes.starts_with(b"\x89PNG") {
        return big(16, 4).zip(big(20, 4));
    }
    if bytes.starts_with(b"GIF8") {
        let little = |at: usize| Some(u64::from(*bytes.get(at)?) | (u64::from(*bytes.get(at + 1)?) << 8));
        return little(6).zip(little(8));
    }
    let mut at = 2;
    while bytes.starts_with(b"\xff\xd8") && big(at, 1)? == 0xff {
        let marker = big(at + 1, 1)?;
        // The start of a frame holds the size; three numbers among them mean other things.
        if (0xc0..=0xcf).contains(&marker) && ![0xc4, 0xc8, 0xcc].contains(&marker) {
            return big(at + 7, 2).zip(big(at + 5, 2));
        }
        at += 2 + usize::try_from(big(at + 2, 2)?).ok()?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(data: &str) -> Media {
        Media { media_type: None, source: MediaSource::Base64(data.into()), name: None }
    }

    #[test]
    fn images_count_by_their_size() {
        // The first bytes of a PNG of 1000 by 750, a GIF of 300 by 200, and a JPEG of 640 by 480.
        let png = "iVBORw0KGgoAAAANSUhEUgAAA+gAAALuCAIAAAA=";
        let gif = "R0lGODlhLAHIAIAAAA==";
        let jpeg = "/9j/4AAEAAD/wAARCAHgAoADASIAAhEBAxEB";
        for (data, tokens) in
            [(png, 1_000), (gif, 80), (jpeg, 410), ("????", UNKNOWN), ("iVBORw0KGgo=", UNKNOWN)]
        {
            assert_eq!(super::tokens(&image(data)), tokens, "{data}");
        }
        let large = "iVBORw0KGgoAAAANSUhEUgAAnEAAAJxACAIAAAA=";
        assert!(super::tokens(&image(large)) <= UNKNOWN);
    }
}
