//! What workers do: claim, renew, journal, write items, and complete, as commands of the script and back.
//!
//! Decides nothing: what the script leaves to the scheduler goes there.

use std::time::Duration;

use motet_core::error::{Error, ErrorKind, Result};
use motet_core::id::RunId;
use motet_core::run_log::Record;
use motet_core::schedule;
use motet_core::store::{
    Applied, Claim, ClaimRequest, ItemWrite, LeaseState, LeaseToken, NewTask, Nonce, Outcome, RunState,
};
use redis::Value;

use super::change::{change, release};
use super::hot::{self, Command, Hot};
use super::row::{self, Fields, from_json, to_json};
use super::server::{self, Server};
use super::{failure, lists};
use crate::TaskFacts;

/// Tasks that one script gives at most.
const MOST: u32 = 500;

/// Takes ready tasks, some hundreds in one script.
pub(super) async fn claim(hot: &Hot, request: &ClaimRequest) -> Result<Vec<Claim>> {
    let mut claims = claim_some(hot, request, request.limit.min(MOST)).await?;
    while claims.len() < request.limit as usize && claims.len() % MOST as usize == 0 && !claims.is_empty() {
        let left = request.limit - u32::try_from(claims.len()).unwrap_or(request.limit);
        let in_hand = request.in_hand.saturating_add(request.limit - left);
        let request = ClaimRequest { in_hand, ..request.clone() };
        let more = claim_some(hot, &request, left.min(MOST)).await?;
        if more.is_empty() {
            break;
        }
        claims.extend(more);
    }
    Ok(claims)
}

async fn claim_some(hot: &Hot, request: &ClaimRequest, limit: u32) -> Result<Vec<Claim>> {
    let mut words = vec![
        request.worker.as_str().to_owned(),
        to_json(&request.worker)?,
        row::milliseconds(request.ttl),
        limit.to_string(),
        request.run.as_ref().map(|run| run.as_str().to_owned()).unwrap_or_default(),
        request.max_active.map_or("-1".to_owned(), |most| most.to_string()),
        "0".to_owned(),
        request.in_hand.to_string(),
    ];
    words.extend((0..limit).map(|_| server::name()));
    words.extend(request.queues.iter().map(|queue| row::queue(queue)));
    let make = || Command { name: "claim", arguments: bytes(words.clone()), again: Some(6) };
    let Value::Array(claims) = hot.ask(make).await? else { return Err(strange("a claim")) };
    claims.into_iter().map(read_claim).collect()
}

fn read_claim(value: Value) -> Result<Claim> {
    type Read = (String, u32, String, u32, Vec<String>, String, Option<String>);
    let (run, number, nonce, definition, flat, new, error): Read =
        redis::from_redis_value(value).map_err(|_| strange("a claim"))?;
    let run: RunId = run.parse()?;
    let fields: Fields = lists::pairs(flat);
    let new: NewTask = from_json(&new)?;
    let row = row::task(&run, number, &fields, &new)?;
    let token =
        LeaseToken { run: run.clone(), task: number, attempt: row.attempt, nonce: Nonce::from(nonce) };
    let facts = TaskFacts {
        run,
        run_state: RunState::Running,
        name: new.name,
        queue: new.queue,
        priority: new.priority,
        payload: new.payload,
        error: error.as_deref().map(from_json).transpose()?,
    };
    Ok(Claim { token, task: crate::task(&row, facts), definition })
}

/// Extends leases.
pub(super) async fn renew(hot: &Hot, tokens: &[LeaseToken], ttl: Duration) -> Result<Vec<LeaseState>> {
    let mut states = Vec::with_capacity(tokens.len());
    for batch in tokens.chunks(200) {
        let mut words = vec![row::milliseconds(ttl)];
        for token in batch {
            words.extend(of(token));
        }
        let make = || Command { name: "renew", arguments: bytes(words.clone()), again: None };
        let answer = hot.ask(make).await?;
        let found: Vec<String> = redis::from_redis_value(answer).map_err(|_| strange("leases"))?;
        for state in found {
            states.push(match state.as_str() {
                "held" => LeaseState::Held,
                "cancelled" => LeaseState::Cancelled,
                _ => LeaseState::Lost,
            });
        }
    }
    Ok(states)
}

