//! How runs and tasks lie in hashes: fields by name, and back.
//!
//! Decides nothing. A field that is missing has the value that new rows have.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

use motet_core::error::{Error, Result};
use motet_core::id::{Millis, RunId, WorkerId};
use motet_core::schedule::{RunRow, TaskRow};
use motet_core::store::{Change, LeaseToken, NewTask, ParentTask, RunState, TaskState};
use motet_core::workflow::OnFailure;
use serde::de::DeserializeOwned;

use super::failure;

/// The fields of a hash.
pub(super) type Fields = HashMap<String, String>;

/// An event as it lies in the list of its run, where its place is its number.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct StoredEvent {
    pub(super) at: Millis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) task: Option<u32>,
    pub(super) change: Change,
}

/// Reads fields by name.
pub(super) struct Reader<'a>(pub(super) &'a Fields);

impl Reader<'_> {
    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str).filter(|text| !text.is_empty())
    }

    pub(super) fn optional<T: FromStr>(&self, field: &str) -> Result<Option<T>> {
        let read = |text: &str| {
            text.parse()
                .map_err(|_| failure::unreadable(&format!("the field `{field}`"), format!("`{text}`")))
        };
        self.text(field).map(read).transpose()
    }

    pub(super) fn number<T: FromStr + Default>(&self, field: &str) -> Result<T> {
        self.optional(field).map(Option::unwrap_or_default)
    }

    pub(super) fn time(&self, field: &str) -> Result<Option<Millis>> {
        Ok(self.optional(field)?.map(Millis))
    }

    pub(super) fn json<T: DeserializeOwned>(&self, field: &str) -> Result<Option<T>> {
        self.text(field).map(from_json).transpose()
    }

    pub(super) fn id(&self, field: &str) -> Result<Option<RunId>> {
        self.optional(field)
    }
}

/// Reads a stored value.
pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| failure::unreadable("a record", error))
}

/// Writes a value to be stored.
pub(super) fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| failure::unreadable("a value", error))
}

pub(super) fn run_state(text: &str) -> Result<RunState> {
    let known = RunState::ALL.iter().find(|state| state.as_str() == text);
    known.copied().ok_or_else(|| failure::unreadable("the state of a run", format!("`{text}`")))
}

pub(super) fn task_state(text: &str) -> Result<TaskState> {
    let known = TaskState::ALL.iter().find(|state| state.as_str() == text);
    known.copied().ok_or_else(|| failure::unreadable("the state of a task", format!("`{text}`")))
}

pub(super) fn on_failure(policy: OnFailure) -> &'static str {
    match policy {
        OnFailure::Fail => "fail",
        OnFailure::SkipDependents => "skip_dependents",
        OnFailure::Continue => "continue",
    }
}

/// Stands behind the queue in the lane of tasks that are run alone.
const SUSPECT: char = '\u{1}';

/// Gives the lane of a task in its run: its queue, whether it is run alone, and its limit where it has one.
pub(super) fn lane(task: &NewTask, is_suspect: bool) -> String {
    let mut queue = queue(&task.queue);
    queue.extend(is_suspect.then_some(SUSPECT));
    match &task.limit {
        Some(limit) => format!("{queue}|{}|{}", limit.max, limit.key),
        None => queue,
    }
}

/// Writes the name of a queue so that it can be a part of a key.
pub(super) fn queue(name: &str) -> String {
    name.replace('%', "%25").replace('|', "%7C").replace(SUSPECT, "%01")
}

/// Gives the name of a queue again.
pub(super) fn queue_name(written: &str) -> String {
    written.trim_end_matches(SUSPECT).replace("%01", "\u{1}").replace("%7C", "|").replace("%25", "%")
}

/// Writes a token as a task's hash keeps it.
pub(super) fn token(token: &LeaseToken) -> String {
    format!("{}:{}", token.attempt, token.nonce)
}

