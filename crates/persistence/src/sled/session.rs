//! The state of an open store: the machine in memory and the rows in the tree, which it brings up to date.
//!
//! Knows nothing of threads. Whoever uses it commits before anybody is told of a change.

use std::collections::{HashSet, VecDeque};
use std::path::Path;

use motet_core::error::{Error, ErrorKind, ErrorReport, Result};
use motet_core::id::{Millis, RunId};
use motet_core::schedule::{RunRow, TaskRow};
use motet_core::store::{AskedQuestion, NewRun, NewTask, RunDump, RunEvent, TaskDump};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sled::Batch;

use super::answers::Kept;
use super::files::{Files, FreeSpace, failed};
use super::keys::{self, Written, of_run};
use crate::books::{BookTouch, Books};
use crate::clock::Clock;
use crate::machine::{Machine, StoredRun, Touch};

/// The layout of rows that this version writes and reads.
const FORMAT: u32 = 1;

/// Ended runs whose tasks stay in memory, because somebody will look at them.
const ENDED_IN_MEMORY: usize = 64;

/// An open store.
pub(super) struct Session {
    pub(super) machine: Machine,
    pub(super) books: Books,
    pub(super) answers: Kept,
    /// Number of changes of conversations so far.
    pub(super) conversations: u64,
    pub(super) files: Files,
    batch: Batch,
    /// Whether the batch holds anything.
    is_pending: bool,
    /// Whether something was written that is not durable yet.
    is_dirty: bool,
    /// Keys of values that lie apart.
    apart: HashSet<Vec<u8>>,
    /// Runs that ended, the first one first.
    ended: VecDeque<RunId>,
}

/// A run's row, with all that a list of runs shows.
#[derive(Serialize, Deserialize)]
struct HeadRow {
    row: RunRow,
    name: String,
    kind: String,
    key: Option<String>,
    created_at: Millis,
    error: Option<ErrorReport>,
    place: usize,
}

#[derive(Serialize, Deserialize)]
struct TaskState {
    row: TaskRow,
    error: Option<ErrorReport>,
}

#[derive(Serialize, Deserialize)]
struct QuestionRow {
    asked: AskedQuestion,
    /// Its place among those of the run that were asked at one time.
    place: usize,
}

impl Session {
    /// Opens a directory and reads what goes on.
    pub(super) fn open(directory: &Path, free: FreeSpace, clock: &Clock) -> Result<Self> {
        let files = Files::open(directory, free)?;
        check_format(&files)?;
        let apart = files.db.scan_prefix(keys::APART).keys();
        let apart = apart.map(|key| key.map(|key| key.get(keys::APART.len()..).unwrap_or_default().to_vec()));
        let apart = apart.collect::<sled::Result<_>>().map_err(|error| failed(&error))?;
        let mut session = Self {
            machine: Machine::noting(),
            books: Books::noting(),
            answers: Kept::default(),
            conversations: 0,
            files,
            batch: Batch::default(),
            is_pending: false,
            is_dirty: false,
            apart,
            ended: VecDeque::new(),
        };
        session.load(clock)?;
        session.put(keys::FORMAT.to_vec(), Some(&FORMAT))?;
        session.commit()?;
        Ok(session)
    }

    /// Takes back what workers had in hand when an earlier process ended, as none of them lives.
    pub(super) fn take_over(&mut self, now: Millis) -> Result<()> {
        self.machine.reclaim_all(now)?;
        self.commit()
    }

    /// Reads what goes on; the clock does not stay behind the time of anything that was read.
    fn load(&mut self, clock: &Clock) -> Result<()> {
        let mut heads: Vec<HeadRow> = self.all(&keys::named(of_run::HEAD, ""))?;
        heads.sort_by_key(|head| head.place);
        let mut runs = Vec::with_capacity(heads.len());
        for head in heads {
            let (place, ended) = (head.place, head.row.state.is_ended());
            runs.push((place, ended, if ended { self.outline(head)? } else { self.read_run(head)? }));
        }
        let seen = runs.iter().map(|(_, _, dump)| newest(dump)).max();
        let now = clock.at_least(seen.unwrap_or_default());
        for (place, ended, dump) in runs {
            let id = dump.row.id.clone();
            self.machine.restore_at(place, dump, now);
            if ended {
                self.machine.put_aside(&id);
            }
        }
        for worker in self.all(&keys::named(keys::WORKER, ""))? {
            self.machine.restore_worker(worker);
        }
        let (books, held) = (keys::named(keys::BOOK, ""), keys::named(keys::HELD, ""));
        self.books.restore(self.all_named(&books)?, self.all_named(&held)?);
        self.load_answers()?;
        self.load_conversations()
    }

