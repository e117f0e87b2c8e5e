//! Brings results to where they go: to stdout in the order of the requests, to files as each form wants it.
//!
//! What cannot be written yet is laid aside in a file without a name, so that little is held in memory.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use motet::batch::{BatchResult, BatchSummary};
use motet::core::id::Millis;
use motet::{Error, ErrorKind, Result, RunId};
use serde_json::{Map, Value, json};

use super::asked::Asked;
use super::report::{self, Form, Parts};
use super::shape;
use super::view::View;
use crate::printer::Printer;

/// What is known of a batch before its first result.
pub(super) struct Head {
    pub(super) id: RunId,
    pub(super) created_at: Millis,
    /// What was asked.
    pub(super) parameters: Value,
    count: u64,
}

impl Head {
    pub(super) fn new(id: &RunId, asked: &Asked, count: u64) -> Self {
        let mut parameters = Map::new();
        let mut set = |name: &str, value: Value| {
            if !matches!(&value, Value::Null) {
                parameters.insert(name.to_owned(), value);
            }
        };
        set("input", json!(asked.named));
        set("pattern", if asked.patterns.is_empty() { Value::Null } else { json!(asked.patterns) });
        set("prompt", json!(asked.prompt));
        set("system", json!(asked.system));
        set("model", json!(asked.model));
        set("vision", json!(asked.vision.then_some(true)));
        set("schema", json!(asked.schema));
        set("limit", json!(asked.limit));
        Self { id: id.clone(), created_at: Millis::now(), parameters: Value::Object(parameters), count }
    }
}

/// Everywhere that results go.
pub(super) struct Outputs {
    head: Head,
    printer: Printer,
    /// Files that are written at the end.
    reports: Vec<(PathBuf, Form)>,
    /// Files that grow as results come.
    growing: Vec<(PathBuf, File)>,
    aside: Aside,
    /// Place of the next result for stdout; `None` where results go to files only.
    next: Option<u64>,
    begun: bool,
}

impl Outputs {
    /// Refuses files that cannot be written, before anything is paid for or written over.
    pub(super) fn check(files: &[PathBuf], input: &Path) -> Result<()> {
        for path in files {
            if path.canonicalize().is_ok_and(|real| real == input) {
                let message =
                    format!("`{}` holds the requests, which results would write over", path.display());
                return Err(Error::new(ErrorKind::InvalidRequest, message).with_hint("name another file"));
            }
            if report::form(path).is_none() {
                let message = format!("`{}` has no form that results can be written in", path.display());
                return Err(Error::new(ErrorKind::InvalidRequest, message)
                    .with_hint("name a file that ends in .jsonl, .json, or .md"));
            }
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            if directory.is_some_and(|directory| !directory.is_dir()) {
                return Err(report::unwritable(path, std::io::ErrorKind::NotFound.into()));
            }
        }
        Ok(())
    }

    /// Opens the files.
    pub(super) fn open(head: Head, files: &[PathBuf], printer: Printer) -> Result<Self> {
        let (mut reports, mut growing) = (Vec::new(), Vec::new());
        for path in files {
            match report::form(path) {
                Some(Form::Lines) => {
                    let file = File::create(path).map_err(|error| report::unwritable(path, error))?;
                    growing.push((path.clone(), file));
                }
                Some(form) => reports.push((path.clone(), form)),
                None => {}
            }
        }
        let next = (files.is_empty() || printer.is_json()).then_some(0);
        Ok(Self { head, printer, reports, growing, aside: Aside::new()?, next, begun: false })
    }

    pub(super) fn id(&self) -> &RunId {
        &self.head.id
    }

    /// Takes a result; what is printed makes the line of progress wait.
    pub(super) fn take(&mut self, result: &BatchResult, view: &View) -> Result<()> {
        let shape = shape::line(result);
        let mut line = Value::Object(shape).to_string();
        line.push('\n');
        for (path, file) in &mut self.growing {
            // One write a line, so that a kill leaves whole lines.
            file.write_all(line.as_bytes()).map_err(|error| report::unwritable(path, error))?;
        }
        self.aside.add(result.index, &line)?;
        view.suspend(|| self.print())
    }

    /// Prints the results whose turn has come.
    fn print(&mut self) -> Result<()> {
        while let Some(place) = self.next {
            let Some(result) = self.aside.get(place)? else { return Ok(()) };
            self.next = Some(place + 1);
            self.print_one(result)?;
        }
        Ok(())
    }

