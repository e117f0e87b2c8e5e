//! A real Redis server for tests, on a free port, which ends with the last who holds it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use redis::RedisResult;

/// A server and the directory of its files.
pub(crate) struct RedisServer {
    directory: tempfile::TempDir,
    port: u16,
    options: Vec<String>,
    process: Mutex<Option<Child>>,
}

impl RedisServer {
    /// Starts a server with these options; where the program is missing, reports that the test is skipped.
    pub(crate) fn start(options: &[&str]) -> Option<Self> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            skip("no redis-server on the path");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        // Another program may take a port between its being found free and its being used.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some(process) = launch(directory.path(), port, &options) {
                return Some(Self { directory, port, options, process: Mutex::new(Some(process)) });
            }
        }
        panic!("redis-server found no free port");
    }

    /// Gives the URL of a namespace.
    pub(crate) fn url(&self, namespace: &str) -> String {
        format!("redis://127.0.0.1:{}?namespace={namespace}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Kills it, as a crash would.
    pub(crate) fn kill(&self) {
        if let Some(mut process) = self.process.lock().unwrap().take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts it again on the files that it left.
    pub(crate) fn start_again(&self) {
        self.kill();
        let process = launch(self.directory.path(), self.port, &self.options);
        *self.process.lock().unwrap() = Some(process.expect("redis-server starts again"));
    }

    /// Gives the directory of its append-only file.
    pub(crate) fn files(&self) -> PathBuf {
        self.directory.path().join("appendonlydir")
    }

    /// Asks it something.
    pub(crate) fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        let mut connection =
            redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?.get_connection()?;
        redis::cmd(words[0]).arg(&words[1..]).query(&mut connection)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The server that the tests of this process share, each in a namespace of its own.
pub(crate) fn shared() -> Option<(Arc<RedisServer>, String)> {
    static SHARED: Mutex<Weak<RedisServer>> = Mutex::new(Weak::new());
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let server = match shared.upgrade() {
        Some(server) => server,
        None => {
            let server = Arc::new(RedisServer::start(&["--appendonly", "no"])?);
            *shared = Arc::downgrade(&server);
            server
        }
    };
    Some((server, format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed))))
}

/// Reports a test that cannot run here, as the runner of all tests reads it.
fn skip(why: &str) {
    use std::io::Write as _;
    eprintln!("skipped: {why}");
    if let Some(path) = std::env::var_os("MOTET_SKIPS") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        file.and_then(|mut file| writeln!(file, "{why}")).unwrap();
    }
}

/// Starts the program and waits until it answers; `None` when it ends instead.
fn launch(directory: &Path, port: u16, options: &[String]) -> Option<Child> {
    let mut process = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
        .args(options)
        .current_dir(directory)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        if process.try_wait().unwrap().is_some() {
            return None;
        }
        let answer = client
            .get_connection_with_timeout(Duration::from_secs(1))
            .and_then(|mut connection| redis::cmd("PING").query::<String>(&mut connection));
        match answer {
            Ok(_) => return Some(process),
            // A server that asks for a password answers too.
            Err(error) if error.code() == Some("NOAUTH") || error.to_string().contains("auth") => {
                return Some(process);
            }
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    process.kill().unwrap();
    process.wait().unwrap();
    panic!("redis-server does not answer");
}
