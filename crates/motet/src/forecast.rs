//! What a run of a workflow will do and cost, before anything runs: order, model calls, tokens, and money.
//!
//! Calls no provider and writes nothing. What is expected is a guess by sizes; the most is safe rather than close, and
//! unknown where nothing bounds it.

mod below;
mod items;
mod kept;
mod size;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use motet_core::error::Result;
use motet_core::method::ModelCalls;
use motet_core::store::TaskState;
use motet_core::usage::{Cost, Price, Usage};
use motet_core::workflow::{TaskSpec, WorkflowSpec};
use motet_core::{ChatRequest, Message, ModelId, RunId};
use motet_providers::layers::budget::bound::{Candidate, bound};
use motet_providers::layers::{Ask, Lent};
use motet_workflows::dag::outline::{Outline, outline};
use motet_workflows::dag::plan;
use motet_workflows::methods::Methods;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use self::below::Below;
use self::items::Items;
use self::size::{Sizes, Span};
use crate::report;
use crate::runtime::Runtime;
use crate::workflow::WorkflowFile;

/// Bytes of text that make about one token.
const BYTES_PER_TOKEN: u64 = 4;

/// Tokens of an answer where no limit makes it shorter; limits of rates begin with the same number.
const ANSWER: u64 = 1_000;

/// What is guessed, and what it is at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// When all goes well.
    pub expected: u64,
    /// With every retry and repair; `None` where nothing bounds it.
    pub most: Option<u64>,
}

/// The same for money, as US dollars; `None` where a price is unknown, and for the most also where nothing bounds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CostEstimate {
    /// When all goes well.
    #[serde(serialize_with = "dollars")]
    pub expected: Option<Cost>,
    /// With every retry and repair.
    #[serde(serialize_with = "dollars")]
    pub most: Option<Cost>,
}

#[expect(clippy::ref_option, reason = "serde gives the field by reference")]
fn dollars<S: Serializer>(cost: &Option<Cost>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    cost.map(Cost::dollars).serialize(serializer)
}

/// What one task will do.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TaskForecast {
    /// Its id.
    pub id: String,
    /// What it calls.
    pub method: String,
    /// The wave that it runs in, from 1.
    pub wave: usize,
    /// How often it runs; `None` where that is decided by the run.
    pub items: Option<u64>,
    /// Of these, how many an earlier run has done already.
    pub recorded: u64,
    /// Model calls whose answers the cache holds now; as far as they are known before the run.
    pub cached: u64,
    /// The model that it asks, if it asks one that is known.
    pub model: Option<ModelId>,
    /// Model calls that are left to make; those whose answers the cache holds are not expected.
    pub model_calls: Estimate,
    /// Tokens of these calls, read and written.
    pub tokens: Estimate,
    /// What they cost.
    pub cost: CostEstimate,
}

/// What a run will do.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Forecast {
    /// Name of the workflow.
    pub name: String,
    /// Ids of the tasks, wave by wave.
    pub waves: Vec<Vec<String>>,
    /// The largest number of tasks in a wave, items counted where they are known.
    pub width: u64,
    /// Ids of the longest chain of tasks, by the model calls that it makes one after the other.
    pub critical_path: Vec<String>,
    /// Its tasks, in the order written.
    pub tasks: Vec<TaskForecast>,
    /// Model calls of all tasks whose answers the cache holds now.
    pub cached: u64,
    /// Model calls of all tasks.
    pub model_calls: Estimate,
    /// Tokens of all tasks.
    pub tokens: Estimate,
    /// What all tasks cost.
    pub cost: CostEstimate,
    /// Models whose price is unknown.
    pub unknown_prices: BTreeSet<ModelId>,
    /// Tasks whose number of items is decided by the run; one item is expected of each.
    pub unknown_items: Vec<String>,
}

/// What a forecast is made for.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ForecastOptions {
    /// Inputs of the run.
    pub inputs: Map<String, Value>,
    /// Model that stands in for the workflow's own default.
    pub model: Option<ModelId>,
    /// An earlier run that is resumed with the file.
    pub resume: Option<RunId>,
}

impl ForecastOptions {
    /// Makes the options of a new run with these inputs.
    #[must_use]
    pub fn new(inputs: Map<String, Value>, model: Option<ModelId>, resume: Option<RunId>) -> Self {
        Self { inputs, model, resume }
    }
}

