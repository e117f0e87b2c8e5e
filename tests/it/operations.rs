//! Vectors, lists of models, health, and dry runs by the command, against a provider on loopback.

use motet_tests::command::Place;
use motet_tests::server::{Reply, Request, Server};
use serde_json::{Value, json};

/// A provider that speaks as OpenAI does: it lists two models, and a vector holds the length of its text.
fn provider(request: &Request) -> Reply {
    if !request.headers.contains(&("authorization".to_owned(), "Bearer sk-right-0123456789".to_owned())) {
        return Reply::json(
            401,
            &json!({"error": {"message": "Incorrect API key", "code": "invalid_api_key"}}),
        );
    }
    if request.path == "/v1/models" {
        return Reply::json(
            200,
            &json!({"object": "list", "data": [
            {"id": "m-1", "object": "model", "created": 1_700_000_000, "owned_by": "lab"},
            {"id": "m-2", "object": "model", "created": 0, "owned_by": "lab"}]}),
        );
    }
    let texts = request.body["input"].as_array().cloned().unwrap_or_default();
    let vector = |(index, text): (usize, &Value)| {
        let length = text.as_str().unwrap_or_default().len();
        json!({"object": "embedding", "index": index, "embedding": [length, 0.5]})
    };
    let data: Vec<Value> = texts.iter().enumerate().map(vector).collect();
    Reply::json(
        200,
        &json!({"object": "list", "data": data, "model": "e-1",
        "usage": {"prompt_tokens": 7, "total_tokens": 7}}),
    )
}

/// A place whose settings name a provider `lab` at a server, with a key.
fn place(server: &Server, key: &str) -> Place {
    let place = Place::new().unwrap();
    let settings = format!(
        "[providers.lab]\nbase_url = \"{}\"\napi_key = \"{key}\"\n[prices.\"lab:e\"]\ninput = 1.0\noutput = 0\n",
        server.url()
    );
    place.write("motet.toml", settings).unwrap();
    place
}

const RIGHT: &str = "sk-right-0123456789";

