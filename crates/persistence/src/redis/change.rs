//! Changes of runs by the scheduler: read what it needs, let it decide, and commit if nobody was faster.
//!
//! Runs that wait for the changed one are told in the same commit.

use std::time::Duration;

use motet_core::error::{Error, ErrorKind, Result};
use motet_core::id::{Millis, RunId};
use motet_core::schedule::{self, News};

use super::commit::{Commit, Committed};
use super::rows::{Fetched, Need, RunRows};
use super::server::{self, Server};
use super::{abandoned, fetch};

/// After so many conflicts the run is locked for a moment.
const PATIENT: u32 = 4;
/// How often a change is tried in all.
const TRIES: u32 = 60;
/// How long a lock holds.
const LOCKED: Duration = Duration::from_secs(2);
/// After so many round trips for one run the rest of it is read at once.
const TRIPS: u32 = 4;

/// What the scheduler is asked to do with the rows of a run.
pub(super) trait Work<T>: Fn(&mut RunRows<'_>, Millis) -> Result<T> + Send + Sync {}

impl<T, F: Fn(&mut RunRows<'_>, Millis) -> Result<T> + Send + Sync> Work<T> for F {}

/// Works on the rows of a run, tells the runs that wait for it what became of it, and cancels those that nobody wants any
/// more.
pub(super) async fn change<T: Send>(server: &Server, id: &RunId, work: impl Work<T>) -> Result<T> {
    change_tasks(server, (id, &[]), work).await
}

/// The same where it is known which tasks the scheduler looks at, which are read at once then.
pub(super) async fn change_tasks<T: Send>(
    server: &Server,
    which: (&RunId, &[u32]),
    work: impl Work<T>,
) -> Result<T> {
    let Changed { result, abandoned } = change_run(server, which, work).await?;
    if !abandoned.is_empty() {
        abandoned::cancel(server, abandoned).await?;
    }
    Ok(result)
}

/// What a change gave, and what is left to do after it.
pub(super) struct Changed<T> {
    pub(super) result: T,
    /// Whose runs are to be cancelled, as [`abandoned`] writes it; the server's list has them too.
    pub(super) abandoned: Vec<String>,
}

/// Works on the rows of a run, and tells the runs that wait for it what became of it.
pub(super) async fn change_run<T: Send>(
    server: &Server,
    (id, numbers): (&RunId, &[u32]),
    work: impl Work<T>,
) -> Result<Changed<T>> {
    let lock = server::name();
    for attempt in 0..PATIENT {
        if attempt > 0 {
            tokio::time::sleep(Duration::from_millis(u64::from(attempt) * 3)).await;
        }
        if let Some(result) = try_once(server, (id, numbers), &work).await? {
            return result;
        }
    }
    let result = change_locked(server, (id, numbers), &lock, &work).await;
    // A commit has opened the lock; where nothing was to be written, or nothing could be, workers need not wait for its end.
    if let Err(error) = lock_run(server, id, (&lock, Duration::ZERO)).await {
        tracing::debug!(run = %id, %error, "a run stays locked for a moment");
    }
    result
}

/// Goes on trying, with workers kept off the run.
async fn change_locked<T: Send>(
    server: &Server,
    (id, numbers): (&RunId, &[u32]),
    lock: &str,
    work: &impl Work<T>,
) -> Result<Changed<T>> {
    for _ in PATIENT..TRIES {
        if !lock_run(server, id, (lock, LOCKED)).await? {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if let Some(result) = try_once(server, (id, numbers), work).await? {
            return result;
        }
    }
    Err(Error::new(ErrorKind::Store, format!("run `{id}` is changed by others all the time"))
        .with_retry(motet_core::error::Retry::Backoff)
        .with_hint("try it again in a moment"))
}

/// Reads a run and works on it; `None` when that is to be tried again.
async fn try_once<T: Send>(
    server: &Server,
    (id, numbers): (&RunId, &[u32]),
    work: &impl Work<T>,
) -> Result<Option<Result<Changed<T>>>> {
    let Some((mut fetched, now)) = fetch::run(server, id).await? else {
        return Err(crate::no_such_run(id));
    };
    if fetched.fields.get("releasing").is_some_and(|left| left != "0") {
        release(server, id).await?;
        return Ok(None);
    }
    if !numbers.is_empty() {
        fetch::tasks(server, &mut fetched, numbers).await?;
    }
    decide(server, &mut fetched, now, work).await
}

/// Lets the scheduler decide and commits; `None` when somebody was faster.
async fn decide<T: Send>(
    server: &Server,
    fetched: &mut Fetched,
    now: Millis,
    work: &impl Work<T>,
) -> Result<Option<Result<Changed<T>>>> {
    complete_reading(server, fetched, |rows| work(rows, now).map(drop)).await?;
    let mut commit = Commit::new(server, now);
    let (result, mut news) = {
        let mut rows = RunRows::new(fetched);
        let result = match work(&mut rows, now) {
            Ok(result) => result,
            // What was read may have been torn.
            Err(error) => return Ok(is_current(server, fetched).await?.then_some(Err(error))),
        };
        if rows.is_unchanged() {
            let changed = Changed { result, abandoned: Vec::new() };
            return Ok(is_current(server, fetched).await?.then_some(Ok(changed)));
        }
        commit.run(&rows)?;
        (result, schedule::news(fetched.row.state, &rows.run))
    };
    while let Some(told) = news {
        // A parent that was removed needs to be told nothing.
        let Some((mut parent, _)) = fetch::run(server, &told.parent.run).await? else { break };
        if parent.fields.get("releasing").is_some_and(|left| left != "0") {
            release(server, &told.parent.run).await?;
            return Ok(None);
        }
        news = tell(server, &mut parent, &told, now, &mut commit).await?;
    }
    let abandoned = std::mem::take(&mut commit.abandoned);
    Ok((commit.send().await? == Committed::Done).then_some(Ok(Changed { result, abandoned })))
}

/// Adds to a commit what a run learns of one that it waits for; gives what its own parent must learn.
async fn tell(
    server: &Server,
    parent: &mut Fetched,
    told: &News,
    now: Millis,
    commit: &mut Commit<'_>,
) -> Result<Option<News>> {
    complete_reading(server, parent, |rows| schedule::child_changed(rows, told, now).map(drop)).await?;
    let mut rows = RunRows::new(parent);
    schedule::child_changed(&mut rows, told, now)?;
    if rows.is_unchanged() {
        commit.check(&parent.row.id, "v", parent.version.to_string());
        return Ok(None);
    }
    commit.run(&rows)?;
    Ok(schedule::news(parent.row.state, &rows.run))
}

/// Reads until the scheduler misses nothing; it is pure, so that asking it again does no harm.
async fn complete_reading(
    server: &Server,
    fetched: &mut Fetched,
    work: impl Fn(&mut RunRows<'_>) -> Result<()> + Send + Sync,
) -> Result<()> {
    let mut trips = 0;
    loop {
        let need = {
            let mut rows = RunRows::new(fetched);
            let _ = work(&mut rows);
            rows.need
        };
        let Some(need) = need else { return Ok(()) };
        trips += 1;
        let is_row = matches!(need, Need::Task(_) | Need::After(_) | Need::Question(_));
        let need = if is_row && trips > TRIPS { Need::Whole } else { need };
        fetch::more(server, fetched, need).await?;
    }
}

async fn is_current(server: &Server, fetched: &Fetched) -> Result<bool> {
    let key = server.key(format!("run:{}", fetched.row.id));
    let version: Option<u64> = server.ask(redis::cmd("HGET").arg(key).arg("v")).await?;
    Ok(version == Some(fetched.version))
}

/// Keeps workers off a run for a while, or lets them in again where that is none; tells whether it was free.
async fn lock_run(server: &Server, id: &RunId, (token, time): (&str, Duration)) -> Result<bool> {
    let words = [id.as_str(), token, &time.as_millis().to_string()].map(|word| word.as_bytes().to_vec());
    let has_lock: u8 = server.run(&server.scripts.lock, &words).await?;
    Ok(has_lock == 1)
}

/// Goes on with lowering the counters of those who wait for ended tasks until all is done; gives how many became ready.
pub(super) async fn release(server: &Server, id: &RunId) -> Result<u32> {
    let mut ready = 0;
    loop {
        let words = [id.as_str().as_bytes().to_vec()];
        let (released, left): (u32, u32) = server.run(&server.scripts.release, &words).await?;
        ready += released;
        if left == 0 {
            return Ok(ready);
        }
    }
}
