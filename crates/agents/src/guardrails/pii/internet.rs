//! E-mail addresses and IP addresses.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::{before, tail};

/// Bytes of the longest address that is looked for: 64 characters, `@`, and a domain of up to 253, of which the
/// non-ASCII ones take up to four bytes each.
const LONGEST_EMAIL: usize = 4 * 320;
/// Bytes of the longest run that is taken for an IP address.
const LONGEST_ADDRESS: usize = 48;

#[expect(clippy::unwrap_used, reason = "the expression is fixed, and the tests compile it")]
static DOMAIN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^@(?:[\p{L}\p{N}](?:[\p{L}\p{N}\p{M}-]{0,61}[\p{L}\p{N}\p{M}])?\.){1,8}(?:xn--[A-Za-z0-9-]{2,59}|[\p{L}\p{M}]{2,63})")
        .unwrap()
});

/// Finds the first e-mail address at or after a byte.
pub(super) fn email(text: &str, from: usize) -> Option<Range<usize>> {
    let mut search = from;
    loop {
        let at = search + text.get(search..)?.find('@')?;
        search = at + 1;
        let window = text.floor_char_boundary((at + LONGEST_EMAIL).min(text.len()));
        let Some(domain) = DOMAIN.find(text.get(at..window)?) else { continue };
        if domain.as_str().chars().count() > 254 {
            continue;
        }
        let local = text.get(from..at)?.char_indices().rev().take(64);
        let local = local.take_while(|(_, letter)| is_local(*letter));
        let first = local.filter(|(_, letter)| !matches!(letter, '.' | '-' | '\'')).last();
        if let Some((start, _)) = first {
            return Some(from + start..at + domain.end());
        }
    }
}

/// Tells where the end of a text begins that may become an e-mail address.
pub(super) fn email_settled(text: &str, from: usize) -> usize {
    let start = tail(text, from, LONGEST_EMAIL, |letter| letter == '@' || is_domain(letter) || is_local(letter));
    // Before the sign, no more than a local part is held back.
    let rest = text.get(start..).unwrap_or_default();
    if rest.contains('@') {
        return start;
    }
    rest.char_indices().rev().take(64).last().map_or(text.len(), |(at, _)| start + at)
}

fn is_local(letter: char) -> bool {
    is_domain(letter) || matches!(letter, '_' | '%' | '+' | '\'')
}

fn is_domain(letter: char) -> bool {
    // Marks are no letters for the standard library where the expression takes them.
    letter.is_alphanumeric() || matches!(letter, '.' | '-') || !letter.is_ascii() && is_mark(letter)
}

/// Tells letters that only the expression knows as such: whatever is neither space, punctuation, nor symbol of the
/// common blocks.
fn is_mark(letter: char) -> bool {
    !letter.is_whitespace() && !matches!(u32::from(letter), 0x2000..=0x2BFF | 0x3000..=0x303F | 0xFF00..=0xFFEF)
}

/// Finds the first IP address at or after a byte.
pub(super) fn address(text: &str, from: usize) -> Option<Range<usize>> {
    let mut at = from;
    loop {
        let start = at + text.get(at..)?.find(is_of_address)?;
        let rest = text.get(start..)?;
        let end = start + rest.find(|letter| !is_of_address(letter)).unwrap_or(rest.len());
        at = end;
        let run = text.get(start..end)?.trim_end_matches(['.', ':']);
        let run = if run.is_empty() { continue } else { run };
        let stands_alone = !before(text, start).is_some_and(|letter| letter.is_alphanumeric() || is_of_address(letter))
            && !text.get(end..)?.starts_with(|letter: char| letter.is_alphanumeric());
        if stands_alone && end - start < LONGEST_ADDRESS && is_address(run) {
            return Some(start..start + run.len());
        }
    }
}

fn is_address(run: &str) -> bool {
    let without_port = run.rsplit_once(':').filter(|(host, _)| !host.contains(':')).map_or(run, |(host, _)| host);
    if without_port.parse::<Ipv4Addr>().is_ok() {
        return true;
    }
    run.contains(|letter: char| letter.is_ascii_hexdigit()) && run.parse::<Ipv6Addr>().is_ok()
}

/// Tells where the end of a text begins that may become an IP address.
pub(super) fn address_settled(text: &str, from: usize) -> usize {
    let start = tail(text, from, LONGEST_ADDRESS, is_of_address);
    // A run that is longer than any address is none, however it goes on.
    if start + LONGEST_ADDRESS <= text.len() { text.len() } else { start }
}

fn is_of_address(letter: char) -> bool {
    letter.is_ascii_hexdigit() || matches!(letter, '.' | ':')
}
