//! International bank account numbers, by ISO 13616: the length of each country and the checksum modulo 97.

use std::ops::Range;

use super::{before, following, tail};

/// Bytes of the longest number with a separator after each character but the last, and one character more.
const LONGEST: usize = 72;

/// Countries and the characters of their numbers, by the registry that SWIFT keeps.
const LENGTHS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 \
DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 \
JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 \
PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 \
XK20 YE30";

/// Finds the first number at or after a byte.
pub(super) fn find(text: &str, from: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let pairs = bytes.get(from..).unwrap_or_default().windows(4).enumerate();
    let starts = pairs.filter(|(_, pair)| matches!(pair, [a, b, c, d] if begins(&[*a, *b, *c, *d])));
    starts.map(|(at, _)| from + at).find_map(|start| at(text, start).map(|end| start..end))
}

/// Tells where the end of a text begins that may become a number.
pub(super) fn settled(text: &str, from: usize) -> usize {
    let start = tail(text, from, LONGEST, |letter| letter.is_ascii_alphanumeric() || is_separator(letter));
    let starts = text.get(start..).unwrap_or_default().char_indices();
    let starts = starts.map(|(at, _)| start + at);
    starts.into_iter().find(|at| is_beginning(text, *at)).unwrap_or(text.len())
}

fn begins(four: &[u8]) -> bool {
    four.iter().take(2).all(u8::is_ascii_alphabetic) && four.iter().skip(2).all(u8::is_ascii_digit)
}

fn is_separator(letter: char) -> bool {
    matches!(letter, ' ' | '-' | '\u{a0}')
}

/// Gives the end of the number that begins here.
fn at(text: &str, start: usize) -> Option<usize> {
    if before(text, start).is_some_and(char::is_alphanumeric) {
        return None;
    }
    let country = text.get(start..start + 2)?.to_ascii_uppercase();
    let length: usize = LENGTHS.split(' ').find_map(|row| row.strip_prefix(&country))?.parse().ok()?;
    let (mut digits, mut end, mut is_apart) = (String::with_capacity(length), start, true);
    for (at, letter) in text.get(start..)?.char_indices() {
        if letter.is_ascii_alphanumeric() {
            digits.push(letter.to_ascii_uppercase());
            is_apart = false;
        } else if is_separator(letter) && !is_apart {
            is_apart = true;
        } else {
            return None;
        }
        end = start + at + letter.len_utf8();
        if digits.len() == length {
            break;
        }
    }
    let is_over = !following(text, end).is_some_and(char::is_alphanumeric);
    (digits.len() == length && is_over && has_checksum(&digits)).then_some(end)
}

fn has_checksum(number: &str) -> bool {
    let (head, rest) = number.split_at_checked(4).unwrap_or_default();
    let sum = rest.chars().chain(head.chars()).try_fold(0, |sum: u32, letter| {
        let value = letter.to_digit(36)?;
        Some(if value > 9 { (sum * 100 + value) % 97 } else { (sum * 10 + value) % 97 })
    });
    sum == Some(1)
}

/// Tells whether a number may begin here of which the text shows no more.
fn is_beginning(text: &str, start: usize) -> bool {
    if before(text, start).is_some_and(char::is_alphanumeric) {
        return false;
    }
    let rest = text.get(start..).unwrap_or_default();
    let (mut count, mut is_apart) = (0, true);
    for letter in rest.chars() {
        let fits = match (letter.is_ascii_alphanumeric(), count) {
            (true, 0 | 1) => letter.is_ascii_alphabetic(),
            (true, 2 | 3) => letter.is_ascii_digit(),
            (true, _) => true,
            // Two letters and two digits stand together.
            (false, 0..4) => false,
            (false, _) => !is_apart,
        };
        if !fits {
            return false;
        }
        is_apart = !letter.is_ascii_alphanumeric();
        count += u32::from(!is_apart);
    }
    count <= 35
}
