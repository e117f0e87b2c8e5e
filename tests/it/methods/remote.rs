//! Methods of other programs: over HTTP and standard input, with instances that die and come back.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use motet_tests::command::Place;
use motet_tests::server::{Reply, Request, Server};
use serde_json::{Value, json};

use super::{outputs, ran, task};

fn answered(request: &Request, result: Value) -> Reply {
    Reply::json(200, &json!({"jsonrpc": "2.0", "id": request.body["id"], "result": result}))
}

fn refused(request: &Request, error: Value) -> Reply {
    Reply::json(200, &json!({"jsonrpc": "2.0", "id": request.body["id"], "error": error}))
}

#[test]
fn methods_are_answered_over_http_and_by_a_program() {
    let server = Server::start(|request, _| {
        let called = request.body["method"].clone();
        answered(request, json!({"called": called, "got": request.body["params"]["text"]}))
    })
    .unwrap();
    let place = Place::new().unwrap();
    std::fs::copy(
        motet_tests::command::workspace().join("examples/methods/words.py"),
        place.path().join("words.py"),
    )
    .unwrap();
    let found = outputs(
        &place,
        &format!(
            "providers:\n  web: {{type: http, url: '{}', prefix: text/}}\n  \
             words: {{type: stdio, command: python3, args: [words.py], effect: pure}}\n\
             tasks:\n- {{id: a, method: text/upper, params: {{text: one two}}}}\n\
             - {{id: b, method: words/count, params: {{text: '${{a.got}}'}}}}\n\
             outputs: {{called: '${{a.called}}', count: '${{b}}'}}\n",
            server.url()
        ),
    );
    assert_eq!(found, json!({"called": "text/upper", "count": 2}));
}

#[test]
fn each_code_of_an_error_is_the_kind_that_the_guide_says() {
    const CODES: [(i64, &str); 8] = [
        (-32602, "invalid_request"),
        (-32601, "unsupported"),
        (-32603, "tool_failed"),
        (-31005, "rate_limit"),
        (-30006, "timeout"),
        (-25005, "authentication"),
        (-25006, "permission"),
        (-32700, "invalid_request"),
    ];
    let server = Server::start(|request, _| {
        let code = request.body["params"]["code"].clone();
        refused(request, json!({"code": code, "message": format!("no {code}")}))
    })
    .unwrap();
    let codes: Vec<i64> = CODES.iter().map(|(code, _)| *code).collect();
    let place = Place::new().unwrap();
    place.write("motet.toml", "[breaker]\nenabled = false\n").unwrap();
    let (done, report) = ran(
        &place,
        &format!(
            "providers: {{web: {{type: http, url: '{}'}}}}\ntasks:\n- id: a\n  for_each: {codes:?}\n  \
             method: web/fail\n  params: {{code: '${{item}}'}}\n  on_failure: continue\n",
            server.url()
        ),
    );
    assert_eq!(done.code, Some(0), "{done:?}");
    for (place, (code, kind)) in CODES.into_iter().enumerate() {
        let error = &task(&report, &format!("a[{place}]"))["error"];
        assert_eq!(error["kind"], kind, "{code}: {error}");
        assert!(error["message"].as_str().unwrap().contains(&format!("no {code}")), "{error}");
    }
}

#[test]
fn a_call_that_takes_too_long_is_given_up_and_its_program_ended() {
    let place = Place::new().unwrap();
    let program = "echo $$ > pid; exec sleep 600";
    let (done, report) = ran(
        &place,
        &format!(
            "providers: {{slow: {{type: stdio, command: sh, args: [-c, '{program}'], timeout: 300ms}}}}\n\
             tasks: [{{id: a, method: slow/work}}]\n"
        ),
    );
    assert_eq!((done.code, &task(&report, "a")["error"]["kind"]), (Some(1), &json!("timeout")), "{done:?}");
    let process = place.read("pid").unwrap();
    assert!(
        !std::path::Path::new(&format!("/proc/{}/cwd", process.trim())).exists(),
        "the program still runs"
    );
}

