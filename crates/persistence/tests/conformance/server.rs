//! What only a store on a Redis server must do: outlive its server, refuse a server that would lose runs, and be shared.
//!
//! Every test has a real server of its own.

mod keys;
mod left_over;
mod refusals;
mod roll_back;
mod sharing;
mod trouble;

mod fixture {
    use std::time::Duration;

    use motet_core::id::{RunId, WorkerId};
    use motet_core::store::{
        Change, ClaimRequest, NewRun, NewTask, Outcome, RunFilter, RunState, SharedStore, TaskState,
    };
    use serde_json::json;

    /// Options of a server that syncs its log before it answers.
    pub(crate) const ALWAYS: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];
    /// Options of a server that syncs its log once a second.
    pub(crate) const EVERYSEC: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "everysec"];

    pub(crate) fn request(limit: u32, ttl: Duration) -> ClaimRequest {
        ClaimRequest {
            worker: WorkerId::new(),
            queues: Vec::new(),
            run: None,
            limit,
            ttl,
            max_active: None,
            in_hand: 0,
        }
    }

    /// Layers of tasks, each of which waits for two of the layer before.
    pub(crate) fn layers(width: u32, depth: u32) -> NewRun {
        let task = |number: u32| NewTask {
            dependencies: match number.checked_sub(width) {
                None => Vec::new(),
                Some(above) => vec![above, number / width * width - width + (number + 1) % width],
            },
            ..NewTask::named(format!("t{number}"))
        };
        NewRun::new("workflow", "layers", (0..width * depth).map(task).collect())
    }

    /// Works until a run has ended; a lease that was lost is no error.
    pub(crate) async fn work(store: &SharedStore, run: &RunId, ttl: Duration) {
        loop {
            let claims = store.claim(request(4, ttl)).await.unwrap_or_default();
            let is_idle = claims.is_empty();
            for claim in claims {
                let _ =
                    store.complete(&claim.token, Outcome::Done { output: json!(claim.task.number) }).await;
            }
            if is_idle {
                let state = store.run(run).await;
                if state.is_ok_and(|run| run.is_some_and(|run| run.summary.state.is_ended())) {
                    return;
                }
                let _ = store.advance().await;
                store.changed(u64::MAX, Duration::from_millis(20)).await;
            }
        }
    }

    /// Checks that a run ended well, each task once, and that nothing was left in lists.
    pub(crate) async fn check(store: &SharedStore, run: &RunId, tasks: u32) {
        let summary = store.run(run).await.unwrap().unwrap().summary;
        assert_eq!((summary.state, summary.done, summary.active), (RunState::Completed, tasks, 0));
        let rows = store.tasks(run).await.unwrap();
        assert!(rows.iter().all(|task| task.state == TaskState::Done && task.remaining == 0));
        let numbers: Vec<u32> = (0..tasks).collect();
        let outputs = store.outputs(run, &numbers).await.unwrap();
        assert!(outputs.iter().zip(numbers).all(|(output, number)| *output == Some(json!(number))));
        let events = store.events(run, 0, u32::MAX).await.unwrap();
        assert!((1..).zip(&events).all(|(seq, event)| event.seq == seq), "events have gaps");
        let ended = events.iter().filter(|event| matches!(event.change, Change::Ended { .. })).count();
        assert_eq!(ended, tasks as usize, "each task ends once");
        assert_eq!(store.advance().await.unwrap().next_due, None, "nothing is left to wait for");
        assert!(!store.runs(&RunFilter::default()).await.unwrap().is_empty());
    }
}
