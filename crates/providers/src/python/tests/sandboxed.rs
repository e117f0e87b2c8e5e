//! The sandbox, other interpreters, and what code may need.

use motet_core::ErrorKind;
use serde_json::json;

use super::*;

#[tokio::test]
async fn the_sandbox_has_the_same_context_and_result() {
    let bench = Bench::new();
    let code = "print('hello')\nresult = {'sum': a + context['b'], 'list': [x * 2 for x in xs]}";
    let params = json!({"code": code, "context": {"a": 1, "b": 2, "xs": [1, 2]}});
    let mut boxed = params.clone();
    boxed["sandbox"] = json!(true);
    let (plain, boxed) = (bench.run(params).await.unwrap(), bench.run(boxed).await.unwrap());
    for field in ["result", "output", "stderr", "success"] {
        assert_eq!(plain[field], boxed[field], "{field}");
    }
    assert_eq!(boxed["result"], json!({"sum": 3, "list": [2, 4]}));
    assert_eq!(bench.result(json!({"code": "x = 1", "sandbox": true})).await, Value::Null);
    bench.write("double.py", "result = n * 2");
    let params = json!({"file": "double.py", "context": {"n": 4}, "sandbox": true});
    assert_eq!(bench.result(params).await, json!(8));
}

#[tokio::test]
async fn the_sandbox_has_no_way_out_and_is_bounded() {
    let bench = Bench::new();
    let boxed = |code: &str| json!({"code": code, "sandbox": true, "timeout": 0.2});
    assert_eq!(bench.error(boxed("while True: pass")).await.kind(), ErrorKind::Timeout);
    assert_eq!(bench.error(boxed("import subprocess\nresult = 1")).await.kind(), ErrorKind::ToolFailed);
    assert_eq!(bench.error(boxed("result = open('/etc/passwd').read()")).await.kind(), ErrorKind::ToolFailed);
    assert_eq!(bench.error(boxed("raise ValueError('no')")).await.kind(), ErrorKind::ToolFailed);
    assert_eq!(bench.error(boxed("result = (")).await.kind(), ErrorKind::ToolFailed);
    let params = json!({"code": "result = 1", "sandbox": true, "requirements": ["numpy"]});
    assert_eq!(bench.error(params).await.kind(), ErrorKind::InvalidRequest);
}

#[tokio::test]
async fn requirements_need_an_interpreter_and_are_looked_for() {
    let bench = Bench::new();
    let needs = |list: Value, interpreter: Option<&str>| json!({"code": "result = 1", "requirements": list, "interpreter": interpreter});
    let error = bench.error(needs(json!(["numpy"]), None)).await;
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.hint().unwrap().contains("`interpreter`"));
    let error = bench.error(needs(json!(["no-such-package-anywhere>=1"]), Some("python3"))).await;
    assert!(error.to_string().contains("`no-such-package-anywhere` is not installed"), "{error}");
    assert!(error.hint().unwrap().contains("pip install"));
    for wrong in [json!(["--extra=x"]), json!([1]), json!([""])] {
        assert_eq!(bench.error(needs(wrong, Some("python3"))).await.kind(), ErrorKind::InvalidRequest);
    }
    let error = bench.error(needs(json!(["a b c"]), Some("python3"))).await;
    assert!(error.to_string().contains("is no name with versions"), "{error}");
    let error = bench.error(json!({"code": "result = 1", "interpreter": "./none/python"})).await;
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn what_is_installed_meets_requirements_by_its_version() {
    let bench = Bench::new();
    // A package of its own, as an installer would leave it.
    let site = bench.path().join("site");
    std::fs::create_dir_all(site.join("tiny-2.10.1.dist-info")).unwrap();
    let metadata = "Metadata-Version: 2.1\nName: tiny\nVersion: 2.10.1\n";
    std::fs::write(site.join("tiny-2.10.1.dist-info/METADATA"), metadata).unwrap();
    let look = format!(
        "import sys; sys.path.insert(0, {:?}); sys.argv[1:] = sys.argv[1:]\n{}",
        site.display().to_string(),
        include_str!("../requirements.py")
    );
    let missing = |requirement: &str| {
        let output =
            std::process::Command::new("python3").args(["-I", "-c", &look, requirement]).output().unwrap();
        serde_json::from_slice::<Vec<String>>(&output.stdout).unwrap()
    };
    for met in
        ["tiny", "Tiny>=2.9", "tiny==2.10.1", "tiny[extra]>2,<3", "tiny~=2.8", "tiny!=2.1", "tiny==2.10.*"]
    {
        assert_eq!(missing(met), Vec::<String>::new(), "{met}");
    }
    for unmet in ["tiny<2", "tiny==2.1", "tiny~=2.11", "tiny>=2.10.2", "tiny==2.9.*"] {
        assert_eq!(missing(unmet).len(), 1, "{unmet}");
    }
}

#[tokio::test]
async fn code_sees_of_the_environment_what_the_settings_list() {
    let mut bench = Bench::new();
    let code = json!({"code": "import os\nresult = os.environ.get('OPENAI_API_KEY')"});
    assert_eq!(bench.result(code.clone()).await, Value::Null);
    bench.config.env = vec!["OPENAI_API_KEY".to_owned()];
    assert_eq!(bench.result(code).await, json!("sk-not-for-children"));
}
