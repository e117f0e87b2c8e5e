//! A store behind a server, over a peer that sends texts: it must do all that every store must, and more besides.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use motet_core::answers::AnswerStore;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::rpc::{Failure, Id, Incoming, Params, Request, Response};
use motet_core::store::{Outcome, SharedStore, Store, TaskState};
use motet_persistence::memory::MemoryStore;
use motet_persistence::remote::{Peer, RemoteStore, answer, method, methods};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::fixture::{self, Opened};

/// The server's end: what it gets and gives is text.
pub(crate) struct Texts {
    store: std::sync::Mutex<SharedStore>,
    calls: AtomicU32,
    /// How many answers get lost on their way back.
    lost: AtomicU32,
    /// How many calls do not arrive.
    unsent: AtomicU32,
}

impl Texts {
    fn new(store: SharedStore) -> Arc<Self> {
        let zero = AtomicU32::default;
        Arc::new(Self { store: store.into(), calls: zero(), lost: zero(), unsent: zero() })
    }

    /// Puts another store in the place of the one behind, as a start of the server does.
    fn restart(&self, store: SharedStore) {
        *self.store.lock().unwrap() = store;
    }
}

fn take(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

#[async_trait]
impl Peer for Texts {
    async fn call(
        &self,
        method: &'static str,
        params: Value,
        patience: Duration,
    ) -> Result<std::result::Result<Value, Failure>> {
        let number = u64::from(self.calls.fetch_add(1, Ordering::SeqCst));
        let cut = || Error::new(ErrorKind::Connection, "the line is cut");
        if take(&self.unsent) {
            return Err(cut());
        }
        let sent = Request::new(method, Params::read(params), Id::from(number)).into_json().to_string();
        let Incoming::One(Ok(call)) = Incoming::read(sent.as_bytes()) else { panic!("{sent}") };
        let store = Arc::clone(&self.store.lock().unwrap());
        let answered = tokio::time::timeout(patience, answer(&*store, &call.method, call.params)).await;
        let outcome = answered.map_err(|_| Error::new(ErrorKind::Timeout, "no answer"))?;
        let told = Response { id: call.id.unwrap(), outcome }.to_json().to_string();
        if take(&self.lost) {
            return Err(cut());
        }
        Ok(Response::read(&serde_json::from_str(&told).unwrap()).unwrap().outcome)
    }
}

/// Gives a store of a server in this process, with memory behind it.
pub(crate) fn memory() -> Opened {
    over(&Texts::new(Arc::new(MemoryStore::new())))
}

fn over(peer: &Arc<Texts>) -> Opened {
    let connected = RemoteStore::connect(Arc::clone(peer) as Arc<dyn Peer>);
    // Nothing in it waits, so that the first look finishes it.
    let store = futures::FutureExt::now_or_never(connected).unwrap().unwrap();
    Opened::from(Arc::new(store) as SharedStore)
}

fn stage() -> (Arc<Texts>, SharedStore) {
    let peer = Texts::new(Arc::new(MemoryStore::new()));
    let store = over(&peer).store;
    (peer, store)
}

#[test]
fn every_method_has_one_row_and_only_one_waits() {
    let mut names: Vec<_> = methods().map(|row| row.name).collect();
    let waiting: Vec<_> = methods().filter(|row| row.waits).map(|row| row.name).collect();
    assert_eq!(waiting, ["store.changed"]);
    for name in ["worker.register", "task.claim", "task.renew", "journal.append", "task.complete"] {
        assert!(names.contains(&name), "{name}");
    }
    assert_eq!(method("task.renew").unwrap().params, ["tokens", "ttl_ms"]);
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), method("task").is_none()), (count, true));
}

#[tokio::test]
async fn parameters_stand_by_name_or_place_and_what_does_not_fit_is_told() {
    let store = MemoryStore::new();
    let call = |name: &'static str, params: Value| answer(&store, name, Params::read(params));
    for params in [json!({"filter": {"state": null, "name": null, "limit": 0}}), json!([{"limit": 0}])] {
        assert_eq!(call("run.list", params).await.unwrap(), json!([]));
    }
    assert_eq!(answer(&store, "store.advance", None).await.unwrap()["reclaimed"], 0);
    let unfit = call("run.get", json!({"name": "x"})).await.unwrap_err();
    assert_eq!(unfit.code, -32602);
    assert_eq!(unfit.message, "the parameters do not fit `run.get`: missing field `run`");
    let unknown = call("run.fly", json!([])).await.unwrap_err();
    assert_eq!((unknown.code, unknown.message.as_str()), (-32601, "there is no method `run.fly`"));
    let missing = call("run.control", json!(["r", {"control": "cancel"}])).await.unwrap_err();
    let data = missing.data.unwrap();
    assert_eq!((missing.code, &data["kind"]), (-29009, &json!("not_found")));
    assert!(data["hint"].as_str().unwrap().contains("motet workflow list"));
}

