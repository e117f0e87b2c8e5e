//! Commands of the contract, made at random and given to both stores.

use std::time::Duration;

use motet_core::decision::{Decision, Question, QuestionReason};
use motet_core::error::{Error, ErrorKind, Retry};
use motet_core::id::{Millis, RunId, WorkerId};
use motet_core::run_log::{Entry, Record};
use motet_core::store::{
    Claim, ClaimRequest, Control, ItemWrite, LeaseToken, NewRun, NewTask, Outcome, ParentTask, PruneRequest,
    RunState, TaskLimit,
};
use motet_core::workflow::{OnFailure, Priority, RetryPolicy};
use serde_json::{Value, json};

use super::{Pair, views};
use crate::fixture::{HOUR, run_of};

const POLICIES: [OnFailure; 3] = [OnFailure::Fail, OnFailure::SkipDependents, OnFailure::Continue];
const PRIORITIES: [Priority; 3] = [Priority::Urgent, Priority::High, Priority::Low];
const QUEUES: [&str; 2] = ["default", "slow"];

/// What is done to both stores; a claim is meant by its place among all.
#[derive(Debug, Clone)]
pub(super) enum Command {
    Submit(Box<NewRun>),
    Claim(ClaimRequest),
    Renew(Vec<usize>, Duration),
    Journal(usize, u64, Vec<Record>),
    Item(usize, String, ItemWrite),
    Complete(usize, Outcome),
    Advance,
    Control(RunId, Control),
    Decide(RunId, String, Decision),
    Prune(PruneRequest),
}

impl Command {
    /// Makes the next command.
    pub(super) fn random(pair: &mut Pair) -> Self {
        let claims: Vec<usize> = (0..pair.claims.len()).collect();
        // Mostly one of the last claims, as older ones have ended.
        let recent = claims[claims.len().saturating_sub(6)..].to_vec();
        let claim = if pair.one_in(6) { pair.pick(&claims) } else { pair.pick(&recent) };
        let run = pair.pick(&pair.runs.clone());
        match (pair.numbers.below(40), claim, run) {
            (0..=3, ..) => Command::Submit(Box::new(submission(pair, None))),
            (4..=15, ..) => Command::Claim(request(pair)),
            (16..=17, Some(claim), _) => {
                let ttl = if pair.one_in(2) { Duration::ZERO } else { HOUR };
                Command::Renew(vec![claim, claims[claims.len() - 1]], ttl)
            }
            (18..=20, Some(claim), _) => {
                let written = pair.claims[claim].0.task.journal;
                let expect = if pair.one_in(3) { written + 1 } else { written };
                let records = (0..pair.numbers.below(3)).map(|_| record(pair)).collect();
                Command::Journal(claim, expect, records)
            }
            (21, Some(claim), _) => {
                let records = vec![record(pair)];
                let append = pair.one_in(2);
                let write = if append { ItemWrite::Append(records) } else { ItemWrite::Replace(records) };
                Command::Item(claim, format!("i{}", pair.numbers.below(2)), write)
            }
            (22, Some(claim), _) => {
                let parent = pair.claims[claim].0.clone();
                Command::Submit(Box::new(submission(pair, Some(&parent))))
            }
            (23..=32, Some(claim), _) => Command::Complete(claim, outcome(pair, claim)),
            (33..=34, ..) => Command::Advance,
            (35..=36, _, Some(run)) => Command::Control(run.clone(), control(pair)),
            (37..=38, _, Some(run)) => {
                let decision = match pair.one_in(3) {
                    true => Decision::Deny { reason: Some("no".to_owned()) },
                    false => Decision::Approve { arguments: None },
                };
                Command::Decide(run, format!("q{}", pair.numbers.below(3)), decision)
            }
            (39, _, Some(_)) if pair.one_in(2) => Command::Prune(prune(pair)),
            _ => Command::Claim(request(pair)),
        }
    }

