//! `motet workflow export`: everything that is known of a run as one JSON value.

use motet::core::store::{RunEvent, Sequenced, SharedStore};
use motet::{Result, RunId, Runtime};
use serde_json::{Map, Value, json};

/// How many entries are read at a time.
const PAGE: u32 = 1_000;

pub(super) async fn value(runtime: &Runtime, run: &RunId, with_journal: bool) -> Result<Value> {
    let report = runtime.report(run).await?;
    let store = runtime.store().await?;
    let stored = store.run(run).await?;
    let results = runtime.results(run).await?;
    let results: Map<String, Value> =
        results.into_iter().map(|(task, result)| (task.name, result.unwrap_or_default())).collect();
    let mut whole = json!({
        "report": report,
        "run": stored,
        "results": results,
        "questions": store.questions(Some(run)).await?,
        "events": events(&store, run).await?,
    });
    if with_journal {
        whole["journal"] = json!(journal(&store, run).await?);
    }
    Ok(whole)
}

async fn events(store: &SharedStore, run: &RunId) -> Result<Vec<RunEvent>> {
    let mut all: Vec<RunEvent> = Vec::new();
    loop {
        let page = store.events(run, all.last().map_or(0, |last| last.seq), PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

async fn journal(store: &SharedStore, run: &RunId) -> Result<Vec<Sequenced>> {
    let mut all: Vec<Sequenced> = Vec::new();
    loop {
        let page = store.records(run, all.last().map_or(0, |last| last.seq), PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}
