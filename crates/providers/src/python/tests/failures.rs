//! Every way to fail, and what the user is told.

use std::os::unix::fs::PermissionsExt;

use motet_core::{ErrorKind, Retry};
use serde_json::json;

use super::{Bench, context};

#[tokio::test]
async fn an_exception_tells_its_type_text_line_and_source() {
    let code = "def f(x):\n    return 1 / x\n\nprint('before')\nf(0)\n";
    let error = Bench::new().error(json!({"code": code})).await;
    assert_eq!(error.kind(), ErrorKind::ToolFailed);
    assert_eq!(error.retry(), Retry::Never);
    assert_eq!(error.operation(), Some("python/execute"));
    assert_eq!(error.message(), "python raised `ZeroDivisionError: division by zero` on line 2");
    let traceback = context(&error, "traceback");
    for line in ["File \"task code\", line 5, in <module>", "    f(0)", "    return 1 / x"] {
        assert!(traceback.contains(line), "{traceback}");
    }
    assert!(!traceback.contains("<string>"), "{traceback}");
    assert_eq!(context(&error, "stdout"), "\nbefore");
}

#[tokio::test]
async fn an_exception_in_a_file_names_the_file() {
    let bench = Bench::new();
    bench.write("job.py", "import os\n\nraise KeyError('missing')\n");
    let error = bench.error(json!({"file": "job.py"})).await;
    assert_eq!(error.message(), "python raised `KeyError: 'missing'` on line 3");
    assert!(
        context(&error, "traceback").contains("job.py\", line 3, in <module>\n    raise KeyError('missing')")
    );
}

#[tokio::test]
async fn a_syntax_error_tells_its_line() {
    let bench = Bench::new();
    let error = bench.error(json!({"code": "x = 1\ny = = 2\n"})).await;
    assert_eq!(error.message(), "python raised `SyntaxError: invalid syntax` on line 2");
    assert!(context(&error, "traceback").contains("y = = 2"));
    bench.write("job.py", "def f(:\n");
    assert!(bench.error(json!({"file": "job.py"})).await.message().ends_with("on line 1"));
}

#[tokio::test]
async fn failures_that_may_pass_can_be_retried() {
    for (raised, retry) in [
        ("ConnectionResetError('gone')", Retry::Backoff),
        ("RuntimeError('busy')", Retry::Backoff),
        ("SystemExit(75)", Retry::Backoff),
        ("SystemExit(1)", Retry::Never),
        ("FileNotFoundError('a.txt')", Retry::Never),
        ("TypeError('wrong')", Retry::Never),
    ] {
        let error = Bench::new().error(json!({"code": format!("raise {raised}")})).await;
        assert_eq!((error.kind(), error.retry()), (ErrorKind::ToolFailed, retry), "{raised}");
    }
}

#[tokio::test]
async fn a_missing_module_tells_where_modules_come_from() {
    let error = Bench::new().error(json!({"code": "import no_such_module_anywhere"})).await;
    assert_eq!(
        error.message(),
        "python raised `ModuleNotFoundError: No module named 'no_such_module_anywhere'` on line 1"
    );
    assert!(error.hint().unwrap().contains("`python.interpreter`"));
}

#[tokio::test]
async fn an_exit_code_is_a_failure() {
    for (code, message, stderr) in [
        ("import sys; result = 1; sys.exit(3)", "python exited with code 3", ""),
        ("import sys; sys.exit(256)", "python exited with code 256", ""),
        ("import sys; sys.exit('no input')", "python exited with code 1", "\nno input"),
        ("import os; result = 1; os._exit(4)", "python exited with code 4", ""),
        ("import atexit, os; atexit.register(os._exit, 5); result = 1", "python exited with code 5", ""),
    ] {
        let error = Bench::new().error(json!({"code": code})).await;
        assert_eq!((error.message(), context(&error, "stderr")), (message, stderr), "{code}");
    }
}

#[tokio::test]
async fn an_end_without_a_result_is_no_success() {
    for code in ["import os; os._exit(0)", "import os; os.execvp('true', ['true'])"] {
        let error = Bench::new().error(json!({"code": code})).await;
        assert_eq!(error.message(), "python ended without handing back a result", "{code}");
    }
}

