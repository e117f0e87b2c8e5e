//! `motet plan`: shows what a run of a workflow will do and cost, and does nothing of it.

use std::path::PathBuf;

use clap::{ArgMatches, Args};
use motet::forecast::{CostEstimate, Estimate, Forecast, ForecastOptions, TaskForecast};
use motet::{Cost, Error, ModelId, Result, RunId};
use serde_json::Map;

use super::run::input;
use super::{Row, arguments, model_id};
use crate::context::Context;
use crate::exit::Exit;
use crate::table::table;

pub(super) const ROW: Row = Row { name: "plan", build: Plan::augment_args, run };

/// Shows what a run of a workflow will do and cost, before anything runs
///
/// Tells the order of the tasks, how often each runs, and what is expected of model calls, tokens, and cost, and the most
/// of them with every retry and repair. Files are counted as they lie there now, and so are answers that the cache holds.
/// Nothing is asked, paid, or written.
#[derive(Args)]
struct Plan {
    /// Workflow file
    file: PathBuf,
    /// Gives an input; the value is read as JSON where it is JSON, else as text
    #[arg(long = "input", short, value_name = "NAME=VALUE")]
    inputs: Vec<String>,
    /// Model that stands in for the workflow's own default, as `provider:model`
    #[arg(long, short, value_parser = model_id)]
    model: Option<ModelId>,
    /// Leaves out what this earlier run has done already
    #[arg(long, value_name = "RUN")]
    resume: Option<RunId>,
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Plan { file, inputs, model, resume } = arguments(matches)?;
    let inputs = inputs.iter().map(|pair| input(pair)).collect::<Result<Map<_, _>>>()?;
    let runtime = context.runtime()?;
    let printer = context.printer;
    let file = runtime.read_workflow(&file).map_err(Error::from)?;
    context.block_on(|_| async move {
        let forecast = runtime.forecast(&file, ForecastOptions::new(inputs, model, resume)).await?;
        printer.data(&forecast, || text(&forecast))?;
        Ok(Exit::Success)
    })
}

fn text(forecast: &Forecast) -> String {
    let header = ["WAVE", "TASK", "METHOD", "RUNS", "DONE", "KEPT", "MODEL", "CALLS", "TOKENS", "COST"];
    let mut rows: Vec<&TaskForecast> = forecast.tasks.iter().collect();
    rows.sort_by_key(|task| task.wave);
    let mut text = table(header, rows.into_iter().map(row));
    let unknown = |cost: Option<Cost>| cost.map_or("unknown".to_owned(), |cost| cost.to_string());
    text.push_str(&format!(
        "\n{} waves, at most {} tasks at once\ncritical path: {}\nmodel calls: {}\ntokens: {}\ncost: {} expected, {} at most\n",
        forecast.waves.len(),
        forecast.width,
        forecast.critical_path.join(" → "),
        span(forecast.model_calls),
        span(forecast.tokens),
        unknown(forecast.cost.expected),
        unknown(forecast.cost.most),
    ));
    if forecast.cached > 0 {
        let kept = forecast.cached;
        text.push_str(&format!(
            "answers that the cache holds now, and that are not expected to cost: {kept}\n"
        ));
    }
    if !forecast.unknown_prices.is_empty() {
        let models: Vec<String> = forecast.unknown_prices.iter().map(ModelId::to_string).collect();
        text.push_str(&format!("unknown price: {}\n", models.join(", ")));
    }
    if !forecast.unknown_items.is_empty() {
        let tasks = forecast.unknown_items.join(", ");
        text.push_str(&format!("the run decides how often these run, one time is expected: {tasks}\n"));
    }
    text
}

fn span(estimate: Estimate) -> String {
    let most = estimate.most.map_or("unknown".to_owned(), |most| most.to_string());
    format!("{} expected, {most} at most", estimate.expected)
}

fn row(task: &TaskForecast) -> [String; 10] {
    let short = |estimate: Estimate| match estimate.most {
        Some(most) if most == estimate.expected => most.to_string(),
        Some(most) => format!("{}–{most}", estimate.expected),
        None => format!("{}–?", estimate.expected),
    };
    let asks = task.cached > 0 || task.model_calls != Estimate { expected: 0, most: Some(0) };
    let if_any = |count: u64| if count > 0 { count.to_string() } else { String::new() };
    let if_asked = |text: String| if asks { text } else { String::new() };
    [
        task.wave.to_string(),
        task.id.clone(),
        task.method.clone(),
        task.items.map_or("?".to_owned(), |items| items.to_string()),
        if_any(task.recorded),
        if_any(task.cached),
        task.model.as_ref().map(ModelId::to_string).unwrap_or_default(),
        if_asked(short(task.model_calls)),
        if_asked(short(task.tokens)),
        if_asked(money(task.cost)),
    ]
}

fn money(cost: CostEstimate) -> String {
    match (cost.expected, cost.most) {
        (None, _) => "unknown".to_owned(),
        (Some(expected), Some(most)) if expected == most => expected.to_string(),
        (Some(expected), Some(most)) => format!("{expected}–{most}"),
        (Some(expected), None) => format!("{expected}–?"),
    }
}
