//! Runs real interpreters; after every call it looks through `/proc` for anything that was left running.

mod failures;
mod idle;
mod lifetime;
mod results;
mod sandboxed;

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use motet_core::method::{FileScope, Method, MethodCall};
use motet_core::{Error, Result, RunContext};
use serde_json::Value;
use tempfile::TempDir;

use super::{PythonConfig, PythonExecute};

/// No call of these tests takes so long unless something hangs.
const BOUND: Duration = Duration::from_secs(60);

struct Bench {
    directory: TempDir,
    config: PythonConfig,
}

impl Bench {
    fn new() -> Self {
        // None are kept started, so that whatever is left after a call is too much.
        let config = PythonConfig { idle: 0, ..PythonConfig::default() };
        Self { directory: tempfile::tempdir().unwrap(), config }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.path().join(name), text).unwrap();
        self
    }

    fn method(&self) -> PythonExecute {
        let path = std::env::var_os("PATH").unwrap();
        let environment: [(OsString, OsString); 3] = [
            ("PATH".into(), path),
            // What is left running is found by it, whatever the method itself looks for.
            ("HOME".into(), self.path().into()),
            ("OPENAI_API_KEY".into(), "sk-not-for-children".into()),
        ];
        PythonExecute::with_environment(self.config.clone(), environment)
    }

    async fn run(&self, params: Value) -> Result<Value> {
        self.run_in(&RunContext::new(), params).await
    }

    async fn run_in(&self, context: &RunContext, params: Value) -> Result<Value> {
        let method = self.method();
        let result = tokio::time::timeout(BOUND, method.call(context, call(self.path(), params))).await;
        assert_eq!(left(self.path()), Vec::<String>::new(), "processes are left");
        result.expect("the call takes too long").map(|outcome| outcome.result().unwrap())
    }

    async fn result(&self, params: Value) -> Value {
        self.run(params).await.unwrap()["result"].take()
    }

    async fn error(&self, params: Value) -> Error {
        self.run(params).await.expect_err("the call succeeds")
    }
}

fn call(base: &Path, params: Value) -> MethodCall {
    let Value::Object(params) = params else { panic!("parameters are an object") };
    MethodCall {
        params,
        files: FileScope { base: base.to_owned(), allowed: Vec::new() },
        default_model: None,
        idempotency_key: "key".to_owned(),
        task: None,
    }
}

/// Lists what runs with this directory as its home or as the directory it stands in.
fn left(directory: &Path) -> Vec<String> {
    let directory = directory.canonicalize().unwrap();
    let home = format!("HOME={}", directory.display());
    std::fs::read_dir("/proc")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|process| {
            let environment = std::fs::read(process.join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == home.as_bytes())
                || std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == directory)
        })
        .map(|process| {
            std::fs::read_to_string(process.join("cmdline")).unwrap_or_default().replace('\0', " ")
        })
        .collect()
}

fn context<'a>(error: &'a Error, name: &str) -> &'a str {
    error.context().iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
}
