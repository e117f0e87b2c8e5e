//! The log of a check in the Static Analysis Results Interchange Format 2.1.0.

use std::path::Path;

use motet::workflows::dag::check::{Finding, RULES};
use serde_json::{Value, json};

use super::FileChecked;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The rule of files that cannot be read at all, which no check has.
const UNREADABLE: &str = "unreadable";

/// Makes the log of all files.
pub(super) fn log(files: &[FileChecked]) -> Value {
    let mut rules: Vec<Value> =
        RULES.iter().map(|rule| self::rule(rule.id, rule.doc, rule.severity.as_str())).collect();
    rules.push(rule(UNREADABLE, "The file cannot be read.", "error"));
    let results: Vec<Value> = files.iter().flat_map(results).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "motet",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(id: &str, doc: &str, level: &str) -> Value {
    json!({"id": id, "shortDescription": {"text": doc}, "defaultConfiguration": {"level": level}})
}

fn results(file: &FileChecked) -> Vec<Value> {
    match &file.checked {
        Ok(checked) => checked.findings.iter().map(|finding| result(&file.file, finding)).collect(),
        Err(error) => {
            let text = with_hint(&error.to_string(), error.hint());
            vec![json!({
                "ruleId": UNREADABLE,
                "ruleIndex": RULES.len(),
                "level": "error",
                "message": {"text": text},
                "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri(&file.file)}}}],
            })]
        }
    }
}

fn result(file: &Path, finding: &Finding) -> Value {
    let index = RULES.iter().position(|rule| rule.id == finding.rule);
    json!({
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": finding.severity.as_str(),
        "message": {"text": with_hint(&finding.message, finding.hint.as_deref())},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri(file)},
            "region": {"startLine": finding.line.max(1), "startColumn": finding.column.max(1)},
        }}],
        // A finding that only moved is the same one.
        "partialFingerprints": {"finding/v1": format!("{}:{}", finding.rule, finding.message)},
    })
}

/// What to do stands beside what is wrong: a fix in the format's own sense would be a change of the text.
fn with_hint(message: &str, hint: Option<&str>) -> String {
    match hint {
        Some(hint) => format!("{message}\nhint: {hint}"),
        None => message.to_owned(),
    }
}

/// Writes a path as a URI: relative ones stay relative, and what a URI may not hold is written by its bytes.
fn uri(path: &Path) -> String {
    let text = path.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
    let start = if path.is_absolute() { "file://" } else { "" };
    let mut uri = start.to_owned();
    for byte in text.trim_start_matches("./").bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                uri.push(char::from(byte))
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}
