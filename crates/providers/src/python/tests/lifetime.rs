//! Nothing that a task has started outlives it, whatever ends it.
//!
//! The code connects to a socket of the test when it runs; the end of that connection is the end of its processes.

use std::process::Stdio;
use std::time::{Duration, Instant};

use motet_core::method::Method;
use motet_core::{ErrorKind, Retry, RunContext};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::{BOUND, Bench, call, left};

/// Connects from the code, and from a process of it that has left the group and the session.
const CONNECT: &str = "\
import os, socket, time
if not os.fork():
    os.setsid()
ready = socket.socket(socket.AF_UNIX)
ready.connect('ready')
";

fn sleeping() -> Value {
    json!({"code": format!("{CONNECT}time.sleep(600)")})
}

/// Holds the interpreter so that no other thread of Python runs.
fn holding() -> Value {
    json!({"code": format!("{CONNECT}sum(range(10**15))")})
}

struct Ready(UnixListener);

impl Ready {
    fn listen(bench: &Bench) -> Self {
        Self(UnixListener::bind(bench.path().join("ready")).unwrap())
    }

    /// Waits until the code and the process that it started run.
    async fn both(&self) -> [UnixStream; 2] {
        let both = async { [self.0.accept().await.unwrap().0, self.0.accept().await.unwrap().0] };
        tokio::time::timeout(BOUND, both).await.expect("the code does not run")
    }
}

async fn ended(connections: [UnixStream; 2]) {
    for mut connection in connections {
        let end = tokio::time::timeout(BOUND, connection.read_u8()).await.expect("a process is left");
        assert!(end.is_err(), "the code sends nothing");
    }
}

#[tokio::test]
async fn processes_left_in_the_background_end_with_a_success() {
    let code = "import subprocess\n\
                subprocess.Popen(['sleep', '600'])\n\
                subprocess.Popen(['sleep', '600'], start_new_session=True)\n\
                result = 'done'";
    let bench = Bench::new();
    assert_eq!(bench.result(json!({"code": code})).await, "done");
}

#[tokio::test]
async fn processes_left_in_the_background_end_with_a_failure() {
    let code =
        "import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)\nraise ValueError";
    let error = Bench::new().error(json!({"code": code})).await;
    assert_eq!(error.message(), "python raised `ValueError` on line 3");
}

#[tokio::test]
async fn a_timeout_kills_everything_and_keeps_what_was_printed() {
    let code = "import subprocess\nprint('begun')\n\
                subprocess.run(['sleep', '600'], start_new_session=True)";
    let started = Instant::now();
    let error = Bench::new().error(json!({"code": code, "timeout": 1.5})).await;
    assert!(started.elapsed() < Duration::from_secs(20));
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Timeout, Retry::Backoff));
    assert_eq!(error.message(), "python was stopped after 1.5 s");
    assert!(error.hint().unwrap().contains("`python.timeout`"));
    assert_eq!(super::context(&error, "stdout"), "\nbegun");
}

#[tokio::test]
async fn the_timeout_of_the_settings_holds_where_a_call_names_none() {
    let mut bench = Bench::new();
    bench.config.timeout = Duration::from_millis(500);
    let error = bench.error(json!({"code": "while True: pass"})).await;
    assert_eq!(error.message(), "python was stopped after 0.5 s");
}

