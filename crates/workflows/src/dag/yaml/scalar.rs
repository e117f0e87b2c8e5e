//! What a scalar means: the core schema of YAML 1.2, and its tags.

use saphyr_parser::Tag;
use serde_json::Number;

use super::Content;

/// Why a scalar has no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// A whole number beyond 64 bits.
    TooLarge,
    /// An infinity, not-a-number, or a fraction beyond what a double holds.
    NotFinite,
    /// The text does not fit its tag.
    Tag(&'static str),
    /// The tag is none of the core schema.
    UnknownTag,
}

/// Gives the value of a scalar; `plain` scalars have no quotes and are not blocks.
pub(super) fn value(text: &str, plain: bool, tag: Option<&Tag>) -> Result<Content, Unfit> {
    let Some(tag) = tag else {
        return if plain { resolve(text) } else { Ok(Content::String(text.to_owned())) };
    };
    if tag.suffix == "!" && tag.handle.is_empty() {
        return Ok(Content::String(text.to_owned()));
    }
    if !tag.is_yaml_core_schema() {
        return Err(Unfit::UnknownTag);
    }
    match (tag.suffix.as_str(), resolve(text)) {
        ("str", _) => Ok(Content::String(text.to_owned())),
        ("int", Ok(Content::Number(number))) if !number.is_f64() => Ok(Content::Number(number)),
        ("float", Ok(Content::Number(number))) => {
            number.as_f64().and_then(Number::from_f64).map(Content::Number).ok_or(Unfit::NotFinite)
        }
        ("bool", Ok(Content::Bool(truth))) => Ok(Content::Bool(truth)),
        ("null", Ok(Content::Null)) => Ok(Content::Null),
        ("int" | "float", Err(unfit)) => Err(unfit),
        ("int", _) => Err(Unfit::Tag("a whole number")),
        ("float", _) => Err(Unfit::Tag("a number")),
        ("bool", _) => Err(Unfit::Tag("true or false")),
        ("null", _) => Err(Unfit::Tag("null")),
        _ => Err(Unfit::UnknownTag),
    }
}

/// Gives the value of a plain scalar.
fn resolve(text: &str) -> Result<Content, Unfit> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Content::Null),
        "true" | "True" | "TRUE" => return Ok(Content::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Content::Bool(false)),
        ".nan" | ".NaN" | ".NAN" => return Err(Unfit::NotFinite),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Err(Unfit::NotFinite);
    }
    if !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return Ok(Content::String(text.to_owned()));
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix).filter(|digits| all_digits(digits, radix)) {
            return u64::from_str_radix(digits, radix)
                .map(|number| Content::Number(number.into()))
                .map_err(|_| Unfit::TooLarge);
        }
    }
    if all_digits(unsigned, 10) {
        return whole(text);
    }
    if is_fraction(unsigned) {
        let number = text.parse::<f64>().ok().and_then(Number::from_f64);
        return number.map(Content::Number).ok_or(Unfit::NotFinite);
    }
    Ok(Content::String(text.to_owned()))
}

fn all_digits(text: &str, radix: u32) -> bool {
    !text.is_empty() && text.chars().all(|digit| digit.is_digit(radix))
}

fn whole(text: &str) -> Result<Content, Unfit> {
    let signed = text.parse::<i64>().map(Number::from);
    let number = signed.or_else(|_| text.parse::<u64>().map(Number::from));
    number.map(Content::Number).map_err(|_| Unfit::TooLarge)
}

/// Tells whether a text without sign is a fraction: `1.5`, `.5`, `1.`, `1e9`.
fn is_fraction(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let exponent_fits =
        exponent.is_none_or(|exponent| all_digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent), 10));
    let mantissa_fits = match mantissa.split_once('.') {
        None => all_digits(mantissa, 10),
        Some(("", fraction)) => all_digits(fraction, 10),
        Some((before, fraction)) => {
            all_digits(before, 10) && (fraction.is_empty() || all_digits(fraction, 10))
        }
    };
    exponent_fits && mantissa_fits
}
