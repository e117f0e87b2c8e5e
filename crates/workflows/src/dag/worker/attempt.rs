//! One attempt at one claimed task, from its parameters to its outcome in the store.

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use motet_core::attempts::Attempts;
use motet_core::budget::{Amount, Ledger};
use motet_core::error::{Error, ErrorKind, ErrorReport, Result};
use motet_core::event::StreamEvent;
use motet_core::id::content_hash;
use motet_core::method::{CallingTask, FileScope, Method, MethodCall, MethodOutcome};
use motet_core::run_log::{Costs, RunLog, Step, StepKind, StoredLog};
use motet_core::store::{Claim, Outcome, ParentTask, StoredDecisions, Task, TaskPages, TaskState};
use motet_core::tool::Effect;
use motet_core::workflow::{TaskSpec, WorkflowSpec};
use motet_core::{RunContext, RunId};
use motet_providers::files;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::patient::PatientLog;
use super::{Shared, masks, outage};
use crate::dag::machine::{self, Action};
use crate::dag::plan::{self, RunSettings};
use crate::dag::scope::{RunScope, TaskResult};

/// What all tasks of a run share; read once.
pub(super) struct Definition {
    pub(super) spec: WorkflowSpec,
    run: RunId,
    /// The run at the top of those that wait for this one.
    root: RunId,
    /// Number of the definition that was read.
    pub(super) number: u32,
    settings: RunSettings,
    inputs: Map<String, Value>,
    environment: BTreeMap<String, String>,
    /// What all tasks of the run spent, those before this process took it up included.
    ledger: Arc<Ledger>,
    /// Specification and number of each task of the workflow, by id.
    tasks: HashMap<String, (TaskSpec, u32)>,
    /// Methods that were found so far, by name: finding one may take reading files.
    methods: Mutex<HashMap<String, Arc<dyn Method>>>,
}

