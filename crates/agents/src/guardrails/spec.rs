//! Guardrails as files write them, and what is made of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use motet_core::model::Models;
use motet_core::settings::duration;
use motet_core::{Error, ErrorKind, ModelId, Result};
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    Action, Blocklist, Guardrail, Guardrails, Judge, Length, OnFailure, Pattern, Pii, PiiKind, Place,
};

/// What is done at each place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actions([Action; 4]);

impl Actions {
    /// Does the same everywhere.
    #[must_use]
    pub fn all(action: Action) -> Self {
        Self([action; 4])
    }

    /// Sets what is done about input.
    #[must_use]
    pub fn input(self, action: Action) -> Self {
        self.with(Place::Input, action)
    }

    /// Sets what is done about what a model says.
    #[must_use]
    pub fn output(self, action: Action) -> Self {
        self.with(Place::Output, action)
    }

    /// Sets what is done about the arguments of tools.
    #[must_use]
    pub fn tool_arguments(self, action: Action) -> Self {
        self.with(Place::ToolArguments, action)
    }

    /// Sets what is done about what tools answer.
    #[must_use]
    pub fn tool_result(self, action: Action) -> Self {
        self.with(Place::ToolResult, action)
    }

    /// Sets what is done at a place.
    #[must_use]
    pub fn with(mut self, place: Place, action: Action) -> Self {
        for (slot, its) in self.0.iter_mut().zip(Place::ALL) {
            if its == place {
                *slot = action;
            }
        }
        self
    }

    /// Gives what is done at a place.
    #[must_use]
    pub fn at(self, place: Place) -> Action {
        let found = self.0.into_iter().zip(Place::ALL).find(|(_, its)| *its == place);
        found.map_or(Action::Off, |(action, _)| action)
    }
}

/// The guardrails of an agent as a file writes them, in the order in which they look.
///
/// ```
/// use motet_agents::guardrails::GuardrailsSpec;
/// let spec: GuardrailsSpec = serde_json::from_str(r#"[
///     {"pii": {"kinds": ["email", "card"]}},
///     {"blocklist": {"words": ["Project Falcon"], "on": {"output": "ask_again"}}},
///     {"length": {"max_chars": 4000, "on": {"output": "redact"}}}
/// ]"#)?;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GuardrailsSpec(pub Vec<GuardrailSpec>);

/// One guardrail as a file writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum GuardrailSpec {
    /// Words and patterns.
    Blocklist(BlocklistSpec),
    /// Personal data.
    Pii(PiiSpec),
    /// A bound of characters.
    Length(LengthSpec),
    /// A model that judges.
    Judge(JudgeSpec),
    /// One that the program registered.
    Custom(CustomSpec),
}

/// What is done where, as a file writes it; places that are not named keep the guardrail's own default.
pub type ActionsSpec = BTreeMap<Place, Action>;

/// A [`Blocklist`] as a file writes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BlocklistSpec {
    /// Name in errors and events; `blocklist` where not given.
    pub name: Option<String>,
    /// Words, which are not looked for within others.
    pub words: Vec<String>,
    /// Regular expressions.
    pub patterns: Vec<PatternSpec>,
    /// Whether case matters; it does not where not given.
    pub case_sensitive: bool,
    /// What is done where: by default input is blocked, and everything else is redacted.
    pub on: ActionsSpec,
    /// What takes the place of what is redacted; `[REDACTED]` where not given.
    pub replacement: Option<String>,
}

/// A regular expression as a file writes it: alone, or with the longest match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PatternSpec {
    /// The expression; streams are held back until they are whole.
    Regex(String),
    /// The expression and how many characters it matches at most.
    Bounded(BoundedPattern),
}

/// A regular expression with the longest match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoundedPattern {
    /// The expression.
    pub regex: String,
    /// Characters of the longest match; a longer one is found up to there.
    pub longest: usize,
}

impl PatternSpec {
    fn build(&self, case_sensitive: bool) -> Result<Pattern> {
        match self {
            PatternSpec::Regex(regex) => Pattern::regex(regex, case_sensitive),
            PatternSpec::Bounded(BoundedPattern { regex, longest }) => {
                Pattern::regex(regex, case_sensitive).map(|pattern| pattern.at_most(*longest))
            }
        }
    }
}

/// A [`Pii`] as a file writes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PiiSpec {
    /// Which kinds; all but `ip` where not given.
    pub kinds: Option<Vec<PiiKind>>,
    /// Patterns of the user's own by name.
    pub patterns: BTreeMap<String, PatternSpec>,
    /// What is done where: by default all is redacted.
    pub on: ActionsSpec,
    /// What takes the place of what is redacted, in which `{kind}` stands for its kind; `[REDACTED]` where not given.
    pub replacement: Option<String>,
}

/// A [`Length`] as a file writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LengthSpec {
    /// Characters of a text at most.
    pub max_chars: usize,
    /// What is done where: by default longer input is blocked, and everything else is cut, which `redact` means here.
    #[serde(default)]
    pub on: ActionsSpec,
}

