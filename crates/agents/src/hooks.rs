//! Functions that see, change, or stop what a run does at named stages.
//!
//! Knows no stage's meaning: those who run something call the chain with a payload, and go on with what comes back.

mod payload;
mod ready;
mod registry;
mod texts;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use motet_core::{Error, ErrorKind, Result, RunContext};

pub use payload::{Payload, Stage};
pub use registry::{HookRegistry, HookSpec, OnErrorSpec};

/// A function that is called at stages of a run.
#[async_trait]
pub trait Hook: Send + Sync {
    /// Looks at what is about to happen, or what happened.
    ///
    /// The same run calls it again when it is resumed. Changes before a call of a model or a tool must then be the same
    /// as they were, or the run refuses to go on; changes after a call are recorded with its result.
    ///
    /// # Errors
    /// What an error means is said where the hook is added; see [`OnError`].
    async fn at(&self, context: &RunContext, payload: &Payload) -> Result<Reaction>;
}

/// What a hook wants to happen.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reaction {
    /// Nothing.
    Continue,
    /// The run goes on with this payload, which is of the same stage.
    Change(Box<Payload>),
    /// The run ends as blocked.
    Stop {
        /// Why.
        reason: String,
    },
}

/// What the failure of a hook means.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum OnError {
    /// Its failure is told as a warning, and the run goes on without it.
    #[default]
    Skip,
    /// The run fails.
    Abort,
    /// The run goes on with what this makes of the payload.
    Fallback(Arc<dyn Fn(&Payload) -> Payload + Send + Sync>),
}

impl fmt::Debug for OnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OnError::Skip => "Skip",
            OnError::Abort => "Abort",
            OnError::Fallback(_) => "Fallback",
        })
    }
}

/// A hook with its name, stages, and rules.
#[derive(Clone)]
pub struct HookEntry {
    name: String,
    stages: Vec<Stage>,
    hook: Arc<dyn Hook>,
    on_error: OnError,
    timeout: Duration,
}

impl fmt::Debug for HookEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookEntry")
            .field("name", &self.name)
            .field("stages", &self.stages)
            .field("on_error", &self.on_error)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl HookEntry {
    /// Names a hook and says at which stages it is called.
    pub fn new(
        name: impl Into<String>,
        stages: impl IntoIterator<Item = Stage>,
        hook: impl Hook + 'static,
    ) -> Self {
        Self::shared(name, stages, Arc::new(hook))
    }

    /// Names a hook that others use too.
    pub fn shared(
        name: impl Into<String>,
        stages: impl IntoIterator<Item = Stage>,
        hook: Arc<dyn Hook>,
    ) -> Self {
        Self {
            name: name.into(),
            stages: stages.into_iter().collect(),
            hook,
            on_error: OnError::default(),
            timeout: Duration::from_secs(30),
        }
    }

    /// Says what its failure means; the run goes on without it where not said.
    #[must_use]
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    /// Sets how long it may take, which counts as a failure beyond; 30 seconds where not set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Gives its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Hooks in the order in which they are called; each sees what the one before it made of the payload.
#[derive(Debug, Clone, Default)]
pub struct Hooks(Vec<HookEntry>);

impl Hooks {
    /// Adds a hook behind those that are there.
    pub fn add(&mut self, entry: HookEntry) {
        self.0.push(entry);
    }

    /// Tells whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds all of another chain behind those that are there.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Tells whether any hook is called at a stage, so that no payload need be made for nobody.
    #[must_use]
    pub fn wants(&self, stage: Stage) -> bool {
        self.0.iter().any(|entry| entry.stages.contains(&stage))
    }

    /// Calls the hooks of the payload's stage one after the other, and gives what they made of it.
    ///
    /// # Errors
    /// `Blocked` when a hook stops the run; the failure of a hook whose failure ends the run.
    pub async fn call(&self, context: &RunContext, payload: Payload) -> Result<Payload> {
        let stage = payload.stage();
        let mut payload = payload;
        for entry in self.0.iter().filter(|entry| entry.stages.contains(&stage)) {
            match entry.react(context, &payload).await {
                Ok(Reaction::Continue) => {}
                Ok(Reaction::Change(changed)) => payload = *changed,
                Ok(Reaction::Stop { reason }) => {
                    return Err(Error::new(
                        ErrorKind::Blocked,
                        format!("the hook `{}` stopped the run: {reason}", entry.name),
                    ));
                }
                Err(error) => entry.failed(context, &mut payload, error)?,
            }
        }
        Ok(payload)
    }
}

impl HookEntry {
    async fn react(&self, context: &RunContext, payload: &Payload) -> Result<Reaction> {
        let work = AssertUnwindSafe(self.hook.at(context, payload)).catch_unwind();
        let reaction = match tokio::time::timeout(self.timeout, work).await {
            Ok(Ok(reaction)) => reaction?,
            Ok(Err(_)) => return Err(self.failure("it panicked")),
            Err(_) => return Err(self.failure(&format!("it took longer than {:?}", self.timeout))),
        };
        match &reaction {
            Reaction::Change(changed) if changed.stage() != payload.stage() => Err(self.failure(&format!(
                "it answered `{}` with a payload of `{}`",
                payload.stage(),
                changed.stage()
            ))),
            _ => Ok(reaction),
        }
    }

    fn failed(&self, context: &RunContext, payload: &mut Payload, error: Error) -> Result<()> {
        // Work that ends is not the failure of a hook.
        if error.kind() == ErrorKind::Cancelled || context.check().is_err() {
            return Err(error);
        }
        match &self.on_error {
            OnError::Abort => return Err(error.with_context("hook", &self.name)),
            OnError::Fallback(make) => *payload = self.fallen_back(payload, &**make)?,
            OnError::Skip => {}
        }
        let message = format!("the hook `{}` failed and is passed over: {error}", self.name);
        context.emit(&motet_core::StreamEvent::Warning { message });
        Ok(())
    }

    /// Gives what the fallback makes of a payload, which must be of the same stage.
    fn fallen_back(
        &self,
        payload: &Payload,
        make: &(dyn Fn(&Payload) -> Payload + Send + Sync),
    ) -> Result<Payload> {
        let made = std::panic::catch_unwind(AssertUnwindSafe(|| make(payload)));
        made.ok()
            .filter(|made| made.stage() == payload.stage())
            .ok_or_else(|| self.failure("its fallback is of no use either"))
    }

    fn failure(&self, problem: &str) -> Error {
        Error::new(ErrorKind::Internal, format!("the hook `{}` failed: {problem}", self.name))
    }
}

#[cfg(test)]
mod tests;