#[tokio::test]
async fn a_signal_is_named() {
    for (signal, message, retry) in [
        ("SIGSEGV", "python was killed by signal 11 (SIGSEGV)", Retry::Never),
        ("SIGPIPE", "python was killed by signal 13 (SIGPIPE)", Retry::Never),
        ("SIGKILL", "python was killed by signal 9 (SIGKILL)", Retry::Backoff),
    ] {
        let code = format!(
            "import os, signal\nif signal.{signal} != signal.SIGKILL:\n    \
             signal.signal(signal.{signal}, signal.SIG_DFL)\nos.kill(os.getpid(), signal.{signal})"
        );
        let error = Bench::new().error(json!({"code": code})).await;
        assert_eq!((error.message(), error.retry()), (message, retry));
    }
}

#[tokio::test]
async fn code_that_kills_its_watcher_or_its_group_fails() {
    for target in ["os.kill(os.getppid(), 9)", "os.killpg(0, 9)"] {
        let error =
            Bench::new().error(json!({"code": format!("import os, time\n{target}\ntime.sleep(600)")})).await;
        assert_eq!(error.message(), "python was killed by signal 9 (SIGKILL)", "{target}");
    }
}

#[tokio::test]
async fn too_much_memory_in_one_process_is_a_memory_error() {
    let error = Bench::new()
        .error(json!({"code": "x = []\nwhile True:\n    x.append(bytearray(1 << 20))", "memory_mb": 64}))
        .await;
    assert_eq!(error.message(), "python raised `MemoryError` on line 3");
    assert_eq!(error.kind(), ErrorKind::ToolFailed);
    assert_eq!(
        error.hint(),
        Some(
            "the limit is 64 MiB; give the task a larger `memory_mb`, or raise the setting `python.memory_mb`"
        )
    );
}

#[tokio::test]
async fn too_much_memory_in_all_processes_is_stopped() {
    let code = "import os, time\nfor _ in range(8):\n    if not os.fork():\n        x = b'x' * (48 << 20)\n        \
                time.sleep(600)\ntime.sleep(600)";
    let error = Bench::new().error(json!({"code": code, "memory_mb": 64})).await;
    assert_eq!(error.message(), "python was stopped: its processes together used more than 64 MiB of memory");
    assert!(error.hint().unwrap().contains("`python.memory_mb`"));
}

#[tokio::test]
async fn a_fork_bomb_is_stopped() {
    // It doubles nine times and no more, so that a watch that fails does not take the machine down.
    let code = "import os, time\nfor _ in range(9):\n    os.fork()\ntime.sleep(600)";
    let error = Bench::new().error(json!({"code": code})).await;
    assert_eq!(error.message(), "python was stopped: the code started too many processes, more than 64");
    assert!(error.hint().unwrap().contains("`python.max_processes`"));
}

#[tokio::test]
async fn a_fork_bomb_that_leaves_the_group_is_stopped() {
    let code = "import os, time\nfor _ in range(200):\n    if not os.fork():\n        os.setsid()\n        \
                time.sleep(600)\ntime.sleep(600)";
    let error = Bench::new().error(json!({"code": code})).await;
    assert!(error.message().contains("too many processes"), "{error}");
}

#[tokio::test]
async fn a_result_that_is_not_json_is_named_by_its_place() {
    for (result, why) in [
        ("{1, 2}", "result: set is not JSON"),
        ("{'items': [0, 1, 2, {3}]}", "result.items[3]: set is not JSON"),
        ("{'a b': (b'x',)}", "result['a b'][0]: bytes is not JSON"),
        ("[float('nan')]", "result[0]: nan is not JSON"),
        ("{'x': float('-inf')}", "result.x: -inf is not JSON"),
        ("{(1, 2): 3}", "result: a key of type tuple is not JSON"),
        ("__import__('datetime').date(2020, 1, 1)", "result: datetime.date is not JSON"),
        ("['\\ud800']", "result[0]: the text contains half of a surrogate pair and is not JSON"),
        ("(lambda x: x.append(x) or x)([])", "result[0]: it contains itself"),
        (
            "__import__('functools').reduce(lambda x, _: [x], range(100000), 0)",
            "result: it is nested too deeply",
        ),
        ("[10**5000]", "result[0]: the integer has too many digits"),
        ("2**64", "result: the integer 18446744073709551616 does not fit 64 bits"),
        ("__import__('decimal').Decimal(1)", "result: decimal.Decimal is not JSON"),
    ] {
        let error = Bench::new().error(json!({"code": format!("result = {result}")})).await;
        assert_eq!(error.message(), format!("the result is not JSON: {why}"));
        assert!(error.hint().unwrap().starts_with("hand back numbers"));
    }
}

