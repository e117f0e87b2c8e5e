//! What workers do all the time, gathered: commands that wait are sent as one script call, so that many share one round
//! trip and one sync of the server's log.
//!
//! Knows what a command looks like, and not what it means.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use motet_core::error::{Error, ErrorKind, Result};
use redis::Value;
use tokio::sync::{mpsc, oneshot};

use super::server::{Patience, Server};

/// Commands of one script call, and bytes of their arguments.
const MOST: (usize, usize) = (64, 4 << 20);
/// Script calls on their way at once.
const CALLS: usize = 2;
/// Pause before a command is tried again whose run is locked.
const LOCKED: Duration = Duration::from_millis(5);

/// A command of the script for workers.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) arguments: Vec<Vec<u8>>,
    /// The argument that tells whether it is sent once more because its answer was lost.
    pub(super) again: Option<usize>,
}

struct Asked {
    command: Command,
    answer: oneshot::Sender<Result<Value>>,
}

/// Gathers commands of this process.
pub(super) struct Hot {
    server: Arc<Server>,
    sender: Mutex<Option<mpsc::Sender<Asked>>>,
}

impl Hot {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { server, sender: Mutex::default() }
    }

    /// Has the server run a command; waits while its run is locked.
    pub(super) async fn ask(&self, make: impl Fn() -> Command + Send) -> Result<Value> {
        loop {
            let answer = self.ask_once(make()).await?;
            if !is(&answer, b"busy") {
                return Ok(answer);
            }
            tokio::time::sleep(LOCKED).await;
        }
    }

    async fn ask_once(&self, command: Command) -> Result<Value> {
        let (answer, receiver) = oneshot::channel();
        let ended = || {
            Error::new(ErrorKind::Store, "the task that talks to the Redis server ended")
                .with_retry(motet_core::error::Retry::Backoff)
        };
        self.sender().send(Asked { command, answer }).await.map_err(|_| ended())?;
        receiver.await.map_err(|_| ended())?
    }

    /// Gives the way to the task that sends; it lives as long as its runtime.
    fn sender(&self) -> mpsc::Sender<Asked> {
        let mut known = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = known.as_ref().filter(|sender| !sender.is_closed()) {
            return sender.clone();
        }
        let (sender, receiver) = mpsc::channel(1_024);
        tokio::spawn(send_all(Arc::clone(&self.server), receiver));
        *known = Some(sender.clone());
        sender
    }
}

/// Tells whether an answer is this word.
pub(super) fn is(answer: &Value, word: &[u8]) -> bool {
    matches!(answer, Value::BulkString(bytes) if bytes.as_slice() == word)
}

async fn send_all(server: Arc<Server>, mut receiver: mpsc::Receiver<Asked>) {
    let calls = Arc::new(tokio::sync::Semaphore::new(CALLS));
    let mut waiting = Vec::new();
    loop {
        // Whoever was answered last asks again at once: let those in before the next call leaves.
        let Ok(call) = Arc::clone(&calls).acquire_owned().await else { return };
        if waiting.is_empty() && receiver.recv_many(&mut waiting, MOST.0).await == 0 {
            return;
        }
        let mut bytes = 0;
        let fits = |asked: &Asked| {
            bytes += asked.command.arguments.iter().map(Vec::len).sum::<usize>();
            bytes <= MOST.1
        };
        let count = waiting.iter().map(fits).take_while(|fits| *fits).count().max(1);
        let rest = waiting.split_off(count.min(waiting.len()));
        let batch = std::mem::replace(&mut waiting, rest);
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let _call = call;
            send(&server, batch).await;
        });
    }
}

async fn send(server: &Server, mut batch: Vec<Asked>) {
    let mut patience = Patience::new();
    let answers = loop {
        let mut words = Vec::new();
        for Asked { command, .. } in &batch {
            words.push(command.name.as_bytes().to_vec());
            words.push(command.arguments.len().to_string().into_bytes());
            words.extend(command.arguments.iter().cloned());
        }
        match server.run_once::<Vec<Value>>(&server.scripts.hot, &words).await {
            Ok(answers) => break Ok(answers),
            Err(error) => {
                if let Err(error) = server.again(&error, &mut patience).await {
                    break Err(error);
                }
            }
        }
        for asked in &mut batch {
            if let Some(word) = asked.command.again.and_then(|place| asked.command.arguments.get_mut(place)) {
                *word = b"1".to_vec();
            }
        }
    };
    match answers {
        Ok(answers) => {
            for (asked, answer) in batch.into_iter().zip(answers) {
                // Who does not wait any more needs no answer; but tasks must not stay in its hands.
                if let Err(Ok(claims)) = asked.answer.send(Ok(answer))
                    && asked.command.name == "claim"
                {
                    give_back(server, claims).await;
                }
            }
        }
        Err(error) => {
            for asked in batch {
                let report = Error::from(error.report());
                let _ = asked.answer.send(Err(report));
            }
        }
    }
}

/// Gives back what was claimed for somebody who is gone; where that fails, the leases end by themselves.
async fn give_back(server: &Server, claims: Value) {
    for Command { name, arguments, .. } in super::work::give_back(claims) {
        let mut words = vec![name.as_bytes().to_vec(), arguments.len().to_string().into_bytes()];
        words.extend(arguments);
        if let Err(error) = server.run::<Value>(&server.scripts.hot, &words).await {
            tracing::warn!(%error, "tasks that nobody waits for could not be given back");
        }
    }
}
