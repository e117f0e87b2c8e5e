//! Finds mail addresses, web addresses, amounts of money, and numbers in running text.

/// A number as it stands in a text, and what it is worth.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Amount {
    /// As written, with its currency.
    pub(super) text: String,
    pub(super) value: f64,
    pub(super) is_money: bool,
}

const CURRENCIES: &[&str] =
    &["€", "$", "£", "¥", "EUR", "USD", "GBP", "CHF", "JPY", "Euro", "euros", "dollars", "pounds"];

const SCALES: &[(&str, f64)] = &[
    ("thousand", 1e3),
    ("Tausend", 1e3),
    ("million", 1e6),
    ("Million", 1e6),
    ("Millionen", 1e6),
    ("Mio.", 1e6),
    ("billion", 1e9),
    ("Milliarden", 1e9),
    ("Mrd.", 1e9),
];

/// Gives every mail address in order.
pub(super) fn emails(text: &str) -> Vec<String> {
    bare_words(text).filter(|word| is_email(word)).map(str::to_owned).collect()
}

/// Gives every web address in order.
pub(super) fn urls(text: &str) -> Vec<String> {
    let starts = |word: &&str| word.starts_with("http://") || word.starts_with("https://");
    text.split(|c: char| c.is_whitespace() || "<>\"()[]".contains(c))
        .map(|word| word.trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '*', '`']))
        .filter(starts)
        .filter(|word| word.split("//").nth(1).is_some_and(|rest| rest.starts_with(char::is_alphanumeric)))
        .map(str::to_owned)
        .collect()
}

/// Gives every number in order; dates, times, and names such as `INC-2026-017` are no numbers.
pub(super) fn numbers(text: &str) -> Vec<Amount> {
    text.split("\n\n").flat_map(numbers_in_paragraph).collect()
}

fn numbers_in_paragraph(text: &str) -> Vec<Amount> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut found = Vec::new();
    for (place, word) in words.iter().enumerate() {
        let before = place.checked_sub(1).and_then(|before| words.get(before));
        let after = words.get(place + 1..).unwrap_or_default();
        found.extend(amount(word, before.copied(), after));
    }
    found
}

fn bare_words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || "<>()[]{}\",;:|'`„“”".contains(c))
        .map(|word| word.trim_end_matches(['.', '!', '?', '*']))
}

fn is_email(word: &str) -> bool {
    let Some((name, host)) = word.split_once('@') else { return false };
    let name_fits = !name.is_empty()
        && !name.starts_with('.')
        && !name.ends_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || ".!#$%&'*+/=?^_{|}~-".contains(c));
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name_fits && host.contains('.') && host.split('.').all(label)
}

fn amount(word: &str, before: Option<&str>, after: &[&str]) -> Option<Amount> {
    let core = word.trim_matches(|c: char| "()[]\"'„“”*:;!?".contains(c)).trim_end_matches([',', '.']);
    let ended = core.len() < word.trim_end_matches([')', '"', '”']).len() && !word.starts_with('(');
    let symbol = CURRENCIES.iter().find(|currency| core.starts_with(**currency));
    let digits = symbol.map_or(core, |symbol| core.get(symbol.len()..).unwrap_or_default());
    let trailing = CURRENCIES.iter().find(|currency| digits.ends_with(**currency));
    let digits = trailing.map_or(digits, |symbol| digits.strip_suffix(symbol).unwrap_or(digits));
    let digits = digits.strip_suffix('%').unwrap_or(digits);
    let mut value = number(digits)?;
    let mut text = core.to_owned();
    let mut is_money = symbol.or(trailing).is_some();
    let mut rest = if ended { &[] } else { after };
    let trimmed = |word: &str| word.trim_end_matches([',', ';', ':', ')', '.', '!', '?']).to_owned();
    if let Some((next, others)) = rest.split_first()
        && let Some((name, scale)) = SCALES.iter().find(|(name, _)| *next == *name || trimmed(next) == *name)
    {
        value *= scale;
        text = format!("{text} {name}");
        rest =
            if trimmed(next) == *next || next.ends_with("o.") || next.ends_with("d.") { others } else { &[] };
    }
    if let Some(before) = before.filter(|before| !is_money && CURRENCIES.contains(before)) {
        text = format!("{before} {text}");
        is_money = true;
    } else if let Some(next) =
        rest.first().map(|next| trimmed(next)).filter(|next| CURRENCIES.contains(&next.as_str()))
        && !is_money
    {
        text = format!("{text} {next}");
        is_money = true;
    } else if rest.first().is_some_and(|next| trimmed(next) == "%") {
        text.push_str(" %");
    }
    Some(Amount { text, value, is_money })
}

