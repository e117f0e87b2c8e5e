//! What an option can hold: how each kind of value is read from a file or a text, and how it is shown.
//!
//! Knows no option by name. A wrong value of a kind that may carry a key is never repeated.

use std::path::PathBuf;
use std::time::Duration;

use figment::value::{Num, Value};

use super::{decimal, duration};
use crate::error::ErrorKind;
use crate::model_id::ModelId;
use crate::secret::Secret;
use crate::usage::Cost;

/// The key under which the TOML reader hands over a date, which no option takes.
pub(super) const DATE_KEY: &str = "$__toml_private_datetime";

/// A kind of value.
pub(super) trait Kind {
    /// What it becomes.
    type Value;
    /// Its name in the reference.
    const NAME: &'static str;
    /// What it looks like, after "must be".
    const EXPECTED: &'static str;
    /// Whether it is hidden from everybody.
    const SECRET: bool = false;
    /// Whether an error may repeat a wrong value.
    const REPEATABLE: bool = true;

    /// Turns the text of a variable or flag into what a file would hold.
    fn from_text(text: &str) -> Value {
        Value::from(text)
    }

    /// Reads a value; `None` when it is not of this kind.
    fn read(value: &Value) -> Option<Self::Value>;

    /// Writes a value for people, in the form that `from_text` takes where nothing is hidden.
    fn show(value: &Self::Value) -> String;
}

/// Tells what stands where a value of a kind was expected.
pub(super) fn found(value: &Value, repeatable: bool) -> String {
    match value {
        Value::String(_, text) if repeatable && text.chars().count() <= 80 => format!("`{text}`"),
        Value::String(..) | Value::Char(..) => "another text".to_owned(),
        Value::Num(_, number) if repeatable => match number.to_f64() {
            Some(fraction) => format!("`{fraction:?}`"),
            None => format!("`{}`", number_text(*number)),
        },
        Value::Num(..) => "a number".to_owned(),
        Value::Bool(_, truth) => format!("`{truth}`"),
        Value::Empty(..) => "nothing".to_owned(),
        Value::Dict(_, dict) if dict.contains_key(DATE_KEY) => "a date".to_owned(),
        Value::Dict(..) => "a table".to_owned(),
        Value::Array(..) => "a list".to_owned(),
    }
}

/// Writes a number with as few digits as tell it apart from all others, without an exponent.
pub(super) fn number_text(number: Num) -> String {
    if let Some(whole) = number.to_u128() {
        whole.to_string()
    } else if let Some(whole) = number.to_i128() {
        whole.to_string()
    } else {
        number.to_f64().map(|fraction| fraction.to_string()).unwrap_or_default()
    }
}

