//! Services of the web as tasks ask them: allowed hosts alone, and nothing secret in what is told.

use motet_tests::command::Place;
use motet_tests::server::{Reply, Server};
use serde_json::json;

use super::{outputs, ran, task};

fn allowing(host: &str) -> Place {
    let place = Place::new().unwrap();
    place.write("motet.toml", format!("[http]\nallow = [\"{host}\"]\n")).unwrap();
    place
}

#[test]
fn an_allowed_host_is_asked_and_its_answer_is_data() {
    let server =
        Server::start(|request, _| Reply::json(200, &json!({"path": request.path, "got": request.body})))
            .unwrap();
    let place = allowing(&server.host());
    let url = format!("http://{}/a", server.host());
    let found = outputs(
        &place,
        &format!(
            "tasks:\n- {{id: get, method: http/request, params: {{url: '{url}', query: {{city: Paris}}}}}}\n\
             - {{id: post, method: http/request, params: {{url: '{url}', json: {{n: 1}}}}}}\n\
             outputs: {{get: '${{get.json.path}}', status: '${{get.result.status}}', post: '${{post.json.got.n}}'}}\n"
        ),
    );
    assert_eq!(found, json!({"get": "/a?city=Paris", "status": 200, "post": 1}));
}

#[test]
fn a_host_that_is_not_allowed_is_not_asked() {
    let server = Server::start(|_, _| Reply::json(200, &json!(1))).unwrap();
    let workflow =
        format!("tasks: [{{id: a, method: http/request, params: {{url: 'http://{}/'}}}}]", server.host());
    // Every name is allowed, and an address inside of a network is none of them.
    for place in [Place::new().unwrap(), allowing("api.example.com"), allowing("*")] {
        let (done, report) = ran(&place, &workflow);
        assert_eq!(
            (done.code, &task(&report, "a")["error"]["kind"]),
            (Some(1), &json!("permission")),
            "{done:?}"
        );
        assert!(task(&report, "a")["error"]["hint"].as_str().unwrap().contains("http.allow"), "{report}");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_redirect_to_a_host_that_is_not_allowed_is_not_followed() {
    let other = Server::start(|_, _| Reply::json(200, &json!(1))).unwrap();
    let to = format!("http://{}/", other.host());
    let server =
        Server::start(move |_, _| Reply::json(302, &json!(null)).with_header("location", &to)).unwrap();
    let workflow =
        format!("tasks: [{{id: a, method: http/request, params: {{url: 'http://{}/'}}}}]", server.host());
    let (done, report) = ran(&allowing(&server.host()), &workflow);
    assert_eq!(
        (done.code, &task(&report, "a")["error"]["kind"]),
        (Some(1), &json!("permission")),
        "{done:?}"
    );
    assert!(other.requests().is_empty());
}

#[test]
fn a_value_of_the_environment_stands_in_no_error_wherever_it_was_sent() {
    let server = Server::start(|request, _| {
        Reply::text(500, "text/plain", &format!("{} broke on {}", request.path, request.body))
    })
    .unwrap();
    let place = allowing(&server.host());
    let workflow = format!(
        "env: [TOKEN]\ntasks:\n- id: a\n  method: http/request\n  params:\n    url: 'http://{}/x/${{env.TOKEN}}/y'\n    json: {{token: '${{env.TOKEN}}'}}\n    headers: {{authorization: 'Bearer ${{env.TOKEN}}'}}\n",
        server.host()
    );
    place.write("w.yaml", workflow).unwrap();
    let run = |arguments: &[&str]| {
        let output = place.command(arguments).unwrap().env("TOKEN", "tok en/s3cret").output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let told = run(&["run", "w.yaml", "--output", "json"]);
    assert!(told.contains("/x/****/y"), "{told}");
    let runs = place.run(&["workflow", "list", "--output", "json"]).unwrap().json().unwrap();
    let told = told + &run(&["workflow", "status", runs[0]["id"].as_str().unwrap()]);
    assert!(!told.contains("s3cret"), "{told}");
    assert!(server.requests()[0].path.contains("s3cret"), "it was sent");
}