impl Runtime {
    /// Tells what a run of a workflow will do and cost, as far as that is known now.
    ///
    /// # Errors
    /// `InvalidRequest` when an input is not declared; `NotFound` when there is no such earlier run.
    pub async fn forecast(&self, file: &WorkflowFile, options: ForecastOptions) -> Result<Forecast> {
        let spec = &file.spec;
        let recorded = match &options.resume {
            Some(run) => self.done_before(run, spec).await?,
            None => Recorded::default(),
        };
        let given = if options.inputs.is_empty() && options.resume.is_some() {
            recorded.inputs.clone()
        } else {
            options.inputs
        };
        let inputs = plan::known_inputs(spec, given)?;
        let directory = file.path.parent().unwrap_or(Path::new("/")).to_owned();
        let sizes = Sizes { inputs: &inputs, spec, files: self.file_scope(&directory) };
        let below = Below::of(&file.path);
        let forecaster = Forecaster {
            runtime: self,
            methods: &self.methods(),
            spec,
            sizes,
            recorded,
            model: options.model.as_ref(),
            below: &below,
        };
        let mut forecast = forecaster.forecast();
        let cached = forecaster.cached(&forecast.waves).await;
        forecast.leave_out(&cached);
        Ok(forecast)
    }

    /// Reads what an earlier run has done of the tasks that are still the same.
    async fn done_before(&self, id: &RunId, spec: &WorkflowSpec) -> Result<Recorded> {
        let store = self.store().await?;
        let run = store.run(id).await?.ok_or_else(|| report::no_such_run(id))?;
        let Ok(old) = serde_json::from_value::<WorkflowSpec>(run.definition) else {
            return Ok(Recorded::default());
        };
        let unchanged: HashSet<String> = plan::unchanged(&old, spec).into_iter().collect();
        let tasks = store.tasks(id).await?;
        let mut recorded = Recorded { inputs: run.inputs, ..Recorded::default() };
        let names: HashMap<u32, &str> = tasks.iter().map(|task| (task.number, task.name.as_str())).collect();
        for task in tasks.iter().filter(|task| task.state == TaskState::Done) {
            match task.parent.and_then(|parent| names.get(&parent)) {
                None if unchanged.contains(&task.name) => {
                    let result = store.outputs(id, &[task.number]).await?.pop().flatten();
                    recorded.done.insert(task.name.clone(), result.unwrap_or_default());
                }
                Some(parent) if unchanged.contains(*parent) => {
                    *recorded.items.entry((*parent).to_owned()).or_default() += 1;
                }
                _ => {}
            }
        }
        Ok(recorded)
    }
}

/// What an earlier run has done.
#[derive(Default)]
struct Recorded {
    inputs: Map<String, Value>,
    /// Results by task.
    done: HashMap<String, Value>,
    /// Items done, by task.
    items: HashMap<String, u64>,
}

struct Forecaster<'a> {
    runtime: &'a Runtime,
    methods: &'a Methods,
    spec: &'a WorkflowSpec,
    sizes: Sizes<'a>,
    recorded: Recorded,
    model: Option<&'a ModelId>,
    below: &'a Below,
}

/// What the tasks before one are found to be, and what is unknown so far.
#[derive(Default)]
struct Found {
    known: HashMap<String, (Items, Span)>,
    unknown_prices: BTreeSet<ModelId>,
    /// Tasks of runs that tasks start whose number of items is decided by the run.
    unknown_items: Vec<String>,
}