impl Definition {
    pub(super) async fn load(shared: &Shared, run: &RunId, number: u32) -> Result<Self> {
        let stored = shared.store.run(run).await?.ok_or_else(|| no_such_run(run))?;
        if stored.summary.kind != plan::KIND {
            let message = format!("run `{run}` is no workflow, but of the kind `{}`", stored.summary.kind);
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        let spec: WorkflowSpec = from_json(stored.definition, "definition")?;
        let settings: RunSettings = from_json(Value::Object(stored.settings), "settings")?;
        let mut numbers: HashMap<String, u32> = HashMap::new();
        let mut pages = TaskPages::of(run);
        while let Some(page) = pages.next(&*shared.store).await? {
            let own = page.into_iter().filter(|task| task.parent.is_none());
            numbers.extend(own.map(|task| (task.name, task.number)));
        }
        let tasks = spec.tasks.iter().filter_map(|task| {
            numbers.get(&task.id).map(|number| (task.id.clone(), (task.clone(), *number)))
        });
        let environment =
            spec.env.iter().filter_map(|name| Some((name.clone(), (shared.config.environment)(name)?)));
        Ok(Self {
            ledger: Arc::new(Ledger::new(spent(shared, run).await?)),
            run: run.clone(),
            root: stored.summary.root().clone(),
            number,
            tasks: tasks.collect(),
            environment: environment.collect(),
            settings,
            inputs: stored.inputs,
            spec,
            methods: Mutex::default(),
        })
    }

    /// Gives a method as it was found by the first task that calls it.
    fn method(&self, shared: &Shared, name: &str) -> Result<Arc<dyn Method>> {
        let known = || self.methods.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(method) = known().get(name) {
            return Ok(Arc::clone(method));
        }
        let method = shared.methods.find(name, &self.spec.providers)?;
        known().insert(name.to_owned(), Arc::clone(&method));
        Ok(method)
    }

    /// Has a method that failed found anew by the next task: what it is known by may be mended meanwhile.
    fn forget_method(&self, name: &str) {
        self.methods.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Masks what a task's failure must not show.
    fn masked(&self, mut error: ErrorReport, task: &Task) -> ErrorReport {
        if let Ok(spec) = self.task(task) {
            masks::mask(&mut error, spec, &self.environment);
        }
        error
    }

    fn task(&self, task: &Task) -> Result<&TaskSpec> {
        let id = match task.parent {
            Some(_) => task.name.rsplit_once('[').map_or(task.name.as_str(), |(id, _)| id),
            None => task.name.as_str(),
        };
        self.tasks
            .get(id)
            .map(|(spec, _)| spec)
            .ok_or_else(|| Error::new(ErrorKind::Store, format!("the stored definition has no task `{id}`")))
    }
}

/// How long a task is held that the store failed, before it is given back.
const AWAY: Duration = Duration::from_secs(1);

/// Journal entries that are read at a time.
const PAGE: u32 = 1_000;

/// Adds up what the run log says was spent so far.
async fn spent(shared: &Shared, run: &RunId) -> Result<Amount> {
    let mut sum = Costs::default();
    if !shared.config.counts_spending {
        return Ok(Amount::default());
    }
    let mut after = 0;
    loop {
        let page = shared.store.records(run, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        page.iter().for_each(|entry| {
            sum.add(entry);
        });
    }
    let total = sum.total();
    Ok(Amount { cost: total.cost, tokens: total.usage.total() })
}

fn from_json<T: serde::de::DeserializeOwned>(value: Value, what: &str) -> Result<T> {
    serde_json::from_value(value).map_err(|error| {
        Error::new(ErrorKind::Unsupported, format!("the stored {what} cannot be read"))
            .with_hint("it may come from another version of Motet")
            .with_source(error)
    })
}

pub(super) fn no_such_run(run: &RunId) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no run `{run}`"))
        .with_hint("`motet workflow list` shows the runs")
}

/// Runs a claimed task, reports how it ended, and gives the state that it has by that.
///
/// # Errors
/// `Conflict` when the lease was lost meanwhile; `Store` when the outcome cannot be stored.
pub(super) async fn run(
    shared: &Shared,
    definition: &Definition,
    claim: Claim,
    cancellation: &CancellationToken,
    patience: Duration,
) -> Result<TaskState> {
    let (name, listener) = (claim.task.name.clone(), shared.listener(&definition.run));
    let emit = |event: &StreamEvent| {
        if let Some(listener) = &listener {
            listener.emit(event);
        }
    };
    let changed = |state: &str, reason: Option<String>| StreamEvent::TaskChanged {
        task: name.clone(),
        state: state.to_owned(),
        attempt: claim.task.attempt,
        reason,
    };
    emit(&changed("running", None));
    let hold = Hold { cancellation, patience };
    let attempted = AssertUnwindSafe(attempt(shared, definition, &claim, hold)).catch_unwind();
    // Work that does not mind its being stopped is dropped, before the lease ends and another worker begins it anew.
    let overdue = async {
        cancellation.cancelled().await;
        tokio::time::sleep(shared.config.lease / 20).await;
    };
    let attempted = tokio::select! {
        attempted = attempted => attempted
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "the task's method panicked"))),
        () = overdue => Err(Error::new(ErrorKind::Cancelled, "the task was stopped")),
    };
    let (outcome, reason) = match attempted {
        Ok(Outcome::Skipped { reason }) => (Outcome::Skipped { reason: reason.clone() }, Some(reason)),
        Ok(Outcome::GivenUp { error }) => {
            (Outcome::GivenUp { error: definition.masked(error, &claim.task) }, None)
        }
        Ok(outcome) => (outcome, None),
        Err(_) if cancellation.is_cancelled() => (Outcome::Released, None),
        Err(error) if error.kind() == ErrorKind::Store && outage::is_outage(&error) => {
            tracing::warn!(%error, "a task is given back because the store does not answer");
            // Whoever takes it next needs the same store.
            tokio::select! { () = cancellation.cancelled() => {}, () = tokio::time::sleep(AWAY) => {} }
            (Outcome::Released, None)
        }
        Err(error) => {
            let error = definition.masked(error.report(), &claim.task);
            let reason = Error::from(error.clone()).to_string();
            (Outcome::Failed { error, chance: rand::random() }, Some(reason))
        }
    };
    let applied = match outage::complete(&shared.store, &claim.token, outcome, patience).await {
        Err(error) if error.kind() == ErrorKind::Store && !outage::is_outage(&error) => {
            // A store that cannot take this outcome would not take it again; done anew, it would be the same.
            let error = definition.masked(error.report(), &claim.task);
            let failed = Outcome::Failed { error, chance: 1.0 };
            outage::complete(&shared.store, &claim.token, failed, patience).await?
        }
        applied => applied?,
    };
    emit(&changed(applied.state.as_str(), reason));
    Ok(applied.state)
}

/// How long a task is in hand.
#[derive(Clone, Copy)]
struct Hold<'a> {
    /// Fires when the work must stop.
    cancellation: &'a CancellationToken,
    /// How long a store that cannot be reached is asked again.
    patience: Duration,
}

