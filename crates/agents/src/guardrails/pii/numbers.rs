//! Numbers that are written in groups of digits: phone numbers, payment cards, and social security numbers.
//!
//! A number stands for itself: one that is part of a longer number, of a word, of a date, or of an amount is none.

use std::ops::Range;

use super::{before, following, tail};

/// Bytes of the longest number with all its separators, and what stands around it.
const LONGEST: usize = 96;
const MAX_GROUPS: usize = 10;
const MAX_DIGITS: usize = 20;

/// Groups of digits that stand close together.
pub(super) struct Run<'a> {
    text: &'a str,
    start: usize,
    groups: Vec<Range<usize>>,
}

/// Finds the first number of a kind at or after a byte.
pub(super) fn find(
    text: &str,
    from: usize,
    end_of: impl Fn(&Run<'_>) -> Option<usize>,
) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let is_start = |at: usize| match bytes.get(at) {
        Some(b'0'..=b'9') => at == 0 || !digit(at - 1),
        Some(b'+') => digit(at + 1) || bytes.get(at + 1) == Some(&b'('),
        Some(b'(') => digit(at + 1) || bytes.get(at + 1) == Some(&b'+'),
        _ => false,
    };
    (from..text.len()).filter(|at| is_start(*at)).find_map(|start| {
        let run = Run::at(text, start)?;
        end_of(&run).map(|end| start..end)
    })
}

/// Tells where the end of a text begins that may become a number.
pub(super) fn settled(text: &str, from: usize) -> usize {
    let start = tail(text, from, LONGEST, |letter| {
        letter.is_ascii_digit() || is_separator(letter) || matches!(letter, '+' | ',' | ':')
    });
    let rest = text.get(start..).unwrap_or_default();
    let first = rest.find(|letter: char| letter.is_ascii_digit() || matches!(letter, '+' | '('));
    first.map_or(text.len(), |at| start + at)
}

/// Gives the end of the longest phone number that begins with a run.
pub(super) fn phone(run: &Run<'_>) -> Option<usize> {
    if !run.begins_well() || run.is_date() {
        return None;
    }
    let end = |count: usize| run.groups.get(count - 1).map(|group| group.end);
    // A parenthesis that is not closed within the number stands around it.
    let is_own = |count: usize| {
        let number = |sign| run.separators(count).flat_map(|between| between.matches(sign)).count();
        !run.text.get(run.start..).is_some_and(|head| head.starts_with('(')) || number(')') > number('(')
    };
    let fits = |count: &usize| {
        let count = *count;
        run.ends_well(count) && is_own(count) && (run.is_international(count) || run.is_national(count))
    };
    (1..=run.groups.len()).rev().find(fits).and_then(end)
}

/// Gives the end of the longest card number that begins with a run.
pub(super) fn card(run: &Run<'_>) -> Option<usize> {
    if !run.starts_with_digit() || !run.begins_well() {
        return None;
    }
    let fits = |count: &usize| {
        let digits = run.digits(*count);
        let groups = run.groups.get(..*count).unwrap_or_default();
        (13..=19).contains(&digits.len())
            && (*count == 1 || groups.iter().all(|group| group.len() > 1))
            && run.separators(*count).all(|between| matches!(between, " " | "-" | "\u{a0}"))
            && run.ends_well(*count)
            && (run.stands_apart(*count) || run.is_printed_so(*count))
            && is_issued(&digits)
            && has_luhn(&digits)
    };
    let count = (1..=run.groups.len()).rev().find(fits)?;
    run.groups.get(count - 1).map(|group| group.end)
}

/// Gives the end of the social security number that begins with a run.
pub(super) fn ssn(run: &Run<'_>) -> Option<usize> {
    let lengths: Vec<_> = run.groups.iter().take(3).map(Range::len).collect();
    let mut between = run.separators(3);
    let (first, second) = (between.next()?, between.next()?);
    let is_written_so = lengths == [3, 2, 4] && first == second && matches!(first, "-" | " ");
    if !is_written_so
        || !run.starts_with_digit()
        || !run.begins_well()
        || !run.ends_well(3)
        || !run.stands_apart(3)
    {
        return None;
    }
    let digits = run.digits(3);
    let (area, rest) = digits.split_at_checked(3)?;
    let (group, serial) = rest.split_at_checked(2)?;
    let is_given_out =
        area != "000" && area != "666" && !area.starts_with('9') && group != "00" && serial != "0000";
    is_given_out.then(|| run.groups.get(2).map(|group| group.end)).flatten()
}

