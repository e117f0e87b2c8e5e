//! `motet log show`: the steps of one run, a page at a time, however long its journal is.

use std::collections::HashMap;
use std::fmt::Write as _;

use clap::Args;
use motet::core::id::Millis;
use motet::core::run_log::{BATCH_REQUEST, Entry, KeptRequest, Piece, StepKind};
use motet::core::store::{Run, Sequenced, SharedStore, Task};
use motet::recording::KIND;
use motet::{ChatResponse, Cost, Error, ErrorKind, Message, Result, RunId, Usage};
use serde::Deserialize;
use serde_json::Value;

use super::text::{message, value};
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::Printer;

/// Entries that are read at once.
const PAGE: u32 = 500;

#[derive(Args)]
pub(super) struct Show {
    /// Id of the run
    run: RunId,
    /// Shows what was asked and answered too; of a request, the messages that earlier ones did not have
    #[arg(long)]
    full: bool,
}

pub(super) fn run(context: Context, show: Show) -> Result<Exit> {
    let runtime = context.runtime()?;
    let printer = context.printer;
    context.block_on(|_| async move {
        let store = runtime.store().await?;
        let Some(run) = store.run(&show.run).await? else {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no run `{}`", show.run))
                .with_hint("`motet workflow list` shows the runs of the store"));
        };
        if printer.is_json() {
            json(&store, &show.run, printer).await?;
        } else {
            text(&store, &run, show.full, printer).await?;
        }
        Ok(Exit::Success)
    })
}

