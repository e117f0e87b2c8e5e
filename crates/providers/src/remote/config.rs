//! How a remote provider is written in a workflow file or in the file that the settings name.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use motet_core::settings::duration;
use motet_core::tool::Effect;
use motet_core::{Error, ErrorKind, Result};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::mcp::{Variables, expand};
use crate::rpc::Address;

/// How a provider is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Transport {
    /// By POST to an address.
    Http,
    /// Through the standard input and output of a program.
    Stdio,
}

impl Transport {
    /// Gives the name used in files and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Http => "http",
            Transport::Stdio => "stdio",
        }
    }
}

/// A provider as it is written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RemoteConfig {
    /// How it is reached.
    #[serde(rename = "type")]
    pub transport: Transport,
    /// Methods that it takes, as tasks write them and as they are sent.
    #[serde(default)]
    pub methods: Vec<String>,
    /// What the names of its methods begin with; they are sent with it.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Longest time of a call; 30 seconds by default.
    #[serde(default = "half_a_minute", deserialize_with = "time")]
    pub timeout: Duration,
    /// What happens when a call is made twice, which decides what becomes of one whose worker died: by itself it is not
    /// made again.
    #[serde(default)]
    pub effect: Effect,
    /// How to see whether an instance is there; where it is not given, only calls show it.
    #[serde(default)]
    pub health: Option<HealthConfig>,
    /// Where it is, where there is one; several are `instances`.
    #[serde(flatten)]
    pub place: InstanceConfig,
    /// Where its instances are; what one does not say is taken from the provider.
    #[serde(default)]
    pub instances: Vec<InstanceConfig>,
}

/// Where one instance is.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[non_exhaustive]
pub struct InstanceConfig {
    /// Address that takes calls by POST.
    #[serde(default)]
    pub url: Option<String>,
    /// Headers of every request; `${NAME}` takes a variable.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Program that takes one call a line.
    #[serde(default)]
    pub command: Option<String>,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Its environment, beside the few variables that every program needs; `${NAME}` takes a variable.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Where it runs.
    #[serde(default)]
    pub directory: Option<PathBuf>,
}

impl std::fmt::Debug for InstanceConfig {
    /// Shows no value of headers and environment.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InstanceConfig")
            .field("url", &self.url)
            .field("headers", &self.headers.keys())
            .field("command", &self.command)
            .field("args", &self.args)
            .field("env", &self.env.keys())
            .field("directory", &self.directory)
            .finish()
    }
}

/// How to see whether an instance is there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HealthConfig {
    /// Path that is asked for by GET.
    pub path: Option<String>,
    /// Method that is called without parameters, in the place of a path.
    pub method: Option<String>,
    /// Time between two looks; 30 seconds by default.
    #[serde(deserialize_with = "time")]
    pub interval: Duration,
    /// Longest time of a look; 5 seconds by default.
    #[serde(deserialize_with = "time")]
    pub timeout: Duration,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self { path: None, method: None, interval: half_a_minute(), timeout: Duration::from_secs(5) }
    }
}

fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

/// Reads a length of time: seconds, or a text such as `500ms`.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => duration::parse(&text).map_err(|error| D::Error::custom(error.message())),
        Value::Number(seconds) => {
            let seconds = seconds.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            seconds
                .ok_or_else(|| D::Error::custom("a time must be seconds above 0, or a text such as `500ms`"))
        }
        other => {
            Err(D::Error::custom(format!("a time must be seconds or a text such as `500ms`, not `{other}`")))
        }
    }
}

/// What an instance may say.
const PLACE_FIELDS: [&str; 6] = ["url", "headers", "command", "args", "env", "directory"];

