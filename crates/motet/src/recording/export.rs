//! Reads a stored run as the lines of a cassette, a page at a time, and masks them on their way out.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use motet_core::RunId;
use motet_core::cassette::{Cassette, Header, Line, VERSION};
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::run_log::{Entry, KeptRequest, Piece, Record, RecordV1, Shelf, StepKind};
use motet_core::store::{Run, RunState, Sequenced, SharedStore, Task};
use serde_json::{Map, Value};

use super::{KIND, Redaction, definition};
use crate::report;
use crate::runtime::Runtime;

/// Entries that are read at a time.
const PAGE: u32 = 500;

/// Results of tasks that are read at a time.
const RESULTS: usize = 100;

/// Takes the first line of a cassette, and then the others.
trait Sink: Send {
    fn header(&mut self, header: Header) -> Result<()>;
    fn line(&mut self, line: Line, kind: Option<StepKind>) -> Result<()>;
}

impl Runtime {
    /// Writes a stored run as a cassette, line by line without their ends, and gives the number of its records.
    ///
    /// # Errors
    /// `NotFound` when there is no such run; `Unsupported` when it is a batch; `Configuration` when what is masked leaves something unreadable; the
    /// writer's own errors.
    pub async fn export(
        &self,
        run: &RunId,
        redaction: &Redaction,
        write: &mut (dyn FnMut(&str) -> Result<()> + Send),
    ) -> Result<u64> {
        export(&self.store().await?, run, &mut Masked { redaction, write }).await
    }

    /// Reads a stored run as a cassette in memory, with nothing masked.
    ///
    /// # Errors
    /// `NotFound` when there is no such run; `Unsupported` when it is a batch; `Store` when it cannot be read.
    pub async fn cassette(&self, run: &RunId) -> Result<Cassette> {
        let mut memory = InMemory(None);
        export(&self.store().await?, run, &mut memory).await?;
        memory.0.ok_or_else(|| report::no_such_run(run))
    }
}

struct Masked<'a> {
    redaction: &'a Redaction,
    write: &'a mut (dyn FnMut(&str) -> Result<()> + Send),
}

impl Sink for Masked<'_> {
    fn header(&mut self, header: Header) -> Result<()> {
        (self.write)(&self.redaction.header(header)?.write()?)
    }

    fn line(&mut self, line: Line, kind: Option<StepKind>) -> Result<()> {
        (self.write)(&self.redaction.line(line, kind)?.write()?)
    }
}

struct InMemory(Option<Cassette>);

impl Sink for InMemory {
    fn header(&mut self, header: Header) -> Result<()> {
        self.0 = Some(Cassette::new(header));
        Ok(())
    }

    fn line(&mut self, line: Line, _kind: Option<StepKind>) -> Result<()> {
        self.0.as_mut().map_or(Ok(()), |cassette| cassette.add(line))
    }
}

async fn export(store: &SharedStore, id: &RunId, sink: &mut dyn Sink) -> Result<u64> {
    let run = store.run(id).await?.ok_or_else(|| report::no_such_run(id))?;
    if run.summary.kind == crate::batch::KIND {
        // Its requests have journals of their own, which the format has no place for.
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("`{id}` is a batch, which no cassette holds"),
        )
        .with_hint("`motet batch --resume ID --output-file results.jsonl` gives what was answered again"));
    }
    let tasks = store.tasks(id).await?;
    let mut pieces = Pieces::of(&run)?;
    sink.header(header(store, run, &tasks).await?)?;
    for tasks in tasks.chunks(RESULTS) {
        let numbers: Vec<u32> = tasks.iter().map(|task| task.number).collect();
        let outputs = store.outputs(id, &numbers).await?;
        for (task, output) in tasks.iter().zip(outputs) {
            sink.line(Line::Task(Box::new(report::recorded(task, output))), None)?;
        }
    }
    let (mut after, mut records) = (0, 0);
    loop {
        let page = store.records(id, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for entry in page {
            records += 1;
            pieces.pass(entry, sink)?;
        }
    }
    sink.line(Line::End { records }, None)?;
    Ok(records)
}

async fn header(store: &SharedStore, run: Run, tasks: &[Task]) -> Result<Header> {
    let outputs = match run.summary.state {
        RunState::Completed => report::outputs(store, &run, tasks).await?,
        _ => Map::new(),
    };
    let summary = run.summary;
    Ok(Header {
        cassette: VERSION,
        motet: env!("CARGO_PKG_VERSION").to_owned(),
        run: summary.id,
        name: summary.name,
        kind: summary.kind,
        state: summary.state,
        created_at: summary.created_at,
        ended_at: summary.ended_at,
        definition: run.definition,
        inputs: run.inputs,
        settings: run.settings,
        outputs,
        masked: None,
    })
}

/// Gives each piece of a request a line of its own before the first record that needs it, and a number instead of its
/// hash, by which a masked piece could be guessed.
struct Pieces {
    numbers: HashMap<String, String>,
    /// Pieces that are stored with the run and not in its journal.
    beside: HashMap<String, Value>,
    /// Steps under way that call a model.
    models: HashSet<(u32, String)>,
}

impl Pieces {
    fn of(run: &Run) -> Result<Self> {
        let mut beside = HashMap::new();
        if run.summary.kind == KIND {
            let held = Shelf::default().hold(&definition(run.definition.clone())?.request)?;
            let whole = [held.options].into_iter().chain(held.messages).filter_map(|piece| match piece {
                Piece::First { key, value } => Some((key, value)),
                Piece::Again(_) => None,
            });
            beside.extend(whole);
        }
        Ok(Self { numbers: HashMap::new(), beside, models: HashSet::new() })
    }

    fn pass(&mut self, entry: Sequenced, sink: &mut dyn Sink) -> Result<()> {
        let Sequenced { seq, task, record } = entry;
        let (step, at, mut entry) = (record.step().to_owned(), record.at(), record.entry().clone());
        let attribution = record.attribution().cloned().unwrap_or_default();
        let place = (task, step.clone());
        let kind = match &mut entry {
            Entry::Started { kind, request, .. } => {
                if let Some(request) = request {
                    self.number(request, sink)?;
                }
                if *kind == StepKind::Model {
                    self.models.insert(place);
                }
                None
            }
            _ => self.models.remove(&place).then_some(StepKind::Model),
        };
        let record = Record::V1(RecordV1 { step, at, attribution: None, entry })
            .with_attribution(Some(&Arc::new(attribution)));
        sink.line(Line::Record(Box::new(Sequenced { seq, task, record })), kind)
    }

    fn number(&mut self, request: &mut KeptRequest, sink: &mut dyn Sink) -> Result<()> {
        for piece in request.pieces_mut() {
            let next = (self.numbers.len() + 1).to_string();
            let (key, value) = match piece {
                Piece::First { key, value } => (key.clone(), Some(value.take())),
                Piece::Again(key) => (key.clone(), self.beside.remove(key.as_str())),
            };
            let number = match (self.numbers.get(&key), value) {
                (Some(number), _) => number.clone(),
                (None, value) => {
                    let value = value.unwrap_or_default();
                    sink.line(Line::Piece { key: next.clone(), value }, None)?;
                    self.numbers.insert(key, next.clone());
                    next
                }
            };
            *piece = Piece::Again(number);
        }
        Ok(())
    }
}
