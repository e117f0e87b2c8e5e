//! Turns what the scheduler changed into commands that one script runs, if nobody was faster.
//!
//! Decides nothing; keeps the lists by which claims, leases, and times are found in step with the rows.

use motet_core::error::Result;
use motet_core::id::{Millis, RunId};
use motet_core::schedule::TaskRow;
use motet_core::store::{NewTask, RunEvent, RunState, TaskState};

use super::row::{self, to_json};
use super::rows::RunRows;
use super::server::{self, Server};

/// Values above this many bytes get keys of their own.
const BIG: usize = 16 * 1024;
/// Words of one command.
const WORDS: usize = 500;
/// Scores are priority * 2^42 + milliseconds.
const SPAN: i64 = 1 << 42;

/// A change of one run or of several.
pub(super) struct Commit<'a> {
    server: &'a Server,
    now: Millis,
    name: String,
    checks: Vec<[String; 3]>,
    /// Runs that change: they get new versions, and claims find their tasks.
    changed: Vec<String>,
    commands: Vec<Vec<Vec<u8>>>,
    /// Tasks, or runs, whose own runs are to be cancelled, as the list of those says it.
    pub(super) abandoned: Vec<String>,
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Committed {
    Done,
    /// Somebody changed a run meanwhile.
    Conflict,
}

impl<'a> Commit<'a> {
    pub(super) fn new(server: &'a Server, now: Millis) -> Self {
        let (checks, changed, commands) = (Vec::new(), Vec::new(), Vec::new());
        Self { server, now, name: server::name(), checks, changed, commands, abandoned: Vec::new() }
    }

    /// Leaves no name in the run, which this commit removes; sending it twice does no harm then.
    pub(super) fn forget_name(&mut self) {
        self.name.clear();
    }

    /// Requires a field of a run to be as it was read.
    pub(super) fn check(&mut self, run: &RunId, field: &str, value: String) {
        self.checks.push([run.as_str().to_owned(), field.to_owned(), value]);
    }

    /// Adds a command.
    pub(super) fn add(&mut self, command: &str, words: impl IntoIterator<Item = impl Into<Vec<u8>>>) {
        let mut all = vec![command.as_bytes().to_vec()];
        all.extend(words.into_iter().map(Into::into));
        self.commands.push(all);
    }

    pub(super) fn key(&self, rest: impl std::fmt::Display) -> String {
        self.server.key(rest)
    }

    /// Keeps a value in a hash; a large one in a key of its own.
    pub(super) fn put(&mut self, hash: &str, field: &str, value: String) {
        if value.len() > BIG {
            self.add("SET", [format!("{hash}:{field}"), value]);
            self.add("HSET", [hash, field, "@"]);
        } else {
            self.add("HSET", [hash.to_owned(), field.to_owned(), value]);
        }
    }

    /// Keeps a value where another one may be.
    fn replace(&mut self, hash: &str, field: &str, value: String) {
        if value.len() <= BIG {
            self.add("DEL", [format!("{hash}:{field}")]);
        }
        self.put(hash, field, value);
    }

    /// Gives a run a new version, and has claims find its tasks, if it may start any.
    pub(super) fn touch(&mut self, run: &RunId) {
        self.changed.push(run.as_str().to_owned());
    }

    fn remove_value(&mut self, hash: &str, field: &str) {
        self.add("HDEL", [hash, field]);
        self.add("DEL", [format!("{hash}:{field}")]);
    }

    /// Adds everything that the scheduler changed in a run.
    pub(super) fn run(&mut self, rows: &RunRows<'_>) -> Result<()> {
        let id = rows.run.id.clone();
        self.check(&id, "v", rows.fetched.version.to_string());
        for (run, state) in &rows.fetched.others {
            self.check(run, "state", state.map(|state| state.as_str().to_owned()).unwrap_or_default());
        }
        for number in &rows.removed {
            self.remove_task(rows, *number);
        }
        for (number, new) in &rows.inserted {
            self.put(&self.key(format!("new:{id}")), &number.to_string(), to_json(new)?);
        }
        for (number, row) in &rows.tasks {
            if let Some(new) = rows.new_of(*number) {
                self.task(&id, rows.before(*number).filter(|_| !rows.removed.contains(number)), (row, new));
            }
        }
        self.values(rows)?;
        for (number, waiting) in &rows.after {
            self.after(&id, *number, rows.fetched.after.get(number).map_or(0, Vec::len), waiting);
        }
        self.questions(rows)?;
        self.events(&id, &rows.events)?;
        for task in &rows.abandoned {
            let entry = super::abandoned::entry(&id, *task);
            self.add("SADD", [self.key("abandoned"), entry.clone()]);
            self.abandoned.push(entry);
        }
        self.head(rows)
    }

