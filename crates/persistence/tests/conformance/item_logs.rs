//! Logs of single items: kept under a lease, found by name.

use std::time::Duration;

use motet_core::error::ErrorKind;
use motet_core::id::RunId;
use motet_core::run_log::{Entry, Record};
use motet_core::store::{ClaimRequest, Control, ItemWrite, SharedStore};
use serde_json::{Value, json};

use crate::fixture::{claim_named, control, done, request, submit, task};

fn record(value: impl Into<Value>) -> Record {
    Record::new("step", Entry::Finished { result: value.into() })
}

/// The values of an item's log.
async fn values(store: &SharedStore, run: &RunId, item: &str) -> Value {
    let records = store.item_records(run, item).await.unwrap();
    let value = |record: &Record| match record.entry() {
        Entry::Finished { result } => result.clone(),
        other => panic!("{other:?}"),
    };
    records.iter().map(value).collect()
}

pub(crate) async fn entries_of_an_item_are_given_in_the_order_written(store: SharedStore) {
    let run = submit(&store, vec![task("batch", &[])]).await;
    let token = claim_named(&store, "batch").await.token;
    for (item, numbers) in [("a", vec![1, 2]), ("a/b", vec![3]), ("a", vec![4]), ("ä \u{1f600}", vec![5])] {
        let records = numbers.into_iter().map(record).collect();
        store.write_item(&token, item, ItemWrite::Append(records)).await.unwrap();
    }
    assert_eq!(values(&store, &run, "a").await, json!([1, 2, 4]));
    assert_eq!(values(&store, &run, "a/b").await, json!([3]));
    assert_eq!(values(&store, &run, "ä \u{1f600}").await, json!([5]));
    assert_eq!(values(&store, &run, "A").await, json!([]));
    assert!(store.records(&run, 0, 9).await.unwrap().is_empty(), "the journal is another thing");
}

pub(crate) async fn the_names_of_items_are_given_in_pages(store: SharedStore) {
    let run = submit(&store, vec![task("batch", &[])]).await;
    let token = claim_named(&store, "batch").await.token;
    for item in ["b", "a", "ä", "a/b", "b"] {
        store.write_item(&token, item, ItemWrite::Append(vec![record(1)])).await.unwrap();
    }
    assert_eq!(store.item_names(&run, None, 2).await.unwrap(), ["a", "a/b"]);
    assert_eq!(store.item_names(&run, Some("a/b"), 9).await.unwrap(), ["b", "ä"]);
    assert!(store.item_names(&run, Some("ä"), 9).await.unwrap().is_empty());
    let unknown = store.item_names(&RunId::new(), None, 9).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
}

pub(crate) async fn entries_take_the_place_of_others_where_asked(store: SharedStore) {
    let run = submit(&store, vec![task("batch", &[])]).await;
    let token = claim_named(&store, "batch").await.token;
    store.write_item(&token, "a", ItemWrite::Append(vec![record(1), record(2)])).await.unwrap();
    store.write_item(&token, "b", ItemWrite::Append(vec![record(3)])).await.unwrap();
    store.write_item(&token, "a", ItemWrite::Replace(vec![record(4)])).await.unwrap();
    store.write_item(&token, "a", ItemWrite::Append(vec![record(5)])).await.unwrap();
    assert_eq!(values(&store, &run, "a").await, json!([4, 5]));
    store.write_item(&token, "a", ItemWrite::Replace(Vec::new())).await.unwrap();
    assert_eq!(values(&store, &run, "a").await, json!([]));
    assert_eq!(values(&store, &run, "b").await, json!([3]));
}

pub(crate) async fn an_item_is_written_only_by_who_holds_its_run(store: SharedStore) {
    let run = submit(&store, vec![task("batch", &[])]).await;
    let first = store.claim(ClaimRequest { ttl: Duration::ZERO, ..request(1) }).await.unwrap().remove(0);
    store.advance().await.unwrap();
    let second = claim_named(&store, "batch").await;
    let stale = store.write_item(&first.token, "a", ItemWrite::Append(vec![record(1)])).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Conflict);
    store.write_item(&second.token, "a", ItemWrite::Append(vec![record(2)])).await.unwrap();
    done(&store, &second).await;
    let ended = store.write_item(&second.token, "a", ItemWrite::Replace(Vec::new())).await.unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::Conflict);
    assert_eq!(values(&store, &run, "a").await, json!([2]));
    let unknown = store.item_records(&RunId::new(), "a").await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
}

pub(crate) async fn items_stay_when_their_run_is_defined_anew(store: SharedStore) {
    let run = submit(&store, vec![task("batch", &[])]).await;
    let claim = claim_named(&store, "batch").await;
    store.write_item(&claim.token, "a", ItemWrite::Append(vec![record(1)])).await.unwrap();
    done(&store, &claim).await;
    let redefined =
        Control::Redefine { definition: json!({}), tasks: vec![task("batch", &[])], unchanged: Vec::new() };
    control(&store, &run, redefined).await;
    let again = claim_named(&store, "batch").await;
    let stale = store.write_item(&claim.token, "a", ItemWrite::Replace(Vec::new())).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Conflict);
    store.write_item(&again.token, "a", ItemWrite::Append(vec![record(2)])).await.unwrap();
    assert_eq!(values(&store, &run, "a").await, json!([1, 2]));
}

pub(crate) async fn a_thousand_items_written_at_once_are_all_kept(store: SharedStore) {
    let run = submit(&store, vec![task("batch", &[])]).await;
    let token = claim_named(&store, "batch").await.token;
    let writes = (0..1_000).map(|number| {
        let (store, token) = (store.clone(), token.clone());
        async move {
            let write = ItemWrite::Append(vec![record(number)]);
            store.write_item(&token, &format!("item {number}"), write).await.unwrap();
        }
    });
    futures::future::join_all(writes).await;
    for number in 0..1_000 {
        assert_eq!(values(&store, &run, &format!("item {number}")).await, json!([number]));
    }
}
