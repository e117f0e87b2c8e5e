//! Counts, workers seen, and whole runs for another store.

use std::collections::BTreeMap;

use motet_core::error::{Error, ErrorKind, Result};
use motet_core::id::{Millis, RunId};
use motet_core::schedule::{self, TaskRow};
use motet_core::store::{
    NewRun, NewTask, Outcome, RunDump, RunState, Sequenced, StoreStats, TaskDump, TaskState, WorkerInfo,
};

use super::change::change;
use super::commit::{Commit, Committed};
use super::row::{self, Reader, from_json, to_json};
use super::rows::Entry;
use super::server::{self, Server};
use super::{fetch, lists};

/// Workers that were not seen for a day are forgotten.
const FORGOTTEN: i64 = 86_400_000;
/// Tasks that are asked for at once.
const BATCH: usize = 1_000;

/// Counts what the namespace holds; it looks at every task.
pub(super) async fn stats(server: &Server) -> Result<StoreStats> {
    let now = fetch::now(server).await?;
    let mut stats = StoreStats::default();
    let mut runs: BTreeMap<RunState, u64> = BTreeMap::new();
    let mut tasks: BTreeMap<TaskState, u64> = BTreeMap::new();
    let mut ready: BTreeMap<String, u64> = BTreeMap::new();
    let mut from = 0;
    loop {
        let ids = lists::ids(server, from).await?;
        if ids.is_empty() {
            break;
        }
        from += isize::try_from(ids.len()).unwrap_or(isize::MAX);
        for head in fetch::heads(server, &ids).await?.into_iter().flatten() {
            *runs.entry(head.row.state).or_default() += 1;
            stats.journal += head.row.seq;
            stats.events += head.row.events;
            count_tasks(server, (&head.row.id, head.row.state, now), (&mut tasks, &mut ready)).await?;
        }
    }
    stats.runs = runs.into_iter().collect();
    stats.tasks = tasks.into_iter().collect();
    stats.ready = ready.into_iter().collect();
    Ok(stats)
}

async fn count_tasks(
    server: &Server,
    (id, state, now): (&RunId, RunState, Millis),
    (tasks, ready): (&mut BTreeMap<TaskState, u64>, &mut BTreeMap<String, u64>),
) -> Result<()> {
    let numbers = fetch::numbers(server, id).await?;
    for batch in numbers.chunks(BATCH) {
        let mut pipe = redis::pipe();
        for number in batch {
            let key = server.key(format!("task:{id}:{number}"));
            pipe.cmd("HMGET").arg(key).arg("state").arg("not_before").arg("lane");
        }
        let found: Vec<(Option<String>, Option<i64>, Option<String>)> = server.ask_all(&pipe).await?;
        for (task, not_before, lane) in found {
            let Some(task) = task else { continue };
            let task = row::task_state(&task)?;
            *tasks.entry(task.shown(state)).or_default() += 1;
            let is_ready = task == TaskState::Ready && not_before.unwrap_or_default() <= now.0;
            if is_ready && state == RunState::Running {
                let lane = lane.unwrap_or_else(|| motet_core::store::DEFAULT_QUEUE.to_owned());
                let queue = row::queue_name(lane.split('|').next().unwrap_or_default());
                *ready.entry(queue).or_default() += 1;
            }
        }
    }
    Ok(())
}

/// Notes that a worker lives.
pub(super) async fn seen(server: &Server, worker: &WorkerInfo) -> Result<()> {
    let worker = WorkerInfo { seen_at: fetch::now(server).await?, ..worker.clone() };
    let mut set = redis::cmd("HSET");
    set.arg(server.key("workers")).arg(worker.id.as_str()).arg(to_json(&worker)?);
    server.ask(&set).await
}

/// Gives the workers that were seen lately, the newest first.
pub(super) async fn workers(server: &Server) -> Result<Vec<WorkerInfo>> {
    let now = fetch::now(server).await?;
    let found: Vec<String> = server.ask(redis::cmd("HVALS").arg(server.key("workers"))).await?;
    let mut workers: Vec<WorkerInfo> = found.iter().map(|text| from_json(text)).collect::<Result<_>>()?;
    let (mut kept, mut old) = (Vec::new(), Vec::new());
    for worker in workers.drain(..) {
        let is_old = now.0 - worker.seen_at.0 > FORGOTTEN;
        if is_old { old.push(worker.id.as_str().to_owned()) } else { kept.push(worker) }
    }
    if !old.is_empty() {
        let () = server.ask(redis::cmd("HDEL").arg(server.key("workers")).arg(&old)).await?;
    }
    kept.sort_by_key(|worker| std::cmp::Reverse(worker.seen_at));
    Ok(kept)
}

