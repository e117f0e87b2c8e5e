//! How a program on this machine becomes a tool, as files of agents say it.

use std::collections::BTreeMap;
use std::time::Duration;

use motet_core::tool::Effect;
use motet_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A program that a model may call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandSpec {
    /// Name that the model uses.
    pub name: String,
    /// What it does and when to use it, for the model.
    #[serde(default)]
    pub description: String,
    /// JSON schema of the arguments; its root is an object.
    #[serde(default = "no_parameters")]
    pub parameters: Value,
    /// The program and its arguments. One that is `${NAME}` is replaced by the model's argument of this name: a text as it
    /// is, a list as several arguments, anything else as JSON; left out where the model left it out.
    pub run: Vec<String>,
    /// What the program reads.
    #[serde(default, skip_serializing_if = "Stdin::is_none")]
    pub stdin: Stdin,
    /// Longest time of a call; the agent's own limit where it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    pub timeout: Option<Duration>,
    /// What happens when it runs twice.
    #[serde(default)]
    pub effect: Effect,
    /// Whether a person must agree to each call.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approve: bool,
    /// Directory in which it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Variables of its environment, beside the few that every program needs; `${NAME}` takes one of Motet's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// What a program reads from its standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stdin {
    /// Nothing.
    #[default]
    None,
    /// The model's arguments as one JSON object.
    Json,
}

impl Stdin {
    fn is_none(&self) -> bool {
        *self == Stdin::None
    }
}

fn no_parameters() -> Value {
    serde_json::json!({"type": "object", "properties": {}})
}

/// Reads and writes lengths of time as texts such as `30s`, or nothing.
mod optional_duration {
    use std::time::Duration;

    use motet_core::settings::duration::text;
    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    struct Text(#[serde(with = "text")] Duration);

    pub(super) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => text::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Text>::deserialize(deserializer)?.map(|Text(duration)| duration))
    }
}

impl CommandSpec {
    /// Finds what is wrong with it beyond its form.
    ///
    /// # Errors
    /// `Configuration` when there is no program, a placeholder is no whole argument or names no parameter, or the effect
    /// is one that a program cannot have.
    pub fn check(&self) -> Result<()> {
        let wrong = |message: String| Err(Error::new(ErrorKind::Configuration, message));
        let Some(program) = self.run.first().filter(|program| !program.trim().is_empty()) else {
            return wrong("`run` names no program".to_owned());
        };
        if self.effect == Effect::Reconcile {
            return wrong(
                "a command cannot tell what became of an earlier call, so its effect is not `reconcile`"
                    .to_owned(),
            )
            .map_err(|error: Error| error.with_hint("use `pure`, `idempotent`, or `at_most_once`"));
        }
        if placeholder(program).is_some() {
            return wrong(format!("the program `{program}` would be the model's choice")).map_err(
                |error: Error| error.with_hint("name the program; arguments behind it may be placeholders"),
            );
        }
        for argument in self.run.iter().skip(1) {
            match placeholder(argument) {
                Some(name)
                    if self.parameters.pointer("/properties").is_none_or(|all| all.get(name).is_none()) =>
                {
                    return wrong(format!("`{argument}` names none of the tool's `parameters`"));
                }
                None if argument.contains("${") => {
                    return wrong(format!("`{argument}` holds a placeholder among other text")).map_err(
                        |error: Error| {
                            error.with_hint("a placeholder is a whole argument, such as `${path}`")
                        },
                    );
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Gives the name in an argument that is a placeholder as a whole.
pub(super) fn placeholder(argument: &str) -> Option<&str> {
    let name = argument.strip_prefix("${")?.strip_suffix('}')?;
    (!name.is_empty() && !name.contains(['{', '}', '$'])).then_some(name)
}
