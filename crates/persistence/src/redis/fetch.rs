//! Reads rows of runs for the scheduler, in as few round trips as it needs.
//!
//! What is read may be outdated at once: whoever commits a change checks the run's version.

use std::collections::HashMap;

use motet_core::error::{ErrorReport, Result};
use motet_core::id::{Millis, RunId};
use motet_core::schedule::RunRow;
use motet_core::store::{AskedQuestion, NewTask};

use super::row::{self, Fields, Reader, from_json};
use super::rows::{Entry, Fetched, Need};
use super::server::Server;

/// How many keys are asked for at once.
const BATCH: usize = 1_000;

/// Reads the server's clock.
pub(super) async fn now(server: &Server) -> Result<Millis> {
    let (seconds, microseconds): (i64, i64) = server.ask(&redis::cmd("TIME")).await?;
    Ok(Millis(seconds * 1_000 + microseconds / 1_000))
}

/// Reads the head of a run and the server's clock; `None` when there is no such run.
pub(super) async fn run(server: &Server, id: &RunId) -> Result<Option<(Fetched, Millis)>> {
    let mut pipe = redis::pipe();
    pipe.cmd("TIME").cmd("HGETALL").arg(server.key(format!("run:{id}")));
    let ((seconds, microseconds), fields): ((i64, i64), Fields) = server.ask_all(&pipe).await?;
    if !fields.contains_key("state") {
        return Ok(None);
    }
    let read = Reader(&fields);
    let version: u64 = read.number("v")?;
    let fetched = Fetched {
        row: row::run(id, &fields)?,
        version,
        ready: read.number("ready")?,
        fields,
        tasks: HashMap::new(),
        after: HashMap::new(),
        questions: HashMap::new(),
        others: HashMap::new(),
        is_whole: false,
    };
    Ok(Some((fetched, Millis(seconds * 1_000 + microseconds / 1_000))))
}

/// A run's row and the other fields of its hash.
pub(super) struct Head {
    pub(super) row: RunRow,
    pub(super) fields: Fields,
}

/// Reads the head of a run for showing it.
pub(super) async fn head(server: &Server, id: &RunId) -> Result<Option<Head>> {
    Ok(heads(server, std::slice::from_ref(id)).await?.pop().flatten())
}

/// Reads the heads of runs in the order asked.
pub(super) async fn heads(server: &Server, ids: &[RunId]) -> Result<Vec<Option<Head>>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut pipe = redis::pipe();
    for id in ids {
        pipe.cmd("HGETALL").arg(server.key(format!("run:{id}")));
    }
    let found: Vec<Fields> = server.ask_all(&pipe).await?;
    let read = |(id, fields): (&RunId, Fields)| {
        let is_there = fields.contains_key("state");
        is_there.then(|| Ok(Head { row: row::run(id, &fields)?, fields })).transpose()
    };
    ids.iter().zip(found).map(read).collect()
}

/// Reads what the scheduler missed.
pub(super) async fn more(server: &Server, fetched: &mut Fetched, need: Need) -> Result<()> {
    let id = fetched.row.id.clone();
    match need {
        Need::Task(number) => tasks(server, fetched, &[number]).await,
        Need::After(number) => {
            let waiting = after(server, &id, number).await?;
            let missing: Vec<u32> =
                waiting.iter().copied().filter(|number| !fetched.tasks.contains_key(number)).collect();
            fetched.after.insert(number, waiting);
            tasks(server, fetched, &missing).await
        }
        Need::Question(step) => {
            let key = server.key(format!("questions:{id}"));
            let asked: Option<String> = server.ask(redis::cmd("HGET").arg(key).arg(&step)).await?;
            let asked = asked.as_deref().map(from_json).transpose()?;
            fetched.questions.insert(step, asked);
            Ok(())
        }
        Need::Other(other) => {
            let key = server.key(format!("run:{other}"));
            let state: Option<String> = server.ask(redis::cmd("HGET").arg(key).arg("state")).await?;
            fetched.others.insert(other, state.as_deref().map(row::run_state).transpose()?);
            Ok(())
        }
        Need::Whole => whole(server, fetched).await,
    }
}

/// Reads who waits for a task.
async fn after(server: &Server, id: &RunId, number: u32) -> Result<Vec<u32>> {
    let key = server.key(format!("after:{id}"));
    let mut waiting = Vec::new();
    let mut part = 0;
    loop {
        let field = if part == 0 { number.to_string() } else { format!("{number}:{part}") };
        let text: Option<String> = server.ask(redis::cmd("HGET").arg(&key).arg(field)).await?;
        let Some(text) = text else { return Ok(waiting) };
        waiting.extend(row::read_part(&text)?);
        if !text.ends_with(';') {
            return Ok(waiting);
        }
        part += 1;
    }
}

