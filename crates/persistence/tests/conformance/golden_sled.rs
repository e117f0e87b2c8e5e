//! Rows that earlier versions left in stores of sled's: opened and gone on with.
//!
//! A golden file holds one row in a line: its key and its value, with what is no printable character escaped. The library
//! itself is pinned, so that how it writes rows to its files is not this test's subject.

use std::path::Path;
use std::time::{Duration, Instant};

use motet_core::conversation::{NewConversation, Turn};
use motet_core::decision::{Decision, Question, QuestionReason};
use motet_core::error::ErrorKind;
use motet_core::id::{RunId, WorkerId};
use motet_core::message::Message;
use motet_core::run_log::{Entry, Record};
use motet_core::store::{
    Claim, ClaimRequest, Control, ItemWrite, NewRun, NewTask, Outcome, RunState, SharedStore, TaskState,
};
use motet_core::workflow::Priority;
use serde_json::json;

use crate::fixture::{control, counts, done, drain, end, events, fail, request, run_of, state, states, task};

/// What each layout of rows left; the place is the layout less one.
const GOLDEN: &[&str] = &[include_str!("../golden/sled-1.rows")];

fn id(text: &str) -> RunId {
    text.parse().unwrap()
}

fn open(path: &Path) -> SharedStore {
    motet_persistence::open(&format!("sled:{}", path.display())).unwrap()
}

/// Gives the rows as they lie in the directory, for looking and for writing.
fn raw(path: &Path) -> sled::Db {
    // The library frees its lock a moment after a store is closed.
    let begun = Instant::now();
    loop {
        match sled::open(path) {
            Ok(db) => return db,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(10), "{error}"),
        }
    }
}

fn escaped(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn read(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next().unwrap() {
            b'x' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            b't' => b'\t',
            b'n' => b'\n',
            b'r' => b'\r',
            other => other,
        });
    }
    bytes
}

async fn claim_of(store: &SharedStore, run: &str) -> Claim {
    let worker = WorkerId::from_stored("w");
    let request = ClaimRequest { run: Some(id(run)), worker, ..request(1) };
    store.claim(request).await.unwrap().remove(0)
}

/// Fills a store with one of each kind of row.
async fn fill(store: &SharedStore) {
    let submit = |name: &str, tasks| {
        let inputs = [("x".to_owned(), json!(1.5))].into_iter().collect();
        let new = NewRun { id: id(name), inputs, name: format!("of {name}"), ..run_of(tasks) };
        async { store.submit(new).await.unwrap() }
    };
    let first = NewTask { payload: json!({"item": "moon"}), ..task("a", &[]) };
    let later = NewTask { priority: Priority::Low, ..task("later", &[]) };
    submit("goes-on", vec![first, task("b", &[0]), task("c", &[1]), later]).await;
    let a = claim_of(store, "goes-on").await;
    let record = Record::new("s", Entry::Finished { result: json!(1) });
    store.journal(&a.token, 0, vec![record.clone()]).await.unwrap();
    store.write_item(&a.token, "i", ItemWrite::Append(vec![record])).await.unwrap();
    end(store, &a, Outcome::Done { output: json!({"phase": "full"}) }).await;
    claim_of(store, "goes-on").await;
    submit("failed", vec![task("x", &[]), task("y", &[0])]).await;
    fail(store, &claim_of(store, "failed").await, ErrorKind::ToolFailed).await;
    submit("asks", vec![task("pay", &[])]).await;
    let mut question = Question::new("q", QuestionReason::Approval, "pay");
    question.arguments = json!({"amount": 7});
    let waiting = Outcome::Waiting { questions: vec![question], at_most_ms: None };
    end(store, &claim_of(store, "asks").await, waiting).await;
    submit("large", vec![task("a", &[])]).await;
    let large = Outcome::Done { output: json!("x".repeat(17 * 1024)) };
    end(store, &claim_of(store, "large").await, large).await;
    crate::books::reserve_some(store).await;
    let mut trip = NewConversation::new("trip".parse().unwrap());
    trip.turns = vec![Turn::new(vec![Message::user("Where to?"), Message::assistant("There.")])];
    store.conversations().unwrap().create(trip).await.unwrap();
}

