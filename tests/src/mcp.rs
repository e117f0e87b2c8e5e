//! Real servers of tools, installed under `target` by `cargo xtask test`, and a scripted one.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::command::workspace;

/// A server that does what its argument says; it needs Python alone.
#[must_use]
pub fn scripted() -> PathBuf {
    workspace().join("crates/providers/src/mcp/tests/server.py")
}

/// Gives where a server from PyPI is; where it is not installed, reports that the test is skipped.
#[must_use]
pub fn from_pypi(program: &str) -> Option<String> {
    installed(&target()?.join("venv/bin").join(program))
}

/// Gives where a server from npm is; where it is not installed, reports that the test is skipped.
#[must_use]
pub fn from_npm(program: &str) -> Option<String> {
    installed(&target()?.join("tools/mcp/node_modules/.bin").join(program))
}

fn target() -> Option<PathBuf> {
    std::env::current_exe().ok()?.ancestors().nth(3).map(Path::to_owned)
}

fn installed(path: &Path) -> Option<String> {
    if path.exists() {
        return Some(path.display().to_string());
    }
    let name = path.file_name().unwrap_or_default().display();
    crate::skip(&format!("no `{name}` under `target`; `cargo xtask test` installs it where it can"));
    None
}

/// A real server that speaks streamable HTTP on a loopback port, and ends with the test.
pub struct HttpServer {
    program: String,
    port: u16,
    process: Option<Child>,
}

impl HttpServer {
    /// Starts the server; `None` where it is not installed.
    ///
    /// # Errors
    /// When it is there and does not start.
    pub fn start() -> anyhow::Result<Option<Self>> {
        let Some(program) = from_npm("mcp-server-everything") else { return Ok(None) };
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut server = Self { program, port, process: None };
        server.start_again()?;
        Ok(Some(server))
    }

    /// Gives its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.port)
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

    /// Starts it again at the same address.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        let mut process = Command::new(&self.program)
            .arg("streamableHttp")
            .env("PORT", self.port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(60) {
            if process.try_wait()?.is_some() {
                bail!("the server ended at once");
            }
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                self.process = Some(process);
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        process.kill().context("the server does not answer")?;
        process.wait()?;
        bail!("the server does not answer")
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        // Nothing is left to do where it is gone already.
        let _ = self.kill();
    }
}
