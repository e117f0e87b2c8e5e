//! Runs that nobody wants any more because what started them ended otherwise than by them: they are cancelled.
//!
//! A list on the server names them from the change on that abandoned them, so that whoever comes next goes on where a
//! process died in between.

use motet_core::error::{ErrorKind, Result};
use motet_core::id::RunId;
use motet_core::schedule;

use super::change::change_run;
use super::row;
use super::server::Server;
use super::{fetch, remove};

/// Writes whose runs are meant: those of a task, or of all tasks of a run.
pub(super) fn entry(run: &RunId, task: Option<u32>) -> String {
    match task {
        Some(task) => format!("{run}:{task}"),
        None => format!("{run}:"),
    }
}

fn read(entry: &str) -> Result<(RunId, Option<u32>)> {
    if let Some(run) = entry.strip_suffix(':') {
        return Ok((run.parse()?, None));
    }
    row::member(entry).map(|(run, task)| (run, Some(task)))
}

/// Cancels what a process left that died in between.
pub(super) async fn go_on(server: &Server) -> Result<()> {
    let left: Vec<String> = server.ask(redis::cmd("SMEMBERS").arg(server.key("abandoned"))).await?;
    cancel(server, left).await
}

/// Cancels the runs that these entries mean, and by that what those started.
pub(super) async fn cancel(server: &Server, mut left: Vec<String>) -> Result<()> {
    while let Some(entry) = left.pop() {
        let (run, task) = read(&entry)?;
        for child in children(server, &run, task).await? {
            match change_run(server, (&child, &[]), |rows, now| schedule::cancel(rows, now)).await {
                Ok(changed) => left.extend(changed.abandoned),
                // One that is about to end, or is gone, needs nothing.
                Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        let () = server.ask(redis::cmd("SREM").arg(server.key("abandoned")).arg(&entry)).await?;
    }
    Ok(())
}

/// Gives the runs that a task of a run started, or any of its tasks, and that have not ended.
async fn children(server: &Server, run: &RunId, task: Option<u32>) -> Result<Vec<RunId>> {
    let children = remove::children(server, run).await?;
    let heads = fetch::heads(server, &children).await?;
    let is_meant = |head: &fetch::Head| {
        let parent = head.row.parent.as_ref().map(|parent| parent.task);
        !head.row.state.is_ended() && (task.is_none() || parent == task)
    };
    let found = children.into_iter().zip(heads);
    Ok(found.filter(|(_, head)| head.as_ref().is_some_and(is_meant)).map(|(id, _)| id).collect())
}
