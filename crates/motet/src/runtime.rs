//! The wired engine: settings in, models, methods, and a store out.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use motet_agents::guardrails::{Guardrail, GuardrailRegistry};
use motet_agents::structured::structured_within;
use motet_agents::{Agent, AgentBuilder, Hook, HookEntry, HookRegistry, HookSpec, Hooks, call};
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::event::EventStream;
use motet_core::id::WorkerId;
use motet_core::model::{Delivery, Model, Models};
use motet_core::model_list::ModelInfo;
use motet_core::rerank::{RerankRequest, RerankResponse};
use motet_core::settings::{Loaded, Settings, Sources};
use motet_core::store::SharedStore;
use motet_core::{ChatRequest, ChatResponse, EmbedRequest, EmbedResponse, ModelId, RunContext, StreamEvent};
use motet_providers::driver::DryRun;
use motet_providers::http_request::{Allowed, HttpRequest};
use motet_providers::layers::breaker::CircuitSnapshot;
use motet_providers::layers::key_pool::KeySnapshot;
use motet_providers::layers::retry::RetryJudge;
use motet_providers::layers::{Layer, Place};
use motet_providers::python::{PythonConfig, PythonExecute};
use motet_workflows::methods::workflow_run::WorkflowRun;
use motet_workflows::methods::{self, Methods};
use serde_json::{Map, Value};

use crate::child_runs::RuntimeRuns;
use crate::discover::{Discovered, discover};
use crate::eval::{self, Records};
use crate::health::Health;
use crate::lazy_store::LazyStore;
use crate::mcp::Connections;
use crate::methods::{Remotes, with_runtime};
use crate::models::Table;
use crate::store::StoreAccess;

pub use crate::models::ProviderInfo;

/// Name of the step that a single call is.
pub(crate) const STEP: &str = "model";

/// One engine over one set of settings; cheap to clone.
///
/// Opens connections and its store when they are first needed. Must be used inside a tokio runtime.
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);

struct Inner {
    loaded: Loaded,
    directory: PathBuf,
    models: Arc<Table>,
    store: LazyStore,
    records: Records,
    mcp: Connections,
    remotes: Remotes,
    /// Shared by all who run tasks, as it remembers what it checked.
    python: Arc<PythonExecute>,
    http: Arc<HttpRequest>,
    /// Under this name it claims the calls that it records.
    worker: WorkerId,
    /// What every agent has first.
    hooks: Mutex<Hooks>,
    /// What files of agents name.
    named_hooks: Mutex<HookRegistry>,
    named_guardrails: Mutex<GuardrailRegistry>,
}

impl Runtime {
    /// Wires the settings found for the current directory; see [`discover`].
    ///
    /// # Errors
    /// `Configuration` when a settings file or variable is wrong.
    pub fn discover() -> Result<Self> {
        let start = std::env::current_dir().map_err(|error| {
            Error::new(ErrorKind::Configuration, "the current directory cannot be found").with_source(error)
        })?;
        let Discovered { loaded, directory } = discover(&start, Vec::new())?;
        Self::new(loaded, directory)
    }

    /// Wires the defaults alone: no file and no environment is read.
    ///
    /// # Errors
    /// None in practice; the defaults are tested.
    pub fn with_defaults() -> Result<Self> {
        Self::new(Settings::load(&Sources::default())?, PathBuf::from("."))
    }

    /// Wires settings; `directory` is where their relative paths start.
    ///
    /// # Errors
    /// `Configuration` when a provider's settings do not fit.
    pub fn new(loaded: Loaded, directory: PathBuf) -> Result<Self> {
        let access = StoreAccess::of(&loaded.settings);
        let store = LazyStore::new(loaded.settings.store.clone(), directory.clone(), access);
        let models = Table::new(&loaded, &directory, &store)?;
        let records = Records::new(&loaded, &directory)?;
        let python = Arc::new(PythonExecute::new(python_config(&loaded.settings)));
        let http = Arc::new(HttpRequest::new(Allowed::new(&loaded.settings.http.allow)?));
        Ok(Self(Arc::new(Inner {
            loaded,
            directory,
            models,
            store,
            records,
            mcp: Connections::default(),
            remotes: Remotes::default(),
            python,
            http,
            worker: WorkerId::new(),
            hooks: Mutex::default(),
            named_hooks: Mutex::default(),
            named_guardrails: Mutex::default(),
        })))
    }

