//! What is done though no worker asks: leases that are over, times that have come, and what people order.

use std::collections::BTreeMap;

use motet_core::error::{ErrorKind, Result};
use motet_core::id::{Millis, RunId};
use motet_core::schedule::{self, Redefinition, Rows};
use motet_core::store::{Control, Progress, RunState, TaskState};

use super::change::{change, change_tasks, release};
use super::server::Server;
use super::{abandoned, fetch, lists, remove, row};

/// Tasks of one list that are looked at in one call.
const BATCH: u32 = 500;

/// Takes back leases, wakes tasks, and stops runs whose time is over.
pub(super) async fn advance(server: &Server) -> Result<Progress> {
    let now = fetch::now(server).await?;
    let releasing: Vec<String> = server.ask(redis::cmd("SMEMBERS").arg(server.key("releasing"))).await?;
    for run in releasing {
        release(server, &run.parse()?).await?;
    }
    let mut progress = Progress::default();
    for (run, numbers) in due_tasks(server, "leases", now).await? {
        let taken = take_back(server, &run, &numbers).await;
        let states = gone(server, ("leases", &run, &numbers), taken).await?;
        progress.reclaimed += u32::try_from(states.len()).unwrap_or(u32::MAX);
        progress.dead +=
            u32::try_from(states.iter().filter(|state| **state == TaskState::Dead).count()).unwrap_or(0);
    }
    for (run, numbers) in due_tasks(server, "waiting", now).await? {
        let woken = wake(server, &run, &numbers).await;
        let states = gone(server, ("waiting", &run, &numbers), woken).await?;
        progress.woken += u32::try_from(states.len()).unwrap_or(u32::MAX);
    }
    for run in due(server, "deadlines", now).await? {
        progress.timed_out += u32::from(time_out(server, &run.parse()?).await?);
    }
    abandoned::go_on(server).await?;
    remove::abandoned(server, now).await?;
    remove::go_on(server).await?;
    progress.next_due = lists::next_due(server, now).await?.map(|due| due.since(now));
    Ok(progress)
}

async fn due(server: &Server, set: &str, now: Millis) -> Result<Vec<String>> {
    let mut range = redis::cmd("ZRANGEBYSCORE");
    range.arg(server.key(set)).arg("-inf").arg(now.0).arg("LIMIT").arg(0).arg(BATCH);
    server.ask(&range).await
}

async fn due_tasks(server: &Server, set: &str, now: Millis) -> Result<BTreeMap<RunId, Vec<u32>>> {
    let mut tasks: BTreeMap<RunId, Vec<u32>> = BTreeMap::new();
    for member in due(server, set, now).await? {
        let (run, number) = row::member(&member)?;
        tasks.entry(run).or_default().push(number);
    }
    // The list has tasks that are due at once by their names.
    tasks.values_mut().for_each(|numbers| numbers.sort_unstable());
    Ok(tasks)
}

/// Takes entries off a list that stand for nothing any more; gives the states of the tasks that were changed.
async fn gone(
    server: &Server,
    (set, run, numbers): (&str, &RunId, &[u32]),
    states: Result<Vec<Option<TaskState>>>,
) -> Result<Vec<TaskState>> {
    let states = match states {
        Err(error) if error.kind() == ErrorKind::NotFound => vec![None; numbers.len()],
        states => states?,
    };
    let nothing = numbers.iter().zip(&states).filter(|(_, state)| state.is_none());
    for (number, _) in nothing {
        // A lease that was renewed meanwhile has another score, and stays.
        if is_left_over(server, run, *number, set).await? {
            let mut commit = redis::cmd("ZREM");
            commit.arg(server.key(set)).arg(format!("{run}:{number}"));
            tracing::debug!(%run, number, set, "a list named a task that does not belong there");
            let () = server.ask(&commit).await?;
        }
    }
    Ok(states.into_iter().flatten().collect())
}

/// Tells whether a list names a task that does not belong there: an ended run's, or one that is gone.
async fn is_left_over(server: &Server, run: &RunId, number: u32, set: &str) -> Result<bool> {
    let Some(head) = fetch::head(server, run).await? else { return Ok(true) };
    let state: Option<String> =
        server.ask(redis::cmd("HGET").arg(server.key(format!("task:{run}:{number}"))).arg("state")).await?;
    let wanted = if set == "leases" { TaskState::Running } else { TaskState::Waiting };
    Ok(head.row.state.is_ended() || state.as_deref() != Some(wanted.as_str()))
}

