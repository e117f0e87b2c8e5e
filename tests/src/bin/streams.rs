//! Many streams at once for a while: memory stays flat, none stalls, and cancelling all of them frees everything at once.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a developer task talks to a terminal")]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use clap::Parser;
use futures::StreamExt as _;
use motet::Runtime;
use motet::providers::simulated::{Rules, Server};
use motet_core::budget::{Budget, Estimate, Reservation, Spent};
use motet_core::settings::{Settings, Sources};
use motet_core::{ChatRequest, ErrorKind, Message, RunContext};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Keeps streams open and looks at what they cost.
#[derive(Parser)]
struct Arguments {
    /// Streams at once.
    #[arg(long, default_value_t = 1_000)]
    streams: usize,
    /// How long, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seconds at the start that memory may grow in.
    #[arg(long, default_value_t = 15)]
    warm_up: u64,
}

/// Words of one answer, after which a stream begins anew.
const WORDS: usize = 30;
/// Time between two words.
const BETWEEN: Duration = Duration::from_millis(100);
/// Longest silence of a stream.
const SILENCE: Duration = Duration::from_secs(3);
/// Largest growth of memory after the warm-up, in percent.
const GROWTH: u64 = 10;
/// Within which everything must be free after the end.
const SOON: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let done =
        runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(&Arguments::parse())));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    allow_files()?;
    let rules = {
        let mut rules = Rules::new();
        rules.words = WORDS;
        rules.between = BETWEEN;
        rules
    };
    let server = Server::start(rules, 0).await?;
    let runtime = runtime_for(&server)?;
    let (end, books) = (CancellationToken::new(), Arc::new(Books::default()));
    let begun = Instant::now();
    let mut streams = Streams { tasks: JoinSet::new(), seen: Vec::new() };
    for number in 0..arguments.streams {
        streams.start(&runtime, request(number)?, (&end, &books), begun);
    }
    let grown = watch(arguments, &mut streams, begun).await?;
    let words: u64 = streams.seen.iter().map(|seen| seen.words.load(Ordering::Relaxed)).sum();
    println!("{} streams, {words} words, memory {grown}", arguments.streams);
    if server.answering() < arguments.streams * 9 / 10 {
        bail!("only {} streams were open at the end", server.answering());
    }
    let freed = cancel_all(&end, streams, &server, &books).await?;
    println!(
        "cancelled: all free after {} ms, {} reservations",
        freed.as_millis(),
        books.made.load(Ordering::Relaxed)
    );
    let again = runtime.complete(&RunContext::new(), &request(0)?).await;
    again.context("a call after the cancellation failed")?;
    drop(runtime);
    until(|| server.connections() == 0).await.context("connections stay open without a client")?;
    Ok(())
}

/// Two files for each stream are more than many systems allow at first.
fn allow_files() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

fn runtime_for(server: &Server) -> Result<Runtime> {
    let setting = |name: &str, value: &str| {
        (format!("providers.custom.{name}"), value.to_owned(), "the soak".to_owned())
    };
    let mut overrides = vec![setting("base_url", &server.url())];
    for key in ["a", "b"] {
        overrides.push(setting(&format!("keys.{key}.api_key"), key));
        overrides.push(setting(&format!("keys.{key}.requests_per_minute"), "1000000"));
        overrides.push(setting(&format!("keys.{key}.tokens_per_minute"), "1000000000"));
    }
    let sources = Sources { overrides, ..Sources::default() };
    Ok(Runtime::new(Settings::load(&sources)?, std::env::temp_dir())?)
}

fn request(number: usize) -> Result<ChatRequest> {
    let question = Message::user(format!("Tell me about harbour {number}."));
    let mut request = ChatRequest::new("custom:demo".parse()?, vec![question]);
    request.max_tokens = Some(1_000);
    Ok(request)
}

/// Streams on their way.
struct Streams {
    tasks: JoinSet<Result<()>>,
    seen: Vec<Arc<Seen>>,
}

/// What a stream has brought.
#[derive(Default)]
struct Seen {
    words: AtomicU64,
    /// When the newest came, in milliseconds after the start.
    at: AtomicU64,
}

