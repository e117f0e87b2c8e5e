//! Reports of what each item of a run came to, as JSON or Markdown, keyed by the path of its file.
//!
//! Tasks and results are read and written page by page, so that a report of any length holds few of them at a time.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};

use motet_core::error::{Error, ErrorKind, Result};
use motet_core::id::{Millis, RunId};
use motet_core::store::{Run, RunState, SharedStore, Task, TaskPages, TaskState};
use motet_core::workflow::WorkflowSpec;
use serde_json::{Map, Value, json};

use crate::report::no_such_run;
use crate::runtime::Runtime;

/// A form of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportForm {
    /// One JSON object.
    Json,
    /// For people.
    Markdown,
}

impl Runtime {
    /// Writes what every task of a run, and every item of `for_each`, came to.
    ///
    /// # Errors
    /// `NotFound` when there is no such run; `Store` when the store fails; `Internal` when it cannot be written.
    pub async fn write_report(
        &self,
        id: &RunId,
        form: ReportForm,
        out: &mut (dyn Write + Send),
    ) -> Result<()> {
        let store = self.store().await?;
        let run = store.run(id).await?.ok_or_else(|| no_such_run(id))?;
        let totals = Totals::read(&store, &run).await?;
        let head = Head { run: &run, totals: &totals, parameters: parameters(&run) };
        let written = |written: io::Result<()>| {
            written.map_err(|error| {
                Error::new(ErrorKind::Internal, "a report cannot be written").with_source(error)
            })
        };
        written(out.write_all(head.opening(form).as_bytes()))?;
        let mut separator = "\n";
        let mut keys = Keys { totals: &totals, hasher: RandomState::new(), used: HashSet::new() };
        let mut pages = TaskPages::of(id);
        while let Some(mut page) = pages.next(&*store).await? {
            page.retain(|task| !totals.spread.contains(&task.number));
            let numbers: Vec<u32> = page.iter().map(|task| task.number).collect();
            let results = store.outputs(id, &numbers).await?;
            for (task, result) in page.iter().zip(results) {
                let state = task.state.shown(run.summary.state);
                let entry = Entry { key: keys.of(task), task, state };
                let text = match form {
                    ReportForm::Json => {
                        format!("{separator}{}:{}", Value::from(entry.key.as_str()), entry.shape(result))
                    }
                    ReportForm::Markdown => entry.section(result),
                };
                written(out.write_all(text.as_bytes()))?;
                separator = ",\n";
            }
        }
        let closing = if form == ReportForm::Json { "\n}}\n" } else { "" };
        written(out.write_all(closing.as_bytes()))?;
        written(out.flush())
    }
}

/// One task or item, and the name under which it is reported.
struct Entry<'a> {
    key: String,
    task: &'a Task,
    /// How it stands, as people are shown.
    state: TaskState,
}

/// What a run has to report, counted.
#[derive(Default)]
struct Totals {
    /// Tasks that have items, which stand for them.
    spread: HashSet<u32>,
    /// Names of the tasks that are no items.
    names: HashMap<u32, String>,
    total: usize,
    successful: usize,
    failed: usize,
}

impl Totals {
    async fn read(store: &SharedStore, run: &Run) -> Result<Self> {
        let (mut totals, mut own) = (Self::default(), Vec::new());
        let mut pages = TaskPages::of(&run.summary.id);
        while let Some(page) = pages.next(&**store).await? {
            for task in page {
                let state = task.state.shown(run.summary.state);
                match task.parent {
                    Some(parent) => {
                        totals.spread.insert(parent);
                        totals.count(state);
                    }
                    None => {
                        totals.names.insert(task.number, task.name);
                        own.push((task.number, state));
                    }
                }
            }
        }
        for (number, state) in own {
            if !totals.spread.contains(&number) {
                totals.count(state);
            }
        }
        Ok(totals)
    }

    fn count(&mut self, state: TaskState) {
        self.total += 1;
        match status(state) {
            "success" => self.successful += 1,
            "failed" => self.failed += 1,
            _ => {}
        }
    }
}

/// Gives every task or item a key of its own.
struct Keys<'a> {
    totals: &'a Totals,
    hasher: RandomState,
    /// Hashes of the keys so far: two that fall together by chance cost a longer key, and nothing else.
    used: HashSet<u64>,
}

impl Keys<'_> {
    fn of(&mut self, task: &Task) -> String {
        let parent = task.parent.and_then(|parent| self.totals.names.get(&parent));
        let key = match (item_path(&task.payload), parent) {
            (Some(path), _) if self.totals.spread.len() == 1 => path.to_owned(),
            (Some(path), Some(parent)) => format!("{parent}: {path}"),
            _ => task.name.clone(),
        };
        // A path that stands twice among the items is two results.
        let is_new = self.used.insert(self.hasher.hash_one(&key));
        if is_new { key } else { format!("{key} ({})", task.name) }
    }
}

fn status(state: TaskState) -> &'static str {
    match state {
        TaskState::Done => "success",
        TaskState::Failed | TaskState::Dead => "failed",
        other => other.as_str(),
    }
}

