//! Worker processes on one run while they are killed and halted, and a look at what is left by somebody else.
//!
//! Everything random comes from a seed: the graph, the faults, and their moments. How the operating system runs the
//! processes beside each other does not, so that a seed is a kind of trouble and not a recording.

mod disk;
mod effects;
mod faults;
mod graph;
mod grounds;
mod torn;
mod verify;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use motet_core::RunId;
use motet_core::store::{Control, RunState, SharedStore};

pub use self::effects::{Effect, Effects};
use self::faults::Faults;
pub use self::graph::{Play, Shape};
pub use self::grounds::{KINDS, Kind};

/// How long a lease of a worker holds; a halted worker is halted for longer.
pub const LEASE: Duration = Duration::from_millis(600);

/// A run takes no longer than this, whatever happens to it.
const LONGEST: Duration = Duration::from_secs(90);

/// What a run of the harness is made of.
#[derive(Debug, Clone)]
pub struct Chaos {
    /// Where all chance comes from.
    pub seed: u64,
    /// How the graph looks.
    pub shape: Shape,
    /// How many worker processes share it.
    pub workers: usize,
    /// How many faults there are before it is left in peace.
    pub faults: u32,
    /// A fault that is mixed with the others.
    pub trouble: Option<Trouble>,
    /// How many tasks may run at once over all workers.
    pub max_running: Option<u32>,
}

/// A fault that needs a ground of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Trouble {
    /// The clock of all processes is set ahead and back by an hour.
    Clock,
    /// The disk of the store is full for a while.
    Disk,
    /// The store's log loses its end between two lives.
    Torn,
}

impl Chaos {
    /// Makes a run of a seed: small enough for a test, and another one for each seed.
    #[must_use]
    pub fn of_seed(seed: u64, most_workers: usize) -> Self {
        let mut numbers = Numbers::new(seed);
        let shape =
            Shape { layers: 3 + numbers.below(3), width: 4 + numbers.below(6), poison: seed % 4 == 3 };
        Self {
            seed,
            shape,
            workers: 1 + numbers.below(most_workers as u32) as usize,
            faults: 6 + numbers.below(8),
            trouble: None,
            max_running: None,
        }
    }
}

/// What came of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// Tasks of the run, items included.
    pub tasks: usize,
    /// Workers killed.
    pub kills: u32,
    /// Workers halted for longer than their leases.
    pub halts: u32,
    /// Times that the store's server was killed or set back.
    pub outages: u32,
    /// Times that the clock was set.
    pub jumps: u32,
    /// Times that the disk was full.
    pub fills: u32,
    /// Times that the store's log lost its end.
    pub tears: u32,
    /// Attempts that were begun.
    pub attempts: usize,
    /// How often a person had to let the run go on.
    pub resumed: u32,
}

impl std::ops::AddAssign for Told {
    fn add_assign(&mut self, other: Self) {
        self.tasks += other.tasks;
        self.kills += other.kills;
        self.halts += other.halts;
        self.outages += other.outages;
        self.jumps += other.jumps;
        self.fills += other.fills;
        self.tears += other.tears;
        self.attempts += other.attempts;
        self.resumed += other.resumed;
    }
}

/// A store's server that can be killed and set back; a store without one has none.
pub trait Server {
    /// Kills it and starts it again with what it has on disk.
    ///
    /// # Errors
    /// When it does not start.
    fn restart(&mut self, pause: Duration) -> Result<()>;

    /// Kills it and starts it again with what it had some time before.
    ///
    /// # Errors
    /// When it does not start.
    fn roll_back(&mut self, by: Duration) -> Result<()>;
}

/// Where a run is kept, and what its workers are.
pub struct Ground<'a> {
    /// URL of the store.
    pub url: String,
    /// A directory of the run's own.
    pub directory: &'a Path,
    /// The program that is a worker: `chaos_worker`.
    pub program: &'a Path,
    /// The store's server, where it has one that may fail.
    pub server: Option<&'a mut dyn Server>,
    /// Whether only one process at a time may have the store open.
    pub is_exclusive: bool,
    /// The directory of the store's files, where it has any.
    pub store: Option<&'a Path>,
    /// The disk that these lie on, where it can be filled.
    disk: Option<&'a disk::Disk>,
}

