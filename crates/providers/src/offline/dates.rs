//! Finds calendar dates in running text, in the forms that people write, and gives them as ISO dates.
//!
//! Reads no clock: a date without a year is not taken. Where day and month could be either, the day comes first.

use std::fmt;

/// A day of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Date {
    year: u32,
    month: u32,
    day: u32,
}

impl Date {
    fn new(year: u32, month: u32, day: u32) -> Option<Self> {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            2 => 28 + u32::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        ((1000..=2999).contains(&year) && (1..=days).contains(&day)).then_some(Self { year, month, day })
    }
}

impl fmt::Display for Date {
    /// Writes `2026-03-14`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

const MONTHS: [&[&str]; 12] = [
    &["january", "jan", "januar", "jänner"],
    &["february", "feb", "februar"],
    &["march", "mar", "märz", "mär", "maerz"],
    &["april", "apr"],
    &["may", "mai"],
    &["june", "jun", "juni"],
    &["july", "jul", "juli"],
    &["august", "aug"],
    &["september", "sep", "sept"],
    &["october", "oct", "oktober", "okt"],
    &["november", "nov"],
    &["december", "dec", "dezember", "dez"],
];

/// Tells whether a word names a month in English or German, in full or shortened.
pub(super) fn is_month(word: &str) -> bool {
    month(word).is_some()
}

fn month(word: &str) -> Option<u32> {
    let lower = word.to_lowercase();
    (1..).zip(MONTHS).find(|(_, names)| names.contains(&lower.as_str())).map(|(number, _)| number)
}

/// Gives every date of a text in order, repeats included.
pub(super) fn find(text: &str) -> Vec<Date> {
    // A date may run over the end of a line, but not of a paragraph.
    text.split("\n\n").flat_map(find_in_paragraph).collect()
}

fn find_in_paragraph(text: &str) -> Vec<Date> {
    let tokens = tokens(text);
    let mut dates = Vec::new();
    let mut at = 0;
    while let Some(rest) = tokens.get(at..).filter(|rest| !rest.is_empty()) {
        let inside =
            at.checked_sub(2).and_then(|before| tokens.get(before..at)).is_some_and(continues_a_number);
        match read(rest) {
            Some((found, taken)) if !inside => {
                dates.extend(found);
                at += taken;
            }
            _ => at += 1,
        }
    }
    dates
}

/// Tells whether what comes next belongs to a longer number, such as a section or a version.
fn continues_a_number(before: &[Token<'_>]) -> bool {
    matches!(before, [Token::Number(..), Token::Mark('.' | '/' | '-')])
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token<'a> {
    /// A run of digits: its value and how many digits it has.
    Number(u32, usize),
    Word(&'a str),
    Space,
    Mark(char),
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut characters = text.char_indices().peekable();
    while let Some((start, first)) = characters.next() {
        let mut end = start + first.len_utf8();
        if let Some(digit) = digit(first) {
            let (mut value, mut count) = (digit, 1);
            while let Some((_, next)) = characters.next_if(|(_, c)| self::digit(*c).is_some()) {
                value = value.saturating_mul(10).saturating_add(self::digit(next).unwrap_or(0));
                count += 1;
            }
            tokens.push(Token::Number(value, count));
        } else if first.is_alphabetic() && !is_han(first) {
            while let Some((at, next)) = characters.next_if(|(_, c)| c.is_alphabetic() && !is_han(*c)) {
                end = at + next.len_utf8();
            }
            tokens.push(Token::Word(text.get(start..end).unwrap_or_default()));
        } else if first.is_whitespace() {
            while characters.next_if(|(_, c)| c.is_whitespace()).is_some() {}
            tokens.push(Token::Space);
        } else {
            tokens.push(Token::Mark(first));
        }
    }
    tokens
}

/// Reads a digit, also a full-width or an Arabic one.
fn digit(character: char) -> Option<u32> {
    match character {
        '０'..='９' => Some(u32::from(character) - u32::from('０')),
        '\u{660}'..='\u{669}' => Some(u32::from(character) - 0x660),
        _ => character.to_digit(10),
    }
}

fn is_han(character: char) -> bool {
    ('\u{4E00}'..='\u{9FFF}').contains(&character)
}

type Found = (Vec<Date>, usize);

fn read(tokens: &[Token<'_>]) -> Option<Found> {
    match tokens.first()? {
        Token::Number(_, 4) => year_first(tokens),
        Token::Number(_, 1 | 2) => numeric(tokens).or_else(|| day_first(tokens)),
        Token::Word(_) => month_first(tokens),
        _ => None,
    }
}

/// Reads `2026-03-14`, `2026/3/14`, and `2026年3月14日`.
fn year_first(tokens: &[Token<'_>]) -> Option<Found> {
    let [
        Token::Number(year, _),
        Token::Mark(one),
        Token::Number(month, 1 | 2),
        Token::Mark(two),
        Token::Number(day, 1 | 2),
        ..,
    ] = tokens
    else {
        return None;
    };
    let same = one == two && ['-', '/', '.', '－', '–'].contains(one);
    if !same && (*one, *two) != ('年', '月') {
        return None;
    }
    Some((vec![Date::new(*year, *month, *day)?], 5))
}

/// Reads `14/03/2026`, `14.03.2026`, `14-03-2026`, and `03/14/2026` where no day can be meant by the second number.
fn numeric(tokens: &[Token<'_>]) -> Option<Found> {
    let [
        Token::Number(one, _),
        Token::Mark(a),
        Token::Number(two, 1 | 2),
        Token::Mark(b),
        Token::Number(year, 4),
        ..,
    ] = tokens
    else {
        return None;
    };
    if a != b || !['/', '.', '-'].contains(a) {
        return None;
    }
    let date = Date::new(*year, *two, *one).or_else(|| Date::new(*year, *one, *two).filter(|_| *a == '/'))?;
    Some((vec![date], 5))
}

/// Reads `14 March 2026`, `14th of March, 2026`, `14. März 2026`, and the range `3–6 April 2026`.
fn day_first(tokens: &[Token<'_>]) -> Option<Found> {
    let mut cursor = Cursor { rest: tokens, taken: 0 };
    let first = cursor.day()?;
    let second = cursor.range_end();
    cursor.skip_word("of");
    let month = cursor.month()?;
    let year = cursor.year()?;
    let mut dates = Vec::from_iter(Date::new(year, month, first));
    dates.extend(second.and_then(|day| Date::new(year, month, day)));
    (!dates.is_empty()).then_some((dates, cursor.taken))
}

/// Reads `March 14, 2026`, `Mar. 14th 2026`, and the range `April 3–6, 2026`.
fn month_first(tokens: &[Token<'_>]) -> Option<Found> {
    let mut cursor = Cursor { rest: tokens, taken: 0 };
    let month = cursor.month()?;
    let first = cursor.day()?;
    let second = cursor.range_end();
    let year = cursor.year()?;
    let mut dates = Vec::from_iter(Date::new(year, month, first));
    dates.extend(second.and_then(|day| Date::new(year, month, day)));
    (!dates.is_empty()).then_some((dates, cursor.taken))
}

struct Cursor<'a> {
    rest: &'a [Token<'a>],
    taken: usize,
}

impl<'a> Cursor<'a> {
    fn advance(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
        self.taken += count;
    }

    fn skip(&mut self, wanted: impl Fn(&Token<'a>) -> bool) -> bool {
        let found = self.rest.first().is_some_and(wanted);
        self.advance(usize::from(found));
        found
    }

    fn skip_space(&mut self) {
        self.skip(|token| *token == Token::Space);
    }

    fn skip_word(&mut self, word: &str) {
        if matches!(self.rest.first(), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word)) {
            self.advance(1);
            self.skip_space();
        }
    }

    /// Reads a day with its ordinal ending and the space after it.
    fn day(&mut self) -> Option<u32> {
        let Some(Token::Number(day, 1 | 2)) = self.rest.first() else { return None };
        let day = *day;
        self.advance(1);
        self.skip(|token| *token == Token::Mark('.'));
        self.skip(|token| matches!(token, Token::Word("st" | "nd" | "rd" | "th")));
        self.skip_space();
        Some(day)
    }

    /// Reads the second day of a range, or leaves everything as it is.
    fn range_end(&mut self) -> Option<u32> {
        let (rest, taken) = (self.rest, self.taken);
        let joined = self.skip(|token| matches!(token, Token::Mark('–' | '-' | '—')))
            || self.skip(|token| matches!(token, Token::Word("to" | "and" | "bis" | "und")));
        self.skip_space();
        let day = if joined { self.day() } else { None };
        if day.is_none() {
            (self.rest, self.taken) = (rest, taken);
        }
        day
    }

    fn month(&mut self) -> Option<u32> {
        let Some(Token::Word(word)) = self.rest.first() else { return None };
        let month = month(word)?;
        self.advance(1);
        self.skip(|token| *token == Token::Mark('.'));
        self.skip_space();
        Some(month)
    }

    fn year(&mut self) -> Option<u32> {
        self.skip(|token| *token == Token::Mark(','));
        self.skip_space();
        let Some(Token::Number(year, 4)) = self.rest.first() else { return None };
        let year = *year;
        self.advance(1);
        Some(year)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found: Vec<String> = find(text).iter().map(ToString::to_string).collect();
        assert_eq!(found.join(" "), expected, "{text}");
    }

    #[test]
    fn dates_are_found_in_the_forms_people_write() {
        for text in [
            "on 2026-03-14 at ten",
            "2026-03-14T22:00:00Z",
            "14 March 2026",
            "14th of March, 2026",
            "14. März 2026",
            "March 14, 2026",
            "Mar. 14th 2026",
            "Fri, 14 Mar 2026 12:40:07 +0100",
            "(14/03/2026)",
            "14.03.2026.",
            "14-3-2026",
            "03/14/2026",
            "２０２６年３月１４日から",
            "２０２６-０３-１４",
            "14 MARCH 2026",
        ] {
            check(text, "2026-03-14");
        }
    }

    #[test]
    fn ranges_give_both_days_and_repeats_stay() {
        check("3–6 April 2026", "2026-04-03 2026-04-06");
        check("April 3 to 6, 2026", "2026-04-03 2026-04-06");
        check("vom 3. bis 6. April 2026", "2026-04-03 2026-04-06");
        check("from 16/03/2026 to 20/03/2026, 16 March 2026", "2026-03-16 2026-03-20 2026-03-16");
    }

    #[test]
    fn what_is_no_date_is_left_alone() {
        for text in [
            "31 February 2026",
            "version 4.2.0",
            "44 1632 960 412",
            "14 March",
            "may 2026",
            "2026-13-01",
            "1.2.3.2026",
            "INC-2026-017",
            "12:40:07",
            "20260314",
            "CVE-2026-10432",
            "in 2026, 14 people",
        ] {
            check(text, "");
        }
    }
}