/// With `MOTET_GOLDEN` set, writes the golden file of the layout of rows that this version has; in any case, what would be
/// written has rows.
#[tokio::test]
async fn this_version_has_a_golden_file_to_write() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    fill(&store).await;
    drop(store);
    let rows = raw(&path).iter().map(|row| {
        let (key, value) = row.unwrap();
        format!("{}\t{}\n", escaped(&key), escaped(&value))
    });
    let text: String = rows.collect();
    assert!(text.lines().count() > 20, "{text}");
    if std::env::var_os("MOTET_GOLDEN").is_some() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sled-new.rows");
        std::fs::write(file, text).unwrap();
    }
}

#[tokio::test]
async fn a_sled_store_of_every_earlier_layout_goes_on() {
    for golden in GOLDEN {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let db = raw(&path);
        for line in golden.lines() {
            let (key, value) = line.split_once('\t').unwrap();
            db.insert(read(key), read(value)).unwrap();
        }
        db.flush().unwrap();
        drop(db);
        let begun = Instant::now();
        let store = loop {
            match motet_persistence::open(&format!("sled:{}", path.display())) {
                Ok(store) => break store,
                Err(error) => assert!(begun.elapsed() < Duration::from_secs(10), "{error}"),
            }
        };
        check(&store).await;
    }
}

/// Checks what the rows hold, and lets their runs go on.
async fn check(store: &SharedStore) {
    let run = id("goes-on");
    let tasks = store.tasks(&run).await.unwrap();
    assert_eq!((tasks[0].payload.clone(), tasks[0].state), (json!({"item": "moon"}), TaskState::Done));
    assert_eq!((tasks[1].state, tasks[1].crashes), (TaskState::Ready, 1));
    assert_eq!(store.outputs(&run, &[0]).await.unwrap(), [Some(json!({"phase": "full"}))]);
    assert_eq!(store.task_records(&run, 0).await.unwrap().len(), 1);
    assert_eq!(store.item_records(&run, "i").await.unwrap().len(), 1);
    let found = store.run(&run).await.unwrap().unwrap();
    assert_eq!((found.inputs["x"].clone(), found.summary.name.as_str()), (json!(1.5), "of goes-on"));
    assert_eq!(states(store, &run).await, "a:done b:ready c:blocked later:ready");
    assert_eq!(drain(store).await, "b c later");
    assert_eq!(counts(store, &run).await, "completed: 4 tasks, 4 done, 0 failed, 0 skipped");
    assert!(events(store, &run).await.len() >= 10);
    check_others(store).await;
}

/// The same for what does not go on by itself.
async fn check_others(store: &SharedStore) {
    assert_eq!(states(store, &id("failed")).await, "x:failed y:cancelled");
    control(store, &id("failed"), Control::Resume).await;
    for name in ["x", "y"] {
        let claim = claim_of(store, "failed").await;
        assert_eq!(claim.task.name, name);
        done(store, &claim).await;
    }
    let asked = store.questions(Some(&id("asks"))).await.unwrap();
    assert_eq!(asked[0].question.arguments, json!({"amount": 7}));
    store.decide(&id("asks"), "q", Decision::Approve { arguments: None }).await.unwrap();
    assert_eq!(drain(store).await, "pay");
    assert_eq!(state(store, &id("large")).await, RunState::Completed);
    assert_eq!(store.outputs(&id("large"), &[0]).await.unwrap(), [Some(json!("x".repeat(17 * 1024)))]);
    // Reserved when the file was written; by now nobody settles it any more, and it counts as spent.
    let book = store.books().await.unwrap()[0].1;
    assert_eq!(book.reserved.plus(book.unknown).tokens, 80, "{book:?}");
    assert!(store.conversations().unwrap().load(&"trip".parse().unwrap()).await.unwrap().is_some());
}
