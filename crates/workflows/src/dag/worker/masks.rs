//! Keeps values of the environment that a task refers to out of what its failure tells.
//!
//! A method masks what it knows to be secret, such as headers; that a value came from the environment it cannot see.

use std::collections::BTreeMap;

use motet_core::error::ErrorReport;
use motet_core::secret::Secret;
use motet_core::workflow::TaskSpec;
use serde_json::Value;

use crate::dag::reference::{Root, Step, references};

/// Bytes below which a value tells nothing, and masking it would spoil the message.
const SHORT: usize = 8;

/// Masks the values of the environment that a task refers to, as they are and as they stand in addresses.
pub(super) fn mask(report: &mut ErrorReport, spec: &TaskSpec, environment: &BTreeMap<String, String>) {
    if environment.is_empty() {
        return;
    }
    for secret in secrets(spec, environment) {
        for text in [Some(&mut report.message), report.hint.as_mut()].into_iter().flatten() {
            *text = secret.redact(text);
        }
        for text in report.context.values_mut() {
            *text = secret.redact(text);
        }
    }
}

fn secrets(spec: &TaskSpec, environment: &BTreeMap<String, String>) -> Vec<Secret> {
    let params = Value::Object(spec.params.clone());
    let mut secrets = Vec::new();
    for reference in references(&params) {
        let (Root::Env, [Step::Field(name)]) = (reference.root(), reference.path()) else { continue };
        let Some(value) = environment.get(name).filter(|value| value.len() >= SHORT) else { continue };
        for form in [encoded(value), json(value), value.clone()] {
            secrets.push(Secret::new(form));
        }
    }
    secrets
}

/// Writes a value as it stands within a text of JSON.
fn json(value: &str) -> String {
    let text = Value::from(value).to_string();
    text.trim_matches('"').to_owned()
}

/// Writes a value as it stands in the path of an address, where letters that have no place there are written by numbers.
fn encoded(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>?`{}".contains(&byte);
    value
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use motet_core::error::{Error, ErrorKind};
    use serde_json::json;

    use super::*;

    fn masked(value: &str, message: &str) -> String {
        let spec = json!({
            "id": "a", "method": "http/request",
            "params": {"url": "https://x.example/${env.TOKEN}", "json": {"a": ["${env.TOKEN}"]}},
        });
        let spec: TaskSpec = serde_json::from_value(spec).unwrap();
        let environment = [("TOKEN", value), ("OTHER", "elsewhere")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut report = Error::new(ErrorKind::ToolFailed, message).with_context("said", message).report();
        mask(&mut report, &spec, &environment.into());
        assert_eq!(report.context["said"], report.message);
        report.message
    }

    #[test]
    fn values_of_the_environment_are_masked_wherever_they_stand_and_others_are_not() {
        assert_eq!(
            masked("s3cret-path", "`https://x.example/s3cret-path` said elsewhere"),
            "`https://x.example/****` said elsewhere"
        );
        assert_eq!(
            masked("s3 cret\"x", "`/s3%20cret%22x` had {\"a\":\"s3 cret\\\"x\"}"),
            "`/****` had {\"a\":\"****\"}"
        );
        assert_eq!(masked("eu", "the region eu is down"), "the region eu is down");
    }
}
