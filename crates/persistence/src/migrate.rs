//! Copies everything of one store to another.
//!
//! Knows no backend: a store gives what it holds by the contract, and takes it by the contract.

use std::path::Path;
use std::time::Duration;

use motet_core::budget::{Amount, Book, BookLimit, Limits, StoreReservation};
use motet_core::conversation::{ConversationFilter, ConversationStore};
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::store::{RunFilter, SharedStore};
use serde::Serialize;

/// What is done about runs that workers have in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Held {
    /// Nothing is copied.
    #[default]
    Refuse,
    /// They are copied, and what is in hand is ready in the copy.
    Copy,
}

/// What was copied, and what was there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Migrated {
    /// Runs.
    pub runs: u64,
    /// Tasks of these runs.
    pub tasks: u64,
    /// Runs that were there already, and stayed as they were.
    pub skipped_runs: u64,
    /// Conversations.
    pub conversations: u64,
    /// Conversations that were there already.
    pub skipped_conversations: u64,
    /// Books of budgets.
    pub books: u64,
    /// Books that were there already.
    pub skipped_books: u64,
}

/// Copies all runs, conversations, and books of budgets. Kept answers and workers stay behind: they come again.
///
/// Doing it again copies what is missing. Tells after each run how many of how many are through.
///
/// # Errors
/// `Conflict` when workers have tasks in hand and that is refused; `Unsupported` when one of the stores gives or takes
/// no copies; the stores' own errors.
pub async fn migrate(
    from: &SharedStore,
    to: &SharedStore,
    held: Held,
    mut progress: impl FnMut(u64, u64),
) -> Result<Migrated> {
    // The oldest first, so that a run is there before those that it started.
    let runs: Vec<_> = from.runs(&RunFilter::default()).await?.into_iter().rev().collect();
    let in_hand: u32 = runs.iter().map(|run| run.active).sum();
    if held == Held::Refuse && in_hand > 0 {
        let message = format!("workers have {in_hand} tasks of the store in hand");
        return Err(Error::new(ErrorKind::Conflict, message).with_hint(
            "end the workers first, or copy with `--force`: what they have in hand then runs again",
        ));
    }
    let mut migrated = Migrated::default();
    let all = runs.len() as u64;
    for (place, run) in (1..).zip(runs) {
        if to.run(&run.id).await?.is_some() {
            migrated.skipped_runs += 1;
        } else if let Some(dump) = from.dump(&run.id).await? {
            let tasks = dump.tasks.len() as u64;
            to.load(dump).await?;
            migrated.runs += 1;
            migrated.tasks += tasks;
        }
        progress(place, all);
    }
    if let (Some(from), Some(to)) = (from.conversations(), to.conversations()) {
        copy_conversations(from, to, &mut migrated).await?;
    }
    copy_books(from, to, &mut migrated).await?;
    Ok(migrated)
}

async fn copy_conversations(
    from: &dyn ConversationStore,
    to: &dyn ConversationStore,
    migrated: &mut Migrated,
) -> Result<()> {
    // The one changed last is copied last, so that the list keeps its order.
    for head in from.list(&ConversationFilter::default()).await?.into_iter().rev() {
        if to.head(&head.id).await?.is_some() {
            migrated.skipped_conversations += 1;
        } else if let Some(conversation) = from.load(&head.id).await? {
            to.restore(conversation).await?;
            migrated.conversations += 1;
        }
    }
    Ok(())
}