async fn attempt(shared: &Shared, definition: &Definition, claim: &Claim, hold: Hold<'_>) -> Result<Outcome> {
    let (spec, task) = (definition.task(&claim.task)?, &claim.task);
    let scope = outage::patiently(hold.patience, || scope(shared, definition, spec, task)).await?;
    let method = definition.method(shared, &spec.method)?;
    match machine::begin(spec, task, &scope, method.parameters())? {
        Action::Complete(outcome) => Ok(outcome),
        Action::Join => outage::patiently(hold.patience, || join(shared, task)).await,
        Action::Spread(items) => {
            machine::spread(spec, task, plan::limit(&definition.spec, spec).as_ref(), items)
        }
        Action::ListFiles(patterns) => {
            let context = context(shared, definition, claim, hold).await?;
            let files = list_files(&context, files_of(shared, definition), patterns).await?;
            // Its log holds the list too.
            drop(context);
            let files = files.into_iter().map(file_item);
            machine::spread(spec, task, plan::limit(&definition.spec, spec).as_ref(), files)
        }
        Action::Call(params) => {
            let called = call(shared, definition, claim, (spec, &*method, params), hold).await;
            if called.is_err() {
                definition.forget_method(&spec.method);
            }
            called
        }
    }
}

/// Reads the results that the task refers to.
async fn scope<'a>(
    shared: &Shared,
    definition: &'a Definition,
    spec: &TaskSpec,
    task: &'a Task,
) -> Result<RunScope<'a>> {
    let wanted: Vec<(&str, u32)> = spec
        .dependencies
        .iter()
        .filter_map(|id| definition.tasks.get_key_value(id).map(|(id, (_, number))| (id.as_str(), *number)))
        .collect();
    let numbers: Vec<u32> = wanted.iter().map(|(_, number)| *number).collect();
    let outputs =
        if numbers.is_empty() { Vec::new() } else { shared.store.outputs(&definition.run, &numbers).await? };
    // Only a task that did not end well has no result, so its state is looked up only then.
    let mut states = Vec::new();
    if outputs.iter().any(Option::is_none) {
        let mut pages = TaskPages::of(&definition.run);
        while let Some(page) = pages.next(&*shared.store).await? {
            states.extend(page.into_iter().filter(|task| numbers.contains(&task.number)));
        }
    }
    let mut tasks = HashMap::new();
    for ((id, number), output) in wanted.into_iter().zip(outputs) {
        let ended = states.iter().find(|state| state.number == number && output.is_none());
        let result = TaskResult {
            status: ended.map_or(TaskState::Done, |state| state.state).as_str(),
            error: ended.and_then(|state| state.error.as_ref()).map(|error| json!(error)),
            result: output.unwrap_or(Value::Null),
        };
        tasks.insert(id, result);
    }
    Ok(RunScope {
        inputs: &definition.inputs,
        environment: &definition.environment,
        names: definition
            .spec
            .tasks
            .iter()
            .filter_map(|task| Some((task.name.as_deref()?, task.id.as_str())))
            .collect(),
        tasks,
        item: task.payload.get("item"),
        index: task.payload.get("index"),
    })
}

/// How many results of items are read at a time.
const JOINED_AT_ONCE: usize = 200;

/// Collects the results of a task's items in their order; a failed or skipped item gives null.
async fn join(shared: &Shared, task: &Task) -> Result<Outcome> {
    let numbers = shared.store.children(&task.run, task.number).await?;
    let mut joined = String::from("[");
    for page in numbers.chunks(JOINED_AT_ONCE) {
        for output in shared.store.outputs(&task.run, page).await? {
            if joined.len() > 1 {
                joined.push(',');
            }
            joined.push_str(&output.unwrap_or_default().to_string());
        }
    }
    joined.push(']');
    Ok(Outcome::Joined { output: joined })
}

fn files_of(shared: &Shared, definition: &Definition) -> FileScope {
    FileScope {
        base: PathBuf::from(&definition.settings.directory),
        allowed: shared.config.allowed_directories.clone(),
    }
}

/// Lists files; the list is a step of the run, so that a resumed or replayed run spreads over the same items.
async fn list_files(context: &RunContext, scope: FileScope, patterns: Vec<String>) -> Result<Vec<Value>> {
    let request_hash = &content_hash(&patterns)?;
    let (name, kind, effect) = ("files", StepKind::Value, Effect::Pure);
    let step = Step { name, kind, request_hash, effect, label: "list of files" };
    let list = || async {
        let listed = tokio::task::spawn_blocking(move || {
            let found = files::glob(&scope, &patterns)?;
            Ok(listed_files(&scope, found))
        });
        listed
            .await
            .map_err(|error| Error::new(ErrorKind::Internal, "listing files broke off").with_source(error))?
    };
    context.observe(step, list).await
}