    fn remove_task(&mut self, rows: &RunRows<'_>, number: u32) {
        let id = &rows.run.id;
        if let (Some(row), Some(new)) =
            (rows.before(number), rows.fetched.tasks.get(&number).and_then(Option::as_ref))
        {
            self.unlist(id, row, &new.new);
        }
        self.add("DEL", ["task", "log"].map(|kind| self.key(format!("{kind}:{id}:{number}"))));
        let (field, hashes) = (number.to_string(), ["new", "output", "error"]);
        for hash in hashes {
            self.remove_value(&self.key(format!("{hash}:{id}")), &field);
        }
    }

    /// Takes a task off all lists.
    fn unlist(&mut self, id: &RunId, row: &TaskRow, new: &NewTask) {
        let member = format!("{id}:{}", row.number);
        match row.state {
            TaskState::Ready => {
                self.add("ZREM", [self.key("delayed"), member]);
                let lane = self.key(format!("lane:{id}|{}", row::lane(new, row.is_suspect())));
                self.add("ZREM", [lane, format!("{:010}", row.number)]);
            }
            TaskState::Running => {
                self.add("ZREM", [self.key("leases"), member]);
                if let Some(limit) = &new.limit {
                    self.add("HINCRBY", [self.key("limits"), limit.key.clone(), "-1".to_owned()]);
                }
            }
            TaskState::Waiting => self.add("ZREM", [self.key("waiting"), member]),
            _ => {}
        }
    }

    /// Puts a task on the lists where it is found.
    fn list(&mut self, id: &RunId, row: &TaskRow, new: &NewTask) {
        let member = format!("{id}:{}", row.number);
        match row.state {
            TaskState::Ready if row.not_before > self.now => {
                self.add("ZADD", [self.key("delayed"), row.not_before.0.to_string(), member]);
            }
            TaskState::Ready => {
                let lane = row::lane(new, row.is_suspect());
                let at = row.not_before.0.clamp(0, SPAN - 1);
                let score = i64::from(new.priority.rank()) * SPAN + at;
                let key = self.key(format!("lane:{id}|{lane}"));
                self.add("ZADD", [key, score.to_string(), format!("{:010}", row.number)]);
                self.add("SADD", [self.key(format!("lanes:{id}")), lane]);
            }
            TaskState::Running => {
                self.add("ZADD", [self.key("leases"), row.lease_until.0.to_string(), member]);
                if let Some(limit) = &new.limit {
                    self.add("HINCRBY", [self.key("limits"), limit.key.clone(), "1".to_owned()]);
                }
            }
            TaskState::Waiting if row.waits_for_people() && row.lease_until > Millis::default() => {
                self.add("ZADD", [self.key("waiting"), row.lease_until.0.to_string(), member]);
            }
            _ => {}
        }
    }

    /// Writes a task's row and its places on the lists.
    pub(super) fn task(&mut self, id: &RunId, before: Option<&TaskRow>, (row, new): (&TaskRow, &NewTask)) {
        if let Some(before) = before {
            self.unlist(id, before, new);
        }
        self.list(id, row, new);
        let mut words = vec![self.key(format!("task:{id}:{}", row.number))];
        for (field, value) in row::task_fields(row, new) {
            words.extend([field.to_owned(), value]);
        }
        self.add("HSET", words);
    }

    fn values(&mut self, rows: &RunRows<'_>) -> Result<()> {
        let id = &rows.run.id;
        let (errors, outputs) = (self.key(format!("error:{id}")), self.key(format!("output:{id}")));
        for (number, error) in &rows.errors {
            match error {
                Some(error) => self.replace(&errors, &number.to_string(), to_json(error)?),
                None => self.remove_value(&errors, &number.to_string()),
            }
        }
        for (number, output) in &rows.outputs {
            self.replace(&outputs, &number.to_string(), to_json(output)?);
        }
        Ok(())
    }

    /// Writes who waits for a task, of whom there were so many before.
    pub(super) fn after(&mut self, id: &RunId, number: u32, before: usize, waiting: &[u32]) {
        let key = self.key(format!("after:{id}"));
        let field = |part: usize| if part == 0 { number.to_string() } else { format!("{number}:{part}") };
        let parts = row::parts(waiting);
        // One part holds at least one number, so that there were no more parts than numbers.
        for part in parts.len()..before.div_ceil(500).max(parts.len()) {
            self.add("HDEL", [key.clone(), field(part)]);
        }
        for (part, numbers) in parts.into_iter().enumerate() {
            self.add("HSET", [key.clone(), field(part), numbers]);
        }
    }

