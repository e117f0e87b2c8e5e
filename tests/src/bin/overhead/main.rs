//! What Motet costs beside a bare loop of reqwest and serde_json, in processor time; what `cargo xtask bench overhead`
//! runs.
//!
//! Client and mock share one processor, as waking another one costs more than all that is measured here. Both loops take
//! turns in short rounds, and what counts is the median of the rounds' ratios, so that other load does not.
#![expect(clippy::indexing_slicing, reason = "a benchmark that panics has failed")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a developer task talks to a terminal")]

mod bare;
mod ours;
mod rounds;
mod stages;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use motet_tests::mock;

use bare::Bare;
use ours::Ours;

/// Measures overhead.
#[derive(Parser)]
struct Arguments {
    /// Measures only this; may be given several times.
    #[arg(value_enum)]
    workloads: Vec<Workload>,
    /// Rounds, each of which measures the bare loop and Motet in turn.
    #[arg(long, default_value_t = 41)]
    rounds: usize,
    /// Runs only one of the two loops, for a profiler to look at.
    #[arg(long, value_enum)]
    side: Option<Side>,
    /// Leaves out the table of stages.
    #[arg(long)]
    no_stages: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    Bare,
    Motet,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Workload {
    /// One call, one at a time.
    Plain,
    /// One answer in many pieces.
    Stream,
    /// A conversation in which the model calls a tool again and again.
    Tools,
    /// Vectors of some texts.
    Embed,
}

/// Pieces of a stream.
const PIECES: usize = 500;
/// Texts of an embedding request.
const VECTORS: usize = 16;
/// Rounds of tool calls.
const TOOL_ROUNDS: usize = 5;

impl Workload {
    const ALL: [Self; 4] = [Self::Plain, Self::Stream, Self::Tools, Self::Embed];

    fn title(self) -> String {
        match self {
            Self::Plain => "plain call".to_owned(),
            Self::Stream => format!("stream of {PIECES} pieces"),
            Self::Tools => format!("{TOOL_ROUNDS} tool rounds"),
            Self::Embed => format!("{VECTORS} x {} numbers", mock::DIMENSIONS),
        }
    }

    /// Calls of one round.
    fn calls(self) -> u32 {
        match self {
            Self::Plain => 300,
            Self::Stream | Self::Embed => 12,
            Self::Tools => 50,
        }
    }

    /// The ratio that must not be passed.
    fn goal(self) -> f64 {
        match self {
            Self::Plain => 1.15,
            Self::Stream => 1.5,
            Self::Tools => 1.25,
            Self::Embed => 0.35,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    pin();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(&arguments))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Keeps this process, and the mock's threads, on the last processor that it may use.
fn pin() {
    #[cfg(target_os = "linux")]
    if let Ok(allowed) = rustix::thread::sched_getaffinity(None)
        && let Some(last) = (0..rustix::thread::CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu))
    {
        let mut one = rustix::thread::CpuSet::new();
        one.set(last);
        let _ = rustix::thread::sched_setaffinity(None, &one);
    }
}

/// Measures the chosen workloads; tells whether all goals are met.
async fn run(arguments: &Arguments) -> Result<bool> {
    let address = mock::start(&mock::Sizes { pieces: PIECES, vectors: VECTORS, tool_rounds: TOOL_ROUNDS })?;
    let (bare, ours) = (Bare::new(address)?, Ours::new(address, VECTORS)?);
    let all = Workload::ALL.into_iter();
    let chosen: Vec<Workload> =
        all.filter(|one| arguments.workloads.is_empty() || arguments.workloads.contains(one)).collect();
    let mut met = true;
    println!("{:<22}{:>12}{:>12}{:>9}{:>9}", "WORKLOAD", "BARE us", "MOTET us", "RATIO", "GOAL");
    for workload in chosen {
        let measured = measure(workload, arguments, &bare, &ours).await?;
        let (title, goal) = (workload.title(), workload.goal());
        let verdict = if measured.ratio <= goal { "" } else { "  missed" };
        met &= measured.ratio <= goal;
        let Measured { bare, ours, ratio } = measured;
        println!("{title:<22}{bare:>12.1}{ours:>12.1}{ratio:>9.2}{goal:>9.2}{verdict}");
    }
    if !arguments.no_stages && arguments.side.is_none() {
        stages::print(address).await?;
        met &= rounds::print().await?;
    }
    Ok(met || arguments.side.is_some())
}

/// Medians of the rounds: microseconds a call, and one by the other.
struct Measured {
    bare: f64,
    ours: f64,
    ratio: f64,
}

async fn measure(workload: Workload, arguments: &Arguments, bare: &Bare, ours: &Ours) -> Result<Measured> {
    let (mut ones, mut others, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let calls = workload.calls();
    for round in 0..=arguments.rounds {
        let begun = processor_time();
        for _ in 0..calls {
            if arguments.side != Some(Side::Motet) {
                bare.call(workload).await?;
            }
        }
        let between = processor_time();
        for _ in 0..calls {
            if arguments.side != Some(Side::Bare) {
                ours.call(workload).await?;
            }
        }
        // The first round opens connections and warms caches.
        if round > 0 {
            let micros = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(calls);
            let (one, other) = (micros(between - begun), micros(processor_time() - between));
            ones.push(one);
            others.push(other);
            ratios.push(other / one);
        }
    }
    Ok(Measured { bare: median(ones), ours: median(others), ratio: median(ratios) })
}

/// Gives the middle one of some figures.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// Gives the processor time of this thread, on which all of the client runs.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