/// A workflow of so many calls, one after the other, over these instances.
fn many(count: usize, provider: &str) -> String {
    let items: Vec<usize> = (0..count).collect();
    format!(
        "max_parallel_tasks: 1\nproviders:\n  web: {provider}\ntasks:\n- id: a\n  for_each: {items:?}\n  \
         method: web/work\n  params: {{n: '${{item}}'}}\n  retry: {{max_attempts: 5, base_delay: 1ms}}\noutputs: {{all: '${{a}}'}}\n"
    )
}

#[test]
fn calls_go_to_the_instance_that_lives_when_the_other_is_dead() {
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::start(|request, _| answered(request, request.body["params"]["n"].clone())).unwrap();
    let provider =
        format!("{{type: http, instances: [{{url: 'http://{dead}/'}}, {{url: '{}'}}]}}", server.url());
    let found = outputs(&Place::new().unwrap(), &many(8, &provider));
    assert_eq!(found["all"], json!([0, 1, 2, 3, 4, 5, 6, 7]));
    assert_eq!(server.requests().len(), 8, "each call is made once");
}

#[test]
fn the_circuit_of_an_instance_that_fails_opens_and_it_is_left_alone() {
    let failing = Server::start(|_, _| Reply::text(503, "text/plain", "down")).unwrap();
    let server = Server::start(|request, _| answered(request, request.body["params"]["n"].clone())).unwrap();
    let place = Place::new().unwrap();
    place.write("motet.toml", "[breaker]\nmin_calls = 3\nopen_for = \"10m\"\n").unwrap();
    let provider = format!(
        "{{type: http, effect: pure, instances: [{{url: '{}'}}, {{url: '{}'}}]}}",
        failing.url(),
        server.url()
    );
    let found = outputs(&place, &many(20, &provider));
    assert_eq!(found["all"].as_array().unwrap().len(), 20);
    let asked = failing.requests().len();
    assert!((1..=4).contains(&asked), "the instance that fails was asked {asked} times");
}

#[test]
fn an_instance_that_is_well_again_is_called_again() {
    /// Looks at its health after which it is well.
    const SICK: usize = 4;
    let (looks, work) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (looked, worked) = (Arc::clone(&looks), Arc::clone(&work));
    let sick = Server::start(move |request, _| {
        if request.path.ends_with("/health") {
            let look = looked.fetch_add(1, Ordering::SeqCst);
            return Reply::text(if look < SICK { 500 } else { 200 }, "text/plain", "so so");
        }
        worked.fetch_add(1, Ordering::SeqCst);
        answered(request, request.body["params"]["n"].clone())
    })
    .unwrap();
    let (looked, done) = (Arc::clone(&looks), Arc::clone(&work));
    let well = Server::start(move |request, number| {
        // The tenth call waits until the other is well, and those after it are slow enough for it to be seen.
        while number == 10 && looked.load(Ordering::SeqCst) <= SICK {
            std::thread::yield_now();
        }
        if number > 10 && done.load(Ordering::SeqCst) == 0 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        if request.path.ends_with("/health") {
            return Reply::text(200, "text/plain", "well");
        }
        answered(request, request.body["params"]["n"].clone())
    })
    .unwrap();
    let url = |server: &Server| format!("http://{}/", server.host());
    let provider = format!(
        "{{type: http, effect: pure, health: {{path: /health, interval: 20ms}}, instances: [{{url: '{}'}}, {{url: '{}'}}]}}",
        url(&sick),
        url(&well)
    );
    let found = outputs(&Place::new().unwrap(), &many(150, &provider));
    assert_eq!(found["all"].as_array().unwrap().len(), 150);
    assert!(work.load(Ordering::SeqCst) > 0, "nobody called it after {} looks", looks.load(Ordering::SeqCst));
}