async fn take_back(server: &Server, run: &RunId, numbers: &[u32]) -> Result<Vec<Option<TaskState>>> {
    change_tasks(server, (run, numbers), |rows, now| {
        let mut states = Vec::with_capacity(numbers.len());
        for number in numbers {
            let is_over = match rows.task(*number) {
                Ok(task) => task.state == TaskState::Running && task.lease_until <= now,
                Err(error) if error.kind() == ErrorKind::NotFound => false,
                Err(error) => return Err(error),
            };
            states.push(if is_over { Some(schedule::reclaim(rows, *number, now)?) } else { None });
        }
        Ok(states)
    })
    .await
}

async fn wake(server: &Server, run: &RunId, numbers: &[u32]) -> Result<Vec<Option<TaskState>>> {
    change_tasks(server, (run, numbers), |rows, now| {
        let mut states = Vec::with_capacity(numbers.len());
        for number in numbers {
            let is_over = match rows.task(*number) {
                Ok(task) => {
                    task.waits_for_people()
                        && task.due(now).is_some_and(|due| due <= now)
                        && !rows.run.state.is_ended()
                }
                Err(error) if error.kind() == ErrorKind::NotFound => false,
                Err(error) => return Err(error),
            };
            if is_over {
                schedule::wake(rows, *number, now)?;
                states.push(Some(rows.task(*number)?.state));
            } else {
                states.push(None);
            }
        }
        Ok(states)
    })
    .await
}

/// Stops a run whose time is over, and all that it started; tells whether it did.
async fn time_out(server: &Server, run: &RunId) -> Result<bool> {
    let stopped = change(server, run, |rows, now| {
        let is_over = !rows.run.state.is_ended() && rows.run.deadline.is_some_and(|deadline| deadline <= now);
        schedule::time_out(rows, now)?;
        Ok(is_over)
    })
    .await;
    match stopped {
        Ok(stopped) => Ok(stopped),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let () = server.ask(redis::cmd("ZREM").arg(server.key("deadlines")).arg(run.as_str())).await?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Takes it well that a run is about to end, or is gone, and needs nothing.
fn unless_over<T>(changed: Result<T>) -> Result<()> {
    match changed {
        Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => Ok(()),
        changed => changed.map(drop),
    }
}

/// Gives the runs that the tasks of a run started and that have not ended.
async fn open_children(server: &Server, run: &RunId) -> Result<Vec<RunId>> {
    let children = remove::children(server, run).await?;
    let heads = fetch::heads(server, &children).await?;
    let open = children.into_iter().zip(heads);
    let is_open = |head: &Option<fetch::Head>| head.as_ref().is_some_and(|head| !head.row.state.is_ended());
    Ok(open.filter(|(_, head)| is_open(head)).map(|(id, _)| id).collect())
}

/// Does something to a run and to all that it started.
async fn change_tree(
    server: &Server,
    run: &RunId,
    work: fn(&mut dyn Rows, Millis) -> Result<RunState>,
) -> Result<()> {
    change(server, run, |rows, now| work(rows, now)).await?;
    let mut left = open_children(server, run).await?;
    while let Some(child) = left.pop() {
        left.extend(open_children(server, &child).await?);
        unless_over(change(server, &child, |rows, now| work(rows, now)).await)?;
    }
    Ok(())
}

/// Pauses, cancels, resumes, or redefines a run.
pub(super) async fn control(server: &Server, run: &RunId, control: &Control) -> Result<()> {
    match control {
        // What it started is cancelled with it, as its commit says.
        Control::Cancel => change(server, run, |rows, now| schedule::cancel(rows, now)).await.map(drop),
        Control::Pause => change_tree(server, run, schedule::pause).await,
        Control::Resume | Control::ResumeUntil { .. } => {
            change(server, run, |rows, now| crate::resume(rows, control, now)).await?;
            // Those that were paused with it go on with it; others are resumed by the tasks that wait for them.
            for child in open_children(server, run).await? {
                change_tree(server, &child, schedule::unpause).await?;
            }
            Ok(())
        }
        Control::Redefine { definition, tasks, unchanged } => {
            change(server, run, |rows, now| {
                rows.definition = Some(definition.clone());
                schedule::redefine(rows, &Redefinition { tasks, unchanged }, now).map(drop)
            })
            .await
        }
        other => Err(crate::unknown_control(other)),
    }
}