    /// Uses this store instead of the one that the settings name.
    ///
    /// # Errors
    /// `Conflict` when the store is open already.
    pub fn with_store(self, store: SharedStore) -> Result<Self> {
        self.0.store.set(store)?;
        Ok(self)
    }

    /// Adds a model under an id of its own; it wins over what the id would name otherwise.
    pub fn add_model(&self, id: ModelId, model: Arc<dyn Model>) {
        self.0.models.add(id, model);
    }

    /// Adds a layer of your own around every model; it must be added before the model is first called.
    ///
    /// Layers of one place stand in the order they were added, the first outermost.
    pub fn add_layer(&self, place: Place, layer: Arc<dyn Layer>) {
        self.0.models.layers.add(place, layer);
    }

    /// Has your own judge decide which failures are tried again, in the place of `retry.on`; it must be set before the
    /// model is first called.
    pub fn judge_retries(&self, judge: Arc<dyn RetryJudge>) {
        self.0.models.layers.judge_retries(judge);
    }

    /// Adds a hook that every agent begun by [`agent`](Self::agent) from now on has before its own.
    pub fn add_hook(&self, hook: HookEntry) {
        self.0.hooks.lock().unwrap_or_else(PoisonError::into_inner).add(hook);
    }

    /// Gives the circuit breaker of every model that was called, or that one called may fall back to, by the names that
    /// [`StreamEvent::CircuitChanged`] uses.
    #[must_use]
    pub fn circuits(&self) -> Vec<(String, CircuitSnapshot)> {
        self.0.models.layers.circuits()
    }

    /// Gives the settings and where each came from.
    #[must_use]
    pub fn loaded(&self) -> &Loaded {
        &self.0.loaded
    }