fn is_separator(letter: char) -> bool {
    matches!(letter, ' ' | '\u{a0}' | '.' | '-' | '/' | '(' | ')')
}

impl<'a> Run<'a> {
    fn at(text: &'a str, start: usize) -> Option<Self> {
        let bytes = text.as_bytes();
        let (mut groups, mut digits) = (Vec::new(), 0);
        let mut at = start;
        while matches!(bytes.get(at), Some(b'+' | b'(')) && at < start + 2 {
            at += 1;
        }
        while groups.len() < MAX_GROUPS {
            let end = at + bytes.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
            digits += end - at;
            if end == at || digits > MAX_DIGITS {
                break;
            }
            groups.push(at..end);
            let rest = text.get(end..)?;
            let between = rest.char_indices().take(4).find(|(_, letter)| !is_separator(*letter));
            match between {
                Some((skipped, letter)) if skipped > 0 && letter.is_ascii_digit() => at = end + skipped,
                _ => break,
            }
        }
        (!groups.is_empty()).then_some(Self { text, start, groups })
    }

    fn starts_with_digit(&self) -> bool {
        following(self.text, self.start).is_some_and(|letter| letter.is_ascii_digit())
    }

    fn digits(&self, count: usize) -> String {
        self.groups.iter().take(count).filter_map(|group| self.text.get(group.clone())).collect()
    }

