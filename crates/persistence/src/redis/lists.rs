//! What a store lists: runs, tasks, results, journals, events, questions, and items.
//!
//! Only reads.

use motet_core::error::Result;
use motet_core::id::{Millis, RunId};
use motet_core::run_log::Record;
use motet_core::schedule::RunRow;
use motet_core::store::{AskedQuestion, Run, RunEvent, RunFilter, RunSummary, Sequenced, Task};
use serde_json::Value;

use super::row::{self, Fields, Reader, from_json};
use super::server::Server;
use super::{failure, fetch};
use crate::{RunFacts, TaskFacts};

/// Runs that are looked at at once.
const BATCH: isize = 200;

/// Makes fields of the flat list that a script gives.
pub(super) fn pairs(flat: Vec<String>) -> Fields {
    let mut words = flat.into_iter();
    let mut fields = Fields::new();
    while let (Some(field), Some(value)) = (words.next(), words.next()) {
        fields.insert(field, value);
    }
    fields
}

/// Gives a run in brief.
pub(super) fn summary(row: &RunRow, fields: &Fields) -> Result<RunSummary> {
    let read = Reader(fields);
    let text = |field| read.text(field).unwrap_or_default().to_owned();
    let facts = RunFacts {
        name: text("name"),
        kind: text("kind"),
        created_at: read.time("created_at")?.unwrap_or_default(),
        error: read.json("error")?,
    };
    Ok(crate::summary(row, facts))
}

/// Gives a run; fails when there is none.
pub(super) async fn existing(server: &Server, id: &RunId) -> Result<fetch::Head> {
    fetch::head(server, id).await?.ok_or_else(|| crate::no_such_run(id))
}

pub(super) async fn run(server: &Server, id: &RunId) -> Result<Option<Run>> {
    let Some(head) = fetch::head(server, id).await? else { return Ok(None) };
    let spec = fetch::values(server, &format!("spec:{id}"), &["definition", "inputs", "settings"]).await?;
    let [Some(definition), Some(inputs), Some(settings)] = spec.as_slice() else {
        return Err(row::lost("the definition of a run"));
    };
    Ok(Some(Run {
        summary: summary(&head.row, &head.fields)?,
        definition: from_json(definition)?,
        inputs: from_json(inputs)?,
        settings: from_json(settings)?,
    }))
}

pub(super) async fn runs(server: &Server, filter: &RunFilter) -> Result<Vec<RunSummary>> {
    let limit = if filter.limit == 0 { usize::MAX } else { filter.limit as usize };
    let mut found = Vec::new();
    let mut from = 0;
    while found.len() < limit {
        let ids = ids(server, from).await?;
        if ids.is_empty() {
            break;
        }
        from += BATCH;
        for head in fetch::heads(server, &ids).await?.into_iter().flatten() {
            let run = summary(&head.row, &head.fields)?;
            let fits = filter.state.is_none_or(|state| state == run.state)
                && filter.name.as_ref().is_none_or(|name| run.name.contains(name))
                && filter.root.as_ref().is_none_or(|root| run.id == *root || run.root() == root);
            if fits && found.len() < limit {
                found.push(run);
            }
        }
    }
    Ok(found)
}

/// Gives the ids of runs, the newest first.
pub(super) async fn ids(server: &Server, from: isize) -> Result<Vec<RunId>> {
    let range = redis::cmd("ZREVRANGE").arg(server.key("runs")).arg(from).arg(from + BATCH - 1).to_owned();
    let ids: Vec<String> = server.ask(&range).await?;
    ids.iter().map(|id| id.parse()).collect()
}

pub(super) async fn tasks(server: &Server, id: &RunId) -> Result<Vec<Task>> {
    tasks_after(server, id, None, usize::MAX).await
}

pub(super) async fn tasks_after(
    server: &Server,
    id: &RunId,
    after: Option<u32>,
    limit: usize,
) -> Result<Vec<Task>> {
    let head = existing(server, id).await?;
    let mut numbers = fetch::numbers(server, id).await?;
    numbers.retain(|number| after.is_none_or(|after| *number > after));
    numbers.truncate(limit);
    let entries = fetch::read_tasks(server, id, &numbers).await?;
    let errors = fetch::errors(server, id, &numbers).await?;
    let view = |(entry, error): (Option<super::rows::Entry>, _)| {
        let super::rows::Entry { row, new } = entry?;
        let facts = TaskFacts {
            run: id.clone(),
            run_state: head.row.state,
            name: new.name,
            queue: new.queue,
            priority: new.priority,
            payload: new.payload,
            error,
        };
        Some(crate::task(&row, facts))
    };
    Ok(entries.into_iter().zip(errors).filter_map(view).collect())
}

pub(super) async fn outputs(server: &Server, id: &RunId, tasks: &[u32]) -> Result<Vec<Option<Value>>> {
    existing(server, id).await?;
    let outputs = fetch::values(server, &format!("output:{id}"), tasks).await?;
    outputs.iter().map(|text| text.as_deref().map(from_json).transpose()).collect()
}