/// A [`Judge`] as a file writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgeSpec {
    /// Name in errors and events; `judge` where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The rule, in words for the model.
    pub rule: String,
    /// The model that judges.
    pub model: ModelId,
    /// What is done where: by default input is blocked, answers are asked for again, and nothing else is judged.
    #[serde(default)]
    pub on: ActionsSpec,
    /// What the failure of the judge means; the text is blocked where not given.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// How long it may take; 30 seconds where not given.
    #[serde(default = "thirty_seconds", with = "time")]
    pub timeout: Duration,
}

/// A guardrail that the program registered, as a file writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomSpec {
    /// The name it is registered under.
    pub name: String,
    /// What its failure means; the text is blocked where not given.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// How long it may take; 30 seconds where not given.
    #[serde(default = "thirty_seconds", with = "time")]
    pub timeout: Duration,
}

fn thirty_seconds() -> Duration {
    Duration::from_secs(30)
}

/// Reads and writes lengths of time as people write them, such as `5s`.
pub(crate) mod time {
    use serde::Serializer;
    use serde::de::Error as _;

    use super::{Deserialize, Deserializer, Duration, duration};

    pub(crate) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&duration::format(*value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Seconds(serde_json::Number),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Text(text) => text,
            Written::Seconds(seconds) => seconds.to_string(),
        };
        duration::parse(&text).map_err(D::Error::custom)
    }
}

/// Guardrails of a program's own, by the names that files use.
#[derive(Clone, Default)]
pub struct GuardrailRegistry(BTreeMap<String, Arc<dyn Guardrail>>);

impl GuardrailRegistry {
    /// Adds a guardrail under a name; a later one of the same name takes its place.
    pub fn register(&mut self, name: impl Into<String>, guardrail: Arc<dyn Guardrail>) {
        self.0.insert(name.into(), guardrail);
    }
}

impl GuardrailsSpec {
    /// Makes the guardrails, finding judges' models among those given.
    ///
    /// # Errors
    /// `Configuration` when a pattern is wrong, or a name or model is unknown.
    pub async fn build(&self, models: &dyn Models, custom: &GuardrailRegistry) -> Result<Guardrails> {
        let mut all = Guardrails::default();
        for spec in &self.0 {
            all = match spec {
                GuardrailSpec::Blocklist(spec) => all.with(spec.build()?),
                GuardrailSpec::Pii(spec) => all.with(spec.build()?),
                GuardrailSpec::Length(spec) => {
                    let length = Length::of_characters(spec.max_chars);
                    let actions = Actions::all(Action::Redact).input(Action::Block);
                    all.with(length.actions(chosen(actions, &spec.on)))
                }
                GuardrailSpec::Judge(spec) => {
                    let model = models.model(&spec.model).await?;
                    let mut judge = Judge::new(&spec.rule, model, spec.model.clone());
                    judge = judge.named(spec.name.as_deref().unwrap_or("judge"));
                    let actions = Actions::all(Action::Off).input(Action::Block).output(Action::AskAgain);
                    let judge = judge.actions(chosen(actions, &spec.on));
                    all.with_rules(Arc::new(judge), spec.on_failure, spec.timeout)
                }
                GuardrailSpec::Custom(spec) => {
                    let known =
                        custom.0.get(&spec.name).cloned().ok_or_else(|| unknown(&spec.name, custom))?;
                    all.with_rules(known, spec.on_failure, spec.timeout)
                }
            };
        }
        Ok(all)
    }
}

impl BlocklistSpec {
    fn build(&self) -> Result<Blocklist> {
        if self.words.is_empty() && self.patterns.is_empty() {
            return Err(Error::new(ErrorKind::Configuration, "a blocklist has neither words nor patterns"));
        }
        let words = Pattern::words(self.words.iter().map(String::as_str), self.case_sensitive)?;
        let patterns = self.patterns.iter().map(|pattern| pattern.build(self.case_sensitive));
        let patterns = words.into_iter().map(Ok).chain(patterns).collect::<Result<Vec<_>>>()?;
        let actions = chosen(Actions::all(Action::Redact).input(Action::Block), &self.on);
        let mut list = Blocklist::of_patterns(patterns).actions(actions);
        if let Some(name) = &self.name {
            list = list.named(name);
        }
        Ok(match &self.replacement {
            Some(text) => list.replacement(text),
            None => list,
        })
    }
}

impl PiiSpec {
    fn build(&self) -> Result<Pii> {
        let pii = self.kinds.clone().map_or_else(Pii::default, Pii::of_kinds);
        let mut pii = pii.actions(chosen(Actions::all(Action::Redact), &self.on));
        for (kind, pattern) in &self.patterns {
            pii = pii.pattern(kind, pattern.build(true)?);
        }
        Ok(match &self.replacement {
            Some(text) => pii.replacement(text),
            None => pii,
        })
    }
}

fn chosen(default: Actions, on: &ActionsSpec) -> Actions {
    on.iter().fold(default, |actions, (place, action)| actions.with(*place, *action))
}

fn unknown(name: &str, custom: &GuardrailRegistry) -> Error {
    let known: Vec<_> = custom.0.keys().map(|name| format!("`{name}`")).collect();
    let hint = match known.is_empty() {
        true => "register it with the program that runs the agent".to_owned(),
        false => format!("known are {}", known.join(", ")),
    };
    Error::new(ErrorKind::Configuration, format!("no guardrail is registered as `{name}`")).with_hint(hint)
}
