//! What a person finds with `redis-cli`: every command that the documentation shows is run here.

use std::process::Command;
use std::time::Duration;

use motet_core::store::Outcome;
use serde_json::json;

use super::fixture::{EVERYSEC, layers, request};
use crate::redis_server::RedisServer;

const GUIDE: &str = include_str!("../../../../../docs/guide/stores-redis.md");

#[tokio::test]
async fn the_commands_of_the_guide_show_what_it_says() {
    let Some(server) = RedisServer::start(&EVERYSEC) else { return };
    let store = motet_persistence::open(&server.url("motet")).unwrap();
    let run = store.submit(layers(3, 2)).await.unwrap();
    let claims = store.claim(request(2, Duration::from_secs(60))).await.unwrap();
    store.complete(&claims[0].token, Outcome::Done { output: json!("moon") }).await.unwrap();
    let mut shown = 0;
    for line in GUIDE.lines().filter_map(|line| line.strip_prefix("redis-cli ")) {
        let (command, expected) = line.split_once(" # ").unwrap_or((line, ""));
        let words = command.replace("RUN", run.as_str()).replace('\'', "");
        let output = Command::new("redis-cli")
            .args(["-p", &server.port().to_string()])
            .args(words.split_whitespace())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && !text.starts_with("ERR"), "{line}: {text}");
        let expected = expected.rsplit_once(": ").map_or("", |(_, expected)| expected);
        assert!(text.contains(expected), "`{line}` gives\n{text}");
        assert!(!text.trim().is_empty(), "`{line}` gives nothing");
        shown += 1;
    }
    assert!(shown >= 8, "the guide shows {shown} commands");
}
