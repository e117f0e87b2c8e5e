//! What every running thing is given first: its run, its place in it, its end, its listeners, and its log.
//!
//! Reads no clock but to stamp records, and sleeps never; whoever waits asks [`RunContext::remaining`].

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::attempts::Attempts;
use crate::budget::{Budget, Ledger, ResendGate};
use crate::decision::Decisions;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{EventSink, StreamEvent};
use crate::id::RunId;
use crate::request::ChatRequest;
use crate::run_log::{Asked, Begun, Entry, MemoryLog, Record, RunLog, Step, begin};
use crate::settings::CacheMode;

/// Handed as the first parameter to everything that runs; cheap to clone.
#[derive(Clone)]
pub struct RunContext {
    /// Name of the step; `None` at the root of a run.
    step: Option<Arc<str>>,
    /// Apart from the rest, as every tool call has its own.
    attribution: Option<Arc<Attribution>>,
    shared: Arc<Shared>,
}

/// What changes seldom on the way down, so that clones share it.
#[derive(Clone)]
struct Shared {
    /// Made when somebody asks, as the id of a plain call is rarely asked for.
    run_id: Arc<OnceLock<RunId>>,
    correlation_id: Option<Arc<str>>,
    deadline: Option<Instant>,
    cancellation: CancellationToken,
    events: Option<Arc<dyn EventSink>>,
    log: Arc<dyn RunLog>,
    attempts: Option<Arc<OnceLock<Arc<Attempts>>>>,
    budgets: Vec<Arc<dyn Budget>>,
    ledger: Arc<Ledger>,
    resend: Option<Arc<dyn ResendGate>>,
    spends_time: bool,
    cache: Option<CacheMode>,
    decisions: Option<Arc<dyn Decisions>>,
}

/// To whom the work of a run is ascribed: what its costs are later added up by.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attribution {
    /// On whose account the work is done, where one program serves several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The agent that works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The tool that the work is done for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Names and values of the caller's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// To whom work is ascribed where nobody said it.
static NOBODY: Attribution = Attribution { tenant: None, agent: None, tool: None, tags: BTreeMap::new() };

impl RunContext {
    /// Starts a run of its own that keeps its log in memory.
    #[must_use]
    pub fn new() -> Self {
        Self::rooted(OnceLock::new(), Arc::new(MemoryLog::default()))
    }

    /// Starts or continues a run whose log is kept elsewhere.
    #[must_use]
    pub fn with_log(run_id: RunId, log: Arc<dyn RunLog>) -> Self {
        Self::rooted(OnceLock::from(run_id), log)
    }

    fn rooted(run_id: OnceLock<RunId>, log: Arc<dyn RunLog>) -> Self {
        let shared = Shared {
            run_id: Arc::new(run_id),
            correlation_id: None,
            deadline: None,
            cancellation: CancellationToken::new(),
            events: None,
            log,
            attempts: None,
            budgets: Vec::new(),
            ledger: Arc::default(),
            resend: None,
            spends_time: false,
            cache: None,
            decisions: None,
        };
        Self { step: None, attribution: None, shared: Arc::new(shared) }
    }

    fn with(mut self, change: impl FnOnce(&mut Shared)) -> Self {
        change(Arc::make_mut(&mut self.shared));
        self
    }

    /// Sets the id by which the caller's own systems know this work; the run's id where it is not set.
    #[must_use]
    pub fn with_correlation_id(self, id: impl Into<Arc<str>>) -> Self {
        self.with(|shared| shared.correlation_id = Some(id.into()))
    }

    /// Sends the run's events to a listener.
    #[must_use]
    pub fn with_events(self, events: Arc<dyn EventSink>) -> Self {
        self.with(|shared| shared.events = Some(events))
    }

