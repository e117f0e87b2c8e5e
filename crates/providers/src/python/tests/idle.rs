//! Interpreters that wait for a task: used once each, as many as the settings say, and gone with the engine.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use motet_core::method::Method;
use motet_core::{ErrorKind, RunContext};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::Command;

use super::{BOUND, Bench, PythonExecute, call, left};

fn bench(idle: usize) -> Bench {
    let mut bench = Bench::new();
    bench.config.idle = idle;
    bench
}

async fn result(method: &PythonExecute, directory: &Path, params: Value) -> Value {
    let context = RunContext::new();
    let called = method.call(&context, call(directory, params));
    let outcome = tokio::time::timeout(BOUND, called).await.expect("the call takes too long").unwrap();
    outcome.result().unwrap()["result"].take()
}

async fn until(condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, met).await.expect("it does not come to be");
}

/// Tells whether a process runs; one that only waits to be reaped does not.
fn runs(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[tokio::test]
async fn a_task_runs_in_an_interpreter_that_waited_and_finds_nothing_of_the_task_before() {
    let bench = bench(1);
    let method = bench.method();
    let leave = "import builtins, os, sys, signal\n\
                 builtins.LEFT = 1\nsys.modules['json'] = None\nos.environ['LEFT'] = 'x'\nos.chdir('/')\n\
                 sys.path.insert(0, '/left')\nsignal.signal(2, signal.SIG_IGN)\nleft = 1\nresult = os.getppid()";
    let look = "import builtins, os, sys, json, signal\n\
                found = [n for n in ('left', 'leave') if n in globals()]\n\
                result = [hasattr(builtins, 'LEFT'), json.dumps(found), os.environ.get('LEFT'), os.getcwd(), '/left' in sys.path,\n\
                    signal.getsignal(2) == signal.SIG_IGN, os.getppid()]";
    assert_eq!(method.idle.processes(), Vec::<u32>::new(), "one is started before it is needed");
    let first = result(&method, bench.path(), json!({"code": leave})).await;
    until(|| !method.idle.processes().is_empty()).await;
    let waiting = method.idle.processes();
    let mut found = result(&method, bench.path(), json!({"code": look})).await;
    let own = found.as_array_mut().unwrap().pop().unwrap();
    assert!(own != first && waiting.iter().any(|process| own == *process), "{own}, {waiting:?}");
    let directory = bench.path().canonicalize().unwrap();
    assert_eq!(found, json!([false, "[]", null, directory, false, false]));
}

#[tokio::test]
async fn each_task_works_in_its_own_directory_with_its_own_limits() {
    let (bench, other) = (bench(2), tempfile::tempdir().unwrap());
    let method = bench.method();
    for directory in [bench.path(), other.path(), bench.path()] {
        let found = result(&method, directory, json!({"code": "import os\nresult = os.getcwd()"})).await;
        assert_eq!(found, json!(directory.canonicalize().unwrap()));
        until(|| !method.idle.processes().is_empty()).await;
    }
    let look = "import resource\nresult = resource.getrlimit(resource.RLIMIT_DATA)[0] >> 20";
    assert_eq!(result(&method, bench.path(), json!({"code": look, "memory_mb": 77})).await, 77);
    until(|| !method.idle.processes().is_empty()).await;
    let params = json!({"code": "while True: pass", "timeout": 0.5});
    let error = method.call(&RunContext::new(), call(bench.path(), params)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn no_more_wait_than_the_settings_say_whatever_runs_at_once() {
    let bench = bench(2);
    let method = bench.method();
    let most = std::sync::atomic::AtomicUsize::new(0);
    let calls = (0..6).map(|number| {
        let (method, most, path) = (&method, &most, bench.path());
        async move {
            let code = format!("result = {number}");
            assert_eq!(result(method, path, json!({"code": code})).await, number);
            most.fetch_max(method.idle.processes().len(), std::sync::atomic::Ordering::Relaxed);
        }
    });
    futures::future::join_all(calls).await;
    until(|| method.idle.processes().len() == 2).await;
    assert!(most.into_inner() <= 2);
    let waiting = method.idle.processes();
    drop(method);
    until(|| !waiting.iter().any(|process| runs(*process))).await;
    until(|| left(bench.path()).is_empty()).await;
}

#[tokio::test]
async fn with_none_kept_started_nothing_waits() {
    let bench = bench(0);
    let method = bench.method();
    assert_eq!(result(&method, bench.path(), json!({"code": "result = 1"})).await, 1);
    assert_eq!(left(bench.path()), Vec::<String>::new());
}

#[tokio::test]
async fn one_that_was_killed_while_it_waited_costs_no_task() {
    let bench = bench(1);
    let method = bench.method();
    result(&method, bench.path(), json!({"code": "result = 1"})).await;
    until(|| !method.idle.processes().is_empty()).await;
    let waiting = method.idle.processes();
    let process = rustix::process::Pid::from_raw(i32::try_from(waiting[0]).unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    until(|| !runs(waiting[0])).await;
    assert_eq!(result(&method, bench.path(), json!({"code": "result = 2"})).await, 2);
}

#[tokio::test]
async fn a_task_with_another_interpreter_never_gets_one_of_the_first() {
    let bench = bench(1);
    let method = bench.method();
    let code = "import sys\nresult = sys.executable";
    let plain = result(&method, bench.path(), json!({"code": code})).await;
    until(|| !method.idle.processes().is_empty()).await;
    let first = method.idle.processes();
    let link = bench.path().join("other-python");
    std::os::unix::fs::symlink(plain.as_str().unwrap(), &link).unwrap();
    let params = json!({"code": code, "interpreter": link});
    assert_eq!(result(&method, bench.path(), params).await, json!(link));
    // The one that waits now is of the interpreter that was needed last.
    until(|| method.idle.processes().first().is_some_and(|process| *process != first[0])).await;
    until(|| !runs(first[0])).await;
}

#[tokio::test]
async fn those_that_wait_end_with_an_engine_that_is_killed() {
    const DIRECTORY: &str = "MOTET_TEST_IDLE_DIRECTORY";
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        // This is the engine that is killed: the test has started itself again.
        let method = PythonExecute::new(super::PythonConfig::default());
        result(&method, directory.as_ref(), json!({"code": "result = 1"})).await;
        until(|| !method.idle.processes().is_empty()).await;
        let mut ready = UnixStream::connect(Path::new(&directory).join("ready")).await.unwrap();
        ready.write_u32(method.idle.processes()[0]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(600)).await;
        panic!("nobody killed it");
    }
    let bench = bench(1);
    let ready = UnixListener::bind(bench.path().join("ready")).unwrap();
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut engine = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::those_that_wait_end_with_an_engine_that_is_killed")])
        .env(DIRECTORY, bench.path())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let connected = tokio::time::timeout(BOUND, ready.accept()).await.expect("it does not run");
    let process = connected.unwrap().0.read_u32().await.unwrap();
    assert!(runs(process));
    engine.kill().await.unwrap();
    until(|| !runs(process)).await;
}