/// Lets workers loose on a run, troubles them, and checks what they leave.
///
/// # Errors
/// What is wrong with what they left, or why the run did not end.
pub fn unleash(chaos: &Chaos, mut ground: Ground<'_>) -> Result<Told> {
    let effects = ground.directory.join("effects");
    std::fs::write(&effects, "")?;
    let run = submit(chaos, &ground.url)?;
    let mut herd = Herd {
        url: ground.url.clone(),
        run: run.clone(),
        effects: effects.clone(),
        program: ground.program.to_path_buf(),
        clock: ground.directory.join("clock"),
        max_running: chaos.max_running,
        workers: Vec::new(),
    };
    for _ in 0..chaos.workers {
        herd.start()?;
    }
    let mut told = Told::default();
    let mut faults = Faults::new(chaos, ground.server.is_some());
    let begun = Instant::now();
    loop {
        let fault = faults.next(&mut herd, &mut ground, &mut told)?;
        herd.tend()?;
        if !fault && herd.workers.is_empty() && !goes_on(&run, &ground.url, &mut told, chaos)? {
            break;
        }
        if !fault && herd.workers.is_empty() {
            herd.start()?;
        }
        if begun.elapsed() > LONGEST {
            let workers = herd.workers.len();
            herd.kill_all();
            let left = left(&run, &ground.url).unwrap_or_else(|error| format!("{error:#}"));
            let seed = chaos.seed;
            bail!(
                "seed {seed}: {workers} workers have not ended the run after {LONGEST:?}: {told:?}\n{left}"
            );
        }
    }
    let effects = Effects::read(&effects)?;
    told.attempts = effects.begun().count();
    let was_set_back = faults.rolled_back();
    let checked = with_store(&ground.url, |store| verify::verify(chaos, store, &run, &effects, was_set_back));
    told.tasks = checked.with_context(|| format!("seed {}, {told:?}", chaos.seed))?;
    Ok(told)
}

/// The worker processes.
struct Herd {
    url: String,
    run: RunId,
    effects: PathBuf,
    program: PathBuf,
    /// A file with the milliseconds that the clock of the workers was set by.
    clock: PathBuf,
    max_running: Option<u32>,
    workers: Vec<Child>,
}

impl Herd {
    fn start(&mut self) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.arg(&self.url).arg(self.run.as_str()).arg(&self.effects).arg(LEASE.as_millis().to_string());
        command.arg(&self.clock).args(self.max_running.map(|most| most.to_string()));
        let worker =
            command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("a worker does not start")?;
        self.workers.push(worker);
        Ok(())
    }

    /// Forgets workers that have ended by themselves.
    fn tend(&mut self) -> Result<()> {
        let mut left = Vec::new();
        for mut worker in self.workers.drain(..) {
            // One that a poisonous task took down is replaced by the next.
            if worker.try_wait()?.is_none() {
                left.push(worker);
            }
        }
        self.workers = left;
        Ok(())
    }

    fn kill(&mut self, place: usize) -> Result<()> {
        let mut worker = self.workers.swap_remove(place);
        let killed = worker.kill();
        worker.wait()?;
        Ok(killed?)
    }

    fn kill_all(&mut self) {
        for mut worker in self.workers.drain(..) {
            // Nothing is left to do where it has ended already.
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}

impl Drop for Herd {
    fn drop(&mut self) {
        self.kill_all();
    }
}

fn submit(chaos: &Chaos, url: &str) -> Result<RunId> {
    let new = graph::run_of(chaos)?;
    with_store(url, |store| Box::pin(async move { Ok(store.submit(new).await?) }))
}

/// Tells whether the run needs workers still. One that failed by crashes that hit it by chance is let go on.
fn goes_on(run: &RunId, url: &str, told: &mut Told, chaos: &Chaos) -> Result<bool> {
    let id = run.clone();
    let poison = chaos.shape.poison;
    let (state, resumed) = with_store(url, |store| {
        Box::pin(async move {
            let found = store.run(&id).await?.context("the run is gone")?;
            let state = found.summary.state;
            let unlucky = store
                .tasks(&id)
                .await?
                .into_iter()
                .any(|task| task.state.has_failed() && !(poison && graph::is_poison(&task.name)));
            let resumes = state == RunState::Failed && unlucky;
            if resumes {
                store.control(&id, Control::Resume).await?;
            }
            Ok((state, resumes))
        })
    })?;
    told.resumed += u32::from(resumed);
    Ok(resumed || !state.is_ended())
}

/// Tells what is left to do of a run, and what happened to it last.
fn left(run: &RunId, url: &str) -> Result<String> {
    let id = run.clone();
    with_store(url, |store| {
        Box::pin(async move {
            let found = store.run(&id).await?.context("the run is gone")?.summary;
            let mut tasks = store.tasks(&id).await?;
            tasks.retain(|task| !task.state.is_ended());
            let events = store.events(&id, 0, u32::MAX).await?;
            let last = events.iter().rev().take(12).collect::<Vec<_>>();
            let ready = store.stats().await?.ready;
            Ok(format!("{found:?}\nready: {ready:?}\nleft: {tasks:#?}\nlast: {last:#?}"))
        })
    })
}

type Work<T> = std::pin::Pin<Box<dyn Future<Output = Result<T>>>>;

/// Opens the store, uses it, and closes it again, as a process of its own would.
fn with_store<T>(url: &str, work: impl FnOnce(SharedStore) -> Work<T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let begun = Instant::now();
    let store = loop {
        let opened = runtime.block_on(async { motet_persistence::open(url) });
        match opened {
            Ok(store) => break store,
            // A killed process may hold its lock for a moment longer.
            Err(_) if begun.elapsed() < Duration::from_secs(5) => {
                std::thread::sleep(Duration::from_millis(20))
            }
            Err(error) => return Err(error.into()),
        }
    };
    runtime.block_on(work(store))
}

/// A source of numbers that is the same for a seed.
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    /// Begins with a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def1))
    }

    /// Gives a number below a limit.
    pub fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(limit.max(1))).unwrap_or_default()
    }
}
