//! Which model calls of a run the cache answers: the methods that only ask models are called over kept answers alone.
//!
//! Asks nobody and keeps nothing. What one kept answer gives is known to the tasks after it, so that theirs can be looked up
//! too; what scripts, people, or other programs give is not.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use motet_core::embedding::Embedder;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::method::MethodOutcome;
use motet_core::method::{Method, MethodCall};
use motet_core::model::{Delivery, Model, Models};
use motet_core::settings::{CacheMode, CachePlace};
use motet_core::workflow::{ForEach, TaskSpec};
use motet_core::{ChatRequest, EmbedRequest, EmbedResponse, EventStream, ModelId, RunContext};
use motet_providers::files;
use motet_providers::layers::Stack;
use motet_workflows::dag::machine;
use motet_workflows::dag::reference::substitute;
use motet_workflows::dag::scope::{RunScope, TaskResult};
use motet_workflows::dag::worker::{file_item, listed_files};
use motet_workflows::methods::Methods;
use serde_json::{Value, json};

use super::{Estimate, Forecast, Forecaster, TaskForecast, sum, sum_of_costs};
use crate::runtime::Runtime;

/// Families of methods that do nothing but ask models.
const FAMILIES: [&str; 2] = ["llm/", "pattern/"];

/// How many calls are looked up at most.
const MAX_LOOKS: usize = 10_000;

impl Forecaster<'_> {
    /// Counts the model calls of each task whose answers the cache holds.
    pub(super) async fn cached(&self, waves: &[Vec<String>]) -> HashMap<String, u64> {
        let mut found = HashMap::new();
        let settings = &self.runtime.settings().cache;
        let mode = |task: &TaskSpec| task.cache.unwrap_or(settings.mode);
        let has_kept = settings.place != CachePlace::Store || self.runtime.has_store();
        if !has_kept || !self.spec.tasks.iter().any(|task| reads(mode(task))) {
            return found;
        }
        let hits = Arc::new(AtomicU64::new(0));
        let models = Arc::new(KeptModels { runtime: self.runtime.clone(), hits: Arc::clone(&hits) });
        let repairs = self.runtime.settings().structured.max_repairs;
        let mut look = Look {
            methods: self.runtime.methods_over(&(models as Arc<dyn Models>), repairs),
            environment: self.environment(),
            results: self.recorded.done.iter().map(|(id, result)| (id.clone(), result.clone())).collect(),
            looks: 0,
        };
        for id in waves.iter().flatten() {
            let Some(task) = self.spec.tasks.iter().find(|task| task.id == *id) else { continue };
            let asks = FAMILIES.iter().any(|family| task.method.starts_with(family));
            // What a condition decides is known to the run alone.
            if !asks || !reads(mode(task)) || task.when.is_some() || look.results.contains_key(id) {
                continue;
            }
            hits.store(0, Ordering::Relaxed);
            let result = self.look(task, &mut look).await;
            found.insert(id.clone(), hits.load(Ordering::Relaxed));
            if let Some(result) = result {
                look.results.insert(id.clone(), result);
            }
        }
        found
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let value =
            |name: &String| self.runtime.loaded().variable(name).map(|value| value.expose().to_owned());
        self.spec.env.iter().filter_map(|name| Some((name.clone(), value(name)?))).collect()
    }

    /// Looks up all calls of a task; gives its result where all of them are kept.
    async fn look(&self, task: &TaskSpec, look: &mut Look) -> Option<Value> {
        let method = Arc::clone(look.methods.get(&task.method).ok()?);
        let Some(for_each) = &task.for_each else {
            look.looks += 1;
            return self.call(task, &*method, look, None).await;
        };
        let items = self.items_of(for_each, look)?;
        look.looks += items.len();
        if look.looks > MAX_LOOKS {
            return None;
        }
        let mut results = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            results.push(self.call(task, &*method, look, Some((item, &json!(index)))).await);
        }
        results.into_iter().collect::<Option<Vec<Value>>>().map(Value::Array)
    }

    fn items_of(&self, for_each: &ForEach, look: &Look) -> Option<Vec<Value>> {
        let scope = self.scope(look, None);
        match for_each {
            ForEach::Items(items) => match substitute(items, &scope).ok()? {
                Value::Array(items) => Some(items),
                _ => None,
            },
            ForEach::Files(patterns) => {
                let mut filled = Vec::new();
                for pattern in patterns {
                    match substitute(&json!(pattern), &scope).ok()? {
                        Value::String(pattern) => filled.push(pattern),
                        Value::Array(several) => {
                            filled.extend(several.iter().filter_map(Value::as_str).map(str::to_owned));
                        }
                        _ => return None,
                    }
                }
                let found = files::glob(&self.sizes.files, &filled).ok()?;
                Some(listed_files(&self.sizes.files, found).into_iter().map(file_item).collect())
            }
        }
    }

    /// Calls the method over kept answers; gives its result where every answer is kept.
    async fn call(
        &self,
        task: &TaskSpec,
        method: &dyn Method,
        look: &Look,
        item: Option<(&Value, &Value)>,
    ) -> Option<Value> {
        let params = machine::filled(task, &self.scope(look, item), method.parameters()).ok()?;
        let settings = self.runtime.settings().model.as_ref();
        let models = [self.model, self.spec.model.as_ref(), settings];
        let call = MethodCall {
            params,
            files: self.sizes.files.clone(),
            default_model: models.into_iter().flatten().next().cloned(),
            idempotency_key: String::new(),
            task: None,
        };
        let context = RunContext::new().with_cache(CacheMode::Read);
        match method.call(&context, call).await {
            Ok(MethodOutcome::Done(result)) => Some(result),
            _ => None,
        }
    }

    fn scope<'s>(&'s self, look: &'s Look, item: Option<(&'s Value, &'s Value)>) -> RunScope<'s> {
        let done = |result: &Value| TaskResult { status: "done", result: result.clone(), error: None };
        let names = self.spec.tasks.iter().filter_map(|task| Some((task.name.as_deref()?, task.id.as_str())));
        RunScope {
            inputs: self.sizes.inputs,
            environment: &look.environment,
            names: names.collect(),
            tasks: look.results.iter().map(|(id, result)| (id.as_str(), done(result))).collect(),
            item: item.map(|(item, _)| item),
            index: item.map(|(_, index)| index),
        }
    }
}

