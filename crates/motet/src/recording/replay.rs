//! Runs a recorded run again from its recording: nothing is sent, no code but Motet's own is executed, nothing is paid.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use motet_core::cassette::{Cassette, Header, RecordedTask, ReplayLog, Steps};
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::event::EventSink;
use motet_core::method::{Method, MethodCall, MethodOutcome, Parameter};
use motet_core::model::{Model, Models};
use motet_core::run_log::{RunLog, StepKind};
use motet_core::store::{RunState, SharedStore, TaskState};
use motet_core::tool::Effect;
use motet_core::workflow::{RetryPolicy, WorkflowSpec};
use motet_core::{ModelId, RunContext, RunId};
use motet_persistence::memory::MemoryStore;
use motet_providers::replay::ReplayModel;
use motet_workflows::dag::plan::{self, RunSettings};
use motet_workflows::dag::worker::Worker;
use motet_workflows::methods::Methods;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::compare::{Came, RunDifference, differences};
use super::{KIND, definition};
use crate::agent;
use crate::report;
use crate::runtime::Runtime;

/// What a replay came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Replayed {
    /// Id of the recorded run.
    pub run: RunId,
    /// Its name.
    pub name: String,
    /// What kind of work it is.
    pub kind: String,
    /// Whether it came to what was recorded.
    pub equal: bool,
    /// How the replay ended.
    pub state: RunState,
    /// What it gave back.
    pub outputs: Map<String, Value>,
    /// In what it differs from the recording.
    pub differences: Vec<RunDifference>,
    /// How many steps and tasks the recording answered.
    pub answered: u64,
}

impl Runtime {
    /// Runs a recorded run again from its recording, and compares what it comes to.
    ///
    /// Each step is answered by what was recorded of it. A step that was not recorded, or asks something else, fails in
    /// strict mode; otherwise a model call is answered by the next recorded answer with a warning, and everything else
    /// fails all the same.
    ///
    /// # Errors
    /// `Conflict` when the recorded run has not ended; `Unsupported` when it is of a kind that this Motet does not know;
    /// `Cancelled`; what differs is no error.
    pub async fn replay(
        &self,
        cassette: Cassette,
        strict: bool,
        events: Option<Arc<dyn EventSink>>,
        cancellation: &CancellationToken,
    ) -> Result<Replayed> {
        let cassette = Arc::new(cassette);
        if !cassette.header.state.is_ended() {
            let Header { run, state, .. } = &cassette.header;
            return Err(Error::new(ErrorKind::Conflict, format!("run `{run}` is {state} in its recording"))
                .with_hint("let it end, or resume it, before it is replayed"));
        }
        let steps = Arc::new(Steps::new(Arc::clone(&cassette))?);
        let replay = Replay {
            runtime: self,
            log: Arc::new(ReplayLog::new(Arc::clone(&steps), strict)),
            models: Arc::new(ReplayModels(Arc::new(ReplayModel::new(steps, strict).as_recorded()))),
            cassette,
        };
        match replay.cassette.header.kind.as_str() {
            KIND => replay.call(events, cancellation).await,
            agent::KIND => replay.agent(events, cancellation).await,
            plan::KIND => replay.workflow(events, cancellation).await,
            other => Err(Error::new(
                ErrorKind::Unsupported,
                format!("runs of the kind `{other}` cannot be replayed"),
            )
            .with_hint("a later version of Motet may know them")),
        }
    }
}

/// One replay and all it needs.
struct Replay<'a> {
    runtime: &'a Runtime,
    cassette: Arc<Cassette>,
    log: Arc<ReplayLog>,
    models: Arc<ReplayModels>,
}