    /// Gives the settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.loaded.settings
    }

    /// Gives the directory where the settings' relative paths start.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.0.directory
    }

    pub(crate) fn model_table(&self) -> &Table {
        &self.0.models
    }

    /// Gives all models, as methods and agents look them up.
    #[must_use]
    pub fn models(&self) -> Arc<dyn Models> {
        Arc::clone(&self.0.models) as Arc<dyn Models>
    }

    /// Gives the model that the settings name as the default.
    ///
    /// # Errors
    /// `Configuration` when there is none: Motet never picks a model by itself.
    pub fn default_model(&self) -> Result<ModelId> {
        self.settings().model.clone().ok_or_else(|| self.0.models.no_model())
    }

    /// Gives every provider that a model can be named of.
    #[must_use]
    pub fn providers(&self) -> Vec<ProviderInfo> {
        self.0.models.providers()
    }

    /// Shows how a provider's keys do: their states and what became of their calls in this runtime.
    ///
    /// A provider without settings of several keys has one, which is not counted; those built in have none.
    ///
    /// # Errors
    /// `Configuration` when there is no such provider.
    pub fn keys(&self, provider: &str) -> Result<Vec<KeySnapshot>> {
        self.0.models.keys(provider)
    }

    /// Gives the store that the settings name, opening it when it is first asked for.
    ///
    /// # Errors
    /// `Configuration` when the URL is wrong; `Store` when it cannot be opened.
    pub async fn store(&self) -> Result<SharedStore> {
        self.0.store.get().await
    }

    /// Ascribes work to the tenant of the settings, where its context names none.
    pub(crate) fn ascribed(&self, context: &RunContext) -> RunContext {
        let Some(tenant) = &self.settings().budget.tenant else { return context.clone() };
        let name = || tenant.clone();
        context.clone().with_attribution(|ascribed| {
            ascribed.tenant.get_or_insert_with(name);
        })
    }

    pub(crate) fn records(&self) -> &Records {
        &self.0.records
    }

    pub(crate) fn mcp_connections(&self) -> &Connections {
        &self.0.mcp
    }

    /// Tells whether the store is open, or may hold something already.
    pub(crate) fn has_store(&self) -> bool {
        self.0.store.is_there()
    }

    pub(crate) fn remotes(&self) -> &Remotes {
        &self.0.remotes
    }

    pub(crate) fn worker_id(&self) -> &WorkerId {
        &self.0.worker
    }

    /// Gives every method that tasks can call.
    #[must_use]
    pub fn methods(&self) -> Methods {
        self.methods_over(&self.models(), self.settings().structured.max_repairs)
    }

    /// Gives every method that tasks can call, over other models than the runtime's own.
    pub(crate) fn methods_over(&self, models: &Arc<dyn Models>, max_repairs: u32) -> Methods {
        let (python, http) = (Arc::clone(&self.0.python), Arc::clone(&self.0.http));
        let runs = Arc::new(WorkflowRun::new(Arc::new(RuntimeRuns(self.clone()))));
        let methods = methods::built_in(models, max_repairs).with(python).with(http).with(runs);
        with_runtime(methods, self, models)
    }

    /// Adds a hook under a name that files of agents may use, made anew of the options of each file.
    pub fn register_hook(
        &self,
        name: impl Into<String>,
        make: impl Fn(&Map<String, Value>) -> Result<Arc<dyn Hook>> + Send + Sync + 'static,
    ) {
        self.0.named_hooks.lock().unwrap_or_else(PoisonError::into_inner).register(name, make);
    }

    /// Adds a guardrail under a name that files of agents may use.
    pub fn register_guardrail(&self, name: impl Into<String>, guardrail: Arc<dyn Guardrail>) {
        self.0.named_guardrails.lock().unwrap_or_else(PoisonError::into_inner).register(name, guardrail);
    }

    pub(crate) fn named_hook(&self, spec: &HookSpec) -> Result<HookEntry> {
        self.0.named_hooks.lock().unwrap_or_else(PoisonError::into_inner).build(spec)
    }

    pub(crate) fn guardrail_registry(&self) -> GuardrailRegistry {
        self.0.named_guardrails.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins to build an agent under the limits of the settings, with the hooks of the runtime.
    pub fn agent(&self, name: impl Into<String>, model: ModelId) -> AgentBuilder {
        let limits = &self.settings().agent;
        Agent::builder(name, model)
            .max_iterations(limits.max_iterations)
            .max_parallel_tools(limits.max_parallel_tools as usize)
            .tool_timeout(limits.tool_timeout)
            .hooks(self.0.hooks.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Asks a model and waits for the whole answer; the call is kept in the store where `record.calls` is set.
    ///
    /// # Errors
    /// Whatever kept the answer from being complete.
    pub async fn complete(&self, context: &RunContext, request: &ChatRequest) -> Result<ChatResponse> {
        let Some(sink) = self.records().sink() else { return self.ask(context, request).await };
        let begun = Instant::now();
        let answer = self.ask(context, request).await;
        eval::call(sink, context, request, (answer.as_ref(), None), begun);
        answer
    }

    async fn ask(&self, context: &RunContext, request: &ChatRequest) -> Result<ChatResponse> {
        if let Some(recorder) = self.recorder_for(context) {
            return recorder.complete(context, request).await;
        }
        let model = self.0.models.model(&request.model).await?;
        call::chat(context, model.as_ref(), request, STEP).await
    }

    /// Asks a model and gives the answer's events as they come.
    ///
    /// # Errors
    /// `Configuration` when the model cannot be found; every other failure is the stream's last item.
    pub async fn stream(&self, context: &RunContext, request: ChatRequest) -> Result<EventStream> {
        let Some(sink) = self.records().sink() else { return self.ask_streaming(context, request).await };
        let begun = Instant::now();
        match self.ask_streaming(context, request.clone()).await {
            Ok(events) => Ok(eval::stream(sink.clone(), context, request, begun, events)),
            Err(error) => {
                eval::call(sink, context, &request, (Err(&error), None), begun);
                Err(error)
            }
        }
    }

    async fn ask_streaming(&self, context: &RunContext, request: ChatRequest) -> Result<EventStream> {
        if let Some(recorder) = self.recorder_for(context) {
            return recorder.stream(context, request).await;
        }
        let model = self.0.models.model(&request.model).await?;
        Ok(call::open(context, model, request, STEP))
    }

    /// Gives the vectors of texts.
    ///
    /// The run's listeners are told of the call; its vectors are not kept in the run log, as they are large and asking
    /// again changes nothing.
    ///
    /// # Errors
    /// `Unsupported` when the provider has no embeddings, and whatever kept the vectors from coming.
    pub async fn embed(&self, context: &RunContext, request: &EmbedRequest) -> Result<EmbedResponse> {
        context.check()?;
        let embedder = self.0.models.embedder(&request.model)?;
        let (step, model) = (context.key("embed"), request.model.clone());
        context.emit(&StreamEvent::ModelCallStarted { step: step.clone(), model: model.clone() });
        let response = embedder.embed(context, request).await?;
        let (usage, cost) = (response.usage.map(Box::new), response.cost);
        context.emit(&StreamEvent::ModelCallEnded { step, model, usage, cost, replayed: false });
        Ok(response)
    }

    /// Asks a provider which models it has.
    ///
    /// # Errors
    /// `Unsupported` when it has no list, and whatever kept the list from coming.
    pub async fn list_models(&self, context: &RunContext, provider: &str) -> Result<Vec<ModelInfo>> {
        self.0.models.list_models(context, provider).await
    }

    /// Asks the provider how many tokens of input a request has.
    ///
    /// # Errors
    /// `Unsupported` when it does not count, and whatever kept the count from coming.
    pub async fn count_tokens(&self, context: &RunContext, request: &ChatRequest) -> Result<u64> {
        self.0.models.count_tokens(context, request).await
    }

    /// Asks a model to order documents by how well they answer a question.
    ///
    /// # Errors
    /// `Unsupported` when the provider cannot, and whatever kept the answer from coming.
    pub async fn rerank(&self, context: &RunContext, request: &RerankRequest) -> Result<RerankResponse> {
        self.0.models.rerank(context, request).await
    }

    /// Looks whether a provider answers and takes its key, by the cheapest call there is.
    ///
    /// # Errors
    /// `Configuration` when there is no such provider, `Cancelled`; what is wrong with a provider stands in the answer.
    pub async fn check_provider(
        &self,
        context: &RunContext,
        provider: &str,
        patience: Duration,
    ) -> Result<Health> {
        self.0.models.check(context, provider, patience).await
    }

    /// Looks at all providers behind a network that are ready to be called, side by side.
    ///
    /// # Errors
    /// `Cancelled`.
    pub async fn check_providers(&self, context: &RunContext, patience: Duration) -> Result<Vec<Health>> {
        let checks =
            self.0.models.ready().into_iter().map(|name| self.check_provider(context, name, patience));
        futures::future::try_join_all(checks).await
    }

    /// Gives the request that a call would send, with its secrets masked. Sends nothing and needs no key.
    ///
    /// # Errors
    /// What keeps the request from being written, and `Unsupported` for models that send nothing.
    pub fn dry_run(&self, request: &ChatRequest, delivery: Delivery) -> Result<DryRun> {
        self.0.models.dry_run(request, delivery)
    }

    /// Asks a model for JSON by the schema in the request, checks it, and asks again within the settings' bound.
    ///
    /// # Errors
    /// `InvalidOutput` when no answer satisfied the schema, and whatever kept an answer from being complete.
    pub async fn structured(
        &self,
        context: &RunContext,
        request: ChatRequest,
    ) -> Result<(Value, ChatResponse)> {
        let Some(sink) = self.records().sink() else { return self.ask_structured(context, request).await };
        let begun = Instant::now();
        let answer = self.ask_structured(context, request.clone()).await;
        let (response, value) = match &answer {
            Ok((value, response)) => (Ok(response), Some(value.clone())),
            Err(error) => (Err(error), None),
        };
        eval::call(sink, context, &request, (response, value), begun);
        answer
    }

    async fn ask_structured(
        &self,
        context: &RunContext,
        request: ChatRequest,
    ) -> Result<(Value, ChatResponse)> {
        if let Some(recorder) = self.recorder_for(context) {
            return recorder.structured(context, request).await;
        }
        let model = self.0.models.model(&request.model).await?;
        structured_within(context, model.as_ref(), request, STEP, self.settings().structured.max_repairs)
            .await
    }
}

fn python_config(settings: &Settings) -> PythonConfig {
    let python = &settings.python;
    let mut config = PythonConfig::default();
    config.interpreter.clone_from(&python.interpreter);
    config.timeout = python.timeout;
    config.env.clone_from(&python.env);
    config.memory_bytes = u64::from(python.memory_mb) << 20;
    config.idle = python.idle as usize;
    config.max_processes = python.max_processes;
    config.max_output_bytes = (python.max_output_kb as usize) << 10;
    config
}

#[cfg(test)]
mod tests {
    use motet_agents::HookRegistry;

    use super::*;

    #[test]
    fn python_runs_as_the_settings_say() {
        let overrides = [("idle", "5"), ("max_processes", "7"), ("memory_mb", "64")]
            .map(|(name, value)| (format!("python.{name}"), value.to_owned(), "test".to_owned()))
            .to_vec();
        let loaded = Settings::load(&Sources { overrides, ..Sources::default() }).unwrap();
        let config = python_config(&loaded.settings);
        assert_eq!((config.idle, config.max_processes, config.memory_bytes), (5, 7, 64 << 20));
    }

    #[test]
    fn agents_are_built_under_the_limits_of_the_settings() {
        let limits = [("max_iterations", "3"), ("max_parallel_tools", "2"), ("tool_timeout", "7s")];
        let overrides = limits
            .map(|(name, value)| (format!("agent.{name}"), value.to_owned(), "test".to_owned()))
            .to_vec();
        let loaded = Settings::load(&Sources { overrides, ..Sources::default() }).unwrap();
        let runtime = Runtime::new(loaded, PathBuf::from(".")).unwrap();
        let agent = runtime.agent("clerk", "offline:extract".parse().unwrap()).build().unwrap();
        let limits = agent.limits();
        let found = (limits.max_iterations, limits.max_parallel_tools, limits.tool_timeout);
        assert_eq!(found, (3, 2, Duration::from_secs(7)));
    }

    #[tokio::test]
    async fn agents_have_the_hooks_of_the_runtime_before_their_own() {
        let cut = |options: &str| {
            let file = format!(r#"{{"name": "truncate", "stages": ["before_run"], "options": {options}}}"#);
            HookRegistry::default().build(&serde_json::from_str(&file).unwrap()).unwrap()
        };
        let runtime = Runtime::with_defaults().unwrap();
        let model: ModelId = "offline:extract".parse().unwrap();
        let before = runtime.agent("before", model.clone()).build().unwrap();
        runtime.add_hook(cut(r#"{"max_chars": 4, "notice": "!"}"#));
        let agent = runtime.agent("clerk", model.clone()).hook(cut(r#"{"max_chars": 3, "notice": "?"}"#));
        let agent = agent.build().unwrap();
        let model = runtime.models().model(&model).await.unwrap();
        for (agent, asked) in [(&agent, "abc?"), (&before, "abcdef")] {
            let result = motet_agents::run(&RunContext::new(), agent, Arc::clone(&model), "abcdef").await;
            assert_eq!(result.messages[0].visible_text(), asked);
        }
    }
}
