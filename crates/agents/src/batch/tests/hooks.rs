//! Hooks around the requests of a batch.

use std::sync::Mutex;

use super::*;
use crate::hooks::{Hook, HookEntry, OnError, Payload, Reaction, Stage};

/// Notes what it is shown, stops one request, and fails at another.
struct Notes(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Hook for Notes {
    async fn at(&self, _: &RunContext, payload: &Payload) -> Result<Reaction> {
        let note = match payload {
            Payload::BeforeBatchItem { id, index } => format!("{id} {index} begins"),
            Payload::AfterBatchItem { id, success, .. } => format!("{id} {success}"),
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(note.clone());
        match note.as_str() {
            "2 1 begins" => Ok(Reaction::Stop { reason: "not this one".into() }),
            "3 2 begins" => Err(Error::new(ErrorKind::Timeout, "too late")),
            _ => Ok(Reaction::Continue),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn hooks_see_each_request_once_and_may_keep_it_from_being_sent() {
    let notes = Arc::default();
    let mut hooks = Hooks::default();
    let stages = [Stage::BeforeBatchItem, Stage::AfterBatchItem];
    hooks.add(HookEntry::new("own", stages, Notes(Arc::clone(&notes))).on_error(OnError::Abort));
    let model = TestModel::new(after(10), &[("q0", Reply { failures: 1, ..fails(ErrorKind::Overloaded) })]);
    let options = options(|options| {
        options.max_concurrent = 1;
        options.retry_failed = 1;
        options.strategy = BatchStrategy::Collect;
    });
    let report = collect(&model, Batch::of(questions(4)).options(options).hooks(hooks)).await;
    assert_eq!(statuses(&report.results), "1:succeeded 2:failed 3:failed 4:succeeded");
    let told = &report.results[1].error().unwrap().message;
    assert_eq!(told, "the hook `own` stopped the run: not this one");
    assert_eq!(model.asked(), ["q0", "q3", "q0"], "what a hook refuses is never sent");
    let mut notes = notes.lock().unwrap().clone();
    notes.sort();
    let expected = ["1 0 begins", "1 true", "2 1 begins", "2 false", "3 2 begins", "3 2 begins", "3 false"];
    assert_eq!(notes[..7], expected);
    assert_eq!(notes[7..], ["4 3 begins", "4 true"]);
}
