//! What a newcomer sees when something is wrong on the way to a provider: one line, and what to do about it.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use motet_tests::command::{Done, Place};
use motet_tests::server::{Reply, Server};
use serde_json::json;

/// Stands where no server is asked.
const NO_HOST: &str = "no server";

/// Runs `motet complete` and gives its exit code and stderr, in which the server's address is `HOST`.
fn told(arguments: &[&str], environment: &[(&str, &str)], host: &str) -> String {
    let place = Place::new().unwrap();
    let mut command = place.command(&[&["complete", "Hello"], arguments].concat()).unwrap();
    command.envs(environment.iter().copied()).env("MOTET_RETRY_MIN_DELAY", "1ms");
    let done: Done = command.output().unwrap().into();
    assert!(done.stdout.is_empty(), "{done:?}");
    assert_eq!(done.stderr.lines().count(), 2, "an error and a hint, one line each: {done:?}");
    format!("exit code {}\n{}", done.code.unwrap(), done.stderr.replace(host, "HOST"))
}

/// Asks a server that gives this reply for `openai:gpt-4o`, by a key.
fn refused(reply: Reply) -> String {
    let server = Server::start(move |_, _| reply.clone()).unwrap();
    let key = [("OPENAI_API_KEY", "sk-0123456789abcdefghij")];
    let told = told(&["--model", "openai:gpt-4o", "--base-url", &server.url()], &key, &server.host());
    assert!(!told.contains("0123456789abcdef"), "{told}");
    told
}