/// Prints every entry as it is stored, as one list.
async fn json(store: &SharedStore, run: &RunId, printer: Printer) -> Result<()> {
    let (mut after, mut open) = (0, "[");
    let mut print = |page: &mut dyn Iterator<Item = &Sequenced>| {
        let mut chunk = String::new();
        for entry in page {
            chunk.push_str(std::mem::replace(&mut open, ","));
            chunk.push_str(&serde_json::to_string(entry).map_err(|error| {
                Error::new(ErrorKind::Internal, "an entry cannot be written as JSON").with_source(error)
            })?);
        }
        printer.text(&chunk)
    };
    loop {
        let page = store.records(run, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        print(&mut page.iter())?;
    }
    let mut last: Option<String> = None;
    loop {
        let page = requests(store, run, last.as_deref()).await?;
        let Some((name, _)) = page.last() else { break };
        last = Some(name.clone());
        print(&mut page.iter().map(|(_, entry)| entry))?;
    }
    printer.text(if open == "[" { "[]\n" } else { "]\n" })
}

/// Gives the entries of some requests of a batch, which are kept apart from the journal, each with its request.
async fn requests(store: &SharedStore, run: &RunId, after: Option<&str>) -> Result<Vec<(String, Sequenced)>> {
    let mut entries = Vec::new();
    for name in store.item_names(run, after, PAGE).await? {
        let records = store.item_records(run, &name).await?;
        let numbered = (1..).zip(records).map(|(seq, record)| Sequenced { seq, task: 0, record });
        entries.extend(numbered.map(|entry| (name.clone(), entry)));
    }
    Ok(entries)
}

async fn text(store: &SharedStore, run: &Run, full: bool, printer: Printer) -> Result<()> {
    let mut view = View { full, ..View::default() };
    printer.text(&format!("{}\n", line(&HEAD)))?;
    if full && run.summary.kind == KIND {
        printer.text(&asked_beside(&run.definition))?;
    }
    let mut after = 0;
    loop {
        let page = store.records(&run.summary.id, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        let chunk: String = page.iter().filter_map(|entry| view.take(entry)).collect();
        printer.text(&chunk)?;
    }
    let mut last: Option<String> = None;
    loop {
        let page = requests(store, &run.summary.id, last.as_deref()).await?;
        let Some((name, _)) = page.last() else { break };
        last = Some(name.clone());
        let chunk: String = page.iter().filter_map(|(_, entry)| view.take(entry)).collect();
        printer.text(&chunk)?;
    }
    printer.text(&view.interrupted())?;
    let tasks = store.tasks(&run.summary.id).await?;
    let methods = methods(&run.definition);
    let silent = tasks.iter().filter(|task| task.journal == 0 && task.attempt > 0 && !view.seen(task));
    let rows: String = silent.map(|task| format!("{}\n", line(&task_cells(task, &methods)))).collect();
    printer.text(&rows)?;
    printer.note(&view.summary(run));
    Ok(())
}

const HEAD: [&str; 9] = ["SEQ", "KIND", "OUTCOME", "TRY", "TIME", "TOKENS", "COST", "STEP", "WHAT"];

/// Lays out a line; the widths are fixed, as later lines are not known yet.
fn line(cells: &[impl AsRef<str>; 9]) -> String {
    let [seq, kind, outcome, attempt, time, tokens, cost, step, what] = cells.each_ref().map(AsRef::as_ref);
    let text = format!(
        "{seq:>6}  {kind:<6}  {outcome:<11}  {attempt:>3}  {time:>9}  {tokens:>13}  {cost:>11}  {step:<32}  {what}"
    );
    // Names and messages come from outside; what would steer a terminal is not let through.
    text.trim_end().replace(char::is_control, "\u{fffd}")
}

/// A step that began.
struct Begun {
    kind: StepKind,
    label: String,
    at: Millis,
    seq: u64,
    attempt: u32,
    asked: Option<String>,
}

/// What is shown of the result of a request of a batch.
#[derive(Deserialize)]
struct Request {
    model_calls: u32,
    usage: Usage,
    cost: Option<Cost>,
    response: ChatResponse,
}

impl Request {
    fn read(result: &Value) -> Option<Self> {
        Self::deserialize(result).ok()
    }
}

/// What is known so far: the steps under way, those that failed, and the sums.
#[derive(Default)]
struct View {
    full: bool,
    open: HashMap<(u32, String), Begun>,
    failed: HashMap<(u32, String), u32>,
    /// Tasks with entries, of attempts that were not continued as well.
    tasks: std::collections::HashSet<u32>,
    calls: u32,
    usage: Usage,
    cost: Option<Cost>,
    unknown_cost: bool,
}

impl View {
    /// Takes an entry; gives the lines of a step that ends with it.
    fn take(&mut self, entry: &Sequenced) -> Option<String> {
        self.tasks.insert(entry.task);
        let place = (entry.task, entry.record.step().to_owned());
        let at = entry.record.at();
        match entry.record.entry() {
            Entry::Started { kind, label, request, .. } => {
                let attempt = self.failed.get(&place).copied().unwrap_or_default() + 1;
                let asked = request.as_deref().filter(|_| self.full).map(asked);
                let begun = Begun { kind: *kind, label: label.clone(), at, seq: entry.seq, attempt, asked };
                self.open.insert(place, begun);
                None
            }
            Entry::Finished { result } => {
                let begun = self.open.remove(&place)?;
                self.failed.remove(&place);
                Some(self.finished(&place.1, begun, at, result))
            }
            Entry::Failed { error } => {
                let begun = self.open.remove(&place)?;
                *self.failed.entry(place.clone()).or_default() += 1;
                let outcome = format!("{}: {}", error.kind, first_line(&error.message));
                let mut text = row(&place.1, &begun, Some(at), ["failed", "", ""], Some(&outcome));
                text.extend(begun.asked);
                Some(text)
            }
            _ => None,
        }
    }

    fn finished(&mut self, step: &str, begun: Begun, at: Millis, result: &Value) -> String {
        let response: Option<ChatResponse> = match begun.kind {
            StepKind::Model => serde_json::from_value(result.clone()).ok(),
            _ => None,
        };
        if begun.label == BATCH_REQUEST
            && let Some(done) = Request::read(result)
        {
            return self.request(step, &begun, at, &done);
        }
        let Some(response) = response else {
            let mut text = row(step, &begun, Some(at), ["finished", "", ""], None);
            if self.full {
                text.push_str(&value("<", result));
            }
            return text;
        };
        self.count(1, response.usage, response.cost);
        let tokens =
            response.usage.map_or_else(String::new, |usage| format!("{}+{}", usage.input, usage.output));
        let cost = response.cost.map_or_else(|| "unknown".to_owned(), |cost| cost.to_string());
        let mut text = row(step, &begun, Some(at), ["finished", &tokens, &cost], None);
        if self.full {
            text.extend(begun.asked);
            text.push_str(&message("<", &response.message));
        }
        text
    }

    /// Shows the result of a request of a batch, which stands in the place of its calls.
    fn request(&mut self, step: &str, begun: &Begun, at: Millis, done: &Request) -> String {
        self.count(done.model_calls, Some(done.usage), done.cost);
        let tokens = format!("{}+{}", done.usage.input, done.usage.output);
        let cost = done.cost.map_or_else(|| "unknown".to_owned(), |cost| cost.to_string());
        let mut text = row(step, begun, Some(at), ["finished", &tokens, &cost], None);
        if self.full {
            text.extend(begun.asked.clone());
            text.push_str(&message("<", &done.response.message));
        }
        text
    }

    fn count(&mut self, calls: u32, usage: Option<Usage>, cost: Option<Cost>) {
        self.calls += calls;
        self.usage += usage.unwrap_or_default();
        match cost {
            Some(cost) => self.cost = Some(self.cost.unwrap_or(Cost::ZERO) + cost),
            None => self.unknown_cost = true,
        }
    }

    /// Gives the lines of steps that began and have not ended, in the order they began.
    fn interrupted(&mut self) -> String {
        let mut open: Vec<_> = self.open.drain().collect();
        open.sort_unstable_by_key(|(_, begun)| begun.seq);
        open.iter().map(|((_, step), begun)| row(step, begun, None, ["no end", "", ""], None)).collect()
    }

    fn seen(&self, task: &Task) -> bool {
        self.tasks.contains(&task.number)
    }

    fn summary(&self, run: &Run) -> String {
        let cost = match (self.unknown_cost, self.cost) {
            (true, _) => "cost unknown".to_owned(),
            (false, cost) => cost.unwrap_or(Cost::ZERO).to_string(),
        };
        let motet::core::store::RunSummary { id, name, state, .. } = &run.summary;
        let (calls, tokens) = (self.calls, self.usage.total());
        format!("run {id} ({name}): {state}, {calls} answers of models, {tokens} tokens, {cost}")
    }
}

fn row(step: &str, begun: &Begun, ended: Option<Millis>, came: [&str; 3], why: Option<&str>) -> String {
    let kind = match begun.kind {
        StepKind::Model => "model",
        StepKind::Tool => "tool",
        StepKind::Method => "method",
        StepKind::Value => "value",
        _ => "other",
    };
    let (seq, attempt) = (begun.seq.to_string(), begun.attempt.to_string());
    let time = ended.map_or_else(String::new, |ended| time(begun.at, ended));
    let what = why.map_or_else(|| begun.label.clone(), |why| format!("{}: {why}", begun.label));
    let [outcome, tokens, cost] = came;
    format!("{}\n", line(&[&seq, kind, outcome, &attempt, &time, tokens, cost, step, &what]))
}

fn time(from: Millis, to: Millis) -> String {
    format!("{:.3} s", to.since(from).as_secs_f64())
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn task_cells(task: &Task, methods: &HashMap<String, String>) -> [String; 9] {
    let id = task.name.split('[').next().unwrap_or_default();
    let time = task.started_at.zip(task.ended_at).map_or_else(String::new, |(from, to)| time(from, to));
    let method = methods.get(id).cloned().unwrap_or_default();
    let what = match &task.error {
        Some(error) => format!("{method}: {}", first_line(&error.message)),
        None => method,
    };
    let (state, attempt) = (task.state.to_string(), task.attempt.to_string());
    let (tokens, cost) = (String::new(), String::new());
    [String::new(), "task".to_owned(), state, attempt, time, tokens, cost, task.name.clone(), what]
}

/// Gives the method of each task that the definition of a workflow names.
fn methods(definition: &Value) -> HashMap<String, String> {
    let tasks = definition.get("tasks").and_then(Value::as_array).into_iter().flatten();
    let text = |task: &Value, name: &str| Some(task.get(name)?.as_str()?.to_owned());
    tasks.filter_map(|task| Some((text(task, "id")?, text(task, "method")?))).collect()
}

/// Shows the new messages of a request.
fn asked(request: &KeptRequest) -> String {
    let known = request.messages.iter().filter(|piece| matches!(piece, Piece::Again(_))).count();
    let mut text = String::new();
    if known > 0 {
        let messages = if known == 1 { "message" } else { "messages" };
        // Writing to a text cannot fail.
        let _ = writeln!(text, "        > {known} {messages} as above");
    }
    for piece in &request.messages {
        if let Piece::First { value: written, .. } = piece {
            text.push_str(&any_message(written));
        }
    }
    text
}

/// Shows what a single call asked, which stands in its definition.
fn asked_beside(definition: &Value) -> String {
    let messages = definition.pointer("/request/messages").and_then(Value::as_array);
    messages.into_iter().flatten().map(any_message).collect()
}

fn any_message(written: &Value) -> String {
    match serde_json::from_value::<Message>(written.clone()) {
        Ok(read) => message(">", &read),
        Err(_) => value(">", written),
    }
}
