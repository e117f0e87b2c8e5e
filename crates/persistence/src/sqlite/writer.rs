//! The one thread that writes: many commands share one transaction, and so the cost of making it durable.
//!
//! Knows nothing of what the commands do.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use motet_core::error::{Error, ErrorKind, Result, Retry};
use motet_core::id::Millis;
use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::mpsc::{self, error::TryRecvError};
use tokio::sync::oneshot;

use super::Shared;
use super::failure::{OrStore as _, copy};
use super::flusher::Flusher;
use super::rows::Cache;
use super::upkeep;

/// Commands that wait for the thread; who comes later waits for a place.
const WAITING: usize = 1024;

/// Commands of one transaction.
const MOST_COMMANDS: usize = 512;

/// How long a transaction takes up commands.
const LONGEST: Duration = Duration::from_millis(2);

/// Hands commands to the writing thread; ends it when dropped.
#[derive(Debug)]
pub(super) struct Writer {
    sender: Option<mpsc::Sender<Message>>,
    thread: Option<JoinHandle<()>>,
    /// True while a look at the other processes' changes is on its way.
    looking: Arc<AtomicBool>,
    path: PathBuf,
}

enum Message {
    Run(Box<dyn Command>),
    /// Look whether another process changed the file.
    Look,
}

impl Writer {
    /// Starts the thread; what is committed is durable once the flusher says so, or at once where there is none.
    pub(super) fn start(
        connection: Connection,
        shared: Arc<Shared>,
        flusher: Option<Flusher>,
    ) -> Result<Self> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let looking = Arc::new(AtomicBool::new(false));
        let path = shared.path.clone();
        // Read before anybody can wait: what another process changes from now on is news.
        let version = read_version(&connection).or_store()?;
        let looks = Arc::clone(&looking);
        let thread = std::thread::Builder::new()
            .name("motet-sqlite-write".to_owned())
            .spawn(move || {
                let cache = RefCell::default();
                let looking = looks;
                Thread { connection, shared, flusher, looking, version, cache, cached: version }
                    .work(receiver);
            })
            .map_err(|error| {
                Error::new(ErrorKind::Store, "a thread of the store cannot be started").with_source(error)
            })?;
        Ok(Self { sender: Some(sender), thread: Some(thread), looking, path })
    }

    /// Runs a command in a transaction and gives its result once that is durable. A command that fails changes nothing.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Session<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.send(work, Kind { guard: Guard::Savepoint, answer: Answer::Durable }).await
    }

    /// The same for a command that writes nothing before it is sure to succeed: it needs no savepoint. Should writing fail
    /// nevertheless, the whole transaction is lost.
    pub(super) async fn run_checked<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Session<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.send(work, Kind { guard: Guard::Checked, answer: Answer::Durable }).await
    }

    /// The same for a command whose result may be used before it is durable, as nothing is lost with it: everything that
    /// it changes, and all that follows from that, would be lost together.
    pub(super) async fn run_quickly<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Session<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.send(work, Kind { guard: Guard::Checked, answer: Answer::Committed }).await
    }

    async fn send<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Session<'_>) -> Result<T> + Send + 'static,
        kind: Kind,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        let command = Message::Run(Box::new(Call { work: Some(work), kind, result: None, sender }));
        let gone = || Error::new(ErrorKind::Store, "the store's writing thread has ended");
        let channel = self.sender.as_ref().ok_or_else(gone)?;
        channel.send(command).await.map_err(|_| gone())?;
        let result = receiver.await.map_err(|_| gone())?;
        result.map_err(|error| match error.kind() {
            ErrorKind::Store => error.with_context("file", self.path.display().to_string()),
            _ => error,
        })
    }

    /// Has the thread wake those who wait, should another process have changed the file.
    pub(super) fn look(&self) {
        let Some(sender) = &self.sender else { return };
        if !self.looking.swap(true, Ordering::AcqRel) && sender.try_send(Message::Look).is_err() {
            self.looking.store(false, Ordering::Release);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread finishes what waits and ends when no sender is left.
        drop(self.sender.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How a command is run.
#[derive(Debug, Clone, Copy)]
struct Kind {
    guard: Guard,
    answer: Answer,
}

/// When a command is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// When what it did survives the loss of power.
    Durable,
    /// When others see what it did.
    Committed,
}

/// How what a failing command wrote is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    Savepoint,
    /// It has written nothing.
    Checked,
}

/// What a command works with.
pub(super) struct Session<'a> {
    /// The connection, inside a transaction.
    pub(super) connection: &'a Connection,
    /// The rows that were read before.
    pub(super) cache: &'a RefCell<Cache>,
    /// The time.
    pub(super) now: Millis,
    /// What the store's threads share.
    pub(super) shared: &'a Shared,
    /// Whether those who wait for changes are to be woken.
    wakes: &'a Cell<bool>,
}