fn whole(value: &Value) -> Option<u32> {
    let number = value.to_num()?;
    number.to_u128().or_else(|| u128::try_from(number.to_i128()?).ok())?.try_into().ok()
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// Hides the user and password of a URL.
fn without_userinfo(url: &str) -> String {
    let hidden = || {
        let (scheme, rest) = url.split_once("://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let (_, host) = authority.rsplit_once('@')?;
        Some(format!("{scheme}://****@{host}{path}"))
    };
    hidden().unwrap_or_else(|| url.to_owned())
}

/// A text that is not empty.
pub(super) struct Text;

impl Kind for Text {
    type Value = String;
    const NAME: &'static str = "text";
    const EXPECTED: &'static str = "a text that is not empty";

    fn read(value: &Value) -> Option<String> {
        text(value).map(str::to_owned)
    }

    fn show(value: &String) -> String {
        value.clone()
    }
}

/// A whole number from 0.
pub(super) struct Whole;

impl Kind for Whole {
    type Value = u32;
    const NAME: &'static str = "whole number";
    const EXPECTED: &'static str = "a whole number from 0 to 4294967295";

    fn from_text(text: &str) -> Value {
        text.trim().parse::<u32>().map_or_else(|_| Value::from(text), Value::from)
    }

    fn read(value: &Value) -> Option<u32> {
        whole(value)
    }

    fn show(value: &u32) -> String {
        value.to_string()
    }
}

/// A whole number from 1.
pub(super) struct Count;

impl Kind for Count {
    type Value = u32;
    const NAME: &'static str = "count";
    const EXPECTED: &'static str = "a whole number from 1 to 4294967295";

    fn from_text(text: &str) -> Value {
        Whole::from_text(text)
    }

    fn read(value: &Value) -> Option<u32> {
        whole(value).filter(|count| *count > 0)
    }

    fn show(value: &u32) -> String {
        value.to_string()
    }
}

/// A length of time above zero.
pub(super) struct Span;

impl Kind for Span {
    type Value = Duration;
    const NAME: &'static str = "duration";
    const EXPECTED: &'static str =
        "a duration above zero, such as `30s`, `500ms`, `2m`, `1h`, or a number of seconds";

    fn read(value: &Value) -> Option<Duration> {
        let text = value.to_num().map(number_text).or_else(|| text(value).map(str::to_owned))?;
        duration::parse(&text).ok().filter(|length| !length.is_zero())
    }

    fn show(value: &Duration) -> String {
        duration::format(*value)
    }
}

/// A model's id.
pub(super) struct Model;

impl Kind for Model {
    type Value = ModelId;
    const NAME: &'static str = "model id";
    const EXPECTED: &'static str = "a model id written `provider:model`";

    fn read(value: &Value) -> Option<ModelId> {
        text(value)?.parse().ok()
    }

    fn show(value: &ModelId) -> String {
        value.to_string()
    }
}

/// Where a store is.
pub(super) struct StoreUrl;

impl Kind for StoreUrl {
    type Value = String;
    const NAME: &'static str = "store URL";
    const EXPECTED: &'static str = "the URL of a store, such as `sqlite:.motet/motet.db` or `memory:`";
    const REPEATABLE: bool = false;

    fn read(value: &Value) -> Option<String> {
        let (scheme, _) = text(value)?.split_once(':')?;
        let named = scheme.starts_with(|first: char| first.is_ascii_lowercase())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        named.then(|| text(value).map(str::to_owned)).flatten()
    }

    fn show(value: &String) -> String {
        without_userinfo(value)
    }
}

/// Where a server is reached by HTTP.
pub(super) struct HttpUrl;

impl Kind for HttpUrl {
    type Value = String;
    const NAME: &'static str = "URL";
    const EXPECTED: &'static str = "a URL that begins with `http://` or `https://`";
    const REPEATABLE: bool = false;

    fn read(value: &Value) -> Option<String> {
        has_scheme(text(value)?, &["http", "https"])
    }

    fn show(value: &String) -> String {
        without_userinfo(value)
    }
}

/// Where a proxy is.
pub(super) struct ProxyUrl;

impl Kind for ProxyUrl {
    type Value = String;
    const NAME: &'static str = "proxy URL";
    const EXPECTED: &'static str =
        "a URL that begins with `http://`, `https://`, `socks5://`, or `socks5h://`";
    const REPEATABLE: bool = false;

    fn read(value: &Value) -> Option<String> {
        has_scheme(text(value)?, &["http", "https", "socks5", "socks5h"])
    }

    fn show(value: &String) -> String {
        without_userinfo(value)
    }
}

fn has_scheme(url: &str, schemes: &[&str]) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let known = schemes.iter().any(|known| scheme.eq_ignore_ascii_case(known));
    (known && !rest.is_empty() && !rest.starts_with('/')).then(|| url.to_owned())
}

/// A text that nothing shows.
pub(super) struct Hidden;

impl Kind for Hidden {
    type Value = Secret;
    const NAME: &'static str = "secret text";
    const EXPECTED: &'static str = "a text that is not empty";
    const SECRET: bool = true;
    const REPEATABLE: bool = false;

    fn read(value: &Value) -> Option<Secret> {
        text(value).map(Secret::new)
    }

    fn show(value: &Secret) -> String {
        value.masked()
    }
}

/// Texts that nothing shows.
pub(super) struct Hiddens;

impl Kind for Hiddens {
    type Value = Vec<Secret>;
    const NAME: &'static str = "list of secret texts";
    const EXPECTED: &'static str = "a list of texts that are not empty";
    const SECRET: bool = true;
    const REPEATABLE: bool = false;

    /// A JSON list, or texts divided by commas.
    fn from_text(text: &str) -> Value {
        Directories::from_text(text)
    }

    fn read(value: &Value) -> Option<Vec<Secret>> {
        value.as_array()?.iter().map(|item| text(item).map(Secret::new)).collect()
    }

    fn show(value: &Vec<Secret>) -> String {
        let masked: Vec<_> = value.iter().map(Secret::masked).collect();
        serde_json::to_string(&masked).unwrap_or_default()
    }
}

/// A list of directories.
pub(super) struct Directories;

impl Kind for Directories {
    type Value = Vec<PathBuf>;
    const NAME: &'static str = "list of directories";
    const EXPECTED: &'static str = "a list of directories, such as `[\"data\", \"/srv/shared\"]`";

    /// A JSON list, or names divided by commas.
    fn from_text(text: &str) -> Value {
        if text.trim_start().starts_with('[') {
            return serde_json::from_str::<Vec<String>>(text).map_or_else(|_| Value::from(text), Value::from);
        }
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        Value::from(names.collect::<Vec<_>>())
    }

    fn read(value: &Value) -> Option<Vec<PathBuf>> {
        value.as_array()?.iter().map(|name| text(name).map(PathBuf::from)).collect()
    }

    fn show(value: &Vec<PathBuf>) -> String {
        let names: Vec<_> = value.iter().map(|path| path.to_string_lossy()).collect();
        serde_json::to_string(&names).unwrap_or_default()
    }
}

/// Yes or no.
pub(super) struct Flag;

impl Kind for Flag {
    type Value = bool;
    const NAME: &'static str = "truth value";
    const EXPECTED: &'static str = "`true` or `false`";

    fn from_text(text: &str) -> Value {
        text.trim().parse::<bool>().map_or_else(|_| Value::from(text), Value::from)
    }

    fn read(value: &Value) -> Option<bool> {
        value.to_bool()
    }

    fn show(value: &bool) -> String {
        value.to_string()
    }
}

/// A percentage from 1 to 100.
pub(super) struct Percent;

impl Kind for Percent {
    type Value = u32;
    const NAME: &'static str = "percentage";
    const EXPECTED: &'static str = "a whole number of percent from 1 to 100";

    fn from_text(text: &str) -> Value {
        Whole::from_text(text)
    }

    fn read(value: &Value) -> Option<u32> {
        whole(value).filter(|percent| (1..=100).contains(percent))
    }

    fn show(value: &u32) -> String {
        value.to_string()
    }
}

/// A number from 1 that something grows by.
pub(super) struct Factor;

impl Kind for Factor {
    type Value = f64;
    const NAME: &'static str = "factor";
    const EXPECTED: &'static str = "a number from 1 to 100, such as `2` or `1.5`";

    fn read(value: &Value) -> Option<f64> {
        let text = value.to_num().map(number_text).or_else(|| text(value).map(str::to_owned))?;
        text.parse().ok().filter(|factor| (1.0..=100.0).contains(factor))
    }

    fn show(value: &f64) -> String {
        value.to_string()
    }
}

/// An amount of money in dollars.
pub(super) struct Money;

impl Kind for Money {
    type Value = Cost;
    const NAME: &'static str = "dollars";
    const EXPECTED: &'static str = "dollars with at most nine decimals, such as `0.25`";

    fn read(value: &Value) -> Option<Cost> {
        let text = value.to_num().map(number_text).or_else(|| text(value).map(str::to_owned))?;
        u64::try_from(decimal::scaled(&text, 9)?).ok().map(Cost::from_nanos)
    }

    fn show(value: &Cost) -> String {
        value.to_string().trim_start_matches('$').to_owned()
    }
}

/// A list of things that are written as text.
pub(super) trait Item {
    type Value;
    const NAME: &'static str;
    const EXPECTED: &'static str;
    /// Whether commas divide items in a variable or flag; else each is an item of a JSON list.
    const COMMAS: bool = true;

    fn read(text: &str) -> Option<Self::Value>;
    fn show(value: &Self::Value) -> String;
}

/// Makes a list the kind of an option.
pub(super) struct List<I>(std::marker::PhantomData<I>);

impl<I: Item> Kind for List<I> {
    type Value = Vec<I::Value>;
    const NAME: &'static str = I::NAME;
    const EXPECTED: &'static str = I::EXPECTED;

    fn from_text(text: &str) -> Value {
        match serde_json::from_str::<Vec<String>>(text) {
            Ok(items) => Value::from(items),
            Err(_) if !I::COMMAS => Value::from(vec![text]),
            Err(_) if text.trim_start().starts_with('[') => Value::from(text),
            Err(_) => {
                let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
                Value::from(names.collect::<Vec<_>>())
            }
        }
    }

    fn read(value: &Value) -> Option<Vec<I::Value>> {
        value.as_array()?.iter().map(|item| I::read(text(item)?)).collect()
    }

    fn show(value: &Vec<I::Value>) -> String {
        let names: Vec<_> = value.iter().map(I::show).collect();
        serde_json::to_string(&names).unwrap_or_default()
    }
}

/// Kinds of errors.
pub(super) struct ErrorKindItem;

impl Item for ErrorKindItem {
    type Value = ErrorKind;
    const NAME: &'static str = "list of error kinds";
    const EXPECTED: &'static str = "a list of error kinds, such as `[\"rate_limit\", \"timeout\"]`";

    fn read(text: &str) -> Option<ErrorKind> {
        ErrorKind::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }

    fn show(value: &ErrorKind) -> String {
        value.as_str().to_owned()
    }
}

/// Kinds of errors.
pub(super) type ErrorKinds = List<ErrorKindItem>;

/// Models.
pub(super) struct ModelItem;

impl Item for ModelItem {
    type Value = ModelId;
    const NAME: &'static str = "list of model ids";
    const EXPECTED: &'static str =
        "a list of model ids, such as `[\"openai:gpt-4o-mini\", \"groq:llama-3.3-70b-versatile\"]`";

    fn read(text: &str) -> Option<ModelId> {
        text.parse().ok()
    }

    fn show(value: &ModelId) -> String {
        value.to_string()
    }
}

/// Models.
pub(super) type ModelIds = List<ModelItem>;

/// Texts, each taken as it is.
pub(super) struct TextItem;

impl Item for TextItem {
    type Value = String;
    const NAME: &'static str = "list of texts";
    const EXPECTED: &'static str = "a list of texts that are not empty";
    const COMMAS: bool = false;

    fn read(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn show(value: &String) -> String {
        value.clone()
    }
}

/// Texts, each taken as it is.
pub(super) type Texts = List<TextItem>;

/// Dollars per million tokens, kept as micro-dollars.
pub(super) struct Dollars;

impl Kind for Dollars {
    type Value = u64;
    const NAME: &'static str = "dollars per million tokens";
    const EXPECTED: &'static str = "dollars per million tokens with at most six decimals, such as `0.15`";

    fn read(value: &Value) -> Option<u64> {
        let text = value.to_num().map(number_text).or_else(|| text(value).map(str::to_owned))?;
        u64::try_from(decimal::scaled(&text, 6)?).ok()
    }

    fn show(value: &u64) -> String {
        let fraction = format!("{:06}", value % 1_000_000);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{}{point}{fraction}", value / 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (url, shown) in [
            ("redis://user:pass@host:6379/0", "redis://****@host:6379/0"),
            ("http://a:p@ss@host", "http://****@host"),
            ("https://host/path?mail=a@b", "https://host/path?mail=a@b"),
            ("sqlite:.motet/motet.db", "sqlite:.motet/motet.db"),
        ] {
            assert_eq!(without_userinfo(url), shown);
        }
    }

    #[test]
    fn prices_show_as_they_were_written() {
        for (text, micros) in
            [("0.075", 75_000), ("0.0375", 37_500), ("15", 15_000_000), ("0", 0), ("2.5", 2_500_000)]
        {
            assert_eq!(Dollars::read(&Value::from(text)), Some(micros));
            assert_eq!(Dollars::read(&Value::from(text.parse::<f64>().unwrap())), Some(micros));
            assert_eq!(Dollars::show(&micros), text);
        }
    }
}