async fn copy_books(from: &SharedStore, to: &SharedStore, migrated: &mut Migrated) -> Result<()> {
    let (books, there) = match (from.books().await, to.books().await) {
        (Ok(books), Ok(there)) => (books, there),
        // One of them keeps none.
        (Err(error), _) | (_, Err(error)) if error.kind() == ErrorKind::Unsupported => return Ok(()),
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    for (name, book) in books {
        if there.iter().any(|(other, _)| *other == name) {
            migrated.skipped_books += 1;
            continue;
        }
        let Book { spent, unknown, reserved } = book;
        // All of it at first: should the copy end here, the book says too much and never too little.
        let all = reserve(to, &name, spent.plus(unknown).plus(reserved)).await?;
        // Who reserved it settles in the store that it was reserved in: here it counts as spent.
        for amount in [unknown, reserved] {
            let id = reserve(to, &name, amount).await?;
            to.settle(&id, None).await?;
        }
        to.settle(&all, Some(spent)).await?;
        migrated.books += 1;
    }
    Ok(())
}

/// Reserves an amount in a book and gives the name of the reservation.
async fn reserve(to: &SharedStore, book: &str, amount: Amount) -> Result<String> {
    let id = format!("copy-{}", motet_core::RunId::new());
    let books = vec![BookLimit { book: book.to_owned(), limits: Limits::default() }];
    let lease = Duration::from_secs(60);
    to.reserve(&StoreReservation { id: id.clone(), books, amount, lease }).await?;
    Ok(id)
}

/// Tells whether the file or directory that a URL names is there; a URL that names none is taken to be.
#[must_use]
pub fn is_there(url: &str, directory: &Path) -> bool {
    let Some((scheme, rest)) = url.split_once(':') else { return true };
    let path = rest.split_once('?').map_or(rest, |(path, _)| path);
    let path = path.strip_prefix("//").unwrap_or(path);
    !matches!(scheme, "sqlite" | "sled") || directory.join(path).exists()
}

#[cfg(test)]
mod tests {
    use motet_core::conversation::{ConversationId, NewConversation, Turn};
    use motet_core::id::WorkerId;
    use motet_core::message::Message;
    use motet_core::store::{Claim, ClaimRequest, NewRun, NewTask, Outcome, RunState, TaskState};
    use serde_json::json;

    use super::*;

    fn sled(directory: &tempfile::TempDir) -> SharedStore {
        crate::open(&format!("sled:{}/store", directory.path().display())).unwrap()
    }

    async fn claim(store: &SharedStore) -> Claim {
        let ttl = Duration::from_secs(60);
        let request = ClaimRequest {
            worker: WorkerId::new(),
            queues: Vec::new(),
            run: None,
            limit: 1,
            ttl,
            max_active: None,
            in_hand: 0,
        };
        store.claim(request).await.unwrap().remove(0)
    }

    /// A run of two tasks of which the first is done and the second in hand, a conversation, and a book.
    async fn filled(store: &SharedStore) -> Claim {
        let second = NewTask { dependencies: vec![0], ..NewTask::named("second") };
        let run = NewRun {
            key: Some("once".into()),
            ..NewRun::new("workflow", "test", vec![NewTask::named("first"), second])
        };
        store.submit(run).await.unwrap();
        let first = claim(store).await;
        store.complete(&first.token, Outcome::Done { output: json!({"n": 1}) }).await.unwrap();
        let id: ConversationId = "talk".parse().unwrap();
        let mut new = NewConversation::new(id);
        new.turns = vec![Turn::new(vec![Message::user("hello")])];
        store.conversations().unwrap().create(new).await.unwrap();
        let amount = Amount { tokens: 7, ..Amount::default() };
        for spent in [Some(amount), None] {
            let id = reserve(store, "day", amount).await.unwrap();
            store.settle(&id, spent).await.unwrap();
        }
        claim(store).await
    }

    #[tokio::test]
    async fn everything_is_copied_through_a_directory_and_back_and_a_second_time_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second, third) =
            (crate::open("memory:").unwrap(), sled(&directory), crate::open("memory:").unwrap());
        let held = filled(&first).await;
        let refused = migrate(&first, &second, Held::Refuse, |_, _| {}).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        assert!(second.runs(&RunFilter::default()).await.unwrap().is_empty());
        let mut told = Vec::new();
        let copied = migrate(&first, &second, Held::Copy, |done, all| told.push((done, all))).await.unwrap();
        let whole = Migrated { runs: 1, tasks: 2, conversations: 1, books: 1, ..Migrated::default() };
        assert_eq!((copied, told), (whole, vec![(1, 1)]));
        drop(second);
        let second = sled(&directory);
        assert_eq!(migrate(&second, &third, Held::Refuse, |_, _| {}).await.unwrap(), whole);
        let again = migrate(&second, &third, Held::Refuse, |_, _| {}).await.unwrap();
        let skipped =
            Migrated { skipped_runs: 1, skipped_conversations: 1, skipped_books: 1, ..Migrated::default() };
        assert_eq!(again, skipped);

        let run = &held.token.run;
        let talk = "talk".parse().unwrap();
        for store in [&second, &third] {
            let tasks = store.tasks(run).await.unwrap();
            let states: Vec<_> = tasks.iter().map(|task| (task.state, task.attempt)).collect();
            assert_eq!(states, [(TaskState::Done, 1), (TaskState::Ready, 0)], "what was in hand runs again");
            assert_eq!(store.outputs(run, &[0]).await.unwrap(), [Some(json!({"n": 1}))]);
            let events = store.events(run, 0, 100).await.unwrap();
            assert!(events.iter().map(|event| event.seq).eq(1..=5), "{events:?}");
            assert!(store.complete(&held.token, Outcome::Released).await.is_ok_and(|it| it.ready == 0));
            let loaded = store.conversations().unwrap().load(&talk).await.unwrap();
            assert_eq!(loaded, first.conversations().unwrap().load(&talk).await.unwrap());
            assert_eq!(store.books().await.unwrap(), first.books().await.unwrap());
        }
        let end = claim(&third).await;
        let applied = third.complete(&end.token, Outcome::Done { output: json!(2) }).await.unwrap();
        assert_eq!(applied.run, RunState::Completed);
        let known = NewRun {
            key: Some("once".into()),
            ..NewRun::new("workflow", "other", vec![NewTask::named("x")])
        };
        assert_eq!(third.submit(known).await.unwrap(), *run, "the key of a copied run is taken");
    }

    #[tokio::test]
    async fn a_directory_of_sled_goes_by_way_of_a_file_of_sqlite() {
        let directory = tempfile::tempdir().unwrap();
        let file = crate::open(&format!("sqlite:{}/runs.db", directory.path().display())).unwrap();
        let (first, last) = (sled(&directory), crate::open("memory:").unwrap());
        let held = filled(&first).await;
        let whole = Migrated { runs: 1, tasks: 2, conversations: 1, books: 1, ..Migrated::default() };
        assert_eq!(migrate(&first, &file, Held::Copy, |_, _| {}).await.unwrap(), whole);
        assert_eq!(migrate(&file, &last, Held::Refuse, |_, _| {}).await.unwrap(), whole);
        let talk = "talk".parse().unwrap();
        for store in [&file, &last] {
            assert_eq!(store.outputs(&held.token.run, &[0]).await.unwrap(), [Some(json!({"n": 1}))]);
            let said = store.conversations().unwrap().load(&talk).await.unwrap().unwrap();
            assert_eq!(said.messages().cloned().collect::<Vec<_>>(), [Message::user("hello")]);
            assert_eq!(store.books().await.unwrap(), first.books().await.unwrap());
            let next = claim(store).await;
            assert_eq!(next.task.name, "second");
            store.complete(&next.token, Outcome::Done { output: json!(2) }).await.unwrap();
            let run = store.run(&held.token.run).await.unwrap().unwrap();
            assert_eq!(run.summary.state, RunState::Completed);
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_told() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a.db"), "").unwrap();
        for (url, there) in [
            ("sqlite:a.db?synchronous=full", true),
            ("sqlite:b.db", false),
            ("sled:a", false),
            ("sled:.", true),
            ("redis://localhost", true),
        ] {
            assert_eq!(is_there(url, directory.path()), there, "{url}");
        }
    }
}
