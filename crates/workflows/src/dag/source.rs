//! References in Python source become variables, so that no value is ever read as code.
//!
//! Knows just enough of Python to tell code, strings, and comments apart. Outside of strings a reference is replaced by a
//! variable that holds the value. Inside a string the string is divided there: `"a ${x.y} b"` becomes
//! `("a " + variable + " b")`, and the variable holds the value as text.

use motet_core::error::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

use super::reference::{Reference, Scope, Segment, Template, substitute};

/// Replaces the references of a source text by variables, and adds their values to `variables`.
///
/// # Errors
/// `InvalidRequest` when a reference is malformed, leads nowhere, or stands inside a string of bytes.
pub fn bind(code: &str, scope: &dyn Scope, variables: &mut Map<String, Value>) -> Result<String> {
    let template = Template::parse(code).map_err(|malformed| {
        Error::new(ErrorKind::InvalidRequest, malformed.message).with_hint("write `$${` for a plain `${`")
    })?;
    let segments = match template {
        Template::Whole(reference) => vec![Segment::Reference(reference)],
        Template::Mixed(segments) => segments,
    };
    write(code, &segments, Some(scope), variables)
}

/// Gives the source as [`bind`] writes it, without values, for a look at its syntax; `None` where it cannot be bound.
pub(crate) fn outline(code: &str) -> Option<String> {
    let segments = match Template::parse(code).ok()? {
        Template::Whole(reference) => vec![Segment::Reference(reference)],
        Template::Mixed(segments) => segments,
    };
    write(code, &segments, None, &mut Map::new()).ok()
}

fn write(
    code: &str,
    segments: &[Segment],
    scope: Option<&dyn Scope>,
    variables: &mut Map<String, Value>,
) -> Result<String> {
    let mut writer = Writer { out: String::with_capacity(code.len()), state: State::Code, variables };
    for segment in segments {
        match segment {
            Segment::Text(text) => writer.text(text),
            Segment::Reference(reference) => writer.reference(reference, scope)?,
        }
    }
    Ok(writer.out)
}

fn value_of(written: &Value, scope: Option<&dyn Scope>) -> Result<Value> {
    scope.map_or(Ok(Value::Null), |scope| substitute(written, scope))
}

/// Where in the source the writer stands.
#[derive(Debug, Clone, PartialEq)]
enum State {
    Code,
    Comment,
    String(Literal),
}

/// A string that has begun.
#[derive(Debug, Clone, PartialEq)]
struct Literal {
    /// Letters before the quote, such as `f`.
    prefix: String,
    /// One or three quotes.
    quote: &'static str,
    /// Where it begins in the output, its prefix included.
    start: usize,
    /// Whether it was divided already.
    divided: bool,
    /// Whether the last character was a backslash that escapes the next.
    escaped: bool,
}

struct Writer<'a> {
    out: String,
    state: State,
    variables: &'a mut Map<String, Value>,
}