    /// Gives it to both stores; gives their answers without times and chance.
    pub(super) async fn apply(self, pair: &mut Pair) -> (Value, Value) {
        let tokens = |places: &[usize]| -> [Vec<LeaseToken>; 2] {
            let of =
                |place: &usize| (pair.claims[*place].0.token.clone(), pair.claims[*place].1.token.clone());
            let (one, other) = places.iter().map(of).unzip();
            [one, other]
        };
        let (model, other) = (pair.model.clone(), pair.other.clone());
        /// Has both stores do the same and shows what they answer.
        macro_rules! both {
            ($method:ident($($argument:expr),*)) => {
                (answer(model.$method($($argument),*).await), answer(other.$method($($argument),*).await))
            };
            ($token:ident in $tokens:expr => $method:ident($($argument:expr),*)) => {{
                let [one, two] = &$tokens;
                let first = { let $token = one; answer(model.$method($($argument),*).await) };
                let second = { let $token = two; answer(other.$method($($argument),*).await) };
                (first, second)
            }};
        }
        match self {
            Command::Submit(new) => {
                let answers = both!(submit((*new).clone()));
                if answers.0.get("ok").and_then(Value::as_str) == Some(new.id.as_str()) {
                    if let Some(parent) = &new.parent {
                        pair.roots.insert(new.id.clone(), parent.root.clone());
                        pair.children.insert((parent.run.clone(), parent.task), new.id.clone());
                    }
                    pair.runs.push(new.id);
                }
                answers
            }
            Command::Claim(request) => {
                let (one, two) =
                    (model.claim(request.clone()).await.unwrap(), other.claim(request).await.unwrap());
                let answers = (views::plain(&one), views::plain(&two));
                pair.claims.extend(one.into_iter().zip(two));
                answers
            }
            Command::Renew(places, ttl) => both!(token in tokens(&places) => renew(token, ttl)),
            Command::Journal(place, expect, records) => {
                let answers = both!(token in tokens(&[place]) => journal(&token[0], expect, records.clone()));
                if let Some(entries) = answers.0.get("ok").and_then(Value::as_u64) {
                    pair.claims[place].0.task.journal = entries;
                }
                answers
            }
            Command::Item(place, name, write) => {
                both!(token in tokens(&[place]) => write_item(&token[0], &name, write.clone()))
            }
            Command::Complete(place, outcome) => {
                both!(token in tokens(&[place]) => complete(&token[0], outcome.clone()))
            }
            Command::Advance => both!(advance()),
            Command::Control(run, control) => both!(control(&run, control.clone())),
            Command::Decide(run, step, decision) => both!(decide(&run, &step, decision.clone())),
            Command::Prune(request) => both!(prune(&request)),
        }
    }
}

fn answer<T: serde::Serialize>(result: motet_core::Result<T>) -> Value {
    match result {
        Ok(value) => json!({"ok": views::plain(&value)}),
        Err(error) => json!({"kind": error.kind(), "message": error.message()}),
    }
}

fn record(pair: &mut Pair) -> Record {
    pair.made += 1;
    Record::new(format!("s{}", pair.made), Entry::Finished { result: json!(pair.made) })
}

/// Makes a task that may wait for those before it.
fn new_task(pair: &mut Pair, number: u32) -> NewTask {
    let dependencies = (0..number).filter(|_| pair.one_in(3)).collect();
    let base_delay = if pair.one_in(4) { HOUR } else { Duration::ZERO };
    let max_attempts = 1 + pair.numbers.below(3);
    let retry = RetryPolicy {
        max_attempts,
        base_delay,
        max_delay: base_delay,
        jitter: false,
        ..RetryPolicy::default()
    };
    let limit = pair
        .one_in(5)
        .then(|| TaskLimit { key: format!("k{}", pair.numbers.below(2)), max: 1 + pair.numbers.below(2) });
    NewTask {
        dependencies,
        retry,
        limit,
        queue: pair.pick(&QUEUES).unwrap().to_owned(),
        priority: if pair.one_in(3) { pair.pick(&PRIORITIES).unwrap() } else { Priority::Normal },
        on_failure: pair.pick(&POLICIES).unwrap(),
        delay: if pair.one_in(12) { HOUR } else { Duration::ZERO },
        payload: if pair.one_in(3) { json!({"item": number}) } else { Value::Null },
        ..NewTask::named(format!("t{number}"))
    }
}

fn new_tasks(pair: &mut Pair) -> Vec<NewTask> {
    let most = 1 + pair.numbers.below(6);
    (0..most).map(|number| new_task(pair, number)).collect()
}

