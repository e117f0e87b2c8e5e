//! Hooks that are ready to be named in files: each works on the texts of whatever it is shown.

use std::sync::Arc;

use async_trait::async_trait;
use motet_core::{Error, ErrorKind, Result, RunContext};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::payload::{Payload, Stage};
use super::registry::HookRegistry;
use super::{Hook, Reaction};
use crate::guardrails::{Pattern, Pii, PiiKind};

/// Stages whose payloads hold texts that [`Payload::change_texts`] changes.
const WITH_TEXTS: &[Stage] = &[
    Stage::BeforeRun,
    Stage::AfterRun,
    Stage::BeforeModelCall,
    Stage::AfterModelCall,
    Stage::BeforeTool,
    Stage::AfterTool,
    Stage::BeforeRecord,
];

/// Stages whose payloads are about a text that [`Payload::main_text`] gives.
const WITH_A_MAIN_TEXT: &[Stage] = &[
    Stage::BeforeRun,
    Stage::AfterRun,
    Stage::BeforeModelCall,
    Stage::AfterModelCall,
    Stage::BeforeTool,
    Stage::AfterTool,
];

/// Adds all of them.
pub(super) fn register(registry: &mut HookRegistry) {
    registry.register_for("redact_pii", WITH_TEXTS, |options| {
        let RedactPii { kinds, replacement } = read(options)?;
        let pii = kinds.map_or_else(Pii::default, Pii::of_kinds);
        Ok(changing_pii(pii.replacement(replacement)))
    });
    for (name, kind) in [
        ("remove_emails", PiiKind::Email),
        ("remove_phone_numbers", PiiKind::Phone),
        ("remove_cards", PiiKind::Card),
    ] {
        registry.register_for(name, WITH_TEXTS, move |options| {
            let Remove { replacement } = read(options)?;
            Ok(changing_pii(Pii::of_kinds([kind]).replacement(replacement)))
        });
    }
    registry.register_for("normalize_whitespace", WITH_TEXTS, |options| {
        read::<Nothing>(options)?;
        Ok(changing(|text| Some(with_plain_spaces(text))))
    });
    registry.register_for("escape_html", WITH_TEXTS, |options| {
        read::<Nothing>(options)?;
        Ok(changing(|text| Some(as_html(text))))
    });
    registry.register_for("truncate", WITH_TEXTS, |options| {
        let Truncate { max_chars, notice } = read(options)?;
        Ok(changing(move |text| {
            let (cut, _) = text.char_indices().nth(max_chars)?;
            Some(format!("{}{notice}", text.get(..cut)?))
        }))
    });
    registry.register_for("validate_length", WITH_A_MAIN_TEXT, |options| {
        let ValidateLength { min_chars, max_chars } = read(options)?;
        if max_chars.is_some_and(|max| max < min_chars) || (min_chars == 0 && max_chars.is_none()) {
            return Err(Error::new(ErrorKind::Configuration, "`min_chars` and `max_chars` bound nothing"));
        }
        Ok(checking(move |text| {
            let count = text.chars().count();
            if count < min_chars {
                return Some(format!("the text has {count} characters, less than {min_chars}"));
            }
            let max = max_chars.filter(|max| count > *max)?;
            Some(format!("the text has {count} characters, more than {max}"))
        }))
    });
    registry.register_for("require_citations", WITH_A_MAIN_TEXT, |options| {
        let RequireCitations { at_least, pattern } = read(options)?;
        let pattern = Pattern::regex(&pattern, true)?;
        Ok(checking(move |text| {
            let count = pattern.count(text);
            (count < at_least).then(|| format!("the text has {count} citations, less than {at_least}"))
        }))
    });
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RedactPii {
    kinds: Option<Vec<PiiKind>>,
    replacement: String,
}

impl Default for RedactPii {
    fn default() -> Self {
        Self { kinds: None, replacement: "[REDACTED]".to_owned() }
    }
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Remove {
    replacement: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Truncate {
    max_chars: usize,
    #[serde(default = "dots")]
    notice: String,
}

fn dots() -> String {
    "…".to_owned()
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct ValidateLength {
    min_chars: usize,
    max_chars: Option<usize>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RequireCitations {
    at_least: usize,
    pattern: String,
}

impl Default for RequireCitations {
    fn default() -> Self {
        // `[1]`, `[Brook 2024]`, `(Brook, 2024)`, and addresses.
        let pattern = r"\[[0-9]+\]|\[[^\]\n]{2,80}[0-9]{4}\]|\([^()\n]{2,80}, ?[0-9]{4}\)|https?://[^\s)\]]+";
        Self { at_least: 1, pattern: pattern.to_owned() }
    }
}

fn read<T: DeserializeOwned>(options: &Map<String, Value>) -> Result<T> {
    serde_json::from_value(Value::Object(options.clone()))
        .map_err(|error| Error::new(ErrorKind::Configuration, format!("the options do not fit: {error}")))
}

/// Changes every text.
struct Changing<F>(F);

#[async_trait]
impl<F: Fn(&str) -> Option<String> + Send + Sync> Hook for Changing<F> {
    async fn at(&self, _: &RunContext, payload: &Payload) -> Result<Reaction> {
        let mut changed = payload.clone();
        Ok(match changed.change_texts(&mut |text| (self.0)(text)) {
            true => Reaction::Change(Box::new(changed)),
            false => Reaction::Continue,
        })
    }
}

fn changing(change: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Arc<dyn Hook> {
    Arc::new(Changing(change))
}

fn changing_pii(pii: Pii) -> Arc<dyn Hook> {
    changing(move |text| pii.redacted(text))
}

/// Stops the run at a text that is not as it should be.
struct Checking<F>(F);

#[async_trait]
impl<F: Fn(&str) -> Option<String> + Send + Sync> Hook for Checking<F> {
    async fn at(&self, _: &RunContext, payload: &Payload) -> Result<Reaction> {
        let problem = payload.main_text().and_then(|text| (self.0)(&text));
        Ok(problem.map_or(Reaction::Continue, |reason| Reaction::Stop { reason }))
    }
}

fn checking(check: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Arc<dyn Hook> {
    Arc::new(Checking(check))
}

/// Leaves one space between words, one empty line between paragraphs, and none around the text.
fn with_plain_spaces(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let (mut whole, mut empty) = (String::with_capacity(text.len()), 0);
    for line in lines {
        if line.is_empty() {
            empty += 1;
            continue;
        }
        if !whole.is_empty() {
            whole.push_str(if empty > 0 { "\n\n" } else { "\n" });
        }
        whole.push_str(&line);
        empty = 0;
    }
    whole
}

fn as_html(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => whole.push_str("&amp;"),
            '<' => whole.push_str("&lt;"),
            '>' => whole.push_str("&gt;"),
            '"' => whole.push_str("&quot;"),
            '\'' => whole.push_str("&#39;"),
            other => whole.push(other),
        }
    }
    whole
}
