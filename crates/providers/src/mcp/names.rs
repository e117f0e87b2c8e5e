//! Names of tools as models are given them: with the server's prefix, of letters that every provider takes, and each of
//! its own.
//!
//! The same tools have the same names, in whatever order the server lists them.

use std::collections::{BTreeMap, BTreeSet};

/// Longest name that all large providers accept.
const LONGEST: usize = 64;
/// Hexadecimal digits that tell names apart which would be the same.
const DIGITS: usize = 8;

/// Gives each of the server's names the one that models are given; names that occur twice are one.
pub(super) fn given<'a>(prefix: &str, names: impl IntoIterator<Item = &'a str>) -> BTreeMap<&'a str, String> {
    let names: BTreeSet<&str> = names.into_iter().collect();
    let mut wanted: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in names {
        wanted.entry(plain(&format!("{prefix}{name}"))).or_default().push(name);
    }
    let mut given = BTreeMap::new();
    for (plain, sharing) in wanted {
        let is_shared = sharing.len() > 1;
        for name in sharing {
            let whole = format!("{prefix}{name}");
            // Of those that share it, the name belongs to the one that is written so.
            let keeps = plain.len() <= LONGEST && (!is_shared || whole == plain);
            let own = if keeps { plain.clone() } else { told_apart(&plain, &whole) };
            given.insert(name, own);
        }
    }
    given
}

/// Replaces what providers refuse.
fn plain(name: &str) -> String {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let plain: String = name.chars().map(|letter| if allowed(letter) { letter } else { '_' }).collect();
    // Some providers want a letter or `_` in front.
    let starts = plain.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    if starts { plain } else { format!("_{plain}") }
}

fn told_apart(plain: &str, whole: &str) -> String {
    let hash = blake3::hash(whole.as_bytes()).to_hex();
    let kept: String = plain.chars().take(LONGEST - DIGITS - 1).collect();
    format!("{kept}_{}", hash.chars().take(DIGITS).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_prefixed_and_of_allowed_letters() {
        let names = given("files_", ["read", "list.all", "naïve/x"]);
        assert_eq!(names["read"], "files_read");
        assert_eq!(names["list.all"], "files_list_all");
        assert_eq!(names["naïve/x"], "files_na_ve_x");
        assert_eq!(given("", ["3d"])["3d"], "_3d");
        assert_eq!(given("", [""])[""], "_");
    }

    #[test]
    fn names_that_would_be_the_same_are_told_apart_in_any_order() {
        let one = given("s_", ["a.b", "a_b", "a/b"]);
        let other = given("s_", ["a/b", "a.b", "a_b"]);
        assert_eq!(one, other);
        assert_eq!(one["a_b"], "s_a_b");
        assert_eq!(one.values().collect::<BTreeSet<_>>().len(), 3);
        assert!(one["a.b"].starts_with("s_a_b_") && one["a.b"].len() == "s_a_b_".len() + 8);
    }

    #[test]
    fn long_names_are_cut_and_stay_different() {
        let (long, other) = ("x".repeat(80), format!("{}y", "x".repeat(79)));
        let names = given("server_", [long.as_str(), other.as_str()]);
        assert!(names.values().all(|name| name.len() == 64));
        assert_ne!(names[long.as_str()], names[other.as_str()]);
        assert_eq!(given("server_", [long.as_str()])[long.as_str()], names[long.as_str()]);
    }
}