    /// Reads all rows whose keys begin alike.
    pub(super) fn all<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Vec<T>> {
        Ok(self.all_named(prefix)?.into_iter().map(|(_, value)| value).collect())
    }

    /// Reads all rows whose keys begin alike, with the rest of their keys.
    pub(super) fn all_named<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Vec<(String, T)>> {
        let mut found = Vec::new();
        for row in self.files.db.scan_prefix(prefix) {
            let (key, value) = row.map_err(|error| failed(&error))?;
            found.push((keys::tail(prefix, &key), self.read(&key, &value)?));
        }
        Ok(found)
    }

    /// Reads one row.
    pub(super) fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>> {
        let value = self.files.db.get(key).map_err(|error| failed(&error))?;
        value.map(|value| self.read(key, &value)).transpose()
    }

    fn read<T: DeserializeOwned>(&self, key: &[u8], value: &[u8]) -> Result<T> {
        if value.first() != Some(&keys::ELSEWHERE) {
            return keys::read(key, value);
        }
        let value = self.files.db.get(keys::apart(key)).map_err(|error| failed(&error))?;
        keys::read(key, value.as_deref().unwrap_or_default())
    }

    /// Writes a row, or removes it where there is no value.
    pub(super) fn put(&mut self, key: Vec<u8>, value: Option<&impl Serialize>) -> Result<()> {
        let written = value.map(keys::write).transpose()?;
        self.is_pending = true;
        let was_apart = self.apart.remove(&key);
        match written {
            Some(Written::Apart(bytes)) => {
                self.batch.insert(keys::apart(&key), bytes);
                self.apart.insert(key.clone());
                self.batch.insert(key, &[keys::ELSEWHERE]);
                return Ok(());
            }
            Some(Written::Here(bytes)) => self.batch.insert(key.clone(), bytes),
            None => self.batch.remove(key.clone()),
        }
        if was_apart {
            self.batch.remove(keys::apart(&key));
        }
        Ok(())
    }

    /// Writes bytes as they are.
    pub(super) fn put_bytes(&mut self, key: Vec<u8>, bytes: Option<&[u8]>) {
        self.is_pending = true;
        match bytes {
            Some(bytes) => self.batch.insert(key, bytes),
            None => self.batch.remove(key),
        }
    }