impl Session<'_> {
    /// Wakes those who wait for changes once the transaction is durable.
    pub(super) fn wake(&self) {
        self.wakes.set(true);
    }

    /// Undoes everything that a command did unless it succeeds.
    fn guarded<T>(&self, guard: Guard, work: impl FnOnce(&Session<'_>) -> Result<T>) -> Result<T> {
        let result = match guard {
            Guard::Savepoint => self.in_savepoint(work),
            Guard::Checked => {
                let changes = self.connection.total_changes();
                let result = work(self);
                if result.is_err() && self.connection.total_changes() != changes {
                    self.run("ROLLBACK")?;
                }
                result
            }
        };
        self.cache.borrow_mut().end_command(result.is_ok());
        result
    }

    fn in_savepoint<T>(&self, work: impl FnOnce(&Session<'_>) -> Result<T>) -> Result<T> {
        self.run("SAVEPOINT command")?;
        let result = work(self);
        // A full disk ends the whole transaction, and the savepoint with it.
        if result.is_err() && !self.connection.is_autocommit() {
            self.run("ROLLBACK TO command")?;
        }
        if !self.connection.is_autocommit() {
            self.run("RELEASE command")?;
        }
        result
    }

    fn run(&self, sql: &str) -> Result<()> {
        self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute(())).or_store()?;
        Ok(())
    }
}

/// A command of any type.
pub(super) trait Command: Send {
    fn execute(&mut self, session: &Session<'_>);

    /// Tells when it is to be answered.
    fn when(&self) -> Answer;

    /// Tells the caller the result, or why the transaction was lost.
    fn answer(self: Box<Self>, lost: Option<&Error>);
}

struct Call<T, F> {
    work: Option<F>,
    kind: Kind,
    result: Option<Result<T>>,
    sender: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: FnOnce(&Session<'_>) -> Result<T> + Send> Command for Call<T, F> {
    fn execute(&mut self, session: &Session<'_>) {
        self.result = self.work.take().map(|work| session.guarded(self.kind.guard, work));
    }

    fn when(&self) -> Answer {
        match &self.result {
            // A command that failed has changed nothing.
            Some(Err(_)) => Answer::Committed,
            _ => self.kind.answer,
        }
    }

    fn answer(self: Box<Self>, lost: Option<&Error>) {
        let result = match (self.result, lost) {
            (Some(Err(error)), _) => Err(error),
            (_, Some(lost)) => Err(copy(lost)),
            (Some(Ok(value)), None) => Ok(value),
            (None, None) => Err(Error::new(ErrorKind::Internal, "a command of the store was not run")),
        };
        // Nobody is told when the caller waits no longer.
        let _ = self.sender.send(result);
    }
}

struct Thread {
    // Ends first: with the last connection the log goes.
    flusher: Option<Flusher>,
    connection: Connection,
    shared: Arc<Shared>,
    looking: Arc<AtomicBool>,
    /// Counts the changes of other connections, as those who wait were told last.
    version: i64,
    cache: RefCell<Cache>,
    /// The same count for what stands in the cache.
    cached: i64,
}

impl Thread {
    fn work(mut self, mut receiver: mpsc::Receiver<Message>) {
        while let Some(message) = receiver.blocking_recv() {
            match message {
                Message::Look => self.look(),
                Message::Run(first) => self.batch(first, &mut receiver),
            }
        }
        // Gives pages back that removed tasks have left; failing to changes nothing but the size.
        let _ = upkeep::vacuum(&self.connection, 1000);
    }

    fn look(&mut self) {
        self.looking.store(false, Ordering::Release);
        // A failing read tells nothing; the next command meets the same error and reports it.
        let Ok(version) = read_version(&self.connection) else { return };
        if std::mem::replace(&mut self.version, version) != version {
            self.shared.wake.notify();
        }
    }