/// Gives what is recorded of listed files: their paths, below the workflow's directory where they lie there.
pub fn listed_files(scope: &FileScope, found: Vec<PathBuf>) -> Vec<Value> {
    let base = scope.base.canonicalize().unwrap_or_else(|_| scope.base.clone());
    let shown = |path: PathBuf| path.strip_prefix(&base).unwrap_or(&path).to_string_lossy().into_owned();
    found.into_iter().map(|path| shown(path).into()).collect()
}

/// Makes the item of a file that was listed; earlier versions recorded the whole item.
pub fn file_item(listed: Value) -> Value {
    let Value::String(path) = &listed else { return listed };
    let text = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let found = std::path::Path::new(path);
    json!({"path": path, "name": text(found.file_name()), "stem": text(found.file_stem())})
}

/// Makes the context of a task's attempt, with what earlier attempts recorded.
async fn context(
    shared: &Shared,
    definition: &Definition,
    claim: &Claim,
    hold: Hold<'_>,
) -> Result<RunContext> {
    let log: Arc<dyn RunLog> = match &shared.log {
        Some(log) => Arc::clone(log),
        None => {
            let open = || StoredLog::open(Arc::clone(&shared.store), claim.token.clone(), claim.task.journal);
            let log = outage::patiently(hold.patience, open).await?;
            Arc::new(PatientLog { log, patience: hold.patience })
        }
    };
    let mut context = RunContext::with_log(definition.run.clone(), log)
        .with_cancellation(hold.cancellation.clone())
        .with_ledger(Arc::clone(&definition.ledger))
        .with_decisions(Arc::new(StoredDecisions::new(
            Arc::clone(&shared.store),
            definition.run.clone(),
            shared.decisions.clone(),
        )))
        .child(&claim.task.name);
    if let Some(tenant) = &shared.config.tenant {
        context = context.with_attribution(|attribution| attribution.tenant = Some(tenant.clone()));
    }
    if let Some(most) = shared.config.run_time {
        context = context.with_time_budget(most.saturating_sub(definition.ledger.opened().elapsed()));
    }
    Ok(match shared.listener(&definition.run) {
        Some(events) => context.with_events(events),
        None => context,
    })
}

async fn call(
    shared: &Shared,
    definition: &Definition,
    claim: &Claim,
    (spec, method, params): (&TaskSpec, &dyn Method, Map<String, Value>),
    hold: Hold<'_>,
) -> Result<Outcome> {
    let task = &claim.task;
    if task.crashes > 0 && method.effect() == Effect::AtMostOnce {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("the outcome of task `{}` is unknown", task.name),
        )
        .with_hint(
            "its worker died while it ran, and it must not run twice; check what it did before resuming",
        ));
    }
    let mut context = context(shared, definition, claim, hold).await?;
    if let Some(timeout) = spec.timeout {
        context = context.with_timeout(timeout);
    }
    if spec.retry.max_attempts > 1 {
        // The task tries again itself; calls that did so too would multiply its attempts.
        context = context.with_attempts(Arc::new(Attempts::new(1, None)));
    }
    if let Some(mode) = spec.cache {
        context = context.with_cache(mode);
    }
    let models = [&definition.settings.model, &definition.spec.model, &shared.config.default_model];
    let call = MethodCall {
        params,
        files: files_of(shared, definition),
        default_model: models.into_iter().flatten().next().cloned(),
        idempotency_key: content_hash(&(&definition.run, &task.name))?,
        task: Some(CallingTask {
            parent: ParentTask {
                run: definition.run.clone(),
                task: task.number,
                root: definition.root.clone(),
            },
            name: task.name.clone(),
            awaits: task.awaits.clone(),
            joining: task.joining,
            timeout: spec.timeout,
        }),
    };
    let running = method.call(&context, call);
    let output = match spec.timeout {
        None => running.await,
        Some(timeout) => tokio::time::timeout(timeout, running).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Timeout, format!("it took longer than its timeout of {timeout:?}")))
        }),
    };
    Ok(match output? {
        MethodOutcome::Done(output) => Outcome::Done { output },
        MethodOutcome::Waiting { questions, at_most } => {
            let millis = |most: Duration| u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
            Outcome::Waiting { questions, at_most_ms: at_most.map(millis) }
        }
        MethodOutcome::Awaiting { run } => Outcome::Awaiting { run },
        MethodOutcome::GivenUp(error) => Outcome::GivenUp { error: error.report() },
        other => {
            let message = format!("a method ended in a way that workers do not know: {other:?}");
            return Err(Error::new(ErrorKind::Internal, message));
        }
    })
}