impl Replay<'_> {
    async fn call(
        &self,
        events: Option<Arc<dyn EventSink>>,
        cancellation: &CancellationToken,
    ) -> Result<Replayed> {
        let definition = definition(self.cassette.header.definition.clone())?;
        let context = self.context(events, cancellation);
        let answered = definition.perform(&context, &*self.models.0).await;
        context.check()?;
        let (state, task_state, output, error) = match answered {
            Ok(answered) => (RunState::Completed, TaskState::Done, Some(answered.output()), None),
            Err(error) => (RunState::Failed, TaskState::Failed, None, Some(error.report())),
        };
        let mut outputs = match &output {
            Some(Value::Object(fields)) => fields.clone(),
            _ => Map::new(),
        };
        outputs.shift_remove("response");
        let now = RecordedTask { state: task_state, output, error, ..self.task()? };
        Ok(self.came(state, outputs, &[now], 0))
    }

    async fn agent(
        &self,
        events: Option<Arc<dyn EventSink>>,
        cancellation: &CancellationToken,
    ) -> Result<Replayed> {
        let context = self.context(events, cancellation);
        let definition = self.cassette.header.definition.clone();
        let model = Arc::clone(&self.models.0) as Arc<dyn Model>;
        let performed = agent::perform(self.runtime, &context, definition, model).await;
        context.check()?;
        let (error, output) = match performed {
            Ok(result) => match result.error() {
                Some(error) => (Some(error.report()), None),
                None => (None, serde_json::to_value(result).ok()),
            },
            Err(error) => (Some(error.report()), None),
        };
        let outputs = report::agent_outputs(output.as_ref());
        let (state, task_state) = match error {
            None => (RunState::Completed, TaskState::Done),
            Some(_) => (RunState::Failed, TaskState::Failed),
        };
        let now = RecordedTask { state: task_state, output, error, ..self.task()? };
        Ok(self.came(state, outputs, &[now], 0))
    }

    /// Gives the context of a run of one task.
    fn context(&self, events: Option<Arc<dyn EventSink>>, cancellation: &CancellationToken) -> RunContext {
        let log = Arc::clone(&self.log) as Arc<dyn RunLog>;
        let context = RunContext::with_log(self.cassette.header.run.clone(), log);
        let context = context.with_cancellation(cancellation.clone());
        match events {
            Some(events) => context.with_events(events),
            None => context,
        }
    }

    /// Gives the only task of the recorded run.
    fn task(&self) -> Result<RecordedTask> {
        self.cassette.tasks.first().cloned().ok_or_else(|| {
            Error::new(ErrorKind::InvalidRequest, "the recorded run has no task").with_hint("export it again")
        })
    }

    async fn workflow(
        &self,
        events: Option<Arc<dyn EventSink>>,
        cancellation: &CancellationToken,
    ) -> Result<Replayed> {
        let Header { definition, inputs, settings, run, .. } = self.cassette.header.clone();
        let mut spec: WorkflowSpec = readable(definition, "definition")?;
        let settings: RunSettings = readable(Value::Object(settings), "settings")?;
        // The end of the last attempt is what was recorded, so there is nothing to wait and try again for.
        spec.tasks.iter_mut().for_each(|task| task.retry = RetryPolicy::default());
        let mut new = plan::plan(&spec, inputs, &settings)?;
        new.id = run.clone();
        let store: SharedStore = Arc::new(MemoryStore::new());
        store.submit(new).await?;
        let mut config = self.runtime.worker_config();
        config.default_model = Some(self.default_model(&settings)?);
        let outcomes = Arc::new(Outcomes::of(&self.cassette));
        let methods = self.methods(&settings, &outcomes);
        let log = Arc::clone(&self.log) as Arc<dyn RunLog>;
        let mut worker = Worker::new(Arc::clone(&store), methods, config).with_log(log);
        if let Some(events) = events {
            worker = worker.with_events(events);
        }
        let state = worker.run_to_end(&run, cancellation).await?;
        let tasks = report::recorded_tasks(&store, &run).await?;
        let report = report::report(&store, &run).await?;
        let answered = outcomes.given();
        Ok(self.came(state, report.outputs, &tasks, answered))
    }

    /// Compares what the replay came to with the recording.
    fn came(
        &self,
        state: RunState,
        outputs: Map<String, Value>,
        tasks: &[RecordedTask],
        given: u64,
    ) -> Replayed {
        let header = &self.cassette.header;
        let now = Came { state, outputs: &outputs, tasks };
        let recorded = Came { state: header.state, outputs: &header.outputs, tasks: &self.cassette.tasks };
        let differences = differences(&now, &recorded);
        Replayed {
            run: header.run.clone(),
            name: header.name.clone(),
            kind: header.kind.clone(),
            equal: differences.is_empty(),
            state,
            outputs,
            differences,
            answered: self.log.answered() + given,
        }
    }

    /// Gives the model of tasks that name none: the one that the settings named when the run began.
    fn default_model(&self, settings: &RunSettings) -> Result<ModelId> {
        let known = settings.default_model.clone().or_else(|| self.runtime.settings().model.clone());
        let called = self.cassette.steps.iter().find(|step| step.kind == StepKind::Model);
        match (known, called) {
            (Some(model), _) => Ok(model),
            (None, Some(step)) => step.model(),
            (None, None) => ModelId::new("replay", "none"),
        }
    }

    /// Gives the methods: those whose steps are recorded run, the others give their recorded results.
    fn methods(&self, settings: &RunSettings, outcomes: &Arc<Outcomes>) -> Methods {
        let repairs = settings.max_repairs.unwrap_or(self.runtime.settings().structured.max_repairs);
        let models = Arc::clone(&self.models) as Arc<dyn Models>;
        let all = self.runtime.methods_over(&models, repairs);
        all.iter().fold(all.families(), |methods, method| {
            if method.is_recorded() {
                return methods.with(Arc::clone(method));
            }
            let (method, outcomes) = (Arc::clone(method), Arc::clone(outcomes));
            methods.with(Arc::new(RecordedMethod { method, outcomes }))
        })
    }
}