fn read_token(run: &RunId, task: u32, text: &str) -> Result<LeaseToken> {
    let parts = text.split_once(':').and_then(|(attempt, nonce)| Some((attempt.parse().ok()?, nonce)));
    let (attempt, nonce) = parts.ok_or_else(|| failure::unreadable("a lease", format!("`{text}`")))?;
    Ok(LeaseToken { run: run.clone(), task, attempt, nonce: nonce.to_owned().into() })
}

/// Reads a task's row.
pub(super) fn task(run: &RunId, number: u32, fields: &Fields, new: &NewTask) -> Result<TaskRow> {
    let read = Reader(fields);
    Ok(TaskRow {
        number,
        state: task_state(read.text("state").unwrap_or_default())?,
        remaining: read.number("remaining")?,
        attempt: read.number("attempt")?,
        forgiven: read.number("forgiven")?,
        crashes: read.number("crashes")?,
        parent: read.optional("parent")?,
        open_children: read.number("open_children")?,
        failed_children: read.number("failed_children")?,
        open_questions: read.number("open_questions")?,
        joining: read.number::<u8>("joining")? != 0,
        awaits: read.id("awaits")?,
        on_failure: new.on_failure,
        retry: new.retry.clone(),
        delay: new.delay,
        limit: new.limit.clone(),
        not_before: read.time("not_before")?.unwrap_or_default(),
        token: read.text("token").map(|text| read_token(run, number, text)).transpose()?,
        worker: read.text("worker").map(WorkerId::from_stored),
        lease_until: read.time("lease_until")?.unwrap_or_default(),
        started_at: read.time("started_at")?,
        ended_at: read.time("ended_at")?,
        journal: read.number("journal")?,
        journal_after: read.number("journal_after")?,
    })
}

/// Writes all fields of a task's row.
pub(super) fn task_fields(row: &TaskRow, new: &NewTask) -> Vec<(&'static str, String)> {
    let time = |time: Option<Millis>| time.map(|time| time.0.to_string()).unwrap_or_default();
    vec![
        ("state", row.state.as_str().to_owned()),
        ("remaining", row.remaining.to_string()),
        ("attempt", row.attempt.to_string()),
        ("forgiven", row.forgiven.to_string()),
        ("crashes", row.crashes.to_string()),
        ("parent", row.parent.map(|parent| parent.to_string()).unwrap_or_default()),
        ("open_children", row.open_children.to_string()),
        ("failed_children", row.failed_children.to_string()),
        ("open_questions", row.open_questions.to_string()),
        ("joining", u8::from(row.joining).to_string()),
        ("awaits", row.awaits.as_ref().map(|run| run.as_str().to_owned()).unwrap_or_default()),
        ("on_failure", on_failure(row.on_failure).to_owned()),
        ("not_before", row.not_before.0.to_string()),
        ("token", row.token.as_ref().map(token).unwrap_or_default()),
        ("worker", row.worker.as_ref().map(|worker| worker.as_str().to_owned()).unwrap_or_default()),
        ("lease_until", row.lease_until.0.to_string()),
        ("started_at", time(row.started_at)),
        ("ended_at", time(row.ended_at)),
        ("journal", row.journal.to_string()),
        ("journal_after", row.journal_after.to_string()),
        ("priority", new.priority.rank().to_string()),
        ("lane", lane(new, row.is_suspect())),
        ("delay", milliseconds(new.delay)),
    ]
}

pub(super) fn milliseconds(duration: Duration) -> String {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).to_string()
}

/// Reads a run's row.
pub(super) fn run(id: &RunId, fields: &Fields) -> Result<RunRow> {
    let read = Reader(fields);
    let parent = match (read.id("parent")?, read.optional("parent_task")?, read.id("root")?) {
        (Some(run), Some(task), Some(root)) => Some(ParentTask { run, task, root }),
        _ => None,
    };
    Ok(RunRow {
        id: id.clone(),
        state: run_state(read.text("state").unwrap_or_default())?,
        definition: read.number("definition")?,
        tasks: read.number("tasks")?,
        next: read.number("next")?,
        open: read.number("open")?,
        active: read.number("active")?,
        done: read.number("done")?,
        failed: read.number("failed")?,
        skipped: read.number("skipped")?,
        fatal: read.number("fatal")?,
        waiting: read.number("waiting")?,
        awaiting: read.number("awaiting")?,
        seq: read.number("seq")?,
        events: read.number("events")?,
        max_active: read.optional("max_active")?,
        deadline: read.time("deadline")?,
        parent,
        ended_at: read.time("ended_at")?,
    })
}

