//! Halting a run: by a person, for good or for a while, or because its time is over.

use super::{Rows, blame, change_run, settle};
use crate::error::{Error, ErrorKind, Result};
use crate::id::Millis;
use crate::store::RunState;

/// Stops a run: nothing new starts.
///
/// # Errors
/// `Conflict` when it has ended otherwise; the rows' own errors.
pub fn cancel(rows: &mut dyn Rows, now: Millis) -> Result<RunState> {
    let run = rows.run();
    match run.state {
        RunState::Completed | RunState::Failed => {
            Err(Error::new(ErrorKind::Conflict, format!("run `{}` is {} already", run.id, run.state)))
        }
        RunState::Cancelled | RunState::Cancelling => Ok(run.state),
        RunState::Running
        | RunState::Failing
        | RunState::Waiting
        | RunState::Paused
        | RunState::TimingOut => {
            change_run(rows, RunState::Cancelling, None, now)?;
            settle(rows, now)
        }
    }
}

/// Halts a run: nothing new starts until it is resumed.
///
/// # Errors
/// `Conflict` when it has ended or is about to; the rows' own errors.
pub fn pause(rows: &mut dyn Rows, now: Millis) -> Result<RunState> {
    let run = rows.run();
    match run.state {
        RunState::Running | RunState::Waiting => {
            change_run(rows, RunState::Paused, None, now)?;
            Ok(RunState::Paused)
        }
        RunState::Paused => Ok(RunState::Paused),
        state => {
            let message = format!("run `{}` is {state}: there is nothing to pause", run.id);
            Err(Error::new(ErrorKind::Conflict, message))
        }
    }
}

/// Lets a halted run go on; any other stays as it is.
///
/// # Errors
/// The rows' own errors.
pub fn unpause(rows: &mut dyn Rows, now: Millis) -> Result<RunState> {
    if rows.run().state != RunState::Paused {
        return Ok(rows.run().state);
    }
    change_run(rows, RunState::Running, None, now)?;
    settle(rows, now)
}

/// Stops a run whose time is over; one that has ended, or whose time is not over, stays as it is.
///
/// # Errors
/// The rows' own errors.
pub fn time_out(rows: &mut dyn Rows, now: Millis) -> Result<RunState> {
    let run = rows.run();
    if run.state.is_ended() || run.deadline.is_none_or(|deadline| deadline > now) {
        return Ok(run.state);
    }
    // Whoever resumes the run gives it all the time that it needs.
    run.deadline = None;
    if run.state == RunState::Cancelling {
        return Ok(run.state);
    }
    run.fatal += 1;
    let error = Error::new(ErrorKind::Timeout, "the run took longer than its timeout")
        .with_hint("what was done is kept: resume it to go on without a time limit")
        .report();
    blame(rows, &error)?;
    change_run(rows, RunState::TimingOut, Some(error), now)?;
    settle(rows, now)
}
