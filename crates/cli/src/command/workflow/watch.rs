//! `motet workflow watch`: follows a run by its events, without a gap, until nothing more happens.

use motet::core::store::{Change, RunState};
use motet::watch::{NamedEvent, Watched};
use motet::{Result, RunId, Runtime};

use crate::exit::Exit;
use crate::printer::Printer;

/// From where a run is followed, and whether its events are shown.
pub(super) struct Place {
    pub(super) after: u64,
    pub(super) shows_events: bool,
}

pub(super) async fn run(runtime: &Runtime, run: &RunId, after: u64, printer: Printer) -> Result<Exit> {
    let state = follow(runtime, run, Place { after, shows_events: true }, printer).await?;
    Ok(exit(state))
}

/// Gives the exit code of a run that has stopped.
fn exit(state: RunState) -> Exit {
    match state {
        RunState::Completed => Exit::Success,
        state if state.is_halted() => Exit::Waiting,
        _ => Exit::Failed,
    }
}

/// Follows a run until nothing more happens, and gives its state.
pub(super) async fn follow(
    runtime: &Runtime,
    run: &RunId,
    place: Place,
    printer: Printer,
) -> Result<RunState> {
    let mut watch = runtime.watch(run, place.after).await?;
    loop {
        match watch.next().await? {
            Watched::Event(event) if place.shows_events => printer.data(&event, || line(&event))?,
            Watched::Unserved(found) => printer.note(&format!("warning: {found}")),
            Watched::Stopped(state) => return Ok(state),
            _ => {}
        }
    }
}

fn line(named: &NamedEvent) -> String {
    let because = |error: &Option<Box<motet::core::error::ErrorReport>>| {
        error.as_ref().map(|error| format!(": {}", error.message)).unwrap_or_default()
    };
    let what = match &named.event.change {
        Change::Submitted { tasks } => format!("submitted with {tasks} tasks"),
        Change::RunChanged { state, error } => format!("{state}{}", because(error)),
        Change::Redefined { tasks } => format!("goes on with another definition of {tasks} tasks"),
        Change::Started { attempt, .. } => format!("started, attempt {attempt}"),
        Change::Ended { state, error } => format!("{state}{}", because(error)),
        Change::Retrying { at, error } => format!("failed, is tried again at {at}: {}", error.message),
        Change::Released => "was given back".to_owned(),
        Change::Crashed { crashes } => format!("lost its worker, {crashes} times by now"),
        Change::Expanded { items } => format!("runs for {items} items"),
        Change::Asked { questions } => format!("waits for {questions} decisions"),
        Change::Awaiting { run } => format!("waits for run {run}"),
        Change::Woken => "goes on".to_owned(),
        other => format!("{other:?}"),
    };
    let who = named.name.as_ref().map_or("run".to_owned(), |name| format!("task {name}"));
    format!("{} {who} {what}\n", named.event.at)
}
