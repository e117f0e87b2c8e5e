//! Calls through the standard input and output of a program: one line for each message, many calls under way at a time.
//!
//! A program that ends is started again by the next call, after a wait that grows with each attempt.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use motet_core::mcp::ServerConfig;
use motet_core::rpc::{Id, Request, Response};
use motet_core::{Error, ErrorKind, Result, Retry};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Address, Endpoint, MAX_MESSAGE_BYTES, Manner, answers, without_secrets, written};
use crate::mcp::process::{Pipes, Process};
use crate::mcp::told::Told;

/// Wait before the second start in a row; it doubles from then on.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest wait before a start.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A program and the connection to it, where it runs.
pub(super) struct Stdio {
    name: String,
    config: ServerConfig,
    env: BTreeMap<String, String>,
    slot: tokio::sync::Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    link: Option<Arc<Link>>,
    /// Starts since the program last answered.
    starts: u32,
    not_before: Option<Instant>,
}

/// Who waits for which answer; `None` once no answer can come any more.
type Waiting = Mutex<Option<Expected>>;

/// Answers that are waited for.
#[derive(Default)]
struct Expected {
    calls: HashMap<Id, Expectation>,
    /// Counts what was sent.
    sent: u64,
}

/// One answer that is waited for.
struct Expectation {
    /// What was sent together has one number.
    sent: u64,
    tell: oneshot::Sender<Response>,
}

/// A program that runs.
struct Link {
    process: Process,
    input: tokio::sync::Mutex<Option<ChildStdin>>,
    waiting: Arc<Waiting>,
    told: Arc<Told>,
}

impl Stdio {
    pub(super) fn new(name: &str, address: &Address) -> Self {
        let mut config = ServerConfig::program("", Vec::<String>::new());
        let mut variables = BTreeMap::new();
        if let Address::Stdio { command, args, env, directory } = address {
            config = ServerConfig::program(command.clone(), args.clone());
            config.directory = directory.as_ref().map(|directory| directory.display().to_string());
            variables.clone_from(env);
        }
        Self { name: name.to_owned(), config, env: variables, slot: tokio::sync::Mutex::default() }
    }

    /// Gives the running program, or starts it. Starts in a row wait longer and longer.
    async fn link(&self) -> Result<Arc<Link>> {
        let mut slot = self.slot.lock().await;
        if let Some(open) = slot.link.as_ref().filter(|link| link.is_open()) {
            return Ok(Arc::clone(open));
        }
        slot.link = None;
        if let Some(moment) = slot.not_before {
            tokio::time::sleep_until(moment).await;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << slot.starts.min(10)).min(LONGEST_PAUSE);
        slot.starts = slot.starts.saturating_add(1);
        slot.not_before = Some(Instant::now() + pause);
        let told = Arc::new(Told::new(self.env.values()));
        let (process, Pipes { stdin, stdout }) =
            Process::start(&self.name, &self.config, &self.env, &told).map_err(Error::with_unsent)?;
        let waiting = Arc::new(Mutex::new(Some(Expected::default())));
        tokio::spawn(listen(stdout, Arc::clone(&waiting), Arc::clone(&told)));
        let link = Arc::new(Link { process, input: tokio::sync::Mutex::new(Some(stdin)), waiting, told });
        slot.link = Some(Arc::clone(&link));
        Ok(link)
    }

    fn answered(&self) {
        if let Ok(mut slot) = self.slot.try_lock() {
            (slot.starts, slot.not_before) = (0, None);
        }
    }

    async fn lost(&self, link: &Link, is_unsent: bool) -> Error {
        // How it ended is known a moment after its output has ended.
        let ended = tokio::time::timeout(Duration::from_secs(2), link.process.end()).await;
        let how = ended.map_or_else(|_| "it closed its output".to_owned(), |ended| ended.0);
        let why = format!("{how}{}", link.told.explanation());
        if is_unsent {
            let message = format!("the program of `{}` is gone: {why}", self.name);
            return Error::new(ErrorKind::Connection, message).with_retry(Retry::Backoff).with_unsent();
        }
        let message =
            format!("the program of `{}` ended before it answered; it may have acted: {why}", self.name);
        Error::new(ErrorKind::Connection, message).with_retry(Retry::Backoff)
    }
}