    fn print_one(&mut self, result: Map<String, Value>) -> Result<()> {
        if !self.printer.is_json() {
            return self.printer.text(&text(&result, self.head.count));
        }
        let separator = self.begin_json()?;
        self.printer.text(&format!("{separator}{}", report::entry(result)))
    }

    /// Opens the JSON object where nothing was printed yet; gives what goes before the next result.
    fn begin_json(&mut self) -> Result<&'static str> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(",");
        }
        self.printer.text(&report::opening(&self.head))?;
        Ok("")
    }

    /// Writes the reports and prints what is left, with the sums or why there are none.
    ///
    /// # Errors
    /// That a report cannot be written, which the JSON on stdout tells too.
    pub(super) fn end(&mut self, ended: Result<&BatchSummary, &Error>) -> Result<()> {
        let written = self.write_reports(ended);
        // Of a batch that ended early, places may be empty; what is behind them is printed all the same.
        while let Some(place) = self.next.filter(|place| *place < self.aside.places()) {
            self.next = Some(place + 1);
            if let Some(result) = self.aside.get(place)? {
                self.print_one(result)?;
            }
        }
        if self.printer.is_json() {
            self.begin_json()?;
            let ended = written.as_ref().err().map_or(ended, Err);
            self.printer.text(&format!("{}\n", report::closing(&ended)))?;
        }
        written
    }

    fn write_reports(&mut self, ended: Result<&BatchSummary, &Error>) -> Result<()> {
        for (path, form) in std::mem::take(&mut self.reports) {
            let mut results = (0..self.aside.places()).filter_map(|place| self.aside.get(place).transpose());
            report::write(&path, form, &Parts { head: &self.head, ended }, &mut results)?;
        }
        for (path, file) in &self.growing {
            file.sync_all().map_err(|error| report::unwritable(path, error))?;
        }
        Ok(())
    }
}

/// Gives a result for people: a heading where there are several, and the answer.
fn text(result: &Map<String, Value>, count: u64) -> String {
    let Some(content) = result.get("content").and_then(Value::as_str) else { return String::new() };
    let value = result.get("json").map(Value::to_string);
    let mut text = String::new();
    if count > 1 {
        text.push_str(&format!("## {}\n\n", result.get("id").and_then(Value::as_str).unwrap_or_default()));
    }
    text.push_str(value.as_deref().unwrap_or(content).trim_end());
    text.push_str(if count > 1 { "\n\n" } else { "\n" });
    text
}

/// Results that were laid aside, by place.
struct Aside {
    file: File,
    end: u64,
    /// Where each result lies and how long it is; a length of zero where there is none.
    places: Vec<(u64, u32)>,
}

impl Aside {
    fn new() -> Result<Self> {
        let file = tempfile::tempfile().map_err(lost)?;
        Ok(Self { file, end: 0, places: Vec::new() })
    }

    fn places(&self) -> u64 {
        u64::try_from(self.places.len()).unwrap_or(u64::MAX)
    }

    fn add(&mut self, place: u64, line: &str) -> Result<()> {
        let too_long = |_| Error::new(ErrorKind::LimitReached, "a result has 4 GiB or more");
        let (place, length) =
            (usize::try_from(place).unwrap_or(usize::MAX), u32::try_from(line.len()).map_err(too_long)?);
        self.file.seek(SeekFrom::Start(self.end)).map_err(lost)?;
        self.file.write_all(line.as_bytes()).map_err(lost)?;
        if self.places.len() <= place {
            self.places.resize(place + 1, (0, 0));
        }
        if let Some(found) = self.places.get_mut(place) {
            *found = (self.end, length);
        }
        self.end += u64::from(length);
        Ok(())
    }

    fn get(&mut self, place: u64) -> Result<Option<Map<String, Value>>> {
        let place = usize::try_from(place).ok().and_then(|place| self.places.get(place).copied());
        let Some((start, length)) = place.filter(|(_, length)| *length > 0) else { return Ok(None) };
        let mut line = vec![0; length as usize];
        self.file.seek(SeekFrom::Start(start)).map_err(lost)?;
        self.file.read_exact(&mut line).map_err(lost)?;
        let read = serde_json::from_slice(&line);
        read.map(Some).map_err(|error| lost(error.into()))
    }
}

fn lost(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Internal, format!("results cannot be laid aside: {error}"))
        .with_hint("make room in the directory for temporary files")
        .with_source(error)
}
