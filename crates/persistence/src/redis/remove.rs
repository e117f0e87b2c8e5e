//! Taking runs away with everything that is kept of them, in steps that can be gone on with after a crash.
//!
//! First a run is made invisible, which is atomic; then its keys go, some hundreds at a time.

use std::collections::HashMap;

use motet_core::error::Result;
use motet_core::id::{Millis, RunId};
use motet_core::store::{PruneRequest, Pruned};

use super::commit::{Commit, Committed};
use super::fetch;
use super::row::Reader;
use super::server::Server;

/// Keys that are removed at once.
const BATCH: usize = 500;

/// Removes runs that have ended, the oldest first.
pub(super) async fn prune(server: &Server, request: &PruneRequest) -> Result<Pruned> {
    let before = format!("({}", request.ended_before.0);
    let ended: Vec<RunId> = {
        let key = server.key("ended");
        let ids: Vec<String> = server
            .ask(
                redis::cmd("ZRANGEBYSCORE")
                    .arg(key)
                    .arg("-inf")
                    .arg(before)
                    .arg("WITHSCORES")
                    .arg("LIMIT")
                    .arg(0)
                    .arg(-1),
            )
            .await?;
        ids.chunks(2).filter_map(|pair| pair.first()?.parse().ok()).collect()
    };
    let mut pruned = Pruned::default();
    let mut trees = 0;
    for id in ended {
        if trees >= request.limit {
            break;
        }
        let Some((fetched, now)) = fetch::run(server, &id).await? else { continue };
        let fits = request.states.is_empty() || request.states.contains(&fetched.row.state);
        // A run that another one started goes with that one.
        let has_parent = match &fetched.row.parent {
            Some(parent) => fetch::run(server, &parent.run).await?.is_some(),
            None => false,
        };
        if !fits || has_parent || !fetched.row.state.is_ended() {
            continue;
        }
        let Some(tree) = tree(server, &id).await? else { continue };
        trees += 1;
        pruned.runs += tree.len() as u64;
        pruned.tasks += tree.iter().map(|(_, tasks)| u64::from(*tasks)).sum::<u64>();
        if !request.dry_run {
            for (run, _) in tree.iter().rev() {
                hide(server, run, now).await?;
            }
        }
    }
    go_on(server).await?;
    Ok(pruned)
}

/// Gives a run and all that its tasks started with their numbers of tasks; `None` while one of them goes on.
async fn tree(server: &Server, root: &RunId) -> Result<Option<Vec<(RunId, u32)>>> {
    let mut found = Vec::new();
    let mut left = vec![root.clone()];
    while let Some(id) = left.pop() {
        let Some((fetched, _)) = fetch::run(server, &id).await? else { continue };
        if !fetched.row.state.is_ended() {
            return Ok(None);
        }
        found.push((id.clone(), fetched.row.tasks));
        left.extend(children(server, &id).await?);
    }
    Ok(Some(found))
}

/// Gives the runs that the tasks of a run started.
pub(super) async fn children(server: &Server, id: &RunId) -> Result<Vec<RunId>> {
    let key = server.key(format!("children:{id}"));
    let mut children: Vec<String> = server.ask(redis::cmd("SMEMBERS").arg(key)).await?;
    children.sort_unstable();
    children.iter().map(|child| child.parse()).collect()
}

/// Makes a run invisible; its keys follow.
async fn hide(server: &Server, id: &RunId, now: Millis) -> Result<()> {
    let Some((fetched, _)) = fetch::run(server, id).await? else { return Ok(()) };
    if !fetched.row.state.is_ended() {
        return Ok(());
    }
    let read = Reader(&fetched.fields);
    let text = id.as_str().to_owned();
    let mut commit = Commit::new(server, now);
    commit.check(id, "v", fetched.version.to_string());
    for set in ["runs", "ended", "deadlines"] {
        commit.add("ZREM", [server.key(set), text.clone()]);
    }
    // A server whose memory is full refuses this unless the script has written before, and removing must work there.
    commit.add("SADD", [server.key("removing"), text.clone()]);
    commit.add("SREM", [server.key("asking"), text.clone()]);
    commit.add("SREM", [server.key("abandoned"), super::abandoned::entry(id, None)]);
    if let Some(key) = read.text("key") {
        commit.add("HDEL", [server.key("submitted"), key.to_owned()]);
    }
    if let Some(parent) = &fetched.row.parent {
        commit.add("SREM", [server.key(format!("children:{}", parent.run)), text.clone()]);
    }
    commit.add("DEL", [server.key(format!("run:{id}"))]);
    commit.forget_name();
    match commit.send().await? {
        Committed::Done | Committed::Conflict => Ok(()),
    }
}

