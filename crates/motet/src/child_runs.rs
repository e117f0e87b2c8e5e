//! Runs that tasks start: read like any workflow, stored with their parent, and looked at when they have ended.
//!
//! Decides nothing about when a parent goes on; the store does.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::store::{Control, NewRun, ParentTask, Run, RunState};
use motet_core::workflow::WorkflowSpec;
use motet_core::{Millis, RunId};
use motet_providers::files;
use motet_workflows::dag::plan::{self, RunSettings};
use motet_workflows::methods::workflow_run::{ChildRun, ChildRuns, ChildState, ChildWorkflow, MAX_DEPTH};
use serde_json::Value;

use crate::report;
use crate::runtime::Runtime;

/// Starts runs in the runtime's store.
pub(crate) struct RuntimeRuns(pub(crate) Runtime);

#[async_trait]
impl ChildRuns for RuntimeRuns {
    async fn start(&self, parent: &ParentTask, child: ChildRun) -> Result<RunId> {
        let store = self.0.store().await?;
        let above = self.found(&parent.run).await?;
        self.check_depth(&above).await?;
        let mut settings: RunSettings =
            serde_json::from_value(Value::Object(above.settings)).map_err(|error| {
                Error::new(ErrorKind::Unsupported, "the stored settings cannot be read").with_source(error)
            })?;
        let spec = self.read(&child, &mut settings)?;
        let now = Millis::now();
        let planned = plan::plan(&spec, child.inputs, &settings)?;
        let ends =
            [planned.deadline, above.summary.deadline, child.timeout.map(|timeout| now.after(timeout))];
        let run = NewRun {
            deadline: ends.into_iter().flatten().min(),
            parent: Some(parent.clone()),
            key: Some(child.key),
            ..planned
        };
        store.submit(run).await
    }

    async fn resume(&self, run: &RunId, timeout: Option<Duration>) -> Result<()> {
        let found = self.found(run).await?.summary;
        if !matches!(found.state, RunState::Failed | RunState::Cancelled) {
            return Ok(());
        }
        // Each attempt has the task's whole time, but none more than the run that waits.
        let above = match &found.parent {
            Some(parent) => self.found(&parent.run).await?.summary.deadline,
            None => None,
        };
        let ends = [above, timeout.map(|timeout| Millis::now().after(timeout))];
        let until = Control::ResumeUntil { deadline: ends.into_iter().flatten().min() };
        match self.0.store().await?.control(run, until).await {
            // Somebody else was quicker.
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            resumed => resumed,
        }
    }

    async fn state(&self, run: &RunId) -> Result<ChildState> {
        let store = self.0.store().await?;
        let found = self.found(run).await?;
        let outputs = if found.summary.state == RunState::Completed {
            report::outputs(&store, &found, &report::own_tasks(&store, run).await?).await?
        } else {
            serde_json::Map::new()
        };
        Ok(ChildState { state: found.summary.state, outputs, error: found.summary.error })
    }
}

impl RuntimeRuns {
    async fn found(&self, run: &RunId) -> Result<Run> {
        self.0.store().await?.run(run).await?.ok_or_else(|| report::no_such_run(run))
    }

    /// Reads the workflow; what the parent was told about models holds for it too.
    fn read(&self, child: &ChildRun, settings: &mut RunSettings) -> Result<WorkflowSpec> {
        match &child.workflow {
            ChildWorkflow::Inline(value) => {
                settings.file = None;
                self.0.read_workflow_value(value).map_err(Error::from)
            }
            ChildWorkflow::File(file) => {
                let path = files::resolve(&child.files, file)?;
                let read = self.0.read_workflow(&path).map_err(|error| named(Error::from(error), file))?;
                settings.directory =
                    read.path.parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
                settings.file = Some(read.path.to_string_lossy().into_owned());
                Ok(read.spec)
            }
        }
    }

    /// Refuses a run below too many others, as of a workflow that runs itself.
    async fn check_depth(&self, above: &Run) -> Result<()> {
        let mut next = above.summary.parent.clone();
        let mut depth = 2;
        while let Some(parent) = next {
            depth += 1;
            if depth > MAX_DEPTH {
                let message = format!("runs start runs more than {MAX_DEPTH} deep");
                return Err(Error::new(ErrorKind::LimitReached, message)
                    .with_hint("a workflow that runs itself needs a `when` that ends it"));
            }
            next = self.found(&parent.run).await?.summary.parent;
        }
        Ok(())
    }
}

fn named(error: Error, file: &str) -> Error {
    let hint = error.hint().map(str::to_owned);
    let named = Error::new(error.kind(), format!("`{file}`: {}", error.message()));
    hint.into_iter().fold(named, |error, hint| error.with_hint(hint))
}
