//! A real Redis server of a test's own, on a free port, which ends with the test.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::chaos::Server;

/// A server; one that is not durable keeps nothing on disk.
pub struct Redis {
    directory: tempfile::TempDir,
    port: u16,
    process: Option<Child>,
    /// When what is accepted is on the disk, as `appendfsync` says it; nothing ever where `None`.
    fsync: Option<&'static str>,
}

/// Where a durable server keeps its log, below its directory.
const LOG: &str = "appendonlydir";

/// What clients must give.
const PASSWORD: &str = "hunter2";

impl Redis {
    /// Starts a server; where the program is missing, reports that the test is skipped and gives `None`.
    ///
    /// # Errors
    /// When the program is there and does not start.
    pub fn start() -> anyhow::Result<Option<Self>> {
        Self::start_with(None)
    }

    /// Starts a server that keeps all on disk: at once with `always`, within a second with `everysec`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_durable(fsync: &'static str) -> anyhow::Result<Option<Self>> {
        Self::start_with(Some(fsync))
    }

    fn start_with(fsync: Option<&'static str>) -> anyhow::Result<Option<Self>> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            crate::skip("no redis-server on the path");
            return Ok(None);
        }
        let directory = tempfile::tempdir()?;
        // Another program may take a port between its being found free and its being used.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            if let Some(process) = launch(directory.path(), port, fsync)? {
                return Ok(Some(Self { directory, port, process: Some(process), fsync }));
            }
        }
        bail!("redis-server found no free port")
    }

    /// Gives its URL, password included.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// Gives its password.
    #[must_use]
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// Kills it, as a crash would.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// Starts it again at the same address, with what it has on disk.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        let process = launch(self.directory.path(), self.port, self.fsync)?;
        self.process = Some(process.context("redis-server did not start again")?);
        Ok(())
    }

    /// Copies what it has on disk now, lets it go on for a while, and starts it again with the copy: as after the loss of
    /// power, or where a replica that lags behind takes over.
    ///
    /// # Errors
    /// When files cannot be copied, or it does not start.
    pub fn roll_back(&mut self, by: Duration) -> anyhow::Result<()> {
        let (log, copy) = (self.directory.path().join(LOG), self.directory.path().join("copy"));
        copy_files(&log, &copy)?;
        std::thread::sleep(by);
        self.kill()?;
        std::fs::remove_dir_all(&log)?;
        std::fs::rename(&copy, &log)?;
        self.start_again()
    }

    /// Gives the names of all keys.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn keys(&self) -> anyhow::Result<Vec<String>> {
        let mut connection = redis::Client::open(self.url())?.get_connection()?;
        Ok(redis::cmd("KEYS").arg("*").query(&mut connection)?)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Nothing is left to do where it is gone already.
        let _ = self.kill();
    }
}

impl Server for Redis {
    fn restart(&mut self, pause: Duration) -> anyhow::Result<()> {
        self.kill()?;
        std::thread::sleep(pause);
        self.start_again()
    }

    fn roll_back(&mut self, by: Duration) -> anyhow::Result<()> {
        Redis::roll_back(self, by)
    }
}

fn copy_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

fn url(port: u16) -> String {
    format!("redis://:{PASSWORD}@127.0.0.1:{port}")
}

/// Starts the program and waits until it answers; `None` when it ends instead.
fn launch(directory: &Path, port: u16, fsync: Option<&str>) -> anyhow::Result<Option<Child>> {
    let port_text = port.to_string();
    let mut process = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port_text, "--requirepass", PASSWORD])
        .args(["--save", "", "--appendonly", if fsync.is_some() { "yes" } else { "no" }])
        .args(["--appendfsync", fsync.unwrap_or("no"), "--aof-load-truncated", "yes"])
        .current_dir(directory)
        .stdout(Stdio::null())
        .spawn()?;
    let client = redis::Client::open(url(port))?;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        if process.try_wait()?.is_some() {
            return Ok(None);
        }
        let answers = client
            .get_connection_with_timeout(Duration::from_secs(1))
            .and_then(|mut connection| redis::cmd("PING").query::<String>(&mut connection));
        if answers.is_ok() {
            return Ok(Some(process));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    process.kill()?;
    process.wait()?;
    bail!("redis-server does not answer")
}