impl Streams {
    /// Starts a stream that begins anew whenever it has ended, each time as a run of its own.
    fn start(
        &mut self,
        runtime: &Runtime,
        request: ChatRequest,
        (end, books): (&CancellationToken, &Arc<Books>),
        begun: Instant,
    ) {
        let (runtime, end, seen) = (runtime.clone(), end.clone(), Arc::new(Seen::default()));
        let budget: Arc<dyn Budget> = Arc::new(Ledger(Arc::clone(books)));
        self.seen.push(Arc::clone(&seen));
        self.tasks.spawn(async move {
            loop {
                let context =
                    RunContext::new().with_cancellation(end.clone()).with_budget(Arc::clone(&budget));
                let mut events = runtime.stream(&context, request.clone()).await?;
                while let Some(event) = events.next().await {
                    match event {
                        Ok(event) if event.is_visible() => seen.note(begun),
                        Ok(_) => {}
                        Err(error) if error.kind() == ErrorKind::Cancelled => return Ok(()),
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        });
    }
}

impl Seen {
    fn note(&self, begun: Instant) {
        self.words.fetch_add(1, Ordering::Relaxed);
        self.at.store(millis(begun.elapsed()), Ordering::Relaxed);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Looks at memory and at every stream until the time is over; gives the growth of memory.
async fn watch(arguments: &Arguments, streams: &mut Streams, begun: Instant) -> Result<String> {
    let (warm, whole) = (Duration::from_secs(arguments.warm_up), Duration::from_secs(arguments.seconds));
    let (mut first, mut most) = (None, 0);
    while begun.elapsed() < whole {
        sleep(Duration::from_millis(250)).await;
        if let Some(ended) = streams.tasks.try_join_next() {
            ended?.context("a stream failed")?;
            bail!("a stream ended before it was cancelled");
        }
        let now = millis(begun.elapsed());
        let silent = |seen: &Arc<Seen>| now.saturating_sub(seen.at.load(Ordering::Relaxed));
        let longest = streams.seen.iter().map(silent).max().unwrap_or_default();
        if Duration::from_millis(longest) > SILENCE {
            bail!("a stream was silent for {longest} ms");
        }
        if begun.elapsed() >= warm {
            let memory = resident()?;
            first.get_or_insert(memory);
            most = most.max(memory);
        }
    }
    let first = first.context("the warm-up is longer than the whole")?;
    let percent = most.saturating_sub(first) * 100 / first;
    let grown = format!("{} MB, at most {} MB, grown by {percent} %", first >> 20, most >> 20);
    if percent > GROWTH {
        bail!("memory is not flat: {grown}");
    }
    Ok(grown)
}

/// Gives the bytes of memory that this process holds.
fn resident() -> Result<u64> {
    let told = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = told.split(' ').nth(1).context("no resident pages")?.parse()?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// Cancels everything at once; gives the time until nothing was left of it.
async fn cancel_all(
    end: &CancellationToken,
    mut streams: Streams,
    server: &Server,
    books: &Arc<Books>,
) -> Result<Duration> {
    let begun = Instant::now();
    end.cancel();
    let ended = async {
        while let Some(ended) = streams.tasks.join_next().await {
            ended?.context("a stream failed when it was cancelled")?;
        }
        anyhow::Ok(())
    };
    timeout(SOON, ended).await.context("streams go on after the cancellation")??;
    until(|| server.answering() == 0).await.context("connections are still being answered")?;
    until(|| books.open.load(Ordering::Relaxed) == 0).await.context("reservations are still held")?;
    let freed = begun.elapsed();
    if freed > SOON {
        bail!("it took {} ms until all was free", freed.as_millis());
    }
    Ok(freed)
}

/// Waits until something is so, but not long.
async fn until(is_so: impl Fn() -> bool) -> Result<()> {
    let wait = async {
        while !is_so() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    Ok(timeout(SOON, wait).await?)
}

/// A budget that knows how much is reserved and never refuses.
#[derive(Debug, Default)]
struct Books {
    open: AtomicU64,
    made: AtomicU64,
}

struct Reserved(Arc<Books>);

#[async_trait]
impl Budget for Ledger {
    async fn reserve(&self, _: &Estimate) -> motet_core::Result<Box<dyn Reservation>> {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        self.0.made.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Reserved(Arc::clone(&self.0))))
    }
}

#[async_trait]
impl Reservation for Reserved {
    async fn settle(self: Box<Self>, _: Spent) -> motet_core::Result<()> {
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The books as a budget.
#[derive(Debug)]
struct Ledger(Arc<Books>);