/// Appends to the journal of a leased task.
pub(super) async fn journal(hot: &Hot, token: &LeaseToken, expect: u64, records: &[Record]) -> Result<u64> {
    let mut words = of(token).to_vec();
    words.extend([expect.to_string(), server::name()]);
    for record in records {
        words.push(to_json(record)?);
    }
    let make = || Command { name: "journal", arguments: bytes(words.clone()), again: None };
    match hot.ask(make).await? {
        Value::Int(entries) => u64::try_from(entries).map_err(|_| strange("a journal")),
        Value::Array(values) => match values.as_slice() {
            [_, Value::Int(entries)] => {
                let message =
                    format!("the journal of task {} has {entries} entries, not {expect}", token.task);
                Err(Error::new(ErrorKind::Conflict, message).with_context("run", token.run.as_str()))
            }
            _ => Err(strange("a journal")),
        },
        _ => Err(token.stale()),
    }
}

/// Changes the log of an item.
pub(super) async fn write_item(hot: &Hot, token: &LeaseToken, item: &str, write: &ItemWrite) -> Result<()> {
    let (how, records) = match write {
        ItemWrite::Append(records) => ("append", records),
        ItemWrite::Replace(records) => ("replace", records),
    };
    let mut words = of(token).to_vec();
    words.extend([item.to_owned(), how.to_owned(), server::name()]);
    for record in records {
        words.push(to_json(record)?);
    }
    let make = || Command { name: "item", arguments: bytes(words.clone()), again: None };
    let answer = hot.ask(make).await?;
    if matches!(answer, Value::Int(_)) { Ok(()) } else { Err(token.stale()) }
}

/// Ends a lease.
pub(super) async fn complete(
    server: &Server,
    hot: &Hot,
    token: &LeaseToken,
    outcome: Outcome,
) -> Result<Applied> {
    let mut words = of(token).to_vec();
    match &outcome {
        Outcome::Done { output } => words.extend(["done".to_owned(), to_json(output)?]),
        Outcome::Joined { output } => words.extend(["done".to_owned(), output.clone()]),
        Outcome::Skipped { reason } => {
            let reason = Error::new(ErrorKind::Cancelled, reason.clone()).report();
            words.extend(["skipped".to_owned(), to_json(&reason)?]);
        }
        Outcome::Released => words.push("released".to_owned()),
        _ => return by_scheduler(server, token, outcome).await,
    }
    let make = || Command { name: "complete", arguments: bytes(words.clone()), again: None };
    let answer = hot.ask(make).await?;
    if hot::is(&answer, b"stale") {
        return Err(token.stale());
    }
    if hot::is(&answer, b"general") {
        return by_scheduler(server, token, outcome).await;
    }
    let Value::Array(mut values) = answer else { return Err(strange("a completion")) };
    let is_more = values.len() > 3 && values.pop().is_some_and(|more| hot::is(&more, b"more"));
    let (state, ready, run): (String, u32, String) =
        redis::from_redis_value(Value::Array(values)).map_err(|_| strange("a completion"))?;
    let rest = if is_more { release(server, &token.run).await? } else { 0 };
    Ok(Applied { state: row::task_state(&state)?, ready: ready + rest, run: row::run_state(&run)? })
}

async fn by_scheduler(server: &Server, token: &LeaseToken, outcome: Outcome) -> Result<Applied> {
    let applied =
        change(server, &token.run, |rows, now| schedule::complete(rows, token, outcome.clone(), now)).await;
    applied.map_err(|error| crate::stale_if_gone(error, token))
}

fn of(token: &LeaseToken) -> [String; 3] {
    [token.run.as_str().to_owned(), token.task.to_string(), row::token(token)]
}

fn bytes(words: Vec<String>) -> Vec<Vec<u8>> {
    words.into_iter().map(String::into_bytes).collect()
}

fn strange(what: &str) -> Error {
    failure::unreadable(what, "the answer of the script has another form")
}

/// Makes the commands that give back tasks which were claimed for somebody who is gone.
pub(super) fn give_back(claims: Value) -> Vec<Command> {
    let Value::Array(claims) = claims else { return Vec::new() };
    let read = claims.into_iter().filter_map(|claim| read_claim(claim).ok());
    read.map(|claim| {
        let mut words = of(&claim.token).to_vec();
        words.push("released".to_owned());
        Command { name: "complete", arguments: bytes(words), again: None }
    })
    .collect()
}
