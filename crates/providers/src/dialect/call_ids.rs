//! Ids of tool calls: made where a provider sends none, and mapped where a provider would refuse one.
//!
//! Both are pure functions, so that a call and its result always agree.

use std::borrow::Cow;

use super::CallIdRule;

/// Length of a mapped id where the rule allows more: 120 bits in base 32.
const MAPPED_LENGTH: usize = 24;

/// Gives the id as the provider accepts it: the same where it fits, else a mark made of all its characters.
pub(crate) fn on_wire<'a>(id: &'a str, rule: &CallIdRule) -> Cow<'a, str> {
    let fits = (rule.min..=rule.max).contains(&id.len())
        && id.chars().all(|c| c.is_ascii_alphanumeric() || rule.marks.contains(c));
    if fits {
        return Cow::Borrowed(id);
    }
    Cow::Owned(mark(id.as_bytes(), MAPPED_LENGTH.clamp(rule.min, rule.max)))
}

/// Makes the id of a call that came without one, from what tells its answer from others and its place therein.
pub(crate) fn minted(seed: u64, place: usize) -> String {
    format!("call_{}", mark(&[seed.to_le_bytes(), (place as u64).to_le_bytes()].concat(), 16))
}

/// Folds bytes into 64 bits by FNV-1a, going on from `start`.
pub(crate) fn fold(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Where folding starts.
pub(crate) const FOLD_START: u64 = 0xcbf2_9ce4_8422_2325;

fn mark(bytes: &[u8], length: usize) -> String {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let low = fold(FOLD_START, bytes);
    let high = fold(fold(FOLD_START, b"high"), bytes);
    let mut bits = (u128::from(high) << 64) | u128::from(low);
    let mut text = String::with_capacity(length);
    for _ in 0..length {
        text.push(DIGITS.get((bits % 32) as usize).copied().map_or('a', char::from));
        bits /= 32;
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_that_fit_stay_and_others_are_mapped_apart() {
        let forty = CallIdRule { min: 1, max: 40, marks: "_-" };
        let nine = CallIdRule { min: 9, max: 9, marks: "" };
        assert_eq!(on_wire("call_abc-1", &forty), "call_abc-1");
        assert_eq!(on_wire("a1B2c3D4e", &nine), "a1B2c3D4e");
        for (rule, length) in [(&forty, 24), (&nine, 9)] {
            let long: Vec<String> = (0..100).map(|n| format!("{}-{n}", "x".repeat(60))).collect();
            let mapped: HashSet<String> = long.iter().map(|id| on_wire(id, rule).into_owned()).collect();
            assert_eq!(mapped.len(), 100);
            assert!(
                mapped.iter().all(|id| id.len() == length && id.bytes().all(|b| b.is_ascii_alphanumeric()))
            );
        }
        assert_eq!(on_wire("", &forty).len(), 24);
    }

    #[test]
    fn minted_ids_differ_by_answer_and_place() {
        let ids: HashSet<String> =
            (0..50).flat_map(|seed| (0..4).map(move |place| minted(seed, place))).collect();
        assert_eq!(ids.len(), 200);
        assert!(ids.iter().all(|id| id.len() == 21 && id.starts_with("call_")));
    }
}