/// Gives the path of an item that is a file.
fn item_path(payload: &Value) -> Option<&str> {
    let item = payload.get("item")?;
    item.as_str().or_else(|| item.get("path")?.as_str())
}

impl Entry<'_> {
    fn shape(&self, result: Option<Value>) -> Value {
        let mut shape = Map::from_iter([("status".to_owned(), json!(status(self.state)))]);
        if let Some(error) = self.task.error.as_ref().filter(|_| self.state != TaskState::Done) {
            shape.insert("error".to_owned(), json!(error.message));
            shape.insert("hint".to_owned(), json!(error.hint));
        }
        if let Some(result) = result {
            match content(&result) {
                Some(text) => shape.insert("content".to_owned(), json!(text)),
                None => shape.insert("value".to_owned(), value(&result).clone()),
            };
            if let Some(checked) = result.get("json") {
                shape.insert("json".to_owned(), checked.clone());
            }
        }
        if let (Some(started), Some(ended)) = (self.task.started_at, self.task.ended_at) {
            shape.insert("processing_time".to_owned(), json!(ended.since(started).as_secs_f64()));
        }
        shape.insert("attempts".to_owned(), json!(self.task.attempt));
        Value::Object(shape)
    }

    fn section(&self, result: Option<Value>) -> String {
        let mark = if self.state == TaskState::Done { "\u{2705}" } else { "\u{274c}" };
        let mut section = format!("\n### {mark} {}\n\n", self.key.replace(['\n', '\r'], " "));
        match (&self.task.error, &result) {
            (_, Some(result)) => match (content(result), value(result)) {
                (Some(text), _) => section.push_str(text.trim_end()),
                (None, Value::String(text)) => section.push_str(text.trim_end()),
                (None, value) => {
                    let pretty = serde_json::to_string_pretty(value).unwrap_or_default();
                    section.push_str(&format!("```json\n{pretty}\n```"));
                }
            },
            (Some(error), None) => section.push_str(&format!("Error: {}", error.message)),
            (None, None) => section.push_str(&format!("*{}*", self.state)),
        }
        section.push('\n');
        section
    }
}

/// Gives the text of an answer.
fn content(result: &Value) -> Option<&str> {
    result.get("content").or_else(|| result.get("response"))?.as_str()
}

/// Gives what a result holds beside how it came to be.
fn value(result: &Value) -> &Value {
    result.get("result").unwrap_or(result)
}

/// What stands above the results.
struct Head<'a> {
    run: &'a Run,
    totals: &'a Totals,
    parameters: Value,
}

impl Head<'_> {
    fn seconds(&self) -> f64 {
        let summary = &self.run.summary;
        summary.ended_at.unwrap_or_else(Millis::now).since(summary.created_at).as_secs_f64()
    }

    fn opening(&self, form: ReportForm) -> String {
        let Totals { total, successful, failed, .. } = self.totals;
        let (summary, others) = (&self.run.summary, total - successful - failed);
        match form {
            ReportForm::Json => {
                let head = json!({
                    "batch_id": summary.id,
                    "name": summary.name,
                    "state": summary.state,
                    "created_at": summary.created_at.to_string(),
                    "summary": {
                        "total": total,
                        "successful": successful,
                        "failed": failed,
                        "other": others,
                        "processing_time": self.seconds(),
                    },
                    "parameters": self.parameters,
                });
                let mut text = head.to_string();
                text.pop();
                text.push_str(",\"results\":{");
                text
            }
            ReportForm::Markdown => {
                let date = summary.created_at.to_string().replace('T', " ");
                let date = date.split('.').next().unwrap_or_default();
                let unfinished = if summary.state == RunState::Completed {
                    String::new()
                } else {
                    format!("- **State**: {}\n", summary.state)
                };
                let others = if others > 0 { format!(", {others} other") } else { String::new() };
                format!(
                    "# Batch Processing Results\n\n- **Name**: {}\n- **Batch ID**: {}\n- **Date**: {date}\n{unfinished}- **Total Files**: {} ({} successful, {} failed{others})\n- **Processing Time**: {:.2}s\n\n## Results\n",
                    summary.name.replace(['\n', '\r'], " "),
                    summary.id,
                    total,
                    successful,
                    failed,
                    self.seconds(),
                )
            }
        }
    }
}

/// Gives what was asked, where one task runs for all items.
fn parameters(run: &Run) -> Value {
    let Ok(spec) = serde_json::from_value::<WorkflowSpec>(run.definition.clone()) else { return Value::Null };
    let several: Vec<_> = spec.tasks.iter().filter(|task| task.for_each.is_some()).collect();
    let [task] = several.as_slice() else { return Value::Null };
    let params = &task.params;
    let first = params.get("messages").and_then(|messages| messages.get(0)?.get("content"));
    json!({
        "method": task.method,
        "model": params.get("model").cloned().or_else(|| spec.model.as_ref().map(|model| json!(model))),
        "prompt": params.get("prompt").or(first),
        "protocol": task.method.split('/').next().map(|family| format!("{family}/v1")),
        "items": task.for_each,
    })
}