    /// Puts what changed in the tree, so that it is read from there; it is durable after [`commit`](Self::commit) only.
    pub(super) fn apply(&mut self) -> Result<()> {
        let (gone, changed): (Vec<_>, Vec<_>) =
            self.machine.take_touched().into_iter().partition(|touch| matches!(touch, Touch::Gone(_)));
        // First, as another run may have the id of one that is gone.
        gone.into_iter().chain(changed).try_for_each(|touch| self.write(touch))?;
        for touch in self.books.take_touched() {
            match touch {
                BookTouch::Book(name) => {
                    let book = self.books.book(&name).copied();
                    self.put(keys::named(keys::BOOK, &name), book.as_ref())?;
                }
                BookTouch::Held(id) => {
                    let held = self.books.held(&id).cloned();
                    self.put(keys::named(keys::HELD, &id), held.as_ref())?;
                }
            }
        }
        if std::mem::take(&mut self.is_pending) {
            self.is_dirty = true;
            let batch = std::mem::take(&mut self.batch);
            self.files.db.apply_batch(batch).map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    /// Makes durable what changed, and puts aside what nobody needs in memory.
    pub(super) fn commit(&mut self) -> Result<()> {
        self.apply()?;
        if std::mem::take(&mut self.is_dirty) {
            self.files.flush()?;
        }
        while self.ended.len() > ENDED_IN_MEMORY
            && let Some(run) = self.ended.pop_front()
        {
            self.machine.put_aside(&run);
        }
        Ok(())
    }

    /// Writes one row as the machine has it now.
    fn write(&mut self, touch: Touch) -> Result<()> {
        match touch {
            Touch::Gone(run) => self.erase(&run),
            Touch::Worker(name) => {
                let worker = self.machine.worker(&name).cloned();
                self.put(keys::named(keys::WORKER, &name), worker.as_ref())
            }
            Touch::Run(slot) | Touch::Definition(slot) => {
                self.write_head(slot, matches!(touch, Touch::Definition(_)))
            }
            Touch::Task(slot, number) => self.write_part(slot, |id, run| {
                let task = run.task(number);
                let value = task
                    .map(|task| TaskState { row: task.row.clone(), error: task.error.as_deref().cloned() });
                (keys::numbered(of_run::TASK, id, number), value)
            }),
            Touch::New(slot, number) => self.write_part(slot, |id, run| {
                (keys::numbered(of_run::NEW_TASK, id, number), run.task(number).map(|task| task.new.clone()))
            }),
            Touch::Output(slot, number) => self.write_part(slot, |id, run| {
                let output = run.task(number).and_then(|task| task.output.clone());
                (keys::numbered(of_run::OUTPUT, id, number), output)
            }),
            Touch::Entry(slot, seq) => self.write_part(slot, |id, run| {
                (keys::sequenced(of_run::JOURNAL, id, seq), nth(&run.body.journal, seq))
            }),
            Touch::Event(slot, seq) => self.write_part(slot, |id, run| {
                (keys::sequenced(of_run::EVENT, id, seq), nth(&run.body.events, seq))
            }),
            Touch::Question(slot, step) => self.write_part(slot, |id, run| {
                let place = run.questions.iter().position(|asked| asked.question.step == step);
                let asked = place.and_then(|place| run.questions.get(place).cloned());
                let value = asked.zip(place).map(|(asked, place)| QuestionRow { asked, place });
                (keys::part(of_run::QUESTION, id, &step), value)
            }),
            Touch::Item(slot, name) => self.write_part(slot, |id, run| {
                (keys::part(of_run::ITEM, id, &name), run.body.items.get(&name).cloned())
            }),
        }
    }

    fn write_part<T: Serialize>(
        &mut self,
        slot: usize,
        part: impl FnOnce(&str, &StoredRun) -> (Vec<u8>, Option<T>),
    ) -> Result<()> {
        // Where the run is gone, so are its rows.
        let Some(run) = self.machine.runs().at(slot) else { return Ok(()) };
        let (key, value) = part(run.row.id.as_str(), run);
        self.put(key, value.as_ref())
    }

    fn write_head(&mut self, slot: usize, with_definition: bool) -> Result<()> {
        let Some(run) = self.machine.runs().at(slot) else { return Ok(()) };
        let id = run.row.id.clone();
        let head = HeadRow {
            row: run.row.clone(),
            name: run.new.name.clone(),
            kind: run.new.kind.clone(),
            key: run.new.key.clone(),
            created_at: run.created_at,
            error: run.error.clone(),
            place: slot,
        };
        let definition = with_definition.then(|| run.new.clone());
        if head.row.state.is_ended() {
            self.ended.push_back(id.clone());
        }
        self.put(keys::named(of_run::HEAD, id.as_str()), Some(&head))?;
        match definition {
            Some(definition) => self.put(keys::named(of_run::DEFINITION, id.as_str()), Some(&definition)),
            None => Ok(()),
        }
    }

    fn erase(&mut self, run: &RunId) -> Result<()> {
        for letter in of_run::ALL {
            self.put(keys::named(letter, run.as_str()), None::<&()>)?;
            let rows = self.files.db.scan_prefix(keys::below(letter, run.as_str())).keys();
            for key in rows.collect::<sled::Result<Vec<_>>>().map_err(|error| failed(&error))? {
                self.put(key.to_vec(), None::<&()>)?;
            }
        }
        Ok(())
    }

    /// Reads the body of a run that was put aside, and of those that wait for it.
    pub(super) fn need(&mut self, run: &RunId, now: Millis) -> Result<()> {
        let mut next = Some(run.clone());
        while let Some(run) = next.take().and_then(|id| self.machine.runs().get(&id)) {
            let (id, is_resident) = (run.row.id.clone(), run.is_resident);
            next = run.row.parent.as_ref().map(|parent| parent.run.clone());
            if is_resident {
                continue;
            }
            if let Some(head) = self.get(&keys::named(of_run::HEAD, id.as_str()))? {
                let dump = self.read_run(head)?;
                self.machine.give_back(dump, now);
                self.ended.push_back(id);
            }
        }
        Ok(())
    }

    /// Reads all bodies; for what looks at every task.
    pub(super) fn need_all(&mut self, now: Millis) -> Result<()> {
        let aside = self.machine.runs().iter().filter(|run| !run.is_resident);
        let aside: Vec<RunId> = aside.map(|run| run.row.id.clone()).collect();
        aside.iter().try_for_each(|run| self.need(run, now))
    }

    /// Makes a run without its body.
    fn outline(&self, head: HeadRow) -> Result<RunDump> {
        let HeadRow { row, name, kind, key, created_at, error, .. } = head;
        let id = row.id.clone();
        let parent = row.parent.clone();
        let new = NewRun { id: id.clone(), key, parent, ..NewRun::new(kind, name, Vec::new()) };
        let mut questions: Vec<QuestionRow> = self.all(&keys::below(of_run::QUESTION, id.as_str()))?;
        questions.sort_by_key(|row| (row.asked.asked_at, row.place));
        let questions = questions.into_iter().map(|row| row.asked).collect();
        let (tasks, journal, events, items) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Ok(RunDump { row, new, created_at, error, tasks, journal, events, questions, items })
    }

    fn read_run(&self, head: HeadRow) -> Result<RunDump> {
        let id = head.row.id.clone();
        let id = id.as_str();
        let mut dump = self.outline(head)?;
        if let Some(new) = self.get(&keys::named(of_run::DEFINITION, id))? {
            dump.new = new;
        }
        for TaskState { row, error } in self.all(&keys::below(of_run::TASK, id))? {
            let number = row.number;
            let new: Option<NewTask> = self.get(&keys::numbered(of_run::NEW_TASK, id, number))?;
            let new = new.ok_or_else(|| {
                Error::new(ErrorKind::Store, format!("task {number} of run `{id}` lost what was submitted"))
            })?;
            let output = self.get(&keys::numbered(of_run::OUTPUT, id, number))?;
            dump.tasks.push(TaskDump { row, new, error, output });
        }
        dump.journal = self.all(&keys::below(of_run::JOURNAL, id))?;
        dump.events = self.all::<RunEvent>(&keys::below(of_run::EVENT, id))?;
        dump.items = self.all_named(&keys::below(of_run::ITEM, id))?;
        Ok(dump)
    }
}

fn check_format(files: &Files) -> Result<()> {
    let Some(found) = files.db.get(keys::FORMAT).map_err(|error| failed(&error))? else { return Ok(()) };
    let found: u32 = keys::read(keys::FORMAT, &found)?;
    if found <= FORMAT {
        return Ok(());
    }
    let message = format!("the store has the layout {found}, and this version of Motet knows {FORMAT}");
    Err(Error::new(ErrorKind::Store, message)
        .with_hint("use the version of Motet that wrote it, or a newer one"))
}

/// Gives an element of a list whose numbers begin with 1 and have no gaps.
fn nth<T: Clone>(list: &[T], seq: u64) -> Option<T> {
    let place = usize::try_from(seq).ok()?.checked_sub(1)?;
    list.get(place).cloned()
}

/// Gives the newest time that something happened to a run.
fn newest(dump: &RunDump) -> Millis {
    let times = [Some(dump.created_at), dump.row.ended_at, dump.events.last().map(|event| event.at)];
    times.into_iter().flatten().max().unwrap_or_default()
}