/// Reads `1,260`, `18.750,00`, `0.25` and `120,00`: the last separator is a decimal one unless three digits follow it
/// and it stands for thousands elsewhere too, or is a comma.
pub(super) fn number(text: &str) -> Option<f64> {
    let (sign, digits) = match text.strip_prefix(['-', '−', '+']) {
        Some(digits) => (if text.starts_with('+') { 1.0 } else { -1.0 }, digits),
        None => (1.0, text),
    };
    let shaped = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.ends_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || c == ',' || c == '.');
    if !shaped || digits.contains("..") || digits.contains(",,") || digits.len() > 24 {
        return None;
    }
    let groups = |mark: char| {
        let mut parts = digits.split(mark);
        let first = parts.next().is_some_and(|part| part.len() <= 3 && part != "0");
        first && parts.all(|part| part.len() == 3)
    };
    let (commas, dots) = (digits.matches(',').count(), digits.matches('.').count());
    let plain = match (commas, dots) {
        (0, 0) => digits.to_owned(),
        (0, 1) => digits.to_owned(),
        (_, 0) if groups(',') => digits.replace(',', ""),
        (1, 0) => digits.replace(',', "."),
        (0, _) if groups('.') => digits.replace('.', ""),
        (_, 1) if digits.find('.') > digits.rfind(',') => digits.replace(',', ""),
        (1, _) if digits.find(',') > digits.rfind('.') => digits.replace('.', "").replace(',', "."),
        _ => return None,
    };
    plain.parse::<f64>().ok().map(|value| sign * value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_english_and_german_writing() {
        for (text, expected) in [
            ("1,260", Some(1260.0)),
            ("18.750,00", Some(18750.0)),
            ("18,750.00", Some(18750.0)),
            ("120,00", Some(120.0)),
            ("0.25", Some(0.25)),
            ("0,125", Some(0.125)),
            ("1.000.000", Some(1_000_000.0)),
            ("-7", Some(-7.0)),
            ("4.2.0", None),
            ("2026-03-14", None),
            ("1,2,3", None),
            ("x1", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }

    #[test]
    fn money_is_found_with_its_currency_and_scale() {
        let text =
            "We have €17,600 left of £11.42 million, EUR 18,750.00 a month, 120,00 €, 3 Mio. Euro, and 75 %.";
        let found: Vec<_> = numbers(text).into_iter().map(|n| (n.text, n.value, n.is_money)).collect();
        let expected = [
            ("€17,600", 17_600.0, true),
            ("£11.42 million", 11_420_000.0, true),
            ("EUR 18,750.00", 18_750.0, true),
            ("120,00 €", 120.0, true),
            ("3 Mio. Euro", 3_000_000.0, true),
            ("75 %", 75.0, false),
        ];
        assert_eq!(found, expected.map(|(text, value, money)| (text.to_owned(), value, money)));
    }

    #[test]
    fn addresses_are_found_without_what_surrounds_them() {
        let text =
            "Write to <a.b@c.example>, (d@e.example) or f@g. See https://x.example/a?b=c. And http://.";
        assert_eq!(emails(text), ["a.b@c.example", "d@e.example"]);
        assert_eq!(urls(text), ["https://x.example/a?b=c"]);
    }
}