/// Writes all fields of a run's row.
pub(super) fn run_fields(row: &RunRow) -> Vec<(&'static str, String)> {
    let time = |time: Option<Millis>| time.map(|time| time.0.to_string()).unwrap_or_default();
    let parent = row.parent.as_ref();
    vec![
        ("state", row.state.as_str().to_owned()),
        ("definition", row.definition.to_string()),
        ("tasks", row.tasks.to_string()),
        ("next", row.next.to_string()),
        ("open", row.open.to_string()),
        ("active", row.active.to_string()),
        ("done", row.done.to_string()),
        ("failed", row.failed.to_string()),
        ("skipped", row.skipped.to_string()),
        ("fatal", row.fatal.to_string()),
        ("waiting", row.waiting.to_string()),
        ("awaiting", row.awaiting.to_string()),
        ("seq", row.seq.to_string()),
        ("events", row.events.to_string()),
        ("max_active", row.max_active.map(|most| most.to_string()).unwrap_or_default()),
        ("deadline", time(row.deadline)),
        ("parent", parent.map(|parent| parent.run.as_str().to_owned()).unwrap_or_default()),
        ("parent_task", parent.map(|parent| parent.task.to_string()).unwrap_or_default()),
        ("root", parent.map_or(row.id.as_str(), |parent| parent.root.as_str()).to_owned()),
        ("ended_at", time(row.ended_at)),
    ]
}

/// Divides the numbers of those who wait for a task into the parts that one script works through; a part that another
/// one follows ends in `;`.
pub(super) fn parts(waiting: &[u32]) -> Vec<String> {
    const PART: usize = 500;
    let count = waiting.len().div_ceil(PART);
    let write = |(place, part): (usize, &[u32])| {
        let numbers: Vec<String> = part.iter().map(u32::to_string).collect();
        format!("{}{}", numbers.join(","), if place + 1 < count { ";" } else { "" })
    };
    waiting.chunks(PART).enumerate().map(write).collect()
}

/// Reads such a part.
pub(super) fn read_part(text: &str) -> Result<Vec<u32>> {
    let numbers = text.trim_end_matches(';').split(',').filter(|number| !number.is_empty());
    numbers
        .map(|number| number.parse().map_err(|_| failure::unreadable("a dependency", format!("`{number}`"))))
        .collect()
}

/// Reads the name of a task in the lists of leases and times: its run and number.
pub(super) fn member(text: &str) -> Result<(RunId, u32)> {
    let parts =
        text.rsplit_once(':').and_then(|(run, number)| Some((run.parse().ok()?, number.parse().ok()?)));
    parts.ok_or_else(|| failure::unreadable("the name of a task", format!("`{text}`")))
}

/// Makes an error of something that must be there.
pub(super) fn lost(what: &str) -> Error {
    failure::unreadable(what, "it is missing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_wait_are_divided_into_parts_that_tell_whether_more_follow() {
        let waiting: Vec<u32> = (0..1_200).collect();
        let parts = parts(&waiting);
        assert_eq!(parts.iter().map(|part| part.ends_with(';')).collect::<Vec<_>>(), [true, true, false]);
        let read: Vec<u32> = parts.iter().flat_map(|part| read_part(part).unwrap()).collect();
        assert_eq!(read, waiting);
        assert!(super::parts(&[]).is_empty());
    }

    #[test]
    fn names_of_queues_come_back() {
        for name in ["default", "a|b", "50%", "%7C", "ü:x", "\u{1}"] {
            assert_eq!(queue_name(&queue(name)), name);
            assert!(!queue(name).contains(['|', SUSPECT]));
            let task = NewTask { queue: name.to_owned(), ..NewTask::named("a") };
            assert_eq!(queue_name(&lane(&task, true)), name);
        }
    }
}