#[tokio::test]
async fn code_that_ignores_signals_is_stopped() {
    let code = "import signal, time\nfor n in (1, 2, 3, 13, 15):\n    signal.signal(n, signal.SIG_IGN)\n\
                while True:\n    time.sleep(600)";
    assert_eq!(Bench::new().error(json!({"code": code, "timeout": 1})).await.kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_process_that_drops_its_marker_and_leaves_is_still_known() {
    let code =
        "import subprocess, time\nsubprocess.Popen(['env', '-i', 'setsid', 'sleep', '600'])\ntime.sleep(600)";
    assert_eq!(Bench::new().error(json!({"code": code, "timeout": 2})).await.kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn the_deadline_of_the_run_ends_the_code() {
    let context = RunContext::new().with_timeout(Duration::from_secs(1));
    let error = Bench::new().run_in(&context, json!({"code": "while True: pass"})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.message(), "the run's deadline passed while python ran");
}

#[tokio::test]
async fn cancelling_the_run_kills_everything() {
    let (bench, token) = (Bench::new(), CancellationToken::new());
    let ready = Ready::listen(&bench);
    let context = RunContext::new().with_cancellation(token.clone());
    let cancel = async {
        let connections = ready.both().await;
        token.cancel();
        ended(connections).await;
    };
    let (result, ()) = tokio::join!(bench.run_in(&context, sleeping()), cancel);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
    let error = bench.run_in(&context, json!({"code": "1"})).await.unwrap_err();
    assert_eq!(error.message(), "the run was cancelled");
}

#[tokio::test]
async fn dropping_the_future_kills_everything() {
    let bench = Bench::new();
    let ready = Ready::listen(&bench);
    let (method, context) = (bench.method(), RunContext::new());
    let connections = tokio::select! {
        result = method.call(&context, call(bench.path(), sleeping())) => panic!("the call ends: {result:?}"),
        connections = ready.both() => connections,
    };
    ended(connections).await;
}

#[tokio::test]
async fn killing_the_engine_kills_everything() {
    const DIRECTORY: &str = "MOTET_TEST_DIRECTORY";
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        // This is the engine that is killed: the test has started itself again.
        let method = super::PythonExecute::new(super::PythonConfig::default());
        let result = method.call(&RunContext::new(), call(directory.as_ref(), holding())).await;
        panic!("the call ends: {result:?}");
    }
    let bench = Bench::new();
    let ready = Ready::listen(&bench);
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut engine = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::killing_the_engine_kills_everything")])
        .env(DIRECTORY, bench.path())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let connections = ready.both().await;
    engine.kill().await.unwrap();
    ended(connections).await;
}

#[tokio::test]
async fn the_end_of_standard_input_is_the_end_of_the_engine() {
    for watch in ["fork", "thread"] {
        let bench = Bench::new();
        let ready = Ready::listen(&bench);
        let mut child = bootstrap(&bench, "", watch, &sleeping()).await;
        let connections = ready.both().await;
        drop(child.stdin.take());
        ended(connections).await;
        child.wait().await.unwrap();
    }
}

#[tokio::test]
async fn a_watching_thread_changes_no_result() {
    let bench = Bench::new();
    let request = json!({"code": "result = [1]"});
    assert_eq!(outcome(&bench, "", "thread", &request).await, r#"{"result":[1]}"#);
}

#[tokio::test]
async fn python_without_its_c_half_of_json_gives_the_same() {
    let bench = Bench::new();
    let request = json!({"code": "result = context", "context": {"a": ["ü\n", 1.5, null]}});
    let prefix = "import sys; sys.modules['_json'] = None\n";
    assert_eq!(outcome(&bench, prefix, "fork", &request).await, r#"{"result":{"a":["ü\n",1.5,null]}}"#);
}

#[tokio::test]
async fn a_request_that_breaks_off_ends_the_child() {
    let bench = Bench::new();
    let mut child = start(&bench, "", "fork");
    child.stdin.take().unwrap().write_all(b"00000000000000000099{").await.unwrap();
    assert!(!child.wait().await.unwrap().success());
    assert_eq!(left(bench.path()), Vec::<String>::new());
}

/// Starts the interpreter as the method does, with standard input in the hands of the test.
async fn bootstrap(bench: &Bench, prefix: &str, watch: &str, request: &Value) -> Child {
    bench.write("out", "");
    let mut request = request.clone();
    for (name, value) in [
        ("context", request.get("context").cloned().unwrap_or(json!({}))),
        ("memory", json!(1 << 30)),
        ("max_result", json!(1000)),
        ("directory", json!(bench.path())),
        ("out", json!(bench.path().join("out"))),
    ] {
        request[name] = value;
    }
    let mut child = start(bench, prefix, watch);
    let body = request.to_string();
    let stdin = child.stdin.as_mut().unwrap();
    stdin.write_all(format!("{:020}{body}", body.len()).as_bytes()).await.unwrap();
    child
}

/// Runs a request to its end and gives what the child has written, which has no name by then.
async fn outcome(bench: &Bench, prefix: &str, watch: &str, request: &Value) -> String {
    bench.write("out", "");
    let mut file = std::fs::File::open(bench.path().join("out")).unwrap();
    let mut child = bootstrap(bench, prefix, watch, request).await;
    let _engine = child.stdin.take();
    assert!(child.wait().await.unwrap().success());
    assert!(!bench.path().join("out").exists());
    let mut text = String::new();
    std::io::Read::read_to_string(&mut file, &mut text).unwrap();
    text
}

fn start(bench: &Bench, prefix: &str, watch: &str) -> Child {
    let source = format!("{prefix}{}", include_str!("../bootstrap.py"));
    Command::new("python3")
        .args(["-I", "-c", &source, watch, include_str!("../aftermath.py")])
        .env("HOME", bench.path())
        .env("MOTET_TASK", bench.path())
        .current_dir(bench.path())
        .process_group(0)
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}