    /// Gives what stands between the first groups.
    fn separators(&self, count: usize) -> impl Iterator<Item = &'a str> {
        let text = self.text;
        let pairs = self.groups.iter().zip(self.groups.iter().skip(1)).take(count.saturating_sub(1));
        pairs.filter_map(move |(one, other)| text.get(one.end..other.start))
    }

    /// Tells that nothing before the run makes it part of something else.
    fn begins_well(&self) -> bool {
        let Some(last) = before(self.text, self.start) else { return true };
        let further = before(self.text, self.start - last.len_utf8());
        match last {
            '-' => !further.is_some_and(char::is_alphanumeric),
            '.' | ',' | ':' | '/' => !further.is_some_and(|letter| letter.is_ascii_digit()),
            '_' | '#' | '$' | '€' | '£' | '¥' | '+' => false,
            _ => !last.is_alphanumeric(),
        }
    }

    /// Tells that nothing behind so many groups makes them part of something else.
    fn ends_well(&self, count: usize) -> bool {
        let end = self.groups.get(count - 1).map_or(self.start, |group| group.end);
        let mut rest = self.text.get(end..).unwrap_or_default().chars();
        match (rest.next(), rest.next()) {
            (Some('.' | ',' | ':' | '/' | '-'), Some(next)) => !next.is_ascii_digit(),
            (Some(next), _) => !next.is_alphanumeric() && next != '_' && next != '%',
            (None, _) => true,
        }
    }

    /// Tells that groups with only spaces between them are not some of a longer list of numbers.
    fn stands_apart(&self, count: usize) -> bool {
        if !self.separators(count).all(|between| between.trim().is_empty()) {
            return true;
        }
        let digit = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_digit());
        let spaced = |letter: Option<char>| matches!(letter, Some(' ' | '\u{a0}'));
        let end = self.groups.get(count - 1).map_or(self.start, |group| group.end);
        let mut rest = self.text.get(end..).unwrap_or_default().chars();
        let mut ahead = self.text.get(..self.start).unwrap_or_default().chars().rev();
        !(spaced(rest.next()) && digit(rest.next()) || spaced(ahead.next()) && digit(ahead.next()))
    }

    /// Tells whether groups are divided as they are on cards.
    fn is_printed_so(&self, count: usize) -> bool {
        let lengths: Vec<_> = self.groups.iter().take(count).map(Range::len).collect();
        matches!(lengths[..], [_] | [4, 4, 4, 4] | [4, 6, 4 | 5] | [4, 4, 4, 4, 3])
    }

    /// Tells whether the run begins with a date that has its year at the end.
    fn is_date(&self) -> bool {
        let lengths: Vec<_> = self.groups.iter().take(3).map(Range::len).collect();
        let year = self.groups.get(2).and_then(|group| self.text.get(group.clone())).unwrap_or_default();
        let mut between = self.separators(3);
        let same = between
            .next()
            .is_some_and(|first| matches!(first, "." | "/" | "-") && between.next() == Some(first));
        same && matches!(lengths[..], [1 | 2, 1 | 2, 4]) && (year.starts_with("19") || year.starts_with("20"))
    }

    /// Tells whether groups are a number with a calling code, by ITU-T E.164.
    fn is_international(&self, count: usize) -> bool {
        let digits = self.digits(count);
        let head = self.text.get(self.start..).unwrap_or_default();
        if head.trim_start_matches('(').starts_with('+') {
            let between: Vec<_> = self.separators(count).collect();
            let lengths: Vec<_> = self.groups.iter().take(count).skip(1).map(Range::len).collect();
            let dotted = !between.is_empty() && between.iter().all(|between| *between == ".");
            let is_amount = dotted && (count == 2 || lengths.iter().all(|length| *length == 3));
            return (7..=15).contains(&digits.len()) && !digits.starts_with('0') && !is_amount;
        }
        let Some(number) = digits.strip_prefix("00").filter(|_| self.stands_apart(count)) else {
            return false;
        };
        let is_long_enough = match number.chars().next() {
            None | Some('0') => false,
            // North America and Russia have numbers of one length.
            Some('1' | '7') => number.len() == 11,
            Some(_) => (9..=15).contains(&number.len()),
        };
        is_long_enough && self.groups.first().is_some_and(|group| group.len() != 1)
    }

    /// Tells whether groups are a number as it is written within a country.
    fn is_national(&self, count: usize) -> bool {
        let digits = self.digits(count);
        let lengths: Vec<_> = self.groups.iter().take(count).map(Range::len).collect();
        let head = self.text.get(self.start..).unwrap_or_default();
        if !self.stands_apart(count) || head.trim_start_matches('(').starts_with('+') {
            return false;
        }
        let in_north_america = match lengths[..] {
            [3, 3, 4] => !digits.starts_with('0'),
            [1, 3, 3, 4] => digits.starts_with('1'),
            // With the area in parentheses, the rest may stand together.
            [3, 7] => head.starts_with('('),
            _ => false,
        };
        let with_trunk_code = (9..=12).contains(&digits.len())
            && lengths.len() > 1
            && lengths.first().is_some_and(|first| *first >= 2)
            && digits.starts_with('0')
            && !digits.starts_with("00");
        in_north_america || with_trunk_code
    }
}

/// Tells whether a network issues cards with these first digits and so many in all.
fn is_issued(digits: &str) -> bool {
    let first: u32 = digits.get(..4).and_then(|four| four.parse().ok()).unwrap_or_default();
    let length = digits.len();
    match first {
        // Mir and Mastercard.
        2200..=2204 => (16..=19).contains(&length),
        2221..=2720 | 5100..=5599 => length == 16,
        // American Express.
        3400..=3499 | 3700..=3799 => length == 15,
        // Diners and JCB.
        3000..=3099 | 3528..=3699 | 3800..=3999 => (14..=19).contains(&length),
        // Visa.
        4000..=4999 => matches!(length, 13 | 16 | 19),
        // Maestro, Discover, UnionPay, and others.
        5000..=5099 | 5600..=6999 => true,
        _ => false,
    }
}

fn has_luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .chars()
        .rev()
        .filter_map(|letter| letter.to_digit(10))
        .zip([false, true].into_iter().cycle())
        .map(|(digit, is_doubled)| match (is_doubled, digit * 2) {
            (false, _) => digit,
            (true, double) => double / 10 + double % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}
