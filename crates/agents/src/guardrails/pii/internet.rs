//! E-mail addresses and IP addresses.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::{before, tail};

/// Bytes of the longest address that is looked for: 64 characters, `@`, and a domain of up to 253, of up to four bytes
/// each.
const LONGEST_EMAIL: usize = 4 * 320;
/// Bytes of the longest run that is taken for an IP address.
const LONGEST_ADDRESS: usize = 48;

/// Characters of a domain at most, and of one of its labels.
const MAX_DOMAIN: usize = 253;
const MAX_LABEL: usize = 63;

/// Finds the first e-mail address at or after a byte.
pub(super) fn email(text: &str, from: usize) -> Option<Range<usize>> {
    let mut search = from;
    loop {
        let at = search + text.get(search..)?.find('@')?;
        search = at + 1;
        let Some(end) = domain_end(text.get(at + 1..)?) else { continue };
        let local = text.get(from..at)?.char_indices().rev().take(64);
        let local = local.take_while(|(_, letter)| is_local(*letter));
        let first = local.filter(|(_, letter)| !matches!(letter, '.' | '-' | '\'')).last();
        if let Some((start, _)) = first {
            return Some(from + start..at + 1 + end);
        }
    }
}

/// Gives the end of the longest domain that a text begins with: labels, of which the last begins with two letters.
fn domain_end(text: &str) -> Option<usize> {
    let most = text.char_indices().nth(MAX_DOMAIN).map_or(text.len(), |(at, _)| at);
    let text = text.get(..most)?;
    let (mut start, mut found) = (0, None);
    for label in text.split('.') {
        let length = label.find(|letter| !is_domain(letter)).unwrap_or(label.len());
        let whole = label.get(..length)?;
        let letters = whole.chars().take_while(|letter| letter.is_alphabetic()).take(MAX_LABEL);
        let (count, bytes) =
            letters.fold((0, 0), |(count, bytes), letter| (count + 1, bytes + letter.len_utf8()));
        if start > 0 && whole.starts_with("xn--") && whole.len() > 4 {
            found = Some(start + whole.trim_end_matches('-').len());
        } else if start > 0 && count > 1 {
            found = Some(start + bytes);
        }
        let is_label = !whole.is_empty() && !whole.starts_with('-') && !whole.ends_with('-');
        if !is_label || length < label.len() || whole.chars().count() > MAX_LABEL {
            break;
        }
        start += label.len() + 1;
    }
    found
}

/// Tells where the end of a text begins that may become an e-mail address.
pub(super) fn email_settled(text: &str, from: usize) -> usize {
    let start =
        tail(text, from, LONGEST_EMAIL, |letter| letter == '@' || is_domain(letter) || is_local(letter));
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
    letter.is_alphanumeric() || matches!(letter, '.' | '-')
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
        let stands_alone = !before(text, start)
            .is_some_and(|letter| letter.is_alphanumeric() || is_of_address(letter))
            && !text.get(end..)?.starts_with(|letter: char| letter.is_alphanumeric());
        if stands_alone && end - start < LONGEST_ADDRESS && is_address(run) {
            return Some(start..start + run.len());
        }
    }
}

fn is_address(run: &str) -> bool {
    let without_port =
        run.rsplit_once(':').filter(|(host, _)| !host.contains(':')).map_or(run, |(host, _)| host);
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