/// Gives everything that is kept of a run. One that changes meanwhile is read again.
pub(super) async fn dump(server: &Server, id: &RunId) -> Result<Option<RunDump>> {
    for _ in 0..20 {
        let Some(head) = fetch::head(server, id).await? else { return Ok(None) };
        let version = head.fields.get("v").cloned();
        let dump = read_dump(server, id, head).await;
        let now = fetch::head(server, id).await?;
        if now.is_some_and(|head| head.fields.get("v").cloned() == version) {
            return dump.map(Some);
        }
    }
    Err(Error::new(ErrorKind::Store, format!("run `{id}` changes all the time"))
        .with_retry(motet_core::error::Retry::Backoff)
        .with_hint("pause it, or stop its workers, and copy it then"))
}

async fn read_dump(server: &Server, id: &RunId, head: fetch::Head) -> Result<RunDump> {
    let run = lists::run(server, id).await?.ok_or_else(|| crate::no_such_run(id))?;
    let numbers = fetch::numbers(server, id).await?;
    let entries = fetch::read_tasks(server, id, &numbers).await?;
    let errors = fetch::errors(server, id, &numbers).await?;
    let outputs = lists::outputs(server, id, &numbers).await?;
    let task = |((entry, error), output): ((Option<Entry>, _), _)| {
        let Entry { row, new } = entry?;
        Some(TaskDump { row, new, error, output })
    };
    let tasks = entries.into_iter().zip(errors).zip(outputs).filter_map(task).collect();
    let mut items = Vec::new();
    for name in lists::item_names(server, id, None, u32::MAX).await? {
        let records = lists::item_records(server, id, &name).await?;
        items.push((name, records));
    }
    let key = Reader(&head.fields).text("key").map(ToOwned::to_owned);
    let new = NewRun {
        id: id.clone(),
        definition: run.definition,
        inputs: run.inputs,
        settings: run.settings,
        max_active: head.row.max_active,
        deadline: head.row.deadline,
        parent: head.row.parent.clone(),
        key,
        ..NewRun::new(run.summary.kind, run.summary.name, Vec::new())
    };
    Ok(RunDump {
        created_at: run.summary.created_at,
        error: run.summary.error,
        tasks,
        journal: lists::records(server, id, 0, u32::MAX).await?,
        events: lists::events(server, id, 0, u32::MAX).await?,
        questions: fetch::questions(server, id).await?,
        items,
        row: head.row,
        new,
    })
}

/// Stores a run as another store gave it; what workers have in hand there is given back.
pub(super) async fn load(server: &Server, dump: RunDump) -> Result<()> {
    let id = dump.row.id.clone();
    if fetch::head(server, &id).await?.is_some() {
        return Err(crate::run_exists(&id));
    }
    if let Some(key) = &dump.new.key {
        let first: Option<String> =
            server.ask(redis::cmd("HGET").arg(server.key("submitted")).arg(key)).await?;
        if let Some(first) = first {
            let message = format!("run `{first}` was submitted with the key of run `{id}` already");
            return Err(Error::new(ErrorKind::Conflict, message)
                .with_hint("a key stands for one run: copy the run into another store"));
        }
    }
    let place: u64 = server.ask(redis::cmd("INCR").arg(server.key("run-count"))).await?;
    let mut commit = Commit::new(server, fetch::now(server).await?);
    commit.check(&id, "state", String::new());
    load_run(&mut commit, &dump, place)?;
    load_tasks(&mut commit, &dump)?;
    load_logs(&mut commit, &dump)?;
    commit.touch(&id);
    if commit.send().await? == Committed::Conflict {
        return Err(crate::run_exists(&id));
    }
    let in_hand = |task: &&TaskDump| task.row.state == TaskState::Running;
    let tokens: Vec<_> =
        dump.tasks.iter().filter(in_hand).filter_map(|task| task.row.token.clone()).collect();
    if tokens.is_empty() {
        return Ok(());
    }
    change(server, &id, |rows, now| {
        for token in &tokens {
            schedule::complete(rows, token, Outcome::Released, now)?;
        }
        Ok(())
    })
    .await
}

