//! Names of options: dotted paths, what they mean, and which one was probably meant.
//!
//! Knows the table's paths, no values.

use super::problem::Problem;
use super::row::OptionRow;
use super::table::OPTIONS;
use crate::model_id::ModelId;

/// Likeness from 0 to 1 above which a name is suggested for another.
const LIKE: f64 = 0.6;

/// What a path leads to.
pub(super) enum Place {
    /// An option.
    Option(&'static OptionRow),
    /// A table of options.
    Table,
}

/// Divides a path of the table.
pub(super) fn segments(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('.')
}

/// Divides a path that a person wrote; keys with dots stand in double quotes, as in TOML.
pub(super) fn split(path: &str) -> Option<Vec<String>> {
    let mut keys = Vec::new();
    let mut rest = path;
    loop {
        let key;
        (key, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_at_checked(rest.find('.').unwrap_or(rest.len()))?,
        };
        keys.push(key.trim().to_owned());
        match rest.strip_prefix('.') {
            Some(more) => rest = more,
            None => return rest.is_empty().then_some(keys),
        }
    }
}

/// Writes a path as TOML does, with quotes around keys that need them.
pub(super) fn join(keys: &[String]) -> String {
    let bare = |key: &str| {
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_<>".contains(&byte))
    };
    let written = |key: &String| {
        if bare(key) { key.clone() } else { serde_json::Value::from(key.as_str()).to_string() }
    };
    keys.iter().map(written).collect::<Vec<_>>().join(".")
}

/// Puts names in the place of a path's placeholders, in order.
pub(super) fn fill(path: &'static str, names: &[String]) -> Vec<String> {
    let mut names = names.iter();
    let filled = |key: &str| if is_placeholder(key) { names.next().cloned() } else { None };
    segments(path).map(filled).zip(segments(path)).map(|(name, key)| name.unwrap_or(key.to_owned())).collect()
}

/// Puts an example in the place of each placeholder.
pub(super) fn example(path: &'static str) -> Vec<String> {
    let named = |key: &str| match key {
        "<name>" => "local".to_owned(),
        "<model>" => "openai:gpt-4o-mini".to_owned(),
        "<header>" => "x-title".to_owned(),
        "<key>" => "first".to_owned(),
        key => key.to_owned(),
    };
    segments(path).map(named).collect()
}

/// Finds what a path leads to.
pub(super) fn place(keys: &[String]) -> Option<Place> {
    let below = OPTIONS.iter().find(|row| {
        let pattern: Vec<_> = segments(row.path).collect();
        keys.len() <= pattern.len() && keys.iter().zip(&pattern).all(|(key, part)| fits(key, part))
    })?;
    let whole = segments(below.path).count() == keys.len();
    Some(if whole { Place::Option(below) } else { Place::Table })
}

/// Adds a key to the path of a table, in the one spelling of names that have several.
pub(super) fn extend(table: &[String], key: &str) -> Result<Vec<String>, Problem> {
    let mut keys = table.to_vec();
    keys.push(key.to_owned());
    if place(&keys).is_none() {
        return Err(unknown(&keys));
    }
    let placeholder = OPTIONS.iter().find_map(|row| {
        let part = segments(row.path).nth(table.len())?;
        let inside = segments(row.path).zip(table).all(|(part, key)| fits(key, part));
        (inside && is_placeholder(part)).then_some(part)
    });
    if let Some(last) = keys.last_mut() {
        *last = spelling(placeholder, key)?;
    }
    Ok(keys)
}

/// Makes a whole path known, or tells what is wrong with it.
pub(super) fn resolve(keys: &[String]) -> Result<Vec<String>, Problem> {
    keys.iter().try_fold(Vec::new(), |table, key| {
        extend(&table, key).map_err(|problem| match place(keys) {
            Some(_) => problem,
            None => unknown(keys),
        })
    })
}

/// Gives the candidate that is most like a name, if one is like it at all.
pub(super) fn nearest(name: &str, candidates: impl IntoIterator<Item = String>) -> Option<String> {
    let likeness = |candidate: &str| strsim::normalized_damerau_levenshtein(name, candidate);
    let rated = candidates.into_iter().map(|candidate| (likeness(&candidate), candidate));
    let best = rated.max_by(|(left, _), (right, _)| left.total_cmp(right))?;
    (best.0 >= LIKE).then_some(best.1)
}

fn is_placeholder(part: &str) -> bool {
    part.starts_with('<')
}

fn fits(key: &str, part: &str) -> bool {
    is_placeholder(part) || key == part
}

/// Checks a name that stands in the place of a placeholder, and gives the spelling under which it is kept.
fn spelling(placeholder: Option<&str>, key: &str) -> Result<String, Problem> {
    match placeholder {
        Some("<name>") if ModelId::new(key, "any").is_err() => {
            Err(Problem::new(format!("`{key}` is not a provider's name"))
                .with_hint("use lower-case letters, digits, `-`, and `_`"))
        }
        Some("<key>") if ModelId::new(key, "any").is_err() => {
            Err(Problem::new(format!("`{key}` is not a name for a key"))
                .with_hint("use lower-case letters, digits, `-`, and `_`"))
        }
        Some("<model>") => match key.parse::<ModelId>() {
            Ok(model) => Ok(model.to_string()),
            Err(error) => Err(Problem::new(error.message()).with_hint(
                "write the model as `provider:model` in quotes, for example `prices.\"openai:gpt-4.1\"`",
            )),
        },
        Some("<header>") => {
            let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            if key.is_empty() || !key.bytes().all(token) {
                return Err(Problem::new(format!("`{key}` is not the name of an HTTP header"))
                    .with_hint("use letters, digits, and `-`"));
            }
            Ok(key.to_ascii_lowercase())
        }
        _ => Ok(key.to_owned()),
    }
}

fn unknown(keys: &[String]) -> Problem {
    let path = join(keys);
    let rows = || OPTIONS.iter().map(|row| filled_like(row.path, keys));
    // A table that ends with the user's own key would resemble what was written by that key alone.
    let tables = OPTIONS.iter().flat_map(|row| {
        let filled = filled_like(row.path, keys);
        let named = segments(row.path).zip(1..filled.len()).filter(|(part, _)| !is_placeholder(part));
        named.map(move |(_, length)| filled.iter().take(length).cloned().collect()).collect::<Vec<_>>()
    });
    let candidates = rows().chain(tables).map(|keys: Vec<String>| join(&keys));
    let same_end = || rows().find(|row| row.last() == keys.last()).map(|row| join(&row));
    let hint = match nearest(&path, candidates).or_else(same_end) {
        Some(name) => format!("did you mean `{name}`?"),
        None => "see `motet config show --reference` for all options".to_owned(),
    };
    Problem::new(format!("unknown option `{path}`")).with_hint(hint)
}

/// Gives a row's path with the keys at its placeholders, so that only what can be misspelled counts as different.
fn filled_like(path: &'static str, keys: &[String]) -> Vec<String> {
    let part = |(index, part): (usize, &str)| match keys.get(index) {
        Some(key) if is_placeholder(part) => key.clone(),
        _ => part.to_owned(),
    };
    segments(path).enumerate().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_divided_and_joined_as_in_toml() {
        for (path, keys) in [
            ("model", vec!["model"]),
            ("python.timeout", vec!["python", "timeout"]),
            ("prices.\"openai:gpt-4.1\".input", vec!["prices", "openai:gpt-4.1", "input"]),
        ] {
            let split = split(path).unwrap();
            assert_eq!(split, keys);
            assert_eq!(join(&split), path);
        }
        assert_eq!(split("prices.openai:gpt-4o.input").unwrap()[1], "openai:gpt-4o");
        for malformed in ["prices.\"open", "prices.\"a\"b"] {
            assert!(split(malformed).is_none(), "{malformed}");
        }
    }

    #[test]
    fn placeholders_are_filled_in_order() {
        let names = ["groq".to_owned(), "x-title".to_owned()];
        assert_eq!(
            join(&fill("providers.<name>.headers.<header>", &names)),
            "providers.groq.headers.x-title"
        );
    }
}
