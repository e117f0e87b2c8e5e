//! Storing a run: in one script call where it is small, in parts that nobody sees before the last one where it is large.

use std::collections::HashMap;

use motet_core::error::{Error, ErrorKind, Result};
use motet_core::id::{Millis, RunId};
use motet_core::schedule::{self, TaskRow};
use motet_core::store::{NewRun, NewTask, TaskState};

use super::row::{self, to_json};
use super::server::{self, Server};
use super::{fetch, remove};

/// Tasks of one part, and bytes of their definitions.
const PART: (usize, usize) = (500, 2 << 20);

/// What became of a submission.
enum Stored {
    /// The run is there, or an earlier one with its key.
    Run(RunId),
    /// The server lost parts before the last one came.
    Torn,
}

/// Stores a run; where an earlier one has its key, gives that.
pub(super) async fn submit(server: &Server, new: &NewRun) -> Result<RunId> {
    schedule::check_graph(&new.tasks)?;
    let now = fetch::now(server).await?;
    let name = server::name();
    for _ in 0..2 {
        match store(server, new, (&name, now)).await? {
            Stored::Run(id) => return Ok(id),
            Stored::Torn => {
                tracing::warn!(run = %new.id, "the Redis server lost parts of a submission");
                remove::staged(server, &new.id).await?;
            }
        }
    }
    Err(Error::new(
        ErrorKind::Store,
        format!("the Redis server lost parts of run `{}` while it was submitted", new.id),
    )
    .with_hint("submit it again when the server stays up"))
}

/// Stores a run part by part.
async fn store(server: &Server, new: &NewRun, (name, now): (&str, Millis)) -> Result<Stored> {
    let head = head(new, now)?;
    let mut after = waiting(&new.tasks);
    let mut tasks = (0u32..).zip(&new.tasks).peekable();
    let mut is_first = true;
    loop {
        let mut words: Vec<Vec<u8>> = Vec::with_capacity(PART.0 * 10);
        let (mut count, mut bytes) = (0, 0);
        while count < PART.0 && bytes < PART.1 {
            let Some((number, task)) = tasks.next() else { break };
            let part = task_words(number, task, after.remove(&number).unwrap_or_default(), now)?;
            bytes += part.iter().map(Vec::len).sum::<usize>();
            words.extend(part);
            count += 1;
        }
        let is_last = tasks.peek().is_none();
        let mut all = beginning(new, name, (is_first, is_last));
        let fields = if is_last { head.as_slice() } else { &[] };
        all.push(fields.len().to_string().into_bytes());
        all.extend(fields.iter().map(|word| word.as_bytes().to_vec()));
        for value in [to_json(&new.definition)?, to_json(&new.inputs)?, to_json(&new.settings)?] {
            all.push(if is_last { value.into_bytes() } else { Vec::new() });
        }
        all.extend(words);
        let answer: Vec<String> = server.run(&server.scripts.submit, &all).await?;
        match (answer.first().map(String::as_str), answer.get(1)) {
            (Some("done"), _) if is_last => return Ok(Stored::Run(new.id.clone())),
            (Some("done"), _) => is_first = false,
            (Some("torn"), _) => return Ok(Stored::Torn),
            (Some("first"), Some(first)) => {
                if !is_first {
                    remove::staged(server, &new.id).await?;
                }
                return first.parse().map(Stored::Run);
            }
            _ => return Err(crate::run_exists(&new.id)),
        }
    }
}

/// Gives what each part begins with.
fn beginning(new: &NewRun, name: &str, (is_first, is_last): (bool, bool)) -> Vec<Vec<u8>> {
    let flag = |is: bool| if is { "1" } else { "0" };
    let key = new.key.as_deref().unwrap_or_default();
    [new.id.as_str(), name, flag(is_first), flag(is_last), key].map(|word| word.as_bytes().to_vec()).to_vec()
}

/// Gives who waits for each task.
fn waiting(tasks: &[NewTask]) -> HashMap<u32, Vec<u32>> {
    let mut after: HashMap<u32, Vec<u32>> = HashMap::new();
    for (number, task) in (0u32..).zip(tasks) {
        for dependency in distinct(task) {
            after.entry(dependency).or_default().push(number);
        }
    }
    after
}

fn distinct(task: &NewTask) -> Vec<u32> {
    let mut dependencies = task.dependencies.clone();
    dependencies.sort_unstable();
    dependencies.dedup();
    dependencies
}

fn head(new: &NewRun, now: Millis) -> Result<Vec<String>> {
    let row = schedule::new_run(new);
    let ready = new.tasks.iter().filter(|task| task.dependencies.is_empty()).count();
    let own = [
        ("name", new.name.clone()),
        ("kind", new.kind.clone()),
        ("key", new.key.clone().unwrap_or_default()),
        ("ready", ready.to_string()),
        ("created_at", now.0.to_string()),
    ];
    let fields = row::run_fields(&row).into_iter().chain(own).filter(|(field, _)| *field != "events");
    Ok(fields.flat_map(|(field, value)| [field.to_owned(), value]).collect())
}

fn task_words(number: u32, task: &NewTask, after: Vec<u32>, now: Millis) -> Result<[Vec<u8>; 10]> {
    let row = TaskRow::new(number, task, now);
    let definition = if task.dependencies.is_empty() {
        to_json(task)?
    } else {
        to_json(&NewTask { dependencies: distinct(task), ..task.clone() })?
    };
    Ok([
        number.to_string(),
        if row.state == TaskState::Ready { "ready" } else { "blocked" }.to_owned(),
        row.remaining.to_string(),
        row.not_before.0.to_string(),
        task.priority.rank().to_string(),
        row::lane(task, row.is_suspect()),
        row::milliseconds(task.delay),
        row::on_failure(task.on_failure).to_owned(),
        definition,
        row::parts(&after).join("/"),
    ]
    .map(String::into_bytes))
}