impl Link {
    fn is_open(&self) -> bool {
        self.process.ended().is_none() && self.lock().is_some()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Expected>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the answers to these calls; false where none can come any more.
    fn expect(&self, calls: &[Request]) -> Result<Option<Vec<oneshot::Receiver<Response>>>> {
        let mut waiting = self.lock();
        let Some(waiting) = waiting.as_mut() else { return Ok(None) };
        let ids = calls.iter().filter_map(|call| call.id.as_ref());
        if let Some(id) = ids.clone().find(|id| waiting.calls.contains_key(id)) {
            let message = format!("a call with the id {id} is under way already");
            return Err(Error::new(ErrorKind::InvalidRequest, message).with_hint("choose another id"));
        }
        waiting.sent += 1;
        let sent = waiting.sent;
        let expected = ids.map(|id| {
            let (tell, told) = oneshot::channel();
            waiting.calls.insert(id.clone(), Expectation { sent, tell });
            told
        });
        Ok(Some(expected.collect()))
    }

    async fn write(&self, line: &[u8]) -> std::io::Result<()> {
        match &mut *self.input.lock().await {
            Some(input) => {
                input.write_all(line).await?;
                input.flush().await
            }
            None => Err(std::io::ErrorKind::NotConnected.into()),
        }
    }
}

/// Gives answers to whoever waits for them, until the program's output ends.
async fn listen(stdout: ChildStdout, waiting: Arc<Waiting>, told: Arc<Told>) {
    let mut reader = BufReader::new(stdout);
    let mut line = Vec::new();
    while fill(&mut reader, &mut line, &told).await {
        if !line.trim_ascii().is_empty() {
            match answers(&line) {
                Ok(answers) => answers.into_iter().for_each(|answer| hand_over(&waiting, answer, &told)),
                // What is no answer, such as a line for people, is passed over.
                Err(_) => told.strayed(&line),
            }
        }
        line.clear();
    }
    // Whoever waits learns it by the end of the channel.
    waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
}

fn hand_over(waiting: &Waiting, answer: Response, told: &Told) {
    let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(Expected { calls, .. }) = waiting.as_mut() else { return };
    let answer = without_secrets(answer, told);
    let mut sent = calls.values().map(|call| call.sent);
    let is_of_one = sent.next().is_some_and(|first| sent.all(|other| other == first));
    let takers: Vec<Expectation> = match calls.remove(&answer.id) {
        Some(call) => vec![call],
        // What could not be read has no id; where one thing was sent it can only be that, a batch as a whole.
        None if answer.id == Id::Null && is_of_one => calls.drain().map(|(_, call)| call).collect(),
        None => return told.strayed(answer.to_json().to_string().as_bytes()),
    };
    for call in takers {
        // Nobody listens any more where the caller went away.
        drop(call.tell.send(answer.clone()));
    }
}

/// Calls whose answers did not come yet: dropped, it ends the program, because nothing in the protocol ends a call; what was
/// only a look is forgotten.
struct Unanswered<'a> {
    link: &'a Link,
    calls: &'a [Request],
    manner: Manner,
}

impl Unanswered<'_> {
    fn ended(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        let mut waiting = self.link.lock();
        if self.manner != Manner::Look {
            // The next call finds no open link, and whoever else waits learns it by the end of the channel.
            waiting.take();
            self.link.process.kill();
        } else if let Some(waiting) = waiting.as_mut() {
            self.calls
                .iter()
                .filter_map(|call| call.id.as_ref())
                .for_each(|id| drop(waiting.calls.remove(id)));
        }
    }
}

/// Reads on until a line is whole; false at the end, or where a line is longer than it may be.
async fn fill(reader: &mut BufReader<ChildStdout>, line: &mut Vec<u8>, told: &Told) -> bool {
    loop {
        let Ok(piece) = reader.fill_buf().await else { return false };
        if piece.is_empty() {
            return false;
        }
        let end = memchr::memchr(b'\n', piece);
        let taken = end.map_or(piece.len(), |end| end + 1);
        if line.len() + taken > MAX_MESSAGE_BYTES {
            told.give_up(format!("it sent a message of more than {} MiB", MAX_MESSAGE_BYTES >> 20));
            return false;
        }
        line.extend_from_slice(piece.get(..taken).unwrap_or_default());
        reader.consume(taken);
        if end.is_some() {
            return true;
        }
    }
}

#[async_trait]
impl Endpoint for Stdio {
    async fn exchange(&self, calls: &[Request], manner: Manner) -> Result<Vec<Response>> {
        let link = self.link().await?;
        let Some(expected) = link.expect(calls)? else { return Err(self.lost(&link, true).await) };
        let unanswered = Unanswered { link: &link, calls, manner };
        let mut line = written(calls, manner);
        line.push(b'\n');
        if link.write(&line).await.is_err() {
            // Part of the line may have been read; a line without its end is no call.
            return Err(self.lost(&link, true).await);
        }
        let mut answers = Vec::with_capacity(expected.len());
        for answer in expected {
            match answer.await {
                Ok(answer) => answers.push(answer),
                Err(_) => return Err(self.lost(&link, false).await),
            }
        }
        unanswered.ended();
        self.answered();
        Ok(answers)
    }

    async fn look(&self, _path: Option<&str>) -> Result<()> {
        let link = self.link().await?;
        if link.is_open() { Ok(()) } else { Err(self.lost(&link, true).await) }
    }

    async fn close(&self) {
        let link = self.slot.lock().await.link.take();
        if let Some(link) = link {
            link.input.lock().await.take();
            link.process.finish().await;
        }
    }
}