#[tokio::test]
async fn an_outcome_whose_answer_was_lost_is_stored_once() {
    let (peer, store) = stage();
    let run = fixture::submit(&store, vec![fixture::task("a", &[]), fixture::task("b", &[0])]).await;
    let a = fixture::claim_named(&store, "a").await;
    peer.lost.store(1, Ordering::SeqCst);
    let outcome = Outcome::Done { output: json!(1) };
    let cut = store.complete(&a.token, outcome.clone()).await.unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::Connection);
    let again = store.complete(&a.token, outcome).await.unwrap();
    assert_eq!((again.state, again.ready), (TaskState::Done, 0));
    assert_eq!(fixture::drain(&store).await, "b");
    assert_eq!(fixture::state(&store, &run).await, motet_core::store::RunState::Completed);
}

#[tokio::test]
async fn workers_behind_a_server_are_marked_for_the_store_and_for_nobody_else() {
    let behind: SharedStore = Arc::new(MemoryStore::new());
    let store = over(&Texts::new(Arc::clone(&behind))).store;
    store.seen(&crate::admin::worker("one")).await.unwrap();
    assert_eq!(behind.workers().await.unwrap()[0].id.as_str(), "away/one");
    assert_eq!(store.workers().await.unwrap()[0].id.as_str(), "one");
}

#[tokio::test(start_paused = true)]
async fn many_who_wait_share_one_call_and_a_restart_counts_as_a_change() {
    let (peer, store) = stage();
    let seen = store.changed(0, Duration::ZERO).await;
    let waiters: Vec<_> = (0..50)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.changed(seen, Duration::from_secs(15)).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = peer.calls.load(Ordering::SeqCst);
    assert_eq!(before, 3, "one to connect, one for the number, and one that waits");
    let other = MemoryStore::new();
    for _ in 0..3 {
        other.submit(fixture::run_of(vec![fixture::task("a", &[])])).await.unwrap();
    }
    peer.restart(Arc::new(other));
    peer.unsent.store(2, Ordering::SeqCst);
    // The old server ends what waits there.
    let begun = Instant::now();
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), seen, "nothing has changed so far");
    }
    assert!(begun.elapsed() >= Duration::from_secs(14));
    let newest = store.changed(seen, Duration::from_secs(60)).await;
    assert_eq!(newest, seen + 1, "another number is a change, though it is no larger");
}

#[tokio::test(start_paused = true)]
async fn waiting_at_a_line_that_is_cut_takes_its_time() {
    let (peer, store) = stage();
    peer.unsent.store(u32::MAX, Ordering::SeqCst);
    let begun = Instant::now();
    assert_eq!(store.changed(7, Duration::from_secs(30)).await, 7);
    assert_eq!(begun.elapsed(), Duration::from_secs(1), "whoever waits looks at the store by itself then");
    assert!(peer.calls.load(Ordering::SeqCst) < 5);
}

#[tokio::test]
async fn an_answer_that_no_store_gives_is_told_as_such() {
    struct Other;

    #[async_trait]
    impl Peer for Other {
        async fn call(
            &self,
            _method: &'static str,
            _params: Value,
            _patience: Duration,
        ) -> Result<std::result::Result<Value, Failure>> {
            Ok(Ok(json!("hello")))
        }
    }

    let error = RemoteStore::connect(Arc::new(Other)).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidOutput);
    assert!(error.to_string().starts_with("the answer of the server to `store.describe` cannot be read"));
}

#[tokio::test]
async fn what_the_store_behind_does_not_keep_is_not_offered() {
    let (_peer, store) = stage();
    assert!(store.answers().is_some() && store.conversations().is_some());
    let counts = AnswerStore::counts(store.answers().unwrap()).await.unwrap();
    assert_eq!(counts.answers, 0);
    let able = store.capabilities();
    assert_eq!(
        (able.name, able.durability, able.multi_process),
        ("server", motet_core::store::Durability::None, true)
    );
}
