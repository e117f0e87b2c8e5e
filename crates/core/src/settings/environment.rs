//! Which option a `MOTET_…` variable means.
//!
//! Reads no environment; it is given names.

use std::collections::BTreeSet;

use super::path::nearest;
use super::problem::Problem;
use super::table::OPTIONS;

/// What the names of all variables that are options begin with.
pub(super) const PREFIX: &str = "MOTET_";

/// Variables with that beginning that are no options, and what they are for.
pub const RESERVED: &[(&str, &str)] =
    &[("MOTET_SKIPS", "lets tests that need absent software say so and pass")];

const NAME: &str = "<NAME>";

/// Gives the path that a variable means; `None` when the variable is no option.
///
/// A provider's name is spelled in capitals with `_` for `-`. It is one of `providers` when one is spelled that way, and
/// otherwise the same in small letters.
pub(super) fn resolve(variable: &str, providers: &BTreeSet<String>) -> Result<Option<Vec<String>>, Problem> {
    if !variable.starts_with(PREFIX) || RESERVED.iter().any(|(name, _)| *name == variable) {
        return Ok(None);
    }
    for row in OPTIONS {
        if let Some(spelled) = spelled_name(variable, &row.environment()) {
            let name = provider(variable, spelled, providers)?;
            let key = |key: &str| if key == "<name>" { name.clone() } else { key.to_owned() };
            return Ok(Some(row.environment_keys().into_iter().map(key).collect()));
        }
    }
    let nameless =
        || OPTIONS.iter().map(|row| row.environment()).find(|name| name.replace("<NAME>_", "") == variable);
    let hint = match nameless().or_else(|| nearest(&variable.to_uppercase(), candidates(variable))) {
        Some(name) => format!("did you mean `{name}`?"),
        None => "see `motet config show --reference` for all options".to_owned(),
    };
    Err(Problem::new(format!("unknown variable `{variable}`")).with_hint(hint))
}

/// Gives what stands for `<NAME>` in a variable; the empty text when the pattern has none and is the variable.
fn spelled_name<'a>(variable: &'a str, pattern: &str) -> Option<&'a str> {
    match pattern.split_once(NAME) {
        None => (variable == pattern).then_some(""),
        Some((before, after)) => {
            let name = variable.strip_prefix(before)?.strip_suffix(after)?;
            let spelled = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
            (!name.is_empty() && name.bytes().all(spelled)).then_some(name)
        }
    }
}

fn provider(variable: &str, spelled: &str, providers: &BTreeSet<String>) -> Result<String, Problem> {
    let spelling = |name: &str| name.to_uppercase().replace('-', "_");
    let same: Vec<_> = providers.iter().filter(|name| spelling(name) == spelled).collect();
    match same.as_slice() {
        [] => Ok(spelled.to_lowercase()),
        [one] => Ok((*one).clone()),
        [one, other, ..] => Err(Problem::new(format!("`{variable}` can mean provider `{one}` or `{other}`"))
            .with_hint("set it in `motet.toml`, or rename one of them")),
    }
}

/// Gives all variables that could be meant, with every beginning of the variable's rest as the provider's name.
fn candidates(variable: &str) -> Vec<String> {
    let rest = variable.strip_prefix("MOTET_PROVIDERS_").unwrap_or_default();
    let cuts = rest.match_indices('_').map(|(index, _)| index);
    let names: Vec<_> = cuts.filter_map(|index| rest.get(..index)).filter(|name| !name.is_empty()).collect();
    let spelled = |pattern: String| {
        if pattern.contains(NAME) {
            names.iter().map(|name| pattern.replace(NAME, name)).collect()
        } else {
            vec![pattern]
        }
    };
    OPTIONS.iter().flat_map(|row| spelled(row.environment())).collect()
}