fn load_run(commit: &mut Commit<'_>, dump: &RunDump, place: u64) -> Result<()> {
    let (id, new) = (dump.row.id.as_str().to_owned(), &dump.new);
    let ready = dump.tasks.iter().filter(|task| task.row.state == TaskState::Ready).count();
    let own = [
        ("name", new.name.clone()),
        ("kind", new.kind.clone()),
        ("key", new.key.clone().unwrap_or_default()),
        ("ready", ready.to_string()),
        ("created_at", dump.created_at.0.to_string()),
        ("error", dump.error.as_ref().map(to_json).transpose()?.unwrap_or_default()),
        ("submission", server::name()),
    ];
    let mut words = vec![commit.key(format!("run:{id}"))];
    for (field, value) in row::run_fields(&dump.row).into_iter().chain(own) {
        words.extend([field.to_owned(), value]);
    }
    commit.add("HSET", words);
    let spec = commit.key(format!("spec:{id}"));
    commit.put(&spec, "definition", to_json(&new.definition)?);
    commit.put(&spec, "inputs", to_json(&new.inputs)?);
    commit.put(&spec, "settings", to_json(&new.settings)?);
    commit.add("ZADD", [commit.key("runs"), place.to_string(), id.clone()]);
    if let Some(key) = &new.key {
        commit.add("HSET", [commit.key("submitted"), key.clone(), id.clone()]);
    }
    if let Some(parent) = &dump.row.parent {
        commit.add("SADD", [commit.key(format!("children:{}", parent.run)), id.clone()]);
    }
    match (dump.row.ended_at.filter(|_| dump.row.state.is_ended()), dump.row.deadline) {
        (Some(at), _) => commit.add("ZADD", [commit.key("ended"), at.0.to_string(), id]),
        (None, Some(at)) => commit.add("ZADD", [commit.key("deadlines"), at.0.to_string(), id]),
        (None, None) => {}
    }
    Ok(())
}

fn load_tasks(commit: &mut Commit<'_>, dump: &RunDump) -> Result<()> {
    let id = &dump.row.id;
    let mut after: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for TaskDump { row, new, error, output } in &dump.tasks {
        let number = row.number.to_string();
        commit.put(&commit.key(format!("new:{id}")), &number, to_json(new)?);
        let before: Option<&TaskRow> = None;
        commit.task(id, before, (row, new));
        if let Some(error) = error {
            commit.put(&commit.key(format!("error:{id}")), &number, to_json(error)?);
        }
        if let Some(output) = output {
            commit.put(&commit.key(format!("output:{id}")), &number, to_json(output)?);
        }
        for dependency in distinct(new) {
            after.entry(dependency).or_default().push(row.number);
        }
    }
    for (number, waiting) in after {
        commit.after(id, number, 0, &waiting);
    }
    Ok(())
}

fn distinct(new: &NewTask) -> Vec<u32> {
    let mut dependencies = new.dependencies.clone();
    dependencies.sort_unstable();
    dependencies.dedup();
    dependencies
}

fn load_logs(commit: &mut Commit<'_>, dump: &RunDump) -> Result<()> {
    let id = dump.row.id.clone();
    for Sequenced { seq, task, record } in &dump.journal {
        let entry = format!("{task} {}", to_json(record)?);
        commit.put(&commit.key(format!("journal:{id}")), &seq.to_string(), entry);
        commit.add("RPUSH", [commit.key(format!("log:{id}:{task}")), seq.to_string()]);
    }
    commit.events(&id, &dump.events)?;
    for question in &dump.questions {
        let step = question.question.step.clone();
        commit.add("HSET", [commit.key(format!("questions:{id}")), step.clone(), to_json(question)?]);
        commit.add("RPUSH", [commit.key(format!("asked:{id}")), step]);
        commit.add("SADD", [commit.key("asking"), id.as_str().to_owned()]);
    }
    for (name, records) in &dump.items {
        commit.add("ZADD", [commit.key(format!("items:{id}")), "0".to_owned(), name.clone()]);
        for record in records {
            commit.add("RPUSH", [commit.key(format!("item:{id}:{name}")), to_json(record)?]);
        }
    }
    Ok(())
}
