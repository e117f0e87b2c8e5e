//! Copying stores by the command: what it copies, what it refuses, and how it ends.

use std::time::Duration;

use motet::core::id::WorkerId;
use motet::core::store::{
    ClaimRequest, NewRun, NewTask, Outcome, RunFilter, RunState, SharedStore, TaskState,
};
use motet_tests::command::Place;
use serde_json::json;

fn open(place: &Place, name: &str) -> SharedStore {
    motet::persistence::open(&format!("sled:{}", place.path().join(name).display())).unwrap()
}

/// Stores two runs, of which the first has ended and the second is in a worker's hands.
async fn fill(store: &SharedStore) {
    for name in ["first", "second"] {
        store.submit(NewRun::new("workflow", name, vec![NewTask::named("a")])).await.unwrap();
    }
    let ttl = Duration::from_secs(3600);
    let request = ClaimRequest {
        worker: WorkerId::new(),
        queues: Vec::new(),
        run: None,
        limit: 2,
        ttl,
        max_active: None,
        in_hand: 0,
    };
    let claims = store.claim(request).await.unwrap();
    store.complete(&claims[0].token, Outcome::Done { output: json!({"n": 1}) }).await.unwrap();
}

#[tokio::test]
async fn a_store_is_copied_by_a_command_and_what_is_there_is_skipped() {
    let place = Place::new().unwrap();
    fill(&open(&place, "old")).await;
    let migrate = ["--output", "json", "store", "migrate", "sled:old", "sled:new"];
    let done = place.run(&migrate).unwrap();
    assert_eq!(done.code, Some(0), "{done:?}");
    let counts = json!({
        "runs": 2, "tasks": 2, "skipped_runs": 0, "conversations": 0, "skipped_conversations": 0,
        "books": 0, "skipped_books": 0,
    });
    assert_eq!(done.json().unwrap(), counts);
    let again = place.run(&["store", "migrate", "sled:old", "sled:new"]).unwrap();
    assert_eq!(again.stdout, "copied 0 runs with 0 tasks (2 there already), 0 conversations, 0 budgets\n");
    let to_file = place.run(&["store", "migrate", "sled:new", "sqlite:new.db"]).unwrap();
    assert_eq!(to_file.code, Some(0), "{to_file:?}");
    let file =
        motet::persistence::open(&format!("sqlite:{}", place.path().join("new.db").display())).unwrap();
    for copy in [open(&place, "new"), file] {
        is_the_copy(&copy).await;
    }
}

async fn is_the_copy(copy: &SharedStore) {
    let runs = copy.runs(&RunFilter::default()).await.unwrap();
    let names: Vec<_> = runs.iter().map(|run| (run.name.as_str(), run.state)).collect();
    assert_eq!(names, [("second", RunState::Running), ("first", RunState::Completed)]);
    assert_eq!(copy.outputs(&runs[1].id, &[0]).await.unwrap(), [Some(json!({"n": 1}))]);
    assert_eq!(copy.tasks(&runs[0].id).await.unwrap()[0].state, TaskState::Ready);
}

#[tokio::test]
async fn what_cannot_be_copied_is_refused_with_the_code_for_it() {
    let place = Place::new().unwrap();
    let held = open(&place, "held");
    fill(&held).await;
    for (arguments, code, message) in [
        (["sled:gone", "sled:new"], 3, "there is no store `sled:gone`"),
        (["sled:held", "sled:held"], 3, "`sled:held` would be copied to itself"),
        (["memory:", "sled:new"], 3, "`memory:` ends with this command"),
        (["sled:held", "nothing"], 3, "`nothing` is no URL of a store"),
        (["sled:held", "sled:new"], 1, "is open already"),
    ] {
        let done = place.run(&[["store", "migrate"], arguments].concat()).unwrap();
        assert_eq!(done.code, Some(code), "{done:?}");
        assert!(done.stderr.contains(message), "{done:?}");
        assert!(done.stdout.is_empty());
    }
    assert!(!place.path().join("gone").exists(), "looking for a store makes none");
}