fn readable<T: serde::de::DeserializeOwned>(value: Value, what: &str) -> Result<T> {
    serde_json::from_value(value).map_err(|error| {
        Error::new(ErrorKind::InvalidRequest, format!("the recorded {what} cannot be read: {error}"))
            .with_hint("it may come from another version of Motet")
            .with_source(error)
    })
}

/// Gives the one replaying model under every name.
struct ReplayModels(Arc<ReplayModel>);

#[async_trait]
impl Models for ReplayModels {
    async fn model(&self, _id: &ModelId) -> Result<Arc<dyn Model>> {
        Ok(Arc::clone(&self.0) as Arc<dyn Model>)
    }
}

/// What the recorded tasks came to, by name.
struct Outcomes {
    tasks: HashMap<String, RecordedTask>,
    given: std::sync::atomic::AtomicU64,
}

impl Outcomes {
    fn of(cassette: &Cassette) -> Self {
        let tasks = cassette.tasks.iter().map(|task| (task.name.clone(), task.clone())).collect();
        Self { tasks, given: std::sync::atomic::AtomicU64::new(0) }
    }

    fn given(&self) -> u64 {
        self.given.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn get(&self, task: &str) -> Result<Value> {
        let recorded = self.tasks.get(task).filter(|task| task.state.is_ended());
        let recorded = recorded.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("task `{task}` did not end in the recorded run"))
        })?;
        self.given.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        match &recorded.error {
            Some(error) if recorded.state == TaskState::Failed => Err(Error::from(error.clone())),
            _ => Ok(recorded.output.clone().unwrap_or_default()),
        }
    }
}

/// A method that gives the recorded results of its tasks.
struct RecordedMethod {
    method: Arc<dyn Method>,
    outcomes: Arc<Outcomes>,
}

#[async_trait]
impl Method for RecordedMethod {
    fn name(&self) -> &str {
        self.method.name()
    }

    fn doc(&self) -> &str {
        self.method.doc()
    }

    fn parameters(&self) -> &[Parameter] {
        self.method.parameters()
    }

    fn effect(&self) -> Effect {
        self.method.effect()
    }

    async fn call(&self, context: &RunContext, _call: MethodCall) -> Result<MethodOutcome> {
        self.outcomes.get(context.step_name()).map(Into::into)
    }
}