    /// Runs a command and those that wait behind it in one transaction. When it cannot begin, all of them learn why, so
    /// that they do not wait for the same failure one after the other.
    fn batch(&mut self, first: Box<dyn Command>, receiver: &mut mpsc::Receiver<Message>) {
        let (mut commands, mut next) = (Vec::new(), Some(first));
        let (mut looks, wakes) = (false, Cell::new(false));
        let changes = self.connection.total_changes();
        let mut lost = self.begin().err();
        let began = Instant::now();
        while let Some(mut command) = next.take() {
            if lost.is_none() {
                command.execute(&self.session(&wakes));
            }
            commands.push(command);
            if lost.is_none() && self.connection.is_autocommit() {
                break;
            }
            while next.is_none() && commands.len() < MOST_COMMANDS && began.elapsed() < LONGEST {
                match receiver.try_recv() {
                    Ok(Message::Run(command)) => next = Some(command),
                    Ok(Message::Look) => looks = true,
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                }
            }
        }
        let changed = self.connection.total_changes() != changes;
        if lost.is_none() {
            lost = self.commit(changed).err();
        }
        if wakes.get() && lost.is_none() {
            self.shared.wake.notify();
        }
        self.answer(commands, changed, lost.as_ref());
        if looks {
            self.look();
        }
    }

    /// Answers the commands of a transaction, or has them answered once they are durable.
    fn answer(&self, commands: Vec<Box<dyn Command>>, changed: bool, lost: Option<&Error>) {
        let mut later = Vec::new();
        // What an earlier command of the same sense did may be on its way to the disk.
        let flusher = self.flusher.as_ref().filter(|flusher| changed || flusher.is_busy());
        for command in commands {
            if flusher.is_some() && lost.is_none() && command.when() == Answer::Durable {
                later.push(command);
            } else {
                command.answer(lost);
            }
        }
        if let (Some(flusher), false) = (flusher, later.is_empty()) {
            flusher.answer(later);
        }
    }

    fn session<'a>(&'a self, wakes: &'a Cell<bool>) -> Session<'a> {
        let (connection, cache) = (&self.connection, &self.cache);
        Session { connection, cache, now: self.shared.clock.now(), shared: &self.shared, wakes }
    }

    /// Puts the log into the database where a flush of the log has failed, as flushing it again would not tell whether it
    /// is on the disk.
    fn recover(&self) -> Result<()> {
        let Some(flusher) = self.flusher.as_ref().filter(|flusher| flusher.has_failed()) else {
            return Ok(());
        };
        let copied =
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get::<_, bool>(0));
        if copied.or_store()? {
            let message = "another process holds the store after its disk has failed";
            return Err(Error::new(ErrorKind::Store, message)
                .with_retry(Retry::Backoff)
                .with_hint("it goes on by itself; check the disk if it does not"));
        }
        flusher.recovered();
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        self.recover()?;
        self.run("BEGIN IMMEDIATE")?;
        // What another process wrote is not in the cache; where that cannot be told, it is not either.
        let version = read_version(&self.connection).unwrap_or(i64::MIN);
        if std::mem::replace(&mut self.cached, version) != version || version == i64::MIN {
            self.cache.borrow_mut().clear();
        }
        let mut statement =
            self.connection.prepare_cached("SELECT v FROM meta WHERE k = 'clock'").or_store()?;
        let seen = statement.query_row((), |row| row.get(0)).optional();
        match seen.or_store() {
            Ok(seen) => {
                self.shared.clock.at_least(Millis(seen.unwrap_or_default()));
                Ok(())
            }
            Err(error) => {
                self.roll_back();
                Err(error)
            }
        }
    }

    fn commit(&self, changed: bool) -> Result<()> {
        if self.connection.is_autocommit() {
            self.cache.borrow_mut().clear();
            return Err(Error::new(ErrorKind::Store, "the transaction was rolled back")
                .with_retry(Retry::Backoff)
                .with_hint("another command of the same moment failed; its error says why"));
        }
        let now = self.shared.clock.now();
        let flushed = self.cache.borrow_mut().flush(&self.connection, now);
        let committed = flushed.and_then(|()| self.write_clock(changed)).and_then(|()| self.run("COMMIT"));
        if committed.is_err() {
            self.roll_back();
        }
        committed
    }

    fn write_clock(&self, changed: bool) -> Result<()> {
        if !changed {
            return Ok(());
        }
        const SQL: &str = "INSERT OR REPLACE INTO meta (k, v) VALUES ('clock', ?1)";
        let mut statement = self.connection.prepare_cached(SQL).or_store()?;
        statement.execute([self.shared.clock.now().0]).or_store()?;
        Ok(())
    }

    fn roll_back(&self) {
        self.cache.borrow_mut().clear();
        if !self.connection.is_autocommit() {
            // What is left of a lost transaction ends with the connection at the latest.
            let _ = self.run("ROLLBACK");
        }
    }

    fn run(&self, sql: &str) -> Result<()> {
        self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute(())).or_store()?;
        Ok(())
    }
}

/// Gives a number that differs whenever another connection has changed the file.
fn read_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row((), |row| row.get(0))
}
