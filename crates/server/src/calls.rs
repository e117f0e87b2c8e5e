//! Answers JSON-RPC 2.0 from a store: texts in, texts out.
//!
//! Knows no HTTP and nobody who calls.

use futures::StreamExt as _;
use motet::core::rpc::codes::INVALID_REQUEST;
use motet::core::rpc::{Failure, Id, Incoming, Request, Response};
use motet::core::store::SharedStore;
use motet::persistence::remote::{answer, method};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// Most calls of one batch.
const MOST_CALLS: usize = 1_000;
/// Calls of one batch that are answered at once.
const AT_ONCE: usize = 16;
/// Says that the server ends; whoever waited asks again elsewhere or later.
const SHUTDOWN: i64 = -31002;

/// What answers.
pub(crate) struct Calls {
    pub(crate) store: SharedStore,
    /// Ends calls that only wait.
    pub(crate) stopping: CancellationToken,
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calls").finish_non_exhaustive()
    }
}

impl Calls {
    /// Does what was sent and gives the answer as text; `None` where nothing of it wants one.
    pub(crate) async fn respond(&self, sent: &[u8]) -> Option<String> {
        match Incoming::read(sent) {
            Incoming::One(call) => Some(self.one(call).await?.to_json().to_string()),
            Incoming::Batch(calls) if calls.len() > MOST_CALLS => {
                let why = format!("Invalid Request: a batch holds at most {MOST_CALLS} calls");
                let failure = Failure::new(INVALID_REQUEST, why);
                Some(Response::failed(Id::Null, failure).to_json().to_string())
            }
            Incoming::Batch(calls) => {
                let answers = futures::stream::iter(calls.into_iter().map(|call| self.one(call)));
                let answers = answers.buffered(AT_ONCE).filter_map(std::future::ready);
                let answers: Vec<Value> = answers.map(|answer| answer.to_json()).collect().await;
                (!answers.is_empty()).then(|| Value::Array(answers).to_string())
            }
        }
    }

    async fn one(&self, call: Result<Request, Response>) -> Option<Response> {
        let Request { method: name, params, id } = match call {
            Ok(call) => call,
            Err(wrong) => return Some(wrong),
        };
        let row = method(&name);
        // A caller's text is not logged, so that only names of ours are.
        let known = row.map_or("unknown", |row| row.name);
        let waits = row.is_some_and(|row| row.waits);
        let begun = tokio::time::Instant::now();
        let outcome = tokio::select! {
            outcome = answer(&*self.store, &name, params) => outcome,
            () = self.stopping.cancelled(), if waits => {
                Err(Failure::new(SHUTDOWN, "the server ends"))
            }
        };
        let code = outcome.as_ref().err().map(|failure| failure.code);
        tracing::debug!(method = known, code, took = ?begun.elapsed(), "answered");
        id.map(|id| Response { id, outcome })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use motet::persistence::memory::MemoryStore;
    use serde_json::json;

    use super::*;

    fn calls() -> Calls {
        Calls { store: Arc::new(MemoryStore::new()), stopping: CancellationToken::new() }
    }

    async fn answered(calls: &Calls, sent: &str) -> Value {
        serde_json::from_str(&calls.respond(sent.as_bytes()).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn what_is_wrong_has_the_codes_of_the_protocol() {
        let calls = calls();
        for (sent, code, id) in [
            ("{\"jsonrpc\": \"2.0\", \"method\"", -32700, json!(null)),
            ("\u{1}\u{2}", -32700, json!(null)),
            ("[]", -32600, json!(null)),
            ("1", -32600, json!(null)),
            (r#"{"method": "store.stats", "id": 3}"#, -32600, json!(3)),
            (r#"{"jsonrpc": "2.0", "method": "store.stats", "params": 1, "id": "a"}"#, -32600, json!("a")),
            (r#"{"jsonrpc": "2.0", "method": "store.fly", "id": 4}"#, -32601, json!(4)),
            (r#"{"jsonrpc": "2.0", "method": "run.get", "params": {"run": 5}, "id": 5}"#, -32602, json!(5)),
            (
                r#"{"jsonrpc": "2.0", "method": "run.control", "params": ["r", {"control": "pause"}], "id": null}"#,
                -29009,
                json!(null),
            ),
        ] {
            let answer = answered(&calls, sent).await;
            assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &id), "{sent}: {answer}");
            assert_eq!(answer["jsonrpc"], "2.0");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(answered(&calls, &deep).await["error"]["code"], -32700);
    }

    #[tokio::test]
    async fn batches_are_answered_in_order_and_notifications_are_done_in_silence() {
        let calls = calls();
        let run = json!({"id": "r1", "name": "n", "kind": "workflow", "definition": null, "inputs": {}, "settings": {},
            "tasks": [{"name": "a", "queue": "default"}]});
        let submit = json!({"jsonrpc": "2.0", "method": "run.submit", "params": {"run": run}});
        assert_eq!(calls.respond(json!([submit]).to_string().as_bytes()).await, None);
        let get = |id: Value| json!({"jsonrpc": "2.0", "method": "run.get", "params": ["r1"], "id": id});
        let answer = answered(&calls, &json!([get(json!(1)), 7, submit, get(json!("x"))]).to_string()).await;
        let ids: Vec<_> = answer.as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
        assert_eq!(ids, [json!(1), json!(null), json!("x")], "{answer}");
        assert_eq!(
            (&answer[0]["result"]["name"], &answer[1]["error"]["code"]),
            (&json!("n"), &json!(-32600))
        );
        assert_eq!(calls.respond(submit.to_string().as_bytes()).await, None, "it failed, and nobody asked");
        let many = vec![get(json!(1)); 1_001];
        assert_eq!(answered(&calls, &json!(many).to_string()).await["error"]["code"], -32600);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_waits_is_ended_when_the_server_stops() {
        let calls = calls();
        let stopping = calls.stopping.clone();
        let newest =
            answered(&calls, r#"{"jsonrpc":"2.0","method":"store.changed","params":[0,0],"id":1}"#).await;
        let wait = json!({"jsonrpc": "2.0", "method": "store.changed", "params": [newest["result"], 30_000], "id": 2});
        let begun = tokio::time::Instant::now();
        let wait = wait.to_string();
        let (ended, ()) = tokio::join!(answered(&calls, &wait), async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            stopping.cancel();
        });
        assert_eq!((&ended["error"]["code"], begun.elapsed()), (&json!(SHUTDOWN), Duration::from_secs(3)));
    }
}