impl RemoteConfig {
    /// Reads what is written of a provider.
    ///
    /// # Errors
    /// `Configuration` that tells what is wrong.
    pub fn read(name: &str, written: &Value) -> Result<Self> {
        let config: Self = serde_json::from_value(written.clone()).map_err(|error| {
            wrong(name, &error.to_string()).with_hint(
                "write it as `{type: http, url: ...}` or `{type: stdio, command: ..., args: [...]}`",
            )
        })?;
        for instance in written.get("instances").and_then(Value::as_array).into_iter().flatten() {
            let keys = instance.as_object().into_iter().flat_map(|fields| fields.keys());
            if let Some(unknown) = keys.into_iter().find(|key| !PLACE_FIELDS.contains(&key.as_str())) {
                return Err(wrong(name, &format!("an instance has no `{unknown}`")).with_hint(format!(
                    "an instance has {}",
                    PLACE_FIELDS.map(|field| format!("`{field}`")).join(", ")
                )));
            }
        }
        if config.timeout.is_zero() {
            return Err(wrong(name, "its `timeout` is zero"));
        }
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(wrong(name, "its name is empty or holds spaces"));
        }
        if !config.methods.is_empty() && config.prefix.is_some() {
            return Err(wrong(name, "it has both `methods` and `prefix`").with_hint("keep one of them"));
        }
        if config.methods.iter().chain(&config.prefix).any(|method| method.trim().is_empty()) {
            return Err(wrong(name, "a name of a method is empty"));
        }
        if let Some(health) = &config.health {
            if health.path.is_some() && health.method.is_some() {
                return Err(
                    wrong(name, "its `health` has both `path` and `method`").with_hint("keep one of them")
                );
            }
            if health.path.is_some() && config.transport == Transport::Stdio {
                return Err(
                    wrong(name, "a program has no `path`").with_hint("give a `method` that it answers")
                );
            }
            if health.interval.is_zero() || health.timeout.is_zero() {
                return Err(wrong(name, "a time of its `health` is zero"));
            }
        }
        config.places(name)?;
        Ok(config)
    }

    /// Gives the instances as they are written, each with what it takes from the provider.
    fn places(&self, name: &str) -> Result<Vec<InstanceConfig>> {
        let own = &self.place;
        let mut places = Vec::new();
        for instance in &self.instances {
            let mut place = instance.clone();
            for (header, value) in &own.headers {
                place.headers.entry(header.clone()).or_insert_with(|| value.clone());
            }
            for (variable, value) in &own.env {
                place.env.entry(variable.clone()).or_insert_with(|| value.clone());
            }
            place.command = place.command.or_else(|| own.command.clone());
            if place.args.is_empty() {
                place.args.clone_from(&own.args);
            }
            place.directory = place.directory.or_else(|| own.directory.clone());
            places.push(place);
        }
        if self.instances.is_empty() {
            places.push(own.clone());
        } else if own.url.is_some() {
            return Err(wrong(name, "it has both `url` and `instances`")
                .with_hint("write the address as the first of the instances"));
        }
        for place in &places {
            let (needs, refuses) = match self.transport {
                Transport::Http => ((place.url.is_some(), "url"), (place.command.is_some(), "command")),
                Transport::Stdio => ((place.command.is_some(), "command"), (place.url.is_some(), "url")),
            };
            if !needs.0 {
                return Err(wrong(name, &format!("it needs `{}`", needs.1)));
            }
            if refuses.0 {
                return Err(wrong(
                    name,
                    &format!("`{}` does not go with `type: {}`", refuses.1, self.transport.as_str()),
                ));
            }
        }
        Ok(places)
    }

    /// Gives the addresses of the instances, with variables put in.
    pub(super) fn addresses(&self, name: &str, variables: &Variables<'_>) -> Result<Vec<Address>> {
        let address = |place: InstanceConfig| {
            Ok(match (place.url, place.command) {
                (Some(url), _) => {
                    Address::Http { url, headers: expand::expanded(name, &place.headers, variables)? }
                }
                (None, command) => Address::Stdio {
                    command: command.unwrap_or_default(),
                    args: place.args,
                    env: expand::expanded(name, &place.env, variables)?,
                    directory: place.directory,
                },
            })
        };
        self.places(name)?.into_iter().map(address).collect()
    }

    /// Tells whether a method that a task writes is this provider's.
    #[must_use]
    pub fn takes(&self, name: &str, method: &str) -> bool {
        if !self.methods.is_empty() {
            return self.methods.iter().any(|own| own == method);
        }
        match &self.prefix {
            Some(prefix) => method.len() > prefix.len() && method.starts_with(prefix.as_str()),
            None => own_name(name, method).is_some(),
        }
    }

    /// Gives the name under which a method is sent.
    pub(super) fn sent_name<'m>(&self, name: &str, method: &'m str) -> &'m str {
        let plain = self.methods.is_empty() && self.prefix.is_none();
        if plain { own_name(name, method).unwrap_or(method) } else { method }
    }

    /// Gives where its instances are, for people; `None` where that cannot be told.
    #[must_use]
    pub fn shown_addresses(&self, name: &str) -> Option<String> {
        let addresses = self.addresses(name, &|_| Some("-".to_owned())).ok()?;
        let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        Some(shown.join(" "))
    }

    /// Gives its methods for people; a star stands for any name.
    #[must_use]
    pub fn shown_methods(&self, name: &str) -> Vec<String> {
        match &self.prefix {
            _ if !self.methods.is_empty() => self.methods.clone(),
            Some(prefix) => vec![format!("{prefix}*")],
            None => vec![format!("{name}/*")],
        }
    }
}

/// Gives what stands behind the provider's name and a slash.
fn own_name<'m>(name: &str, method: &'m str) -> Option<&'m str> {
    method.strip_prefix(name)?.strip_prefix('/').filter(|rest| !rest.is_empty())
}

fn wrong(name: &str, why: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("the provider `{name}` cannot be used: {why}"))
}
