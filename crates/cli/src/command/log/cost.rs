//! `motet log cost`: what the model calls of stored runs cost, added up by whatever they are ascribed to.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use motet::core::Millis;
use motet::core::run_log::{Costs, Paid, Total};
use motet::core::settings::duration;
use motet::core::store::{RunFilter, Sequenced, SharedStore};
use motet::{Error, ErrorKind, Result, RunId};
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::Exit;
use crate::table::table;

/// Entries that are read at once.
const PAGE: u32 = 500;

/// Stands for calls that are ascribed to nothing of the kind.
const NONE: &str = "-";

#[derive(Args)]
pub(super) struct Cost {
    /// Ids of the runs; all runs of the store where none is given
    #[arg(value_name = "RUN")]
    runs: Vec<RunId>,
    /// What to add up by: run, step, agent, tool, key, tag, tag:NAME, tenant, model, provider, or day (UTC)
    #[arg(long, default_value = "run", value_parser = by)]
    by: By,
    /// Only calls that ended since then: a date such as 2026-05-03 (UTC), or a time ago such as 7d or 12h
    #[arg(long, value_parser = since)]
    since: Option<Millis>,
}

#[derive(Clone)]
enum By {
    Run,
    Step,
    Agent,
    Tool,
    Key,
    /// All tags of a call together.
    Tags,
    /// The value of one tag.
    Tag(String),
    Tenant,
    Model,
    Provider,
    Day,
}

fn by(text: &str) -> Result<By, String> {
    Ok(match text {
        "run" => By::Run,
        "step" => By::Step,
        "agent" => By::Agent,
        "tool" => By::Tool,
        "key" => By::Key,
        "tag" => By::Tags,
        "tenant" => By::Tenant,
        "model" => By::Model,
        "provider" => By::Provider,
        "day" => By::Day,
        other => match other.strip_prefix("tag:") {
            Some(name) if !name.is_empty() => By::Tag(name.to_owned()),
            _ => {
                return Err(
                    "use run, step, agent, tool, key, tag, tag:NAME, tenant, model, provider, or day"
                        .to_owned(),
                );
            }
        },
    })
}

pub(in crate::command) fn since(text: &str) -> Result<Millis, String> {
    if let Some(start) = Millis::of_day(text) {
        return Ok(start);
    }
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok());
    let ago = days.and_then(|days| days.checked_mul(86_400)).map(Duration::from_secs);
    let ago = ago.or_else(|| duration::parse(text).ok());
    let ago =
        ago.ok_or_else(|| "use a date such as 2026-05-03, or a time ago such as 7d or 12h".to_owned())?;
    let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
    Ok(Millis(Millis::now().0.saturating_sub(ago)))
}

impl By {
    fn group(&self, run: &RunId, paid: &Paid) -> String {
        let ascribed = &paid.attribution;
        let group = match self {
            By::Run => Some(run.to_string()),
            By::Step => Some(paid.step.clone()),
            By::Agent => ascribed.agent.clone(),
            By::Tool => ascribed.tool.clone(),
            By::Key => paid.key.clone(),
            By::Tags => {
                let tags = ascribed.tags.iter().map(|(name, value)| format!("{name}={value}"));
                Some(tags.collect::<Vec<_>>().join(", ")).filter(|tags| !tags.is_empty())
            }
            By::Tag(name) => ascribed.tags.get(name).cloned(),
            By::Tenant => ascribed.tenant.clone(),
            By::Model => paid.model.as_ref().map(ToString::to_string),
            By::Provider => paid.model.as_ref().map(|model| model.provider().to_owned()),
            By::Day => paid.at.to_string().split('T').next().map(str::to_owned),
        };
        group.unwrap_or_else(|| NONE.to_owned())
    }

    fn heading(&self) -> String {
        match self {
            By::Run => "RUN".to_owned(),
            By::Step => "STEP".to_owned(),
            By::Agent => "AGENT".to_owned(),
            By::Tool => "TOOL".to_owned(),
            By::Key => "KEY".to_owned(),
            By::Tags => "TAGS".to_owned(),
            By::Tag(name) => name.to_uppercase(),
            By::Tenant => "TENANT".to_owned(),
            By::Model => "MODEL".to_owned(),
            By::Provider => "PROVIDER".to_owned(),
            By::Day => "DAY".to_owned(),
        }
    }
}

