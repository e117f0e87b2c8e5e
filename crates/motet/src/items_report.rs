//! Reports of what each item of a run came to, as JSON or Markdown, keyed by the path of its file.
//!
//! Results are read and written page by page, so that a report of any length holds few of them at a time.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};

use motet_core::error::{Error, ErrorKind, Result};
use motet_core::id::{Millis, RunId};
use motet_core::store::{Run, RunState, Task, TaskState};
use motet_core::workflow::WorkflowSpec;
use serde_json::{Map, Value, json};

use crate::report::no_such_run;
use crate::runtime::Runtime;

/// How many results are held at a time.
const PAGE: usize = 500;

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
        let tasks = store.tasks(id).await?;
        let entries = entries(&run, &tasks);
        let head = Head::new(&run, &entries);
        let written = |written: io::Result<()>| {
            written.map_err(|error| {
                Error::new(ErrorKind::Internal, "a report cannot be written").with_source(error)
            })
        };
        written(out.write_all(head.opening(form).as_bytes()))?;
        let mut separator = "\n";
        for page in entries.chunks(PAGE) {
            let numbers: Vec<u32> = page.iter().map(|entry| entry.task.number).collect();
            let results = store.outputs(id, &numbers).await?;
            for (entry, result) in page.iter().zip(results) {
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

/// Gives what is reported: items, and tasks without any, each under a key of its own.
fn entries<'a>(run: &Run, tasks: &'a [Task]) -> Vec<Entry<'a>> {
    let spread: HashSet<u32> = tasks.iter().filter_map(|task| task.parent).collect();
    let names: HashMap<u32, &str> = tasks.iter().map(|task| (task.number, task.name.as_str())).collect();
    let mut used: HashSet<String> = HashSet::new();
    let mut entries = Vec::new();
    for task in tasks.iter().filter(|task| !spread.contains(&task.number)) {
        let path = item_path(&task.payload);
        let key = match (path, task.parent.and_then(|parent| names.get(&parent))) {
            (Some(path), _) if spread.len() == 1 => path.to_owned(),
            (Some(path), Some(parent)) => format!("{parent}: {path}"),
            _ => task.name.clone(),
        };
        // A path that stands twice among the items is two results.
        let key = if used.contains(&key) { format!("{key} ({})", task.name) } else { key };
        used.insert(key.clone());
        entries.push(Entry { key, task, state: task.state.shown(run.summary.state) });
    }
    entries
}

/// Gives the path of an item that is a file.
fn item_path(payload: &Value) -> Option<&str> {
    let item = payload.get("item")?;
    item.as_str().or_else(|| item.get("path")?.as_str())
}

impl Entry<'_> {
    fn status(&self) -> &'static str {
        match self.state {
            TaskState::Done => "success",
            TaskState::Failed | TaskState::Dead => "failed",
            other => other.as_str(),
        }
    }

    fn shape(&self, result: Option<Value>) -> Value {
        let mut shape = Map::from_iter([("status".to_owned(), json!(self.status()))]);
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
    total: usize,
    successful: usize,
    failed: usize,
    parameters: Value,
}

impl<'a> Head<'a> {
    fn new(run: &'a Run, entries: &[Entry<'_>]) -> Self {
        let count = |status: &str| entries.iter().filter(|entry| entry.status() == status).count();
        let (total, successful, failed) = (entries.len(), count("success"), count("failed"));
        Self { run, total, successful, failed, parameters: parameters(run) }
    }

    fn seconds(&self) -> f64 {
        let summary = &self.run.summary;
        summary.ended_at.unwrap_or_else(Millis::now).since(summary.created_at).as_secs_f64()
    }

    fn opening(&self, form: ReportForm) -> String {
        let (summary, others) = (&self.run.summary, self.total - self.successful - self.failed);
        match form {
            ReportForm::Json => {
                let head = json!({
                    "batch_id": summary.id,
                    "name": summary.name,
                    "state": summary.state,
                    "created_at": summary.created_at.to_string(),
                    "summary": {
                        "total": self.total,
                        "successful": self.successful,
                        "failed": self.failed,
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
                    self.total,
                    self.successful,
                    self.failed,
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
