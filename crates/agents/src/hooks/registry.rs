//! Hooks by name, so that files can add them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use motet_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::payload::Stage;
use super::{Hook, HookEntry, OnError, ready};
use crate::guardrails::time;

/// A hook as a file writes it.
///
/// ```
/// use motet_agents::hooks::{HookRegistry, HookSpec};
/// let spec: HookSpec = serde_json::from_str(
///     r#"{"name": "redact_pii", "stages": ["after_tool"], "on_error": "abort", "options": {"kinds": ["card"]}}"#,
/// )?;
/// let entry = HookRegistry::default().build(&spec)?;
/// assert_eq!(entry.name(), "redact_pii");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookSpec {
    /// The name it is registered under.
    pub name: String,
    /// At which stages it is called.
    pub stages: Vec<Stage>,
    /// What its failure means; the run goes on without it where not given.
    #[serde(default)]
    pub on_error: OnErrorSpec,
    /// The text that takes the place of every text of what it was shown, when it fails and `on_error` is `fallback`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// How long it may take; 30 seconds where not given.
    #[serde(default = "thirty_seconds", with = "time")]
    pub timeout: Duration,
    /// Its own options.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub options: Map<String, Value>,
}

fn thirty_seconds() -> Duration {
    Duration::from_secs(30)
}

/// What the failure of a hook means, as a file writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnErrorSpec {
    /// The run goes on without it.
    #[default]
    Skip,
    /// The run fails.
    Abort,
    /// The run goes on with the fallback text.
    Fallback,
}

type Make = dyn Fn(&Map<String, Value>) -> Result<Arc<dyn Hook>> + Send + Sync;

/// What is registered under a name.
#[derive(Clone)]
struct Registered {
    make: Arc<Make>,
    /// At which stages it has an effect.
    stages: &'static [Stage],
}

/// Hooks by the names that files use; those that are ready-made are there from the beginning.
#[derive(Clone)]
pub struct HookRegistry(BTreeMap<String, Registered>);

impl Default for HookRegistry {
    fn default() -> Self {
        let mut registry = Self(BTreeMap::new());
        ready::register(&mut registry);
        registry
    }
}

impl fmt::Debug for HookRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl HookRegistry {
    /// Adds a hook under a name, made anew of the options of each file; a later one of the same name takes its place.
    pub fn register(
        &mut self,
        name: impl Into<String>,
        make: impl Fn(&Map<String, Value>) -> Result<Arc<dyn Hook>> + Send + Sync + 'static,
    ) {
        self.register_for(name, Stage::ALL, make);
    }

    /// Adds a hook that is of no use at other stages than these.
    pub(super) fn register_for(
        &mut self,
        name: impl Into<String>,
        stages: &'static [Stage],
        make: impl Fn(&Map<String, Value>) -> Result<Arc<dyn Hook>> + Send + Sync + 'static,
    ) {
        self.0.insert(name.into(), Registered { make: Arc::new(make), stages });
    }

    /// Gives all names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Makes the hook that a file writes.
    ///
    /// # Errors
    /// `Configuration` when the name is unknown, it has no stage or one at which it does nothing, or its options do not fit.
    pub fn build(&self, spec: &HookSpec) -> Result<HookEntry> {
        let wrong = |message: String| Error::new(ErrorKind::Configuration, message);
        let Registered { make, stages } = self.0.get(&spec.name).ok_or_else(|| {
            let known: Vec<_> = self.names().map(|name| format!("`{name}`")).collect();
            wrong(format!("no hook is registered as `{}`", spec.name))
                .with_hint(format!("known are {}", known.join(", ")))
        })?;
        if spec.stages.is_empty() {
            return Err(wrong(format!("the hook `{}` has no stage", spec.name))
                .with_hint("name at least one in `stages`, such as `after_model_call`"));
        }
        if let Some(idle) = spec.stages.iter().find(|stage| !stages.contains(stage)) {
            let known: Vec<_> = stages.iter().map(|stage| format!("`{stage}`")).collect();
            return Err(wrong(format!("the hook `{}` does nothing at `{idle}`", spec.name))
                .with_hint(format!("it works at {}", known.join(", "))));
        }
        let on_error = match (spec.on_error, &spec.fallback) {
            (OnErrorSpec::Skip, None) => OnError::Skip,
            (OnErrorSpec::Abort, None) => OnError::Abort,
            (OnErrorSpec::Fallback, Some(text)) => fallback_to(text.clone()),
            (OnErrorSpec::Fallback, None) => {
                return Err(wrong(format!("the hook `{}` has no text to fall back to", spec.name))
                    .with_hint("write it as `fallback`, or choose `on_error: skip` or `abort`"));
            }
            (_, Some(_)) => {
                return Err(wrong(format!("the `fallback` of the hook `{}` is never used", spec.name))
                    .with_hint("choose `on_error: fallback`, or leave `fallback` out"));
            }
        };
        let hook = make(&spec.options).map_err(|error| error.with_context("hook", &spec.name))?;
        let entry = HookEntry::shared(&spec.name, spec.stages.iter().copied(), hook);
        Ok(entry.on_error(on_error).timeout(spec.timeout))
    }
}

fn fallback_to(text: String) -> OnError {
    OnError::Fallback(Arc::new(move |payload| {
        let mut payload = payload.clone();
        payload.change_texts(&mut |_| Some(text.clone()));
        payload
    }))
}
