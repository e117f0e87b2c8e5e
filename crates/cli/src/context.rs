//! What commands share: the wired runtime, the async runtime, and interruption.

use std::future::Future;

use clap::ArgMatches;
use motet::discover::{Discovered, discover};
use motet::{Error, ErrorKind, Result, Runtime};
use tokio_util::sync::CancellationToken;

use crate::printer::Printer;

/// What a command is given.
pub(crate) struct Context {
    pub(crate) printer: Printer,
    overrides: Vec<(String, String, String)>,
}

impl Context {
    pub(crate) fn new(printer: Printer, matches: &ArgMatches) -> Self {
        let mut context = Self { printer, overrides: Vec::new() };
        for pair in matches.get_many::<String>("set").into_iter().flatten() {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            context.set(name, value, "flag --set");
        }
        if let Some(url) = matches.get_one::<String>("store_url") {
            context.set("store", url, "flag --store");
        }
        context
    }

    /// Sets an option from a flag; flags win over everything else.
    pub(crate) fn set(&mut self, option: &str, value: impl Into<String>, origin: &str) {
        self.overrides.push((option.to_owned(), value.into(), origin.to_owned()));
    }

    /// Finds the settings for the current directory.
    pub(crate) fn discover(&self) -> Result<Discovered> {
        let start = std::env::current_dir().map_err(|error| {
            Error::new(ErrorKind::Configuration, "the current directory cannot be found").with_source(error)
        })?;
        discover(&start, self.overrides.clone())
    }

    /// Wires the runtime and starts logging as the settings say.
    pub(crate) fn runtime(&self) -> Result<Runtime> {
        let Discovered { loaded, directory } = self.discover()?;
        start_log(&loaded.settings.log)?;
        Runtime::new(loaded, directory)
    }

    /// Runs async work that is told to stop in two steps: the first interrupt or SIGTERM lets it finish what it does, the
    /// second one has it stop at once, and the third one ends the process.
    pub(crate) fn block_on_draining<T, F: Future<Output = Result<T>>>(
        &self,
        work: impl FnOnce(Signals) -> F,
    ) -> Result<T> {
        let runtime = start()?;
        let signals = Signals::default();
        let Signals { drain, now } = signals.clone();
        runtime.spawn(async move {
            // One stream for all of them, so that none is lost between two.
            let mut interrupts = Interrupts::listen();
            for token in [&drain, &now] {
                interrupts.next().await;
                token.cancel();
            }
            interrupts.next().await;
            std::process::exit(crate::exit::Exit::Interrupted as i32);
        });
        let done = runtime.block_on(work(signals));
        runtime.shutdown_background();
        done
    }

    /// Runs async work to its end. The first interrupt fires the token, so that the work can stop in good order; the
    /// second one ends the process.
    pub(crate) fn block_on<T, F: Future<Output = Result<T>>>(
        &self,
        work: impl FnOnce(CancellationToken) -> F,
    ) -> Result<T> {
        let runtime = start()?;
        let cancellation = CancellationToken::new();
        let interrupted = cancellation.clone();
        runtime.spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                interrupted.cancel();
                if tokio::signal::ctrl_c().await.is_ok() {
                    std::process::exit(crate::exit::Exit::Interrupted as i32);
                }
            }
        });
        let done = runtime.block_on(work(cancellation));
        runtime.shutdown_background();
        done
    }
}

/// What tells a worker to stop.
#[derive(Clone, Default)]
pub(crate) struct Signals {
    /// Begin nothing new.
    pub(crate) drain: CancellationToken,
    /// Stop at once.
    pub(crate) now: CancellationToken,
}

/// Interrupts of the process, and on Unix its SIGTERM.
struct Interrupts {
    #[cfg(unix)]
    interrupt: Option<tokio::signal::unix::Signal>,
    #[cfg(unix)]
    terminate: Option<tokio::signal::unix::Signal>,
}

impl Interrupts {
    #[cfg(unix)]
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self {
            interrupt: signal(SignalKind::interrupt()).ok(),
            terminate: signal(SignalKind::terminate()).ok(),
        }
    }

    #[cfg(not(unix))]
    fn listen() -> Self {
        Self {}
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        async fn heard(signal: &mut Option<tokio::signal::unix::Signal>) {
            match signal {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        }
        tokio::select! { () = heard(&mut self.interrupt) => {}, () = heard(&mut self.terminate) => {} }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn start() -> Result<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    built
        .map_err(|error| Error::new(ErrorKind::Internal, "the async runtime cannot start").with_source(error))
}

fn start_log(filter: &str) -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter).map_err(|error| {
        Error::new(ErrorKind::Configuration, format!("the log filter `{filter}` is not understood: {error}"))
            .with_hint("write a level such as `info`, or `motet=debug,warn`")
    })?;
    // A second command in one process keeps the log of the first.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    Ok(())
}