    fn questions(&mut self, rows: &RunRows<'_>) -> Result<()> {
        let id = &rows.run.id;
        let (asked, order) = (self.key(format!("questions:{id}")), self.key(format!("asked:{id}")));
        for step in &rows.gone_questions {
            self.add("HDEL", [asked.clone(), step.clone()]);
            self.add("LREM", [order.clone(), "0".to_owned(), step.clone()]);
        }
        for (step, question) in rows.asked.iter().filter_map(|step| Some((step, rows.questions.get(step)?))) {
            self.add("HSET", [asked.clone(), step.clone(), to_json(question)?]);
            if !rows.fetched.questions.get(step).is_some_and(Option::is_some) {
                self.add("RPUSH", [order.clone(), step.clone()]);
                self.add("SADD", [self.key("asking"), id.as_str().to_owned()]);
            }
        }
        Ok(())
    }

    /// Appends events to those of a run.
    pub(super) fn events(&mut self, id: &RunId, events: &[RunEvent]) -> Result<()> {
        for batch in events.chunks(WORDS) {
            let mut words = vec![self.key(format!("events:{id}"))];
            for event in batch {
                words.push(event_json(event)?);
            }
            self.add("RPUSH", words);
        }
        Ok(())
    }

    /// Writes the run's own hash and puts the run on the lists where it is found.
    fn head(&mut self, rows: &RunRows<'_>) -> Result<()> {
        let (id, run) = (&rows.run.id, &rows.run);
        let key = self.key(format!("run:{id}"));
        let mut words = vec![key.clone()];
        for (field, value) in row::run_fields(run) {
            words.extend([field.to_owned(), value]);
        }
        words.extend(["ready".to_owned(), rows.ready.to_string()]);
        match &rows.run_error {
            Some(Some(error)) => words.extend(["error".to_owned(), to_json(error)?]),
            Some(None) => words.extend(["error".to_owned(), String::new()]),
            None => {}
        }
        self.add("HSET", words);
        self.add("HDEL", [key, "lock".to_owned(), "lock_until".to_owned()]);
        if let Some(definition) = &rows.definition {
            self.replace(&self.key(format!("spec:{id}")), "definition", to_json(definition)?);
        }
        self.place(rows);
        self.goes_on(rows);
        self.touch(id);
        Ok(())
    }

    fn place(&mut self, rows: &RunRows<'_>) {
        let (id, run) = (&rows.run.id, &rows.run);
        let text = id.as_str().to_owned();
        match run.ended_at {
            Some(at) if run.state.is_ended() => {
                self.add("ZADD", [self.key("ended"), at.0.to_string(), text.clone()]);
                self.add("ZREM", [self.key("deadlines"), text]);
            }
            _ => {
                self.add("ZREM", [self.key("ended"), text.clone()]);
                match run.deadline {
                    Some(at) => self.add("ZADD", [self.key("deadlines"), at.0.to_string(), text]),
                    None => self.add("ZREM", [self.key("deadlines"), text]),
                }
            }
        }
        // What an ended run left behind was taken off the list of waiting tasks as it came up.
        if rows.fetched.row.state.is_ended() && !run.state.is_ended() {
            for entry in rows.fetched.tasks.values().flatten() {
                let is_kept =
                    !rows.tasks.contains_key(&entry.row.number) && !rows.removed.contains(&entry.row.number);
                if is_kept && entry.row.state == TaskState::Waiting {
                    self.list(id, &entry.row, &entry.new);
                }
            }
        }
    }

    /// Takes a run that goes on again off the list of those whose own runs are to be cancelled.
    fn goes_on(&mut self, rows: &RunRows<'_>) {
        let leaves = |state: RunState| state.is_ended() || state.leaves_work();
        if leaves(rows.fetched.row.state) && !leaves(rows.run.state) {
            let entry = super::abandoned::entry(&rows.run.id, None);
            self.add("SREM", [self.key("abandoned"), entry]);
        }
    }

    /// Has the script run it.
    pub(super) async fn send(self) -> Result<Committed> {
        let mut words: Vec<Vec<u8>> =
            vec![self.name.into_bytes(), self.checks.len().to_string().into_bytes()];
        words.extend(self.checks.into_iter().flatten().map(String::into_bytes));
        words.push(self.changed.len().to_string().into_bytes());
        words.extend(self.changed.into_iter().map(String::into_bytes));
        for command in self.commands {
            words.push(command.len().to_string().into_bytes());
            words.extend(command);
        }
        let answer: String = self.server.run(&self.server.scripts.commit, &words).await?;
        Ok(if answer == "done" { Committed::Done } else { Committed::Conflict })
    }
}

/// Writes an event without its number, which its place in the list is.
fn event_json(event: &RunEvent) -> Result<String> {
    let RunEvent { at, task, change, .. } = event.clone();
    to_json(&row::StoredEvent { at, task, change })
}
