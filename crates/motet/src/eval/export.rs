//! Records of runs that the store holds, whether or not they were recorded when they ran.

use motet_agents::record::EvalRecord;
use motet_core::RunId;
use motet_core::error::Result;
use motet_core::run_log::{Entry, Record};
use motet_core::store::{Run, SharedStore, Task};
use serde_json::{Map, Value};

use crate::batch;
use crate::recording;
use crate::report::no_such_run;
use crate::runtime::Runtime;

/// Names of items that are read at once.
const PAGE: u32 = 500;

impl Runtime {
    /// Makes the records of a stored run: one for a single call or an agent, one for each request of a batch, and one for each
    /// task of a workflow that asked a model. What the settings redact is masked.
    ///
    /// # Errors
    /// `NotFound` when there is no such run; `Store` when the store cannot be read.
    pub async fn eval_records(&self, run: &RunId) -> Result<Vec<EvalRecord>> {
        let store = self.store().await?;
        let found = store.run(run).await?.ok_or_else(|| no_such_run(run))?;
        let records = match found.summary.kind.as_str() {
            recording::KIND => of_call(&store, found).await?,
            batch::KIND => of_batch(&store, run).await?,
            _ => of_tasks(&store, run).await?,
        };
        let redaction = recording::Redaction::of_settings(self.loaded(), &[])?;
        Ok(records.into_iter().map(|record| record.masked(&|value| redaction.value(value))).collect())
    }
}

async fn of_call(store: &SharedStore, found: Run) -> Result<Vec<EvalRecord>> {
    let run = found.summary.id;
    let records = store.task_records(&run, 0).await?;
    let Some(record) = EvalRecord::of_run(&run, &records) else { return Ok(Vec::new()) };
    // The journal refers to the definition for what was asked.
    let record = record.asking(&recording::definition(found.definition)?.request);
    let output = store.outputs(&run, &[0]).await?.into_iter().flatten().next();
    let value = output.and_then(|output| output.get("json").cloned());
    let record = record.with_id(run.as_str()).with_value(value);
    let tasks = store.tasks(&run).await?;
    Ok(vec![ended(record, tasks.first())])
}

async fn of_batch(store: &SharedStore, run: &RunId) -> Result<Vec<EvalRecord>> {
    let (mut made, mut last) = (Vec::new(), None::<String>);
    loop {
        let names = store.item_names(run, last.as_deref(), PAGE).await?;
        if names.is_empty() {
            return Ok(made);
        }
        for name in &names {
            let records = store.item_records(run, name).await?;
            let result = records.iter().rev().find_map(|record| result(record, name));
            let record = match result {
                Some(result) => Some(EvalRecord::of_batch(run, None, &batch::kept(result)?, &[])),
                None => EvalRecord::of_run(run, &records),
            };
            let record = record.map(|record| asking(record, &records, name));
            made.extend(record.map(|record| record.with_id(format!("{run}/{name}"))));
        }
        last = names.into_iter().next_back();
    }
}

/// Says what the request asked, which its log holds.
fn asking(record: EvalRecord, records: &[Record], name: &str) -> EvalRecord {
    let asked = record.model.parse().ok().and_then(|model| batch::asked_of(records, name, &model));
    match asked {
        Some(request) => record.asking(&request),
        None => record,
    }
}

fn result(record: &Record, name: &str) -> Option<Value> {
    match record.entry() {
        Entry::Finished { result } if record.step() == name => Some(result.clone()),
        _ => None,
    }
}

async fn of_tasks(store: &SharedStore, run: &RunId) -> Result<Vec<EvalRecord>> {
    let mut made = Vec::new();
    for task in store.tasks(run).await? {
        let records = store.task_records(run, task.number).await?;
        let Some(record) = EvalRecord::of_run(run, &records) else { continue };
        let labels = Map::from_iter([("task".to_owned(), Value::String(task.name.clone()))]);
        let record = record.with_id(format!("{run}/{}", task.name)).with_metadata(labels);
        made.push(ended(record, Some(&task)));
    }
    Ok(made)
}

/// Says how the task ended, which its journal need not tell.
fn ended(record: EvalRecord, task: Option<&Task>) -> EvalRecord {
    match task.and_then(|task| task.error.as_ref()) {
        Some(error) => record.failing(error),
        None => record,
    }
}