impl Writer<'_> {
    fn text(&mut self, text: &str) {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let taken = match &self.state {
                State::Code => self.code(rest, first),
                State::Comment => self.comment(first),
                State::String(_) => self.string(rest, first),
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    /// Takes the next piece of code, and notices where a comment or string begins; gives the bytes taken.
    fn code(&mut self, rest: &str, first: char) -> usize {
        let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| rest.starts_with(quote));
        let Some(quote) = quote else {
            if first == '#' {
                self.state = State::Comment;
            }
            self.out.push(first);
            return first.len_utf8();
        };
        let letters = self.out.chars().rev().take_while(char::is_ascii_alphanumeric).count();
        let start = self.out.len() - letters;
        let word = self.out.get(start..).unwrap_or_default();
        let is_prefix = word.len() <= 2 && word.chars().all(|letter| "rRbBfFuU".contains(letter));
        let prefix = if is_prefix { word.to_owned() } else { String::new() };
        let start = self.out.len() - prefix.len();
        self.state = State::String(Literal { prefix, quote, start, divided: false, escaped: false });
        self.out.push_str(quote);
        quote.len()
    }

    fn comment(&mut self, first: char) -> usize {
        if first == '\n' {
            self.state = State::Code;
        }
        self.out.push(first);
        first.len_utf8()
    }

    /// Takes the closing quote of a string, or one of its characters; a divided string ends its parentheses too.
    fn string(&mut self, rest: &str, first: char) -> usize {
        let State::String(literal) = &mut self.state else { return first.len_utf8() };
        if !literal.escaped && rest.starts_with(literal.quote) {
            let (quote, end) = (literal.quote, if literal.divided { ")" } else { "" });
            self.out.push_str(quote);
            self.out.push_str(end);
            self.state = State::Code;
            return quote.len();
        }
        literal.escaped = !literal.escaped && first == '\\';
        if first == '\n' && literal.quote.len() == 1 && !self.out.ends_with('\\') {
            // A string that is not closed on its line: Python reports it with the right line.
            self.state = State::Code;
        }
        self.out.push(first);
        first.len_utf8()
    }

    fn reference(&mut self, reference: &Reference, scope: Option<&dyn Scope>) -> Result<()> {
        let whole = Value::String(reference.to_string());
        match self.state.clone() {
            State::Comment => self.out.push_str(&reference.to_string()),
            State::Code => {
                let variable = self.variable(value_of(&whole, scope)?);
                self.out.push_str(&variable);
            }
            State::String(literal) => {
                if literal.prefix.contains(['b', 'B']) {
                    let message = format!("`{reference}` stands inside a string of bytes");
                    return Err(Error::new(ErrorKind::InvalidRequest, message)
                        .with_hint("hand the value over in `context`, and encode it in the code"));
                }
                // A second, empty piece makes the value a text, as in any other text with a reference.
                let text = value_of(&Value::String(format!("{reference}$${{")), scope)?;
                let text =
                    text.as_str().and_then(|text| text.strip_suffix("${")).unwrap_or_default().to_owned();
                let variable = self.variable(Value::String(text));
                self.divide(&literal, &variable);
            }
        }
        Ok(())
    }

    fn divide(&mut self, literal: &Literal, variable: &str) {
        let Literal { prefix, quote, .. } = literal;
        if !literal.divided {
            self.out.insert(literal.start, '(');
        }
        self.out.push_str(&format!("{quote} + {variable} + "));
        // The next piece begins a string of its own, within the same parentheses.
        let begins = self.out.len();
        self.out.push_str(&format!("{prefix}{quote}"));
        self.state =
            State::String(Literal { start: begins, divided: true, escaped: false, ..literal.clone() });
    }

    fn variable(&mut self, value: Value) -> String {
        let name = format!("_reference_{}", self.variables.len());
        self.variables.insert(name.clone(), value);
        name
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use serde_json::json;

    use super::*;
    use crate::dag::scope::{RunScope, TaskResult};

    /// Binds source in which `${a.b}` is the list `[1]` and `${a.t}` a nasty text; gives the code and the variables.
    fn bound(code: &str) -> Result<(String, Value)> {
        let result = json!({"b": [1], "t": "\" + evil() + \""});
        let task = TaskResult { status: "done", result, error: None };
        let (inputs, environment) = (Map::new(), BTreeMap::new());
        let scope = RunScope {
            inputs: &inputs,
            environment: &environment,
            names: HashMap::new(),
            tasks: HashMap::from([("a", task)]),
            item: None,
            index: None,
        };
        let mut variables = Map::new();
        let code = bind(code, &scope, &mut variables)?;
        Ok((code, Value::Object(variables)))
    }

    #[test]
    fn references_become_variables_wherever_they_stand() {
        let r0 = "_reference_0";
        for (written, code, value) in [
            ("x = ${a.b}", format!("x = {r0}"), json!([1])),
            ("x = \"${a.t}\"", format!("x = (\"\" + {r0} + \"\")"), json!("\" + evil() + \"")),
            ("x = 'n: ${a.b}!'.upper()", format!("x = ('n: ' + {r0} + '!').upper()"), json!("[1]")),
            ("x = f\"{y} ${a.b}\"", format!("x = (f\"{{y}} \" + {r0} + f\"\")"), json!("[1]")),
            ("'it\\'s' + str(${a.b})", format!("'it\\'s' + str({r0})"), json!([1])),
            ("print(\"\") # \"\nx = ${a.b}", format!("print(\"\") # \"\nx = {r0}"), json!([1])),
        ] {
            let (bound, variables) = bound(written).unwrap();
            assert_eq!((bound, &variables[r0]), (code, &value), "{written}");
        }
    }

    #[test]
    fn a_string_with_several_references_is_divided_at_each() {
        let (code, variables) = bound("print('${a.b} and ${a.t}', \"\"\"${a.b}\"\"\")").unwrap();
        assert_eq!(
            code,
            "print(('' + _reference_0 + ' and ' + _reference_1 + ''), (\"\"\"\"\"\" + _reference_2 + \"\"\"\"\"\"))"
        );
        assert_eq!(variables.as_object().unwrap().len(), 3);
    }

    #[test]
    fn comments_keep_their_text_and_strings_of_bytes_are_refused() {
        assert_eq!(bound("x = 1 # ${a.b}").unwrap(), ("x = 1 # ${a.b}".to_owned(), json!({})));
        assert_eq!(bound("costs = '$${5}'").unwrap().0, "costs = '${5}'");
        let error = bound("x = b'${a.b}'").unwrap_err();
        assert_eq!(error.message(), "`${a.b}` stands inside a string of bytes");
        assert!(bound("x = ${a.c}").is_err());
    }
}