#[test]
fn texts_become_vectors() {
    let server = Server::start(|request, _| provider(request)).unwrap();
    let place = place(&server, RIGHT);
    place.write("texts.txt", "one\n\nthree \n").unwrap();
    let embed = ["embed", "--model", "lab:e", "--file", "texts.txt"];
    assert_eq!(place.run(&embed).unwrap().stdout, "[3,0.5]\n[5,0.5]\n");
    let shape = place.run(&[&embed[..], &["--output", "json"]].concat()).unwrap().json().unwrap();
    insta::assert_json_snapshot!(shape, @r#"
    {
      "embeddings": [
        [
          3.0,
          0.5
        ],
        [
          5.0,
          0.5
        ]
      ],
      "dimensions": 2,
      "usage": {
        "input": 7,
        "output": 0
      },
      "cost": 0.000007,
      "model": "lab:e",
      "served_model": "e-1",
      "provider": "lab",
      "request_id": "req_test"
    }
    "#);
    assert_eq!(server.requests()[0].path, "/v1/embeddings");
}

#[test]
fn a_long_wait_for_vectors_is_told_on_stderr_but_not_beside_json() {
    for (flags, expected) in [(&[][..], true), (&["--output", "json"][..], false)] {
        let server = Server::start(|request, number| match number {
            0 => {
                Reply::json(429, &json!({"error": {"message": "slow down"}})).with_header("retry-after", "1")
            }
            _ => provider(request),
        })
        .unwrap();
        let place = place(&server, RIGHT);
        let done = place.run(&[&["embed", "--model", "lab:e", "one"][..], flags].concat()).unwrap();
        assert_eq!(done.code, Some(0), "{done:?}");
        let told = done.stderr.starts_with("attempt 2 follows in 1.0 s: slow down");
        assert_eq!((told, done.stderr.is_empty()), (expected, !expected), "{done:?}");
    }
}

#[test]
fn vectors_without_a_network() {
    let place = Place::new().unwrap();
    let done =
        place.run(&["embed", "--model", "offline:extract", "a ship", "ships", "--output", "json"]).unwrap();
    let shape = done.json().unwrap();
    assert_eq!((&shape["dimensions"], shape["embeddings"].as_array().unwrap().len()), (&json!(256), 2));
    let short = place.run(&["embed", "-m", "offline:extract", "--dimensions", "2", "a", "b"]).unwrap();
    assert_eq!(short.stdout.lines().count(), 2);
    let none = place.run(&["embed", "-m", "offline:extract"]).unwrap();
    assert_eq!(none.code, Some(3));
    insta::assert_snapshot!(none.stderr, @"
    error: there is no text to embed
    hint: give texts as arguments, or one a line in `--file` or on standard input
    ");
    let unable = place.run(&["embed", "-m", "scripted:x.json", "a"]).unwrap();
    insta::assert_snapshot!(unable.stderr, @"
    error: provider `scripted` cannot embed
    hint: `motet provider list` shows what each can do
    ");
}

#[test]
fn a_providers_models_are_listed() {
    let server = Server::start(|request, _| provider(request)).unwrap();
    let place = place(&server, RIGHT);
    insta::assert_snapshot!(place.run(&["model", "list", "lab"]).unwrap().stdout, @"
    MODEL  CONTEXT  OUTPUT  CREATED
    m-1    -        -       2023-11-14
    m-2    -        -       -
    ");
    let listed = place.run(&["model", "list", "lab", "--output", "json"]).unwrap().json().unwrap();
    assert_eq!(listed[0], json!({"id": "m-1", "owner": "lab", "created": 1_700_000_000}));
    let refused = place.run(&["model", "list", "scripted"]).unwrap();
    assert_eq!(refused.code, Some(3));
}

#[test]
fn health_tells_what_is_wrong_with_each_provider() {
    let server = Server::start(|request, _| provider(request)).unwrap();
    let right = place(&server, RIGHT);
    let done = right.run(&["provider", "health", "lab", "--output", "json"]).unwrap();
    let health = done.json().unwrap();
    assert_eq!((&health[0]["status"], &health[0]["models"], done.code), (&json!("ok"), &json!(2), Some(0)));
    assert!(health[0]["latency_ms"].is_u64());
    let wrong = place(&server, "sk-wrong-0123456789");
    let done = wrong.run(&["provider", "health", "lab", "openai", "offline", "--output", "json"]).unwrap();
    let health = done.json().unwrap();
    let statuses: Vec<&str> = (0..3).map(|at| health[at]["status"].as_str().unwrap()).collect();
    assert_eq!((statuses, done.code), (vec!["key_refused", "missing_key", "ok"], Some(1)));
    let page = Server::start(|_, _| Reply::text(200, "text/html", "<html>Log in</html>")).unwrap();
    let done = place(&page, RIGHT).run(&["provider", "health", "lab", "--output", "json"]).unwrap();
    assert_eq!(done.json().unwrap()[0]["status"], "failing");
    let gone = Server::start(|_, _| Reply::text(200, "", "")).unwrap();
    let unreachable = place(&gone, RIGHT);
    drop(gone);
    let done = unreachable.run(&["provider", "health", "lab"]).unwrap();
    assert!(done.stdout.contains("unreachable") && done.stderr.contains("hint: "), "{done:?}");
    assert_eq!(done.code, Some(1));
    assert_eq!(Place::new().unwrap().run(&["provider", "health", "nobody"]).unwrap().code, Some(3));
}

#[test]
fn providers_that_are_ready_come_first() {
    let place = Place::new().unwrap();
    let listed = place.run(&["provider", "list", "--output", "json"]).unwrap().json().unwrap();
    let ready: Vec<bool> =
        listed.as_array().unwrap().iter().map(|one| one["ready"].as_bool().unwrap()).collect();
    assert!(ready.is_sorted_by_key(|ready| !ready) && ready[0] && !ready[ready.len() - 1], "{ready:?}");
    let openai = listed.as_array().unwrap().iter().find(|one| one["name"] == "openai").unwrap();
    assert_eq!((&openai["key"], &openai["ready"]), (&json!("OPENAI_API_KEY"), &json!(false)));
    assert_eq!(openai["can"][0], "chat");
    let only = place.run(&["provider", "list", "--ready"]).unwrap().stdout;
    assert!(only.contains("offline") && !only.contains("openai "), "{only}");
}

#[test]
fn a_dry_run_shows_the_request_and_sends_nothing() {
    let place = Place::new().unwrap();
    place
        .write("t.json", r#"[{"name":"weather","description":"Tells it","parameters":{"type":"object"}}]"#)
        .unwrap();
    let chat = ["--set", "providers.openai.dialect=openai-chat"];
    let asked = ["complete", "Hi", "--model", "openai:o3", "--dry-run", "--stream", "--temperature", "1"];
    let done = place.run(&[&asked[..], &chat].concat()).unwrap();
    assert_eq!(done.code, Some(0));
    insta::assert_snapshot!(done.stdout, @r#"
    POST https://api.openai.com/v1/chat/completions
    content-type: application/json
    authorization: Bearer <OPENAI_API_KEY>

    {
      "model": "o3",
      "messages": [
        {
          "role": "user",
          "content": "Hi"
        }
      ],
      "stream": true,
      "stream_options": {
        "include_usage": true
      }
    }
    "#);
    insta::assert_snapshot!(done.stderr, @"
    note: `OPENAI_API_KEY` is not set; a placeholder stands where the key would be
    warning: the model does not accept `temperature`; left out
    ");
    let server = Server::start(|request, _| provider(request)).unwrap();
    let mut command = place
        .command(&[
            "complete",
            "Hi",
            "-m",
            "openai:x",
            "--base-url",
            &server.url(),
            "--dry-run",
            "--tools",
            "t.json",
            "--output",
            "json",
        ])
        .unwrap();
    let done: motet_tests::command::Done = command.env("OPENAI_API_KEY", RIGHT).output().unwrap().into();
    let shape = done.json().unwrap();
    assert_eq!(shape["headers"]["authorization"], "Bearer ****6789");
    assert_eq!((&shape["method"], &shape["missing_key"]), (&json!("POST"), &json!(null)));
    assert_eq!(shape["body"]["tools"][0]["function"]["name"], "weather");
    assert_eq!(server.requests().len(), 0);
}
