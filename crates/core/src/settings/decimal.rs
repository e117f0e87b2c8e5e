//! Decimal numbers read exactly, as whole multiples of their smallest part.
//!
//! Knows nothing of money or time; whoever asks says how many decimals there are.

/// Gives a plain decimal times ten to the power of `places`: `0.0375` with six places is `37_500`.
///
/// `None` when the text is no plain decimal (a sign, an exponent, no digit), has more decimals, or is too large.
pub(super) fn scaled(text: &str, places: usize) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let missing = places.checked_sub(fraction.len())?;
    format!("0{whole}{fraction}{}", "0".repeat(missing)).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::scaled;

    #[test]
    fn decimals_become_whole_parts_without_rounding() {
        for (text, expected) in [
            ("0.075", Some(75_000)),
            ("0.0375", Some(37_500)),
            ("15", Some(15_000_000)),
            ("2.50", Some(2_500_000)),
            (".5", Some(500_000)),
            ("0.0000010", Some(1)),
            ("0.0000001", None),
            ("", None),
            (".", None),
            ("-1", None),
            ("+1", None),
            ("1e3", None),
            ("1.2.3", None),
            ("999999999999999999999999999999999999999999", None),
        ] {
            assert_eq!(scaled(text, 6), expected, "{text}");
        }
    }
}