pub(super) async fn records(server: &Server, id: &RunId, after: u64, limit: u32) -> Result<Vec<Sequenced>> {
    let newest = existing(server, id).await?.row.seq;
    let last = newest.min(after.saturating_add(u64::from(limit)));
    let places: Vec<u64> = (after.saturating_add(1)..=last).collect();
    let entries = fetch::values(server, &format!("journal:{id}"), &places).await?;
    let read = |(seq, text): (u64, Option<String>)| {
        let (task, record) = entry(&text.ok_or_else(|| row::lost("an entry of a journal"))?)?;
        Ok(Sequenced { seq, task, record })
    };
    places.into_iter().zip(entries).map(read).collect()
}

fn entry(text: &str) -> Result<(u32, Record)> {
    let parts = text.split_once(' ').and_then(|(task, record)| Some((task.parse().ok()?, record)));
    let (task, record) =
        parts.ok_or_else(|| failure::unreadable("an entry of a journal", "it names no task"))?;
    Ok((task, from_json(record)?))
}

pub(super) async fn task_records(server: &Server, id: &RunId, task: u32) -> Result<Vec<Record>> {
    existing(server, id).await?;
    let mut pipe = redis::pipe();
    pipe.cmd("HGET").arg(server.key(format!("task:{id}:{task}"))).arg("journal_after");
    pipe.cmd("LRANGE").arg(server.key(format!("log:{id}:{task}"))).arg(0).arg(-1);
    let (after, mut places): (Option<u64>, Vec<u64>) = server.ask_all(&pipe).await?;
    places.retain(|place| *place > after.unwrap_or_default());
    let entries = fetch::values(server, &format!("journal:{id}"), &places).await?;
    let read = |text: Option<String>| Ok(entry(&text.ok_or_else(|| row::lost("an entry of a journal"))?)?.1);
    entries.into_iter().map(read).collect()
}

pub(super) async fn events(server: &Server, id: &RunId, after: u64, limit: u32) -> Result<Vec<RunEvent>> {
    existing(server, id).await?;
    if limit == 0 {
        return Ok(Vec::new());
    }
    let last = after.saturating_add(u64::from(limit)) - 1;
    let range = redis::cmd("LRANGE").arg(server.key(format!("events:{id}"))).arg(after).arg(last).to_owned();
    let events: Vec<String> = server.ask(&range).await?;
    // The place in the list is the number of the event.
    let read = |(seq, text): (u64, String)| {
        let row::StoredEvent { at, task, change } = from_json(&text)?;
        Ok(RunEvent { seq, at, task, change })
    };
    (after.saturating_add(1)..).zip(events).map(read).collect()
}

pub(super) async fn questions(server: &Server, id: Option<&RunId>) -> Result<Vec<AskedQuestion>> {
    if let Some(id) = id {
        existing(server, id).await?;
        return fetch::questions(server, id).await;
    }
    let mut ids: Vec<String> = server.ask(redis::cmd("SMEMBERS").arg(server.key("asking"))).await?;
    ids.sort_unstable();
    let mut all = Vec::new();
    for id in ids {
        all.extend(fetch::questions(server, &id.parse()?).await?);
    }
    all.sort_by_key(|asked| asked.asked_at);
    Ok(all)
}

pub(super) async fn item_names(
    server: &Server,
    id: &RunId,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<String>> {
    existing(server, id).await?;
    let from = after.map_or_else(|| "-".to_owned(), |after| format!("({after}"));
    let key = server.key(format!("items:{id}"));
    let range =
        redis::cmd("ZRANGEBYLEX").arg(key).arg(from).arg("+").arg("LIMIT").arg(0).arg(limit).to_owned();
    server.ask(&range).await
}

pub(super) async fn item_records(server: &Server, id: &RunId, item: &str) -> Result<Vec<Record>> {
    existing(server, id).await?;
    let key = server.key(format!("item:{id}:{item}"));
    let records: Vec<String> = server.ask(redis::cmd("LRANGE").arg(key).arg(0).arg(-1)).await?;
    records.iter().map(|text| from_json(text)).collect()
}

/// Gives the earliest time at which something must be done though nobody asks.
pub(super) async fn next_due(server: &Server, now: Millis) -> Result<Option<Millis>> {
    let mut pipe = redis::pipe();
    for set in ["leases", "waiting", "deadlines"] {
        pipe.cmd("ZRANGE").arg(server.key(set)).arg(0).arg(0).arg("WITHSCORES");
    }
    let later = format!("({}", now.0);
    let range = pipe.cmd("ZRANGEBYSCORE").arg(server.key("delayed")).arg(later).arg("+inf");
    range.arg("WITHSCORES").arg("LIMIT").arg(0).arg(1);
    let heads: Vec<Vec<(String, f64)>> = server.ask_all(&pipe).await?;
    let times = heads.into_iter().flatten().map(|(_, at)| Millis(at as i64));
    Ok(times.min())
}