/// Removes the keys of runs that were made invisible, those that another process left too.
pub(super) async fn go_on(server: &Server) -> Result<()> {
    let ids: Vec<String> = server.ask(redis::cmd("SMEMBERS").arg(server.key("removing"))).await?;
    for id in ids {
        remove_keys(server, &id.parse()?).await?;
        let () = server.ask(redis::cmd("SREM").arg(server.key("removing")).arg(&id)).await?;
    }
    Ok(())
}

/// Removes what was stored of a run whose submission came to nothing.
pub(super) async fn staged(server: &Server, id: &RunId) -> Result<()> {
    remove_keys(server, id).await?;
    let mut pipe = redis::pipe();
    pipe.cmd("ZREM").arg(server.key("submitting")).arg(id.as_str()).ignore();
    pipe.cmd("HDEL").arg(server.key("submitting-by")).arg(id.as_str()).ignore();
    server.ask_all(&pipe).await
}

/// Removes submissions whose process died long ago.
pub(super) async fn abandoned(server: &Server, now: Millis) -> Result<()> {
    const LONG: i64 = 3_600_000;
    let key = server.key("submitting");
    let range = redis::cmd("ZRANGEBYSCORE")
        .arg(key)
        .arg("-inf")
        .arg(now.0 - LONG)
        .arg("LIMIT")
        .arg(0)
        .arg(10)
        .to_owned();
    let ids: Vec<String> = server.ask(&range).await?;
    for id in ids {
        staged(server, &id.parse()?).await?;
    }
    Ok(())
}

async fn remove_keys(server: &Server, id: &RunId) -> Result<()> {
    let numbers = fetch::numbers(server, id).await?;
    let mut keys: Vec<String> = Vec::new();
    let mut delayed: Vec<String> = Vec::new();
    for number in &numbers {
        keys.extend(["task", "log"].map(|kind| server.key(format!("{kind}:{id}:{number}"))));
        delayed.push(format!("{id}:{number}"));
    }
    for hash in ["new", "output", "error", "journal", "spec"] {
        let key = server.key(format!("{hash}:{id}"));
        let values: HashMap<String, String> = server.ask(redis::cmd("HGETALL").arg(&key)).await?;
        keys.extend(
            values.iter().filter(|(_, value)| *value == "@").map(|(field, _)| format!("{key}:{field}")),
        );
    }
    let mut lists = redis::pipe();
    lists.cmd("SMEMBERS").arg(server.key(format!("lanes:{id}")));
    lists.cmd("ZRANGE").arg(server.key(format!("items:{id}"))).arg(0).arg(-1);
    lists.cmd("SMEMBERS").arg(server.key("queues"));
    let (lanes, items, queues): (Vec<String>, Vec<String>, Vec<String>) = server.ask_all(&lists).await?;
    keys.extend(lanes.iter().map(|lane| server.key(format!("lane:{id}|{lane}"))));
    keys.extend(items.iter().map(|item| server.key(format!("item:{id}:{item}"))));
    keys.extend(queues.iter().map(|queue| server.key(format!("ready-of:{id}:{queue}"))));
    for batch in delayed.chunks(BATCH) {
        let mut pipe = redis::pipe();
        for set in ["delayed", "waiting", "leases"] {
            pipe.cmd("ZREM").arg(server.key(set)).arg(batch).ignore();
        }
        let () = server.ask_all(&pipe).await?;
    }
    for batch in keys.chunks(BATCH) {
        let () = server.ask(redis::cmd("UNLINK").arg(batch)).await?;
    }
    // The numbers of the tasks go last, so that a crash leaves a way to find the rest.
    let last = [
        "lanes",
        "items",
        "item-write",
        "events",
        "questions",
        "asked",
        "children",
        "releasing",
        "after",
        "output",
        "error",
        "journal",
        "spec",
        "new",
    ];
    let last: Vec<String> = last.iter().map(|kind| server.key(format!("{kind}:{id}"))).collect();
    server.ask(redis::cmd("UNLINK").arg(&last)).await
}