    /// Ends the work after this time at the latest; an earlier deadline stays.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        match Instant::now().checked_add(timeout) {
            Some(end) => self.with(|shared| {
                shared.deadline = Some(shared.deadline.map_or(end, |earlier| earlier.min(end)))
            }),
            None => self,
        }
    }

    /// Ends the work when the token is cancelled.
    #[must_use]
    pub fn with_cancellation(self, cancellation: CancellationToken) -> Self {
        self.with(|shared| shared.cancellation = cancellation)
    }

    /// Makes all that follows one logical call, whose resends come out of these attempts together.
    #[must_use]
    pub fn with_attempts(self, attempts: Arc<Attempts>) -> Self {
        self.with(|shared| shared.attempts = Some(Arc::new(OnceLock::from(attempts))))
    }

    /// Makes all that follows one logical call, such as the turns of a repaired answer, unless it is part of one
    /// already; the first model that is called says how many attempts it has.
    #[must_use]
    pub fn as_one_call(self) -> Self {
        if self.shared.attempts.is_some() {
            self
        } else {
            self.with(|shared| shared.attempts = Some(Arc::default()))
        }
    }

    /// Makes all that follows pay out of this budget too, beside those that hold already.
    #[must_use]
    pub fn with_budget(self, budget: Arc<dyn Budget>) -> Self {
        self.with(|shared| shared.budgets.push(budget))
    }

    /// Lets several contexts of one run share the book of what it spent.
    #[must_use]
    pub fn with_ledger(self, ledger: Arc<Ledger>) -> Self {
        self.with(|shared| shared.ledger = ledger)
    }

    /// Asks before a request of this call is sent once more; takes the place of who was asked so far.
    #[must_use]
    pub fn with_resend_gate(self, gate: Arc<dyn ResendGate>) -> Self {
        self.with(|shared| shared.resend = Some(gate))
    }

    /// Ends the work when the run's budget of time is used up; errors say that it was that.
    #[must_use]
    pub fn with_time_budget(self, left: Duration) -> Self {
        let sooner = self.remaining().is_none_or(|remaining| left < remaining);
        let context = self.with_timeout(left);
        if sooner { context.with(|shared| shared.spends_time = true) } else { context }
    }

    /// Sets how the cache is used, in place of what the settings say.
    #[must_use]
    pub fn with_cache(self, mode: CacheMode) -> Self {
        self.with(|shared| shared.cache = Some(mode))
    }

    /// Sets who answers what the run cannot decide by itself; without it such a run is parked.
    #[must_use]
    pub fn with_decisions(self, decisions: Arc<dyn Decisions>) -> Self {
        self.with(|shared| shared.decisions = Some(decisions))
    }

    /// Makes all that follows part of another run with a log of its own, named from its root on.
    #[must_use]
    pub fn in_run(self, run_id: RunId, log: Arc<dyn RunLog>) -> Self {
        let mut context =
            self.with(|shared| (shared.run_id, shared.log) = (Arc::new(OnceLock::from(run_id)), log));
        context.step = None;
        context
    }

    /// Changes to whom the work is ascribed.
    #[must_use]
    pub fn with_attribution(mut self, change: impl FnOnce(&mut Attribution)) -> Self {
        let mut attribution = self.attribution().clone();
        change(&mut attribution);
        self.attribution = Some(Arc::new(attribution));
        self
    }

    /// Gives the context of a part of this work; its steps are named below `name`.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        let step = match &self.step {
            None => Some(name.into()).filter(|name: &Arc<str>| !name.is_empty()),
            Some(_) => Some(self.key(name).into()),
        };
        Self { step, attribution: self.attribution.clone(), shared: Arc::clone(&self.shared) }
    }

    /// Gives the run's id.
    #[must_use]
    pub fn run_id(&self) -> &RunId {
        self.shared.run_id.get_or_init(RunId::new)
    }

    /// Gives the id by which the caller's own systems know this work.
    #[must_use]
    pub fn correlation_id(&self) -> &str {
        self.shared.correlation_id.as_deref().unwrap_or_else(|| self.run_id().as_str())
    }

    /// Gives the step this context stands at; empty at the root of a run.
    #[must_use]
    pub fn step_name(&self) -> &str {
        self.step.as_deref().unwrap_or_default()
    }

    /// Gives the token that tells of cancellation.
    #[must_use]
    pub fn cancellation(&self) -> &CancellationToken {
        &self.shared.cancellation
    }

    /// Gives the time left until the deadline, zero when it has passed, `None` when there is none.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.shared.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Gives the run's log.
    #[must_use]
    pub fn log(&self) -> &Arc<dyn RunLog> {
        &self.shared.log
    }

    /// Gives the attempts that the resends of this logical call come out of, making them where nothing did so far.
    pub fn attempts_or(&self, make: impl FnOnce() -> Attempts) -> Arc<Attempts> {
        match &self.shared.attempts {
            Some(slot) => Arc::clone(slot.get_or_init(|| Arc::new(make()))),
            None => Arc::new(make()),
        }
    }

    /// Gives the budgets that calls pay out of.
    #[must_use]
    pub fn budgets(&self) -> &[Arc<dyn Budget>] {
        &self.shared.budgets
    }

    /// Gives the book of what the run spent.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.shared.ledger
    }

    /// Must be awaited by whatever sends a request of this call once more, before it does so.
    ///
    /// # Errors
    /// `BudgetExceeded` when one more send does not fit into a budget; `Store` when the books cannot be written.
    pub async fn before_resend(&self, failed: &Error) -> Result<()> {
        match &self.shared.resend {
            Some(gate) => gate.before_resend(failed).await,
            None => Ok(()),
        }
    }

    /// Gives how the cache is used; `None` where the settings say.
    #[must_use]
    pub fn cache(&self) -> Option<CacheMode> {
        self.shared.cache
    }

    /// Gives who answers what the run cannot decide by itself.
    #[must_use]
    pub fn decisions(&self) -> Option<&Arc<dyn Decisions>> {
        self.shared.decisions.as_ref()
    }

    /// Gives to whom the work is ascribed.
    #[must_use]
    pub fn attribution(&self) -> &Attribution {
        self.attribution.as_deref().unwrap_or(&NOBODY)
    }

    /// Gives the same to be shared; `None` where nobody said it.
    pub(crate) fn shared_attribution(&self) -> Option<&Arc<Attribution>> {
        self.attribution.as_ref()
    }

    /// Tells whether anybody listens, so that events need not be made for nobody.
    #[must_use]
    pub fn is_listened_to(&self) -> bool {
        self.shared.events.is_some()
    }

    /// Gives who hears the run's events.
    #[must_use]
    pub fn events(&self) -> Option<&Arc<dyn EventSink>> {
        self.shared.events.as_ref()
    }

    /// Tells the listener of an event.
    pub fn emit(&self, event: &StreamEvent) {
        if let Some(events) = &self.shared.events {
            events.emit(event);
        }
    }

    /// Tells which deadline [`remaining`](Self::remaining) counts to, for errors about it.
    #[must_use]
    pub fn deadline_message(&self) -> &'static str {
        if self.shared.spends_time {
            "the run used up its budget of time"
        } else {
            "the run's deadline passed"
        }
    }

    /// Stops work that must not go on.
    ///
    /// # Errors
    /// `Cancelled` or `Timeout`.
    pub fn check(&self) -> Result<()> {
        if self.shared.cancellation.is_cancelled() {
            return Err(Error::new(ErrorKind::Cancelled, "the run was cancelled").with_unsent());
        }
        if self.remaining() == Some(Duration::ZERO) {
            return Err(Error::new(ErrorKind::Timeout, self.deadline_message()).with_unsent());
        }
        Ok(())
    }

    /// Begins an effect: either its recorded result, or the duty to perform it and report.
    ///
    /// # Errors
    /// `Conflict` when the log holds another effect at this place, or one whose outcome is unknown and that must not
    /// run twice; `Store` when the log cannot be written; `Cancelled` and `Timeout` as [`check`](Self::check).
    pub async fn begin(&self, step: Step<'_>) -> Result<Begun> {
        self.check()?;
        begin(self, self.key(step.name), &step, None).await
    }

    /// Looks at something outside once in the life of the run, such as a file: what was seen is given back later.
    ///
    /// Looking changes nothing, so it is recorded together with what was seen, in one write.
    ///
    /// # Errors
    /// As [`step`](Self::step); what could not be seen is not recorded.
    pub async fn observe<T, F>(&self, step: Step<'_>, look: impl FnOnce() -> F) -> Result<T>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T>>,
    {
        self.check()?;
        let key = self.key(step.name);
        let known = self.shared.log.find(&key, &step, None)?;
        if let Some(result) =
            known.filter(|state| state.request_hash == step.request_hash).and_then(|state| state.result)
        {
            return serde_json::from_value(result).map_err(unreadable);
        }
        let seen = look().await?;
        let result = serde_json::to_value(&seen).map_err(|error| {
            Error::new(ErrorKind::Internal, "a result cannot be recorded").with_source(error)
        })?;
        let entries = [step.started(None), Entry::Finished { result }];
        let ascribed = |entry| Record::new(key.clone(), entry).with_attribution(self.attribution.as_ref());
        let records = entries.map(ascribed).into();
        self.shared.log.append(records).await?;
        Ok(seen)
    }

    /// Begins a model call as [`begin`](Self::begin) does, and shows the log what is asked, which it may keep. Where the
    /// step has no hash, that of the request is taken, which a log that dies with the process does not need before
    /// somebody reads it.
    ///
    /// # Errors
    /// As [`begin`](Self::begin), and `Internal` when the request cannot be written as JSON.
    pub async fn begin_asking(&self, step: Step<'_>, request: &ChatRequest) -> Result<Begun> {
        self.check()?;
        let key = self.key(step.name);
        if !step.request_hash.is_empty() {
            return begin(self, key, &step, Some(request)).await;
        }
        self.begin_unhashed(key, step, Asked::Request(request)).await
    }

    /// Begins a step whose hash is made of what it asks, which a log that dies with the process does not need before
    /// somebody reads it.
    ///
    /// # Errors
    /// As [`begin`](Self::begin), and `Internal` when what is asked cannot be written as JSON.
    pub async fn begin_asked(&self, step: Step<'_>, asked: Asked<'_>) -> Result<Begun> {
        self.check()?;
        self.begin_unhashed(self.key(step.name), step, asked).await
    }

    async fn begin_unhashed(&self, key: String, step: Step<'_>, asked: Asked<'_>) -> Result<Begun> {
        let log = &self.shared.log;
        if log.begin_unhashed(&key, &step, self.attribution.as_ref(), &asked) {
            return Ok(Begun::fresh(log, key));
        }
        begin(self, key, &Step { request_hash: &asked.hash()?, ..step }, asked.request()).await
    }

    /// Performs an effect once in the life of the run: a recorded result is given back instead.
    ///
    /// # Errors
    /// As [`begin`](Self::begin), the effect's own error, and `Store` when a recorded result cannot be read as `T`.
    pub async fn step<T, F>(&self, step: Step<'_>, effect: impl FnOnce() -> F) -> Result<T>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T>>,
    {
        match self.begin(step).await? {
            Begun::Recorded(value) => serde_json::from_value(value).map_err(unreadable),
            Begun::Fresh(pending) => match effect().await {
                Ok(value) => {
                    pending.finish(&value).await?;
                    Ok(value)
                }
                Err(error) => {
                    pending.fail(&error).await?;
                    Err(error)
                }
            },
        }
    }

    /// Gives the full name of a step below this one.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        match &self.step {
            None => name.to_owned(),
            Some(step) => [step, "/", name].concat(),
        }
    }
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Store, "a recorded result cannot be read").with_source(error)
}

impl Default for RunContext {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RunContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunContext")
            .field("run_id", self.run_id())
            .field("step", &self.step_name())
            .field("deadline", &self.shared.deadline)
            .finish_non_exhaustive()
    }
}