#[tokio::test]
async fn a_result_that_is_too_large_is_refused() {
    let mut bench = Bench::new();
    bench.config.max_result_bytes = 1000;
    assert_eq!(bench.result(json!({"code": "result = 'x' * 900"})).await.as_str().unwrap().len(), 900);
    let error = bench.error(json!({"code": "result = 'x' * 1000000"})).await;
    assert_eq!(error.message(), "the result has 1000013 bytes as JSON, more than the 1000 that it may have");
    assert!(error.hint().unwrap().contains("write large results to a file"));
}

#[tokio::test]
async fn a_file_must_exist_within_the_directory() {
    let bench = Bench::new();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("job.py"), "result = 1").unwrap();
    std::os::unix::fs::symlink(outside.path().join("job.py"), bench.path().join("link.py")).unwrap();
    for (file, kind) in [
        ("missing.py".to_owned(), ErrorKind::NotFound),
        (".".to_owned(), ErrorKind::InvalidRequest),
        ("link.py".to_owned(), ErrorKind::Permission),
        (outside.path().join("job.py").display().to_string(), ErrorKind::Permission),
        ("../../../../../../../../etc/passwd".to_owned(), ErrorKind::Permission),
    ] {
        let error = bench.error(json!({"file": file})).await;
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(&file) && error.hint().is_some(), "{error}");
    }
}

#[tokio::test]
async fn parameters_are_checked() {
    for (params, message) in [
        (json!({}), "neither `code` nor `file` is given"),
        (json!({"code": "1", "file": "a.py"}), "both `code` and `file` are given"),
        (json!({"code": 1}), "`code` must be a string, not `1`"),
        (json!({"code": "1", "context": [1]}), "`context` must be an object, not `[1]`"),
        (json!({"code": "1", "timeuot": 1}), "there is no parameter `timeuot`"),
        (json!({"code": "1", "timeout": 0}), "`timeout` is `0`"),
        (json!({"code": "1", "timeout": -1.5}), "`timeout` is `-1.5`"),
        (json!({"code": "1", "timeout": 1e300}), "`timeout` is `"),
        (json!({"code": "1", "memory_mb": 1}), "`memory_mb` is `1`"),
        (json!({"code": "1", "memory_mb": u64::MAX}), "`memory_mb` is `18446744073709551615`"),
    ] {
        let error = Bench::new().error(params).await;
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
        assert!(error.message().starts_with(message) && error.hint().is_some(), "{error}");
    }
}

#[tokio::test]
async fn an_interpreter_that_is_not_there_is_a_wrong_setting() {
    for interpreter in ["python-that-is-not-there", "/nowhere/python3", " ", "/etc/passwd"] {
        let mut bench = Bench::new();
        bench.config.interpreter = interpreter.to_owned();
        let error = bench.error(json!({"code": "1"})).await;
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Configuration, Retry::Never), "{error}");
        assert!(error.hint().unwrap().contains("`python.interpreter`"));
    }
}

#[tokio::test]
async fn a_program_that_is_not_python_is_told_by_its_end() {
    let large = "x".repeat(4 << 20);
    for (script, message) in [
        ("exit 0", "python ended without handing back a result"),
        ("exec <&-\nexit 4", "python exited with code 4"),
        ("echo broken >&2\nexec <&- >&- 2>&-\nkill -TERM $$", "python was killed by signal 15 (SIGTERM)"),
        ("cat >/dev/null <<END\nEND\nhead -c 10 >/dev/null\nexit 6", "python exited with code 6"),
    ] {
        let mut bench = Bench::new();
        bench.write("interpreter", &format!("#!/bin/sh\n{script}\n"));
        let path = bench.path().join("interpreter");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        bench.config.interpreter = path.display().to_string();
        let error = bench.error(json!({"code": "1", "context": {"large": large}})).await;
        assert_eq!(error.message(), message, "{script}");
    }
}
