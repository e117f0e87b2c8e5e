//! Everything that a store shows, without what differs between two stores: times, and the names of leases.

use motet_core::store::{RunFilter, SharedStore, StoreStats};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Pair, shortened};

/// Fields that hold times or chance; of these only whether they are there is compared.
const TIMES: &[&str] = &[
    "at",
    "created_at",
    "ended_at",
    "started_at",
    "asked_at",
    "decided_at",
    "not_before",
    "nonce",
    "next_due",
];

/// Gives everything that a store shows of the runs of a pair.
pub(super) async fn of(pair: &Pair, store: &SharedStore) -> Value {
    let mut all = Map::new();
    for id in &pair.runs {
        let Some(run) = store.run(id).await.unwrap() else {
            all.insert(id.to_string(), Value::Null);
            continue;
        };
        let tasks = store.tasks(id).await.unwrap();
        let numbers: Vec<u32> = tasks.iter().map(|task| task.number).collect();
        let mut items = Map::new();
        for name in store.item_names(id, None, 100).await.unwrap() {
            items.insert(name.clone(), plain(&store.item_records(id, &name).await.unwrap()));
        }
        let mut logs = Vec::new();
        let mut children = Vec::new();
        for number in &numbers {
            logs.push(plain(&store.task_records(id, *number).await.unwrap()));
            children.push(store.children(id, *number).await.unwrap());
        }
        let shown = json!({
            "run": plain(&run),
            "tasks": plain(&tasks),
            "outputs": store.outputs(id, &numbers).await.unwrap(),
            "events": plain(&store.events(id, 0, u32::MAX).await.unwrap()),
            "records": plain(&store.records(id, 0, u32::MAX).await.unwrap()),
            "questions": plain(&store.questions(Some(id)).await.unwrap()),
            "items": items,
            "logs": logs,
            "children": children,
        });
        all.insert(id.to_string(), shown);
    }
    let listed: Vec<String> =
        store.runs(&RunFilter::default()).await.unwrap().iter().map(|run| run.id.to_string()).collect();
    let stats = StoreStats { bytes: None, ..store.stats().await.unwrap() };
    json!({"runs": all, "listed": listed, "stats": plain(&stats)})
}

/// Gives a value without times and chance.
pub(super) fn plain(value: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(value).unwrap();
    blank(&mut value);
    value
}

fn blank(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if TIMES.contains(&name.as_str()) {
                    *field = Value::Bool(!field.is_null());
                } else {
                    blank(field);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(blank),
        _ => {}
    }
}

/// Tells where two values differ first.
pub(super) fn difference(expected: &Value, found: &Value, place: &str) -> Option<String> {
    match (expected, found) {
        (Value::Object(one), Value::Object(other)) if one.keys().eq(other.keys()) => {
            let mut fields = one.iter().zip(other.values());
            fields.find_map(|((name, one), other)| difference(one, other, &format!("{place}/{name}")))
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let mut values = (0..).zip(one.iter().zip(other));
            values.find_map(|(index, (one, other)): (usize, _)| {
                difference(one, other, &format!("{place}/{index}"))
            })
        }
        _ if expected == found => None,
        _ => {
            let (expected, found) = (expected.to_string(), found.to_string());
            Some(format!("at `{place}`: expected {}, found {}", shortened(expected), shortened(found)))
        }
    }
}
