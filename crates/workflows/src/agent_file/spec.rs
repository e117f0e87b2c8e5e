//! What a file of an agent says, as plain types that are stored with its runs.

use std::path::PathBuf;
use std::time::Duration;

use motet_agents::{GuardrailsSpec, HookSpec};
use motet_core::request::{ReasoningEffort, Sampling, ToolChoice};
use motet_core::{Cost, ModelId};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::selection::{OfferedSpec, RouterSpec};
use super::tool_line::ToolLine;

/// An agent as its file describes it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AgentSpec {
    /// Its name; that of the file where it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is for, as other agents and people see it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The model it asks; the setting `model` where it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelId>,
    /// The system message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// File with the system message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions_file: Option<PathBuf>,
    /// The system message as a template of `variables`, and of `tools` with the name and description of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions_template: Option<String>,
    /// Values for the template; whoever runs the agent may set others.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub variables: Map<String, Value>,
    /// What it may call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolLine>,
    /// Which of them it has.
    #[serde(skip_serializing_if = "is_default")]
    pub offered: OfferedSpec,
    /// How those that a run is offered are selected by a model, where there are many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router: Option<RouterSpec>,
    /// Its bounds.
    #[serde(skip_serializing_if = "LimitsSpec::is_default")]
    pub limits: LimitsSpec,
    /// JSON schema of its answer, or the name of a file with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Sampling options.
    #[serde(skip_serializing_if = "is_default")]
    pub sampling: Sampling,
    /// How hard a reasoning model should think.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<ReasoningEffort>,
    /// Upper limit of output tokens of each model call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Texts that end an answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Whether a tool must be called; a forced choice holds for the first call of a run only.
    #[serde(skip_serializing_if = "is_default")]
    pub tool_choice: ToolChoice,
    /// Whether the model may call several tools in one answer; the provider's default where it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_tool_calls: Option<bool>,
    /// Which calls a person must agree to.
    #[serde(skip_serializing_if = "is_default")]
    pub approvals: Approvals,
    /// What looks at the texts of its runs, in this order.
    #[serde(skip_serializing_if = "is_default")]
    pub guardrails: GuardrailsSpec,
    /// What is called at stages of its runs, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookSpec>,
    /// How the results of old rounds are shortened in requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condense: Option<CondenseSpec>,
    /// Labels for the run log and for providers that keep labels.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// Fields added to the provider's request body as they are.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Bounds of a run; the settings' or the engine's defaults where they are not set.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LimitsSpec {
    /// Model calls at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_iterations: Option<u32>,
    /// Tools that run at the same time at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_parallel_tools: Option<usize>,
    /// Longest time of a tool call where the tool names no other.
    #[serde(skip_serializing_if = "Option::is_none", with = "span")]
    pub tool_timeout: Option<Duration>,
    /// Longest time of the whole run, counted anew when it is resumed.
    #[serde(skip_serializing_if = "Option::is_none", with = "span")]
    pub timeout: Option<Duration>,
    /// Characters of one tool result at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tool_result_chars: Option<usize>,
    /// How often an answer that does not satisfy its schema is asked for again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_repairs: Option<u32>,
    /// How often an answer that a guardrail sends back is asked for again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rewrites: Option<u32>,
    /// How often the same calls may give the same results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_repeated_rounds: Option<u32>,
    /// How many rounds in a row may hold no call that can be run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_refused_rounds: Option<u32>,
    /// What the run may spend.
    #[serde(skip_serializing_if = "BudgetSpec::is_empty")]
    pub budget: BudgetSpec,
}

impl LimitsSpec {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a run may spend, resumptions included.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetSpec {
    /// Dollars.
    #[serde(skip_serializing_if = "Option::is_none", with = "dollars")]
    pub usd: Option<Cost>,
    /// Tokens of input and output together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
}

impl BudgetSpec {
    /// Tells whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How old results are shortened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CondenseSpec {
    /// The newest rounds, which stay whole.
    pub keep_rounds: usize,
    /// Characters that an older result keeps at most.
    pub max_chars: usize,
}

/// Which calls a person must agree to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Approvals {
    /// Those whose tool says so.
    #[default]
    Tools,
    /// All.
    Always,
    /// None, whatever the tools say.
    Never,
    /// Those of these tools, and those whose tool says so.
    Named(Vec<String>),
}

impl Serialize for Approvals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Approvals::Tools => serializer.serialize_str("tools"),
            Approvals::Always => serializer.serialize_str("always"),
            Approvals::Never => serializer.serialize_str("never"),
            Approvals::Named(names) => names.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Approvals {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = Approvals;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("`tools`, `always`, `never`, or a list of tools' names")
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Approvals, E> {
                match word {
                    "tools" => Ok(Approvals::Tools),
                    "always" => Ok(Approvals::Always),
                    "never" => Ok(Approvals::Never),
                    other => Err(E::unknown_variant(other, &["tools", "always", "never"])),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Approvals, A::Error> {
                let mut all = Vec::new();
                while let Some(name) = names.next_element()? {
                    all.push(name);
                }
                Ok(Approvals::Named(all))
            }
        }
        deserializer.deserialize_any(Words)
    }
}

/// Reads a number or a text and writes a text.
struct Scalar;

impl Visitor<'_> for Scalar {
    type Value = Option<String>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a number or a text")
    }

    fn visit_unit<E>(self) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_str<E>(self, text: &str) -> Result<Option<String>, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Option<String>, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Option<String>, E> {
        Ok(Some(number.to_string()))
    }
}

/// Lengths of time such as `30s`, or a plain number of seconds.
pub(super) mod span {
    use motet_core::settings::duration;

    use super::{Deserializer as D, Duration, Scalar, Serializer};

    #[expect(clippy::ref_option, reason = "serde hands over a reference")]
    pub(in super::super) fn serialize<S: Serializer>(
        span: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&span.map(duration::format).unwrap_or_default())
    }

    pub(in super::super) fn deserialize<'de, Z: D<'de>>(
        deserializer: Z,
    ) -> Result<Option<Duration>, Z::Error> {
        let text = deserializer.deserialize_any(Scalar)?;
        let parsed = text.map(|text| duration::parse(&text)).transpose();
        parsed.map_err(|error| serde::de::Error::custom(error.message()))
    }
}

/// Dollars such as `0.50`.
mod dollars {
    use super::{Cost, Deserializer as D, Scalar, Serializer};

    #[expect(clippy::ref_option, reason = "serde hands over a reference")]
    pub(super) fn serialize<S: Serializer>(cost: &Option<Cost>, serializer: S) -> Result<S::Ok, S::Error> {
        let nanos = cost.unwrap_or_default().nanos();
        serializer.collect_str(&format_args!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000))
    }

    pub(super) fn deserialize<'de, Z: D<'de>>(deserializer: Z) -> Result<Option<Cost>, Z::Error> {
        let Some(text) = deserializer.deserialize_any(Scalar)? else { return Ok(None) };
        let cost = Cost::from_dollars(&text);
        cost.map(Some).ok_or_else(|| {
            serde::de::Error::custom(format!("`{text}` is no amount of dollars, such as `0.50`"))
        })
    }
}