/// Reads tasks.
pub(super) async fn tasks(server: &Server, fetched: &mut Fetched, numbers: &[u32]) -> Result<()> {
    let id = fetched.row.id.clone();
    let found = read_tasks(server, &id, numbers).await?;
    fetched.tasks.extend(numbers.iter().copied().zip(found));
    Ok(())
}

/// Reads tasks of a run, in the order asked.
pub(super) async fn read_tasks(server: &Server, id: &RunId, numbers: &[u32]) -> Result<Vec<Option<Entry>>> {
    let news = values(server, &format!("new:{id}"), numbers).await?;
    let mut found = Vec::with_capacity(numbers.len());
    let mut news = news.into_iter();
    for batch in numbers.chunks(BATCH) {
        let mut pipe = redis::pipe();
        for number in batch {
            pipe.cmd("HGETALL").arg(server.key(format!("task:{id}:{number}")));
        }
        let rows: Vec<Fields> = server.ask_all(&pipe).await?;
        for ((number, fields), new) in batch.iter().zip(rows).zip(&mut news) {
            let (Some(new), true) = (new, fields.contains_key("state")) else {
                found.push(None);
                continue;
            };
            let new: NewTask = from_json(&new)?;
            found.push(Some(Entry { row: row::task(id, *number, &fields, &new)?, new }));
        }
    }
    Ok(found)
}

/// Reads values of a hash by the number of a task, those with keys of their own too.
pub(super) async fn values<N: std::fmt::Display>(
    server: &Server,
    hash: &str,
    fields: &[N],
) -> Result<Vec<Option<String>>> {
    let key = server.key(hash);
    let mut found: Vec<Option<String>> = Vec::with_capacity(fields.len());
    for batch in fields.chunks(BATCH) {
        let names: Vec<String> = batch.iter().map(ToString::to_string).collect();
        let values: Vec<Option<String>> = server.ask(redis::cmd("HMGET").arg(&key).arg(&names)).await?;
        found.extend(values);
    }
    for (value, field) in found.iter_mut().zip(fields) {
        if value.as_deref() == Some("@") {
            *value = server.ask(redis::cmd("GET").arg(format!("{key}:{field}"))).await?;
        }
    }
    Ok(found)
}

/// Reads the numbers of all tasks of a run, in order.
pub(super) async fn numbers(server: &Server, id: &RunId) -> Result<Vec<u32>> {
    let mut numbers: Vec<u32> = server.ask(redis::cmd("HKEYS").arg(server.key(format!("new:{id}")))).await?;
    numbers.sort_unstable();
    Ok(numbers)
}

async fn whole(server: &Server, fetched: &mut Fetched) -> Result<()> {
    let id = fetched.row.id.clone();
    let numbers = numbers(server, &id).await?;
    tasks(server, fetched, &numbers).await?;
    let parts: HashMap<String, String> =
        server.ask(redis::cmd("HGETALL").arg(server.key(format!("after:{id}")))).await?;
    for number in numbers {
        let mut waiting = Vec::new();
        let mut part = 0;
        loop {
            let field = if part == 0 { number.to_string() } else { format!("{number}:{part}") };
            let Some(text) = parts.get(&field) else { break };
            waiting.extend(row::read_part(text)?);
            part += 1;
        }
        fetched.after.insert(number, waiting);
    }
    for asked in questions(server, &id).await? {
        fetched.questions.insert(asked.question.step.clone(), Some(asked));
    }
    fetched.is_whole = true;
    Ok(())
}

/// Reads the questions of a run in the order asked.
pub(super) async fn questions(server: &Server, id: &RunId) -> Result<Vec<AskedQuestion>> {
    let mut pipe = redis::pipe();
    pipe.cmd("LRANGE").arg(server.key(format!("asked:{id}"))).arg(0).arg(-1);
    pipe.cmd("HGETALL").arg(server.key(format!("questions:{id}")));
    let (steps, asked): (Vec<String>, HashMap<String, String>) = server.ask_all(&pipe).await?;
    steps.iter().filter_map(|step| asked.get(step)).map(|text| from_json(text)).collect()
}

/// Reads the errors of tasks.
pub(super) async fn errors(server: &Server, id: &RunId, numbers: &[u32]) -> Result<Vec<Option<ErrorReport>>> {
    let texts = values(server, &format!("error:{id}"), numbers).await?;
    texts.iter().map(|text| text.as_deref().map(from_json).transpose()).collect()
}