/// The groups, and all of them together.
#[derive(Default)]
struct Sums {
    groups: BTreeMap<String, Total>,
    total: Total,
}

pub(super) fn run(context: Context, cost: Cost) -> Result<Exit> {
    let runtime = context.runtime()?;
    let printer = context.printer;
    context.block_on(|_| async move {
        let store = runtime.store().await?;
        let mut sums = Sums::default();
        for run in chosen(&store, &cost.runs).await? {
            add(&store, &run, &cost, &mut sums).await?;
        }
        printer.data(&shape(&sums), || text(&cost.by, &sums))?;
        Ok(Exit::Success)
    })
}

/// Gives the runs that were named, or all, the oldest first.
async fn chosen(store: &SharedStore, named: &[RunId]) -> Result<Vec<RunId>> {
    if named.is_empty() {
        let mut runs: Vec<RunId> =
            store.runs(&RunFilter::default()).await?.into_iter().map(|run| run.id).collect();
        runs.reverse();
        return Ok(runs);
    }
    for run in named {
        if store.run(run).await?.is_none() {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no run `{run}`"))
                .with_hint("`motet workflow list` shows the runs of the store"));
        }
    }
    let mut once = named.to_vec();
    once.sort();
    once.dedup();
    Ok(once)
}

/// Adds the calls of one run, those of a batch's requests included; a page at a time is in memory.
async fn add(store: &SharedStore, run: &RunId, cost: &Cost, sums: &mut Sums) -> Result<()> {
    let mut costs = Costs::default();
    let mut after = 0;
    loop {
        let page = store.records(run, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        page.iter().filter_map(|entry| costs.add(entry)).for_each(|paid| sums.add(run, cost, &paid));
    }
    let mut last: Option<String> = None;
    loop {
        let names = store.item_names(run, last.as_deref(), PAGE).await?;
        if names.is_empty() {
            return Ok(());
        }
        for name in &names {
            for (seq, record) in (1..).zip(store.item_records(run, name).await?) {
                let paid = costs.add(&Sequenced { seq, task: 0, record });
                paid.into_iter().for_each(|paid| sums.add(run, cost, &paid));
            }
        }
        last = names.into_iter().next_back();
    }
}

impl Sums {
    fn add(&mut self, run: &RunId, cost: &Cost, paid: &Paid) {
        if cost.since.is_none_or(|since| paid.at >= since) {
            self.groups.entry(cost.by.group(run, paid)).or_default().add(paid);
            self.total.add(paid);
        }
    }
}

/// Gives the amount as data: `cost` is null where the cost of every call is unknown.
fn amount(total: &Total) -> Value {
    let known = total.unknown < total.calls || total.calls == 0;
    json!({
        "calls": total.calls,
        "usage": total.usage,
        "cost": known.then(|| total.cost.dollars()),
        "cost_nanos": known.then(|| total.cost.nanos()),
        "unknown_cost_calls": total.unknown,
    })
}

fn shape(sums: &Sums) -> Value {
    let group = |(name, total): (&String, &Total)| {
        let mut value = amount(total);
        value["group"] = Value::from(name.as_str());
        value
    };
    json!({"groups": sums.groups.iter().map(group).collect::<Vec<_>>(), "total": amount(&sums.total)})
}

fn text(by: &By, sums: &Sums) -> String {
    let line = |name: &str, total: &Total| {
        let usage = &total.usage;
        let numbers = [total.calls, usage.input, usage.cached_input, usage.output];
        let [calls, input, cached, output] = numbers.map(|number| number.to_string());
        [name.to_owned(), calls, input, cached, output, money(total)]
    };
    let groups = sums.groups.iter().map(|(name, total)| line(name, total));
    let rows = groups.chain(std::iter::once(line("total", &sums.total)));
    table([&by.heading(), "CALLS", "INPUT", "CACHED", "OUTPUT", "COST"], rows)
}

/// An unknown cost is shown as unknown, never as nothing.
fn money(total: &Total) -> String {
    match (total.calls - total.unknown, total.unknown) {
        (_, 0) => total.cost.to_string(),
        (0, _) => "unknown".to_owned(),
        (_, unknown) => format!("{} and {unknown} unknown", total.cost),
    }
}
