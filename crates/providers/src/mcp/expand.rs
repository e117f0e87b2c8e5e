//! Puts values of variables into the texts of a server's configuration: `${NAME}`, or `${NAME:-otherwise}`.
//!
//! Reads no environment: whoever asks brings the variables. What was put in is not looked at again.

use std::collections::BTreeMap;

use motet_core::{Error, ErrorKind, Result};

/// Gives the value of a variable.
pub type Variables<'a> = dyn Fn(&str) -> Option<String> + Send + Sync + 'a;

/// Puts variables into every value of a table.
pub(crate) fn expanded(
    server: &str,
    table: &BTreeMap<String, String>,
    variables: &Variables<'_>,
) -> Result<BTreeMap<String, String>> {
    let one = |(name, text): (&String, &String)| {
        let value = text_of(text, variables).map_err(|missing| {
            Error::new(
                ErrorKind::Configuration,
                format!("`{name}` of the server `{server}` needs the variable `{missing}`, which is not set"),
            )
            .with_hint(format!("set `{missing}` in the environment or in `.env`"))
        })?;
        Ok((name.clone(), value))
    };
    table.iter().map(one).collect()
}

/// Puts variables into a text; the error is the name of one that is not set.
fn text_of(text: &str, variables: &Variables<'_>) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        // `$${` stands for `${` itself.
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = after;
            continue;
        }
        let Some((inside, after)) = after.split_once('}') else { break };
        expanded.push_str(before);
        let (name, otherwise) = inside.split_once(":-").map_or((inside, None), |(a, b)| (a, Some(b)));
        match variables(name).filter(|value| !value.is_empty()) {
            Some(value) => expanded.push_str(&value),
            None => expanded.push_str(otherwise.ok_or(name)?),
        }
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Result<String, String> {
        let known = |name: &str| match name {
            "A" => Some("one".to_owned()),
            "EMPTY" => Some(String::new()),
            "SLY" => Some("${A}".to_owned()),
            _ => None,
        };
        text_of(text, &known)
    }

    #[test]
    fn variables_are_put_in_once() {
        for (text, expected) in [
            ("plain", "plain"),
            ("Bearer ${A}", "Bearer one"),
            ("${A}${A}-", "oneone-"),
            ("${B:-two}", "two"),
            ("${EMPTY:-two}", "two"),
            ("${B:-}", ""),
            ("$${A} ${A}", "${A} one"),
            ("${SLY}", "${A}"),
            ("${open", "${open"),
        ] {
            assert_eq!(expand(text).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(expand("x ${NONE}"), Err("NONE".to_owned()));
    }
}
