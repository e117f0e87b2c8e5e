//! `motet rpc call`: what is sent, what is printed, and how it ends.

use std::io::Write as _;
use std::process::Stdio;

use motet_tests::command::{Done, Place};
use serde_json::{Value, json};

/// Tells how a call came; fails with the code that is the method's name, and refuses batches of `refuse`.
const SERVER: &str = r#"
import json, sys
for line in sys.stdin:
    sent = json.loads(line)
    calls = sent if isinstance(sent, list) else [sent]
    answers = []
    for call in calls:
        answer = {"jsonrpc": "2.0", "id": call["id"]}
        if call["method"].startswith("-"):
            answer["error"] = {"code": int(call["method"]), "message": "it does not go"}
        else:
            answer["result"] = type(sent).__name__
        answers.append(answer)
    if len(calls) > 1 and calls[0]["method"] == "refuse":
        answers = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no batches"}}
    print(json.dumps(answers if isinstance(sent, list) else answers[0]), flush=True)
"#;

const TARGET: &str = "python3 -u server.py";

fn place() -> Place {
    let place = Place::new().unwrap();
    place.write("server.py", SERVER).unwrap();
    place
}

fn sent(place: &Place, text: &Value) -> Done {
    let mut command = place.command(&["rpc", "call", TARGET, "--output", "json"]).unwrap();
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.to_string().as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn what_stands_on_standard_input_is_sent_as_it_is() {
    let place = place();
    let call = |method: &str, id: u32| json!({"jsonrpc": "2.0", "method": method, "id": id});
    let one = sent(&place, &call("x", 7));
    assert_eq!((one.code, &one.json().unwrap()["result"]), (Some(0), &json!("dict")), "{one:?}");
    let batch = sent(&place, &json!([call("x", 7)]));
    assert_eq!((batch.code, &batch.json().unwrap()[0]["result"]), (Some(0), &json!("list")), "{batch:?}");
    let failed = sent(&place, &json!([call("x", 7), call("-32601", 8)]));
    assert_eq!((failed.code, failed.json().unwrap().as_array().unwrap().len()), (Some(1), 2), "{failed:?}");
    let refused = sent(&place, &json!([call("refuse", 7), call("x", 8)]));
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.json().unwrap()["error"]["message"].as_str().unwrap().contains("no batches"),
        "{refused:?}"
    );
}

#[test]
fn a_call_that_failed_ends_with_one_whatever_its_code_says_and_what_was_given_wrong_with_three() {
    let place = place();
    for method in ["-32601", "-32602", "-29004", "-29009", "-31003"] {
        let done = place.run(&["rpc", "call", "--", TARGET, method]).unwrap();
        assert!(done.code == Some(1) && done.stderr.contains("it does not go"), "{method}: {done:?}");
        assert_eq!(done.stdout, "");
    }
    let done = place.run(&["rpc", "call", "--header", "x-key: 1", TARGET, "x"]).unwrap();
    assert!(done.code == Some(3) && done.stderr.contains("a program takes no headers"), "{done:?}");
    let done = place.run(&["rpc", "call", TARGET, "x", "7"]).unwrap();
    assert_eq!(done.code, Some(3), "{done:?}");
}
