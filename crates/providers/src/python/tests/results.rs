//! What code is given and what it hands back.

use serde_json::{Value, json};

use super::Bench;

#[tokio::test]
async fn results_keep_their_types() {
    let bench = Bench::new();
    let code = "result = {'whole': 42, 'real': 1.5, 'yes': True, 'none': None, 'tuple': (1, (2,)), 'text': '42', \
                'large': 2**64 - 1, 'small': -2**63, 'empty': [{}, [], ''], 3: 'key'}";
    assert_eq!(
        bench.result(json!({"code": code})).await,
        json!({"whole": 42, "real": 1.5, "yes": true, "none": null, "tuple": [1, [2]], "text": "42",
               "large": u64::MAX, "small": i64::MIN, "empty": [{}, [], ""], "3": "key"})
    );
}

#[tokio::test]
async fn code_that_sets_no_result_gives_null() {
    let answer = Bench::new().run(json!({"code": "print('hello')"})).await.unwrap();
    assert_eq!(answer["result"], Value::Null);
    assert_eq!(answer["output"], "hello\n");
    assert_eq!(answer["stderr"], "");
    assert_eq!(answer["success"], true);
    assert!(answer["execution_time"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn values_arrive_as_they_are() {
    let value = json!({
        "quotes": "'''\"\"\" \\ ' \"", "lines": "a\nb\r\n\tc\u{0}d\u{2028}", "reference": "${task.result} {x} %s $(id)",
        "text": "żółw 🐢 \u{200f}", "numbers": [0, -1, 1.25, 1e300, u64::MAX], "nested": {"": [null, true]},
    });
    let bench = Bench::new();
    assert_eq!(bench.result(json!({"code": "result = context", "context": value})).await, value);
}

#[tokio::test]
async fn values_are_never_part_of_the_source() {
    let attack = "'; open('broken', 'w').close(); '''\nopen('broken', 'w').close()\n\"\"\"";
    let bench = Bench::new();
    let params = json!({"code": "result = text", "context": {"text": attack, attack: 1}});
    assert_eq!(bench.result(params).await, attack);
    assert!(!bench.path().join("broken").exists());
}

#[tokio::test]
async fn names_among_the_keys_become_variables_and_others_do_not() {
    let code = "names = sorted(n for n in globals() if not n.startswith('__'))\n\
                result = [names, name, context['class'], context['result'], __name__]";
    let values = json!({"name": "n", "class": "c", "a b": 1, "context": 2, "result": 3, "__name__": 4});
    assert_eq!(
        Bench::new().result(json!({"code": code, "context": values})).await,
        json!([["context", "name", "result"], "n", "c", 3, "__main__"])
    );
    let unset = Bench::new().result(json!({"code": "pass", "context": {"result": 3}})).await;
    assert_eq!(unset, Value::Null);
}

#[tokio::test]
async fn printing_json_is_no_result() {
    let code = "print('{\"result\": 1}')\nprint('[2]')\nresult = 'mine'";
    let answer = Bench::new().run(json!({"code": code})).await.unwrap();
    assert_eq!(answer["result"], "mine");
    assert_eq!(answer["output"], "{\"result\": 1}\n[2]\n");
}

#[tokio::test]
async fn exit_with_success_keeps_the_result() {
    for exit in ["sys.exit(0)", "sys.exit()", "raise SystemExit"] {
        let code = format!("import sys\nresult = 7\n{exit}\nresult = 8");
        assert_eq!(Bench::new().result(json!({"code": code})).await, 7, "{exit}");
    }
}

#[tokio::test]
async fn a_file_runs_as_a_program_and_imports_what_lies_beside_it() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path().join("scripts")).unwrap();
    bench.write("scripts/sibling.py", "def double(x):\n    return 2 * x\n").write(
        "scripts/main.py",
        "import os, sys, sibling\n\
         if __name__ == '__main__':\n    \
             result = [sibling.double(n), os.path.basename(__file__), sys.argv == [__file__], \
                       os.path.samefile(os.getcwd(), os.environ['HOME'])]\n",
    );
    let params = json!({"file": "scripts/main.py", "context": {"n": 21}});
    assert_eq!(bench.result(params).await, json!([42, "main.py", true, true]));
}

#[tokio::test]
async fn a_file_may_name_its_encoding() {
    let bench = Bench::new();
    std::fs::write(bench.path().join("old.py"), b"# -*- coding: latin-1 -*-\nresult = '\xe4'\n").unwrap();
    assert_eq!(bench.result(json!({"file": "old.py"})).await, "ä");
}

#[tokio::test]
async fn the_environment_holds_no_secrets() {
    let bench = Bench::new();
    let code = "import os\nresult = sorted(k for k in os.environ if not k.startswith(('PYENV', '_', 'SHLVL', 'PWD', 'OLDPWD')))";
    assert_eq!(
        bench.result(json!({"code": code})).await,
        json!(["HOME", "LANG", "LC_ALL", "MOTET_TASK", "PATH"])
    );
    let code = "import sys\nresult = [any('not-for-children' in open(f'/proc/{p}/environ').read() for p in ('self', \
                __import__('os').getppid())), sys.flags.isolated, sys.flags.utf8_mode, sys.stdout.encoding]";
    assert_eq!(bench.result(json!({"code": code})).await, json!([false, 1, 1, "utf-8"]));
}

#[tokio::test]
async fn standard_input_is_empty() {
    let code = "import sys\nresult = [sys.stdin.read()]\ntry:\n    input()\nexcept EOFError:\n    result.append('end')";
    assert_eq!(Bench::new().result(json!({"code": code})).await, json!(["", "end"]));
}

#[tokio::test]
async fn output_that_is_no_text_is_replaced() {
    let code = "import sys\nsys.stdout.buffer.write(b'a\\xffb')\nsys.stderr.buffer.write(b'\\xc3')";
    let answer = Bench::new().run(json!({"code": code})).await.unwrap();
    assert_eq!(answer["output"], "a\u{fffd}b");
    assert_eq!(answer["stderr"], "\u{fffd}");
}

#[tokio::test]
async fn a_flood_of_output_is_cut_with_a_notice() {
    let mut bench = Bench::new();
    bench.config.max_output_bytes = 1000;
    let code = "for _ in range(64):\n    print('x' * 65535)\nresult = 'done'";
    let answer = bench.run(json!({"code": code})).await.unwrap();
    assert_eq!(answer["result"], "done");
    let output = answer["output"].as_str().unwrap();
    assert!(output.ends_with("\n[motet: output cut off, 1000 of 4194304 bytes kept]\n"), "{output}");
    assert_eq!(output.matches('x').count(), 1000);
}

#[tokio::test]
async fn code_that_closes_its_standard_streams_still_answers() {
    let code = "import os\nfor n in (0, 1, 2):\n    os.close(n)\nresult = 'here'";
    assert_eq!(Bench::new().result(json!({"code": code})).await, "here");
}

#[tokio::test]
async fn a_forked_copy_of_the_code_does_not_answer() {
    let code =
        "import os\npid = os.fork()\nresult = 'parent' if pid else 'child'\nif pid:\n    os.waitpid(pid, 0)";
    assert_eq!(Bench::new().result(json!({"code": code})).await, "parent");
}

#[tokio::test]
async fn threads_and_exit_functions_are_waited_for() {
    let code = "import atexit, threading\natexit.register(print, 'at exit')\n\
                threading.Timer(0.05, print, ['thread']).start()";
    let answer = Bench::new().run(json!({"code": code})).await.unwrap();
    assert_eq!(answer["output"], "thread\nat exit\n");
}

#[tokio::test]
async fn worker_processes_of_the_standard_library_work() {
    let bench = Bench::new();
    bench.write(
        "pool.py",
        "import multiprocessing\ndef square(n):\n    return n * n\n\
         if __name__ == '__main__':\n    \
             with multiprocessing.get_context('spawn').Pool(2) as pool:\n        result = pool.map(square, [1, 2, 3])\n",
    );
    assert_eq!(bench.result(json!({"file": "pool.py"})).await, json!([1, 4, 9]));
}

#[tokio::test]
async fn calls_run_side_by_side() {
    let bench = Bench::new();
    let call = |n: u32| {
        let method = bench.method();
        let call = super::call(bench.path(), json!({"code": "result = n", "context": {"n": n}}));
        async move {
            let context = motet_core::RunContext::new();
            motet_core::method::Method::call(&method, &context, call).await.unwrap().result().unwrap()["result"].take()
        }
    };
    let (a, b, c) = tokio::join!(call(1), call(2), call(3));
    assert_eq!([a, b, c], [json!(1), json!(2), json!(3)]);
    assert_eq!(super::left(bench.path()), Vec::<String>::new());
}