#[test]
fn a_wrong_key() {
    let body = json!({"error": {"message": "Incorrect API key provided: sk-0123456789abcdefghij. You can find your API key at https://x.", "type": "invalid_request_error", "param": null, "code": "invalid_api_key"}});
    insta::assert_snapshot!(refused(Reply::json(401, &body)), @"
    exit code 1
    error: Incorrect API key provided: ****. You can find your API key at https://x. (code: invalid_api_key, type: invalid_request_error)
    hint: set `OPENAI_API_KEY` to a valid key of `openai`
    ");
}

#[test]
fn an_unknown_model() {
    let body = json!({"error": {"message": "The model `gpt-4o` does not exist or you do not have access to it.", "type": "invalid_request_error", "code": "model_not_found"}});
    insta::assert_snapshot!(refused(Reply::json(404, &body)), @"
    exit code 3
    error: The model `gpt-4o` does not exist or you do not have access to it. (code: model_not_found, type: invalid_request_error)
    hint: check the name of model `gpt-4o` and the base URL; `motet model list openai` shows the names there are
    ");
}

#[test]
fn a_missing_key() {
    insta::assert_snapshot!(told(&["--model", "openai:gpt-4o"], &[], NO_HOST), @"
    exit code 3
    error: provider `openai` needs an API key
    hint: set `OPENAI_API_KEY` in the environment or in `.env`
    ");
}

#[test]
fn a_misspelt_provider() {
    insta::assert_snapshot!(told(&["--model", "opnai:gpt-4o"], &[], NO_HOST), @"
    exit code 3
    error: there is no provider `opnai`
    hint: did you mean `openai`? `motet provider list` shows all; `custom` speaks to any compatible server by its base URL
    ");
}

#[test]
fn a_server_that_is_not_running() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    let url = format!("http://{host}/v1");
    insta::assert_snapshot!(told(&["--model", "ollama:llama3.2", "--base-url", &url], &[], &host), @"
    exit code 1
    error: `HOST` refused the connection (attempts: 3)
    hint: is Ollama running? `ollama serve` starts it
    ");
    insta::assert_snapshot!(told(&["--model", "openai:gpt-4o", "--base-url", &url], &[], &host), @"
    exit code 1
    error: `HOST` refused the connection (attempts: 3)
    hint: check the base URL, the network, and the proxy
    ");
}

#[test]
fn a_host_that_does_not_exist() {
    let arguments = ["--model", "custom:m", "--base-url", "http://no-such-host.invalid/v1"];
    insta::assert_snapshot!(told(&arguments, &[], NO_HOST), @"
    exit code 1
    error: the address of `no-such-host.invalid` could not be found (attempts: 3)
    hint: check the base URL and the network
    ");
}

#[test]
fn a_server_without_tls_behind_an_address_with_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let _ = connection.read(&mut [0; 4096]);
            let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let arguments = ["--model", "custom:m", "--base-url", &format!("https://{host}/v1")];
    insta::assert_snapshot!(told(&arguments, &[], &host), @"
    exit code 1
    error: no secure connection to `HOST` could be made: it does not speak TLS
    hint: if the server speaks plain HTTP, begin the base URL with `http://`
    ");
}

#[test]
fn a_web_page_of_a_proxy() {
    let page = "<!DOCTYPE html>\n<html><head><title>502 Bad\nGateway</title></head><body>nginx</body></html>";
    insta::assert_snapshot!(refused(Reply::text(502, "text/html", page)), @"
    exit code 1
    error: a web page came instead of an answer: `502 Bad Gateway` (attempts: 3)
    hint: something answered in place of `openai`, such as a proxy: check the base URL and the proxy, or try again later
    ");
    insta::assert_snapshot!(refused(Reply::text(200, "text/html", "<html><title>Log in</title></html>")), @"
    exit code 1
    error: a web page came instead of an answer: `Log in`
    hint: check the base URL, and whether a proxy or login page stands between
    ");
}

#[test]
fn an_empty_answer_of_a_gateway() {
    insta::assert_snapshot!(refused(Reply::text(502, "text/plain", "")), @"
    exit code 1
    error: `openai` answered with status 502 and no message (attempts: 3)
    hint: the trouble is on the side of `openai`: try again later, or take another model
    ");
}

#[test]
fn an_address_that_redirects() {
    let reply = Reply::text(301, "text/plain", "").with_header("location", "https://elsewhere.invalid/v1");
    insta::assert_snapshot!(refused(reply), @"
    exit code 3
    error: `openai` answered with status 301 and no message
    hint: the address redirects to `https://elsewhere.invalid/v1`: set the base URL to match
    ");
}

#[test]
fn a_rate_limit_with_advice() {
    let body = json!({"error": {"message": "Rate limit reached for requests", "type": "requests", "code": "rate_limit_exceeded"}});
    let reply = Reply::json(429, &body).with_header("retry-after", "900");
    insta::assert_snapshot!(refused(reply), @"
    exit code 1
    error: Rate limit reached for requests (code: rate_limit_exceeded, type: requests)
    hint: try again in 900 s, or send fewer requests at once
    ");
}

#[test]
fn an_account_without_credit() {
    let body = json!({"error": {"message": "You exceeded your current quota, please check your plan and billing details.", "type": "insufficient_quota", "code": "insufficient_quota"}});
    insta::assert_snapshot!(refused(Reply::json(429, &body)), @"
    exit code 1
    error: You exceeded your current quota, please check your plan and billing details. (code: insufficient_quota, type: insufficient_quota)
    hint: add credit to the account or raise its spending limit at `openai`
    ");
}

#[test]
fn a_prompt_that_does_not_fit() {
    let body = json!({"error": {"message": "This model's maximum context length is 8192 tokens.", "type": "invalid_request_error", "code": "context_length_exceeded"}});
    insta::assert_snapshot!(refused(Reply::json(400, &body)), @"
    exit code 1
    error: This model's maximum context length is 8192 tokens. (code: context_length_exceeded, type: invalid_request_error)
    hint: shorten the conversation or take a model with a larger context window
    ");
}

#[test]
fn a_model_without_its_provider() {
    let done = Place::new().unwrap().run(&["complete", "Hello", "--model", "gpt-4o"]).unwrap();
    assert_eq!(done.code, Some(2));
    insta::assert_snapshot!(done.stderr.lines().next().unwrap(), @"error: invalid value 'gpt-4o' for '--model <MODEL>': `gpt-4o` is not a model id: write it as `provider:model`, for example `openai:gpt-4o-mini` or `offline:extract`");
}