impl Forecaster<'_> {
    fn forecast(&self) -> Forecast {
        let Outline { waves, .. } = outline(self.spec, |_| 1);
        let mut found = Found::default();
        let mut tasks: Vec<(usize, TaskForecast)> = Vec::new();
        for (wave, places) in waves.iter().enumerate() {
            for at in places {
                let Some(task) = self.spec.tasks.get(*at) else { continue };
                let items = self.sizes.items(task, &found.known);
                let (forecast, result) = self.task(task, (wave + 1, &items), &mut found);
                found.known.insert(task.id.clone(), (items, result));
                tasks.push((*at, forecast));
            }
        }
        tasks.sort_by_key(|(at, _)| *at);
        let tasks: Vec<TaskForecast> = tasks.into_iter().map(|(_, task)| task).collect();
        let weight =
            |at: usize| tasks.get(at).map_or(1, |task| 1 + 1_000 * u64::from(task.model_calls.expected > 0));
        let critical = outline(self.spec, weight).critical;
        let name = |at: &usize| self.spec.tasks.get(*at).map(|task| task.id.clone());
        let names = |places: &Vec<usize>| places.iter().filter_map(name).collect::<Vec<_>>();
        let wide = |places: &Vec<usize>| {
            places.iter().filter_map(|at| tasks.get(*at)).map(|task| task.items.unwrap_or(1)).sum()
        };
        Forecast {
            name: self.spec.name.clone(),
            width: waves.iter().map(wide).max().unwrap_or(0),
            waves: waves.iter().map(names).collect(),
            critical_path: names(&critical),
            cached: 0,
            model_calls: sum(tasks.iter().map(|task| task.model_calls)),
            tokens: sum(tasks.iter().map(|task| task.tokens)),
            cost: sum_of_costs(&tasks),
            unknown_prices: found.unknown_prices,
            unknown_items: tasks
                .iter()
                .filter(|task| task.items.is_none())
                .map(|task| task.id.clone())
                .chain(found.unknown_items)
                .collect(),
            tasks,
        }
    }

    /// Gives what a task will do, and the size of one of its results in bytes.
    fn task(
        &self,
        task: &TaskSpec,
        (wave, items): (usize, &Items),
        found: &mut Found,
    ) -> (TaskForecast, Span) {
        let calls = self
            .methods
            .get(&task.method)
            .map_or(ModelCalls::NONE, |method| method.model_calls(&task.params));
        let count = items.count;
        let done = if self.recorded.done.contains_key(&task.id) {
            count.unwrap_or(1)
        } else {
            self.recorded.items.get(&task.id).copied().unwrap_or(0)
        };
        let model = (calls.expected > 0).then(|| self.model_of(task)).flatten();
        let mut forecast = TaskForecast { recorded: done, model, ..TaskForecast::of(task, wave, count) };
        if calls == ModelCalls::NONE {
            return (forecast, size::of_result(&task.method));
        }
        let left = count.unwrap_or(1).saturating_sub(done);
        let attempts = u64::from(task.retry.max_attempts);
        // What has no bound is done already where all of it was recorded.
        let most_items = if self.recorded.done.contains_key(&task.id) {
            Some(0)
        } else {
            items.most.map(|most| most.saturating_sub(done))
        };
        let times = |calls: Option<u64>| match most_items {
            Some(0) => Some(0),
            items => calls?.checked_mul(attempts)?.checked_mul(items?),
        };
        if let Some(below) = self.below(task) {
            let most_times = times(Some(1));
            forecast.model_calls = below::times(below.model_calls, left, most_times);
            forecast.tokens = below::times(below.tokens, left, most_times);
            forecast.cost = below::times_cost(below.cost, left, most_times);
            found.unknown_prices.extend(below.unknown_prices);
            found.unknown_items.extend(below.unknown_items.iter().map(|id| format!("{}.{id}", task.id)));
            return (forecast, Span::UNKNOWN);
        }
        let input = self.sizes.prompt(task, items, &found.known);
        let each = self.each(task, forecast.model.as_ref(), input, calls);
        forecast.model_calls = Estimate { expected: calls.expected * left, most: times(calls.most) };
        forecast.tokens =
            Estimate { expected: each.tokens * calls.expected * left, most: times(each.most_tokens) };
        let price = |cost: Option<Cost>, times: Option<u64>| match (times, cost) {
            _ if each.is_free => Some(Cost::ZERO),
            (Some(0), _) => Some(Cost::ZERO),
            (times, cost) => times_cost(cost?, times?),
        };
        forecast.cost = CostEstimate {
            expected: price(each.cost, Some(calls.expected * left)),
            most: price(each.most_cost, times(Some(1))),
        };
        if let Some(model) = forecast.model.as_ref().filter(|_| left > 0 && each.cost.is_none()) {
            found.unknown_prices.insert(model.clone());
        }
        (forecast, each.answer)
    }

    fn model_of(&self, task: &TaskSpec) -> Option<ModelId> {
        let own = task.params.get("model").and_then(Value::as_str);
        let own = own.map(|text| self.sizes.text(text).unwrap_or_else(|| text.to_owned()));
        match own {
            Some(text) => text.parse().ok(),
            None => {
                let settings = self.runtime.settings().model.as_ref();
                [self.model, self.spec.model.as_ref(), settings].into_iter().flatten().next().cloned()
            }
        }
    }

    /// Gives what one call of the method uses: the expected by one call of the model, the most by all.
    fn each(&self, task: &TaskSpec, model: Option<&ModelId>, input: Span, calls: ModelCalls) -> Each {
        let candidate = model.map(|model| self.runtime.model_table().candidate(model));
        let limit = task.params.get("max_tokens").and_then(Value::as_u64);
        let longest = limit.or(candidate.as_ref().and_then(|candidate| candidate.max_output).map(u64::from));
        let output = ANSWER.min(longest.unwrap_or(ANSWER));
        let answer =
            Span { expected: output * BYTES_PER_TOKEN, most: longest.map(|tokens| tokens * BYTES_PER_TOKEN) };
        let read = input.expected.div_ceil(BYTES_PER_TOKEN);
        let mut each = Each {
            tokens: read + output,
            most_tokens: None,
            cost: None,
            most_cost: None,
            is_free: false,
            answer,
        };
        let Some(candidate) = candidate else { return each };
        each.is_free = candidate.price == Some(Price::FREE);
        each.cost = candidate.price.map(|price| price.cost(&Usage::new(read, output)));
        if let (Some(model), Some(bytes), Some(calls), Some(answer)) =
            (model, input.most, calls.most, answer.most)
        {
            // Each call after the first may read all answers before it.
            let all = bytes.saturating_add(answer.saturating_mul(calls.saturating_sub(1)));
            let (tokens, cost) = most_of(model, candidate, all, limit);
            each.most_tokens = tokens.and_then(|tokens| tokens.checked_mul(calls));
            each.most_cost = cost.and_then(|cost| times_cost(cost, calls));
        }
        each
    }
}