/// What a look at all tasks goes by.
struct Look {
    methods: Methods,
    environment: BTreeMap<String, String>,
    /// Results of tasks that are known already.
    results: HashMap<String, Value>,
    looks: usize,
}

fn reads(mode: CacheMode) -> bool {
    matches!(mode, CacheMode::Read | CacheMode::ReadWrite)
}

impl Forecast {
    /// Leaves out of what is expected the calls whose answers are kept; the most stays, as kept answers may be lost.
    pub(super) fn leave_out(&mut self, cached: &HashMap<String, u64>) {
        for task in &mut self.tasks {
            let kept = cached.get(&task.id).copied().unwrap_or(0).min(task.model_calls.expected);
            task.leave_out(kept);
        }
        self.cached = self.tasks.iter().map(|task| task.cached).sum();
        self.model_calls = sum(self.tasks.iter().map(|task| task.model_calls));
        self.tokens = sum(self.tasks.iter().map(|task| task.tokens));
        self.cost = sum_of_costs(&self.tasks);
    }
}

impl TaskForecast {
    fn leave_out(&mut self, kept: u64) {
        let all = self.model_calls.expected;
        if kept == 0 {
            return;
        }
        let left = |each: Estimate| Estimate { expected: each.expected / all * (all - kept), ..each };
        (self.cached, self.model_calls, self.tokens) = (kept, left(self.model_calls), left(self.tokens));
        self.cost.expected = match all - kept {
            0 => Some(motet_core::Cost::ZERO),
            left => self
                .cost
                .expected
                .and_then(|cost| super::times_cost(motet_core::Cost::from_nanos(cost.nanos() / all), left)),
        };
    }
}

/// Models that give kept answers and nothing else.
struct KeptModels {
    runtime: Runtime,
    hits: Arc<AtomicU64>,
}

impl KeptModels {
    fn of(&self, id: &ModelId) -> Result<Arc<KeptModel>> {
        let stack =
            self.runtime.model_table().kept(id).ok_or_else(|| {
                Error::new(ErrorKind::Unsupported, format!("no answers of `{id}` are kept"))
            })?;
        Ok(Arc::new(KeptModel { stack, hits: Arc::clone(&self.hits) }))
    }
}

#[async_trait]
impl Models for KeptModels {
    async fn model(&self, id: &ModelId) -> Result<Arc<dyn Model>> {
        self.of(id).map(|model| model as Arc<dyn Model>)
    }

    async fn embedder(&self, id: &ModelId) -> Result<Arc<dyn Embedder>> {
        self.of(id).map(|model| model as Arc<dyn Embedder>)
    }
}

/// The kept answers of one model.
struct KeptModel {
    stack: Stack,
    hits: Arc<AtomicU64>,
}

#[async_trait]
impl Model for KeptModel {
    async fn open(
        &self,
        context: &RunContext,
        request: &ChatRequest,
        delivery: Delivery,
    ) -> Result<EventStream> {
        let events = self.stack.open(context, request, delivery).await?;
        self.hits.fetch_add(1, Ordering::Relaxed);
        Ok(events)
    }
}

#[async_trait]
impl Embedder for KeptModel {
    async fn embed(&self, context: &RunContext, request: &EmbedRequest) -> Result<EmbedResponse> {
        let vectors = self.stack.embed(context, request).await?;
        self.hits.fetch_add(1, Ordering::Relaxed);
        Ok(vectors)
    }
}