fn submission(pair: &mut Pair, parent: Option<&Claim>) -> NewRun {
    let tasks = new_tasks(pair);
    let id = match pair.one_in(30).then(|| pair.pick(&pair.runs.clone())).flatten() {
        Some(taken) => taken,
        // Stores that list runs by their ids list them in the order submitted.
        None => format!("run-{:03}", pair.runs.len()).parse().unwrap(),
    };
    let over = Millis(1);
    NewRun {
        id,
        max_active: pair.one_in(4).then(|| 1 + pair.numbers.below(3)),
        deadline: pair.one_in(12).then_some(over),
        key: pair.one_in(8).then(|| format!("key-{}", pair.numbers.below(3))),
        parent: parent.map(|claim| ParentTask {
            run: claim.token.run.clone(),
            task: claim.task.number,
            root: pair.roots.get(&claim.token.run).unwrap_or(&claim.token.run).clone(),
        }),
        ..run_of(tasks)
    }
}

fn request(pair: &mut Pair) -> ClaimRequest {
    let queues = match pair.numbers.below(4) {
        0 => Vec::new(),
        1 => vec!["slow".to_owned(), "none".to_owned()],
        _ => QUEUES.map(str::to_owned).to_vec(),
    };
    ClaimRequest {
        worker: WorkerId::from_stored(["one", "two"][pair.numbers.below(2) as usize]),
        queues,
        run: if pair.one_in(5) { pair.pick(&pair.runs.clone()) } else { None },
        limit: 1 + pair.numbers.below(4),
        ttl: if pair.one_in(4) { Duration::ZERO } else { HOUR },
        max_active: pair.one_in(6).then(|| pair.numbers.below(4)),
        in_hand: pair.numbers.below(2),
    }
}

fn error(pair: &mut Pair) -> motet_core::error::ErrorReport {
    let kinds = [ErrorKind::ToolFailed, ErrorKind::Overloaded, ErrorKind::InvalidOutput, ErrorKind::Timeout];
    let error = Error::new(pair.pick(&kinds).unwrap(), "told to fail");
    match pair.numbers.below(3) {
        0 => error.with_retry(Retry::Never).report(),
        1 => error.with_retry(Retry::Backoff).report(),
        _ => error.report(),
    }
}

fn outcome(pair: &mut Pair, claim: usize) -> Outcome {
    let claim = pair.claims[claim].0.clone();
    match pair.numbers.below(16) {
        0..=5 => {
            pair.made += 1;
            let large = pair.one_in(8);
            Outcome::Done { output: if large { json!("x".repeat(20_000)) } else { json!(pair.made) } }
        }
        6 => Outcome::Skipped { reason: "no".to_owned() },
        7..=8 => Outcome::Failed { error: error(pair), chance: 0.5 },
        9..=10 => {
            let children = (0..pair.numbers.below(4)).map(|number| {
                let name = format!("{}[{number}]", claim.task.name);
                NewTask { name, dependencies: Vec::new(), ..new_task(pair, 0) }
            });
            Outcome::Expand { children: children.collect() }
        }
        11 => Outcome::Released,
        12..=13 => {
            let ask = |place| {
                let mut question = Question::new(format!("q{place}"), QuestionReason::Approval, "pay");
                question.arguments = json!(claim.task.number);
                question
            };
            let questions = (0..pair.numbers.below(3)).map(ask).collect();
            let at_most_ms = pair.one_in(2).then(|| if pair.one_in(2) { 1 } else { 3_600_000 });
            Outcome::Waiting { questions, at_most_ms }
        }
        14 => {
            let started = pair.children.get(&(claim.token.run.clone(), claim.task.number)).cloned();
            Outcome::Awaiting { run: started.unwrap_or_else(|| "nowhere".parse().unwrap()) }
        }
        _ => Outcome::GivenUp { error: error(pair) },
    }
}

fn control(pair: &mut Pair) -> Control {
    match pair.numbers.below(6) {
        0 => Control::Cancel,
        1 => Control::Pause,
        2..=4 => Control::Resume,
        _ => {
            let tasks = new_tasks(pair);
            let unchanged = tasks.iter().filter(|_| pair.one_in(2)).map(|task| task.name.clone()).collect();
            Control::Redefine { definition: json!({"of": pair.made}), tasks, unchanged }
        }
    }
}

fn prune(pair: &mut Pair) -> PruneRequest {
    let states = [RunState::Completed, RunState::Failed, RunState::Cancelled];
    PruneRequest {
        ended_before: Millis::now().after(HOUR),
        states: if pair.one_in(2) { vec![pair.pick(&states).unwrap()] } else { Vec::new() },
        limit: if pair.one_in(2) { 1 } else { 100 },
        dry_run: pair.one_in(3),
    }
}