impl TaskForecast {
    /// Says of a task that it asks no model.
    fn of(task: &TaskSpec, wave: usize, items: Option<u64>) -> Self {
        Self {
            id: task.id.clone(),
            method: task.method.clone(),
            wave,
            items,
            recorded: 0,
            cached: 0,
            model: None,
            model_calls: Estimate { expected: 0, most: Some(0) },
            tokens: Estimate { expected: 0, most: Some(0) },
            cost: CostEstimate { expected: Some(Cost::ZERO), most: Some(Cost::ZERO) },
        }
    }
}

/// What one call of a method uses.
struct Each {
    tokens: u64,
    most_tokens: Option<u64>,
    cost: Option<Cost>,
    most_cost: Option<Cost>,
    /// Whether the model costs nothing, however much it is used.
    is_free: bool,
    /// Bytes of one answer.
    answer: Span,
}

/// Gives the most that a request of so many bytes uses and costs, by the bound that budgets reserve.
fn most_of(
    model: &ModelId,
    candidate: Candidate,
    bytes: u64,
    limit: Option<u64>,
) -> (Option<u64>, Option<Cost>) {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(size::LARGEST);
    let mut request = ChatRequest::new(model.clone(), vec![Message::user("x".repeat(bytes))]);
    request.max_tokens = limit.and_then(|limit| u32::try_from(limit).ok());
    let bound = bound(
        &Ask::Chat { request: Lent::Borrowed(&request), delivery: motet_core::Delivery::Plain },
        &[candidate],
    );
    if bound.unlimited_output.is_some() {
        return (None, None);
    }
    (Some(bound.estimate.tokens), bound.estimate.cost.filter(|_| bound.unknown_price.is_none()))
}

fn times_cost(cost: Cost, times: u64) -> Option<Cost> {
    Some(Cost::from_nanos(cost.nanos().checked_mul(times)?))
}

fn sum_of_costs(tasks: &[TaskForecast]) -> CostEstimate {
    CostEstimate {
        expected: tasks.iter().map(|task| task.cost.expected).sum(),
        most: tasks.iter().map(|task| task.cost.most).sum(),
    }
}

fn sum(estimates: impl Iterator<Item = Estimate>) -> Estimate {
    estimates.fold(Estimate { expected: 0, most: Some(0) }, |sum, one| Estimate {
        expected: sum.expected.saturating_add(one.expected),
        most: sum.most.zip(one.most).and_then(|(sum, one)| sum.checked_add(one)),
    })
}
