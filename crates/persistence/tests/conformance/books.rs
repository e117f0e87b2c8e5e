//! Books of budgets: reservations over several books at once, and what becomes of those that nobody settles.

use std::time::Duration;

use motet_core::budget::{Amount, Book, BookLimit, Limits, StoreReservation};
use motet_core::error::ErrorKind;
use motet_core::store::SharedStore;
use motet_core::usage::Cost;

use crate::fixture::HOUR;

fn amount(nanos: u64) -> Amount {
    Amount { cost: Cost::from_nanos(nanos), tokens: nanos * 2 }
}

fn limit(book: &str, nanos: u64) -> BookLimit {
    let limits = Limits { cost: Some(Cost::from_nanos(nanos)), tokens: None };
    BookLimit { book: book.to_owned(), limits }
}

fn reservation(id: &str, books: Vec<BookLimit>, nanos: u64) -> StoreReservation {
    StoreReservation { id: id.to_owned(), books, amount: amount(nanos), lease: HOUR }
}

async fn book(store: &SharedStore, name: &str) -> Book {
    let books = store.books().await.unwrap();
    books.into_iter().find(|(found, _)| found == name).map(|(_, book)| book).unwrap_or_default()
}

/// Puts a reservation in a book.
pub(crate) async fn reserve_some(store: &SharedStore) {
    store.reserve(&reservation("some", vec![limit("day 1", 50)], 40)).await.unwrap();
}

pub(crate) async fn what_is_reserved_is_settled_by_what_was_spent(store: SharedStore) {
    let books = || vec![limit("tenant a", 100), limit("day 1", 50)];
    store.reserve(&reservation("one", books(), 40)).await.unwrap();
    assert_eq!(book(&store, "tenant a").await, Book { reserved: amount(40), ..Book::default() });
    store.settle("one", Some(amount(10))).await.unwrap();
    for name in ["tenant a", "day 1"] {
        assert_eq!(book(&store, name).await, Book { spent: amount(10), ..Book::default() });
    }
    store.reserve(&reservation("two", books(), 5)).await.unwrap();
    store.settle("two", None).await.unwrap();
    let expected = Book { spent: amount(10), unknown: amount(5), ..Book::default() };
    assert_eq!(book(&store, "day 1").await, expected);
}

pub(crate) async fn a_refusal_reserves_nothing_in_any_book(store: SharedStore) {
    let both = vec![limit("tenant a", 100), limit("day 1", 30)];
    let error = store.reserve(&reservation("one", both, 40)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BudgetExceeded);
    assert!(error.message().contains("the budget of the day 1 is"), "{error}");
    assert_eq!(book(&store, "tenant a").await, Book::default());
}

pub(crate) async fn settling_twice_changes_nothing(store: SharedStore) {
    store.reserve(&reservation("one", vec![limit("b", 100)], 40)).await.unwrap();
    for _ in 0..3 {
        store.settle("one", Some(amount(10))).await.unwrap();
    }
    store.settle("never", Some(amount(10))).await.unwrap();
    assert_eq!(book(&store, "b").await, Book { spent: amount(10), ..Book::default() });
}

pub(crate) async fn what_nobody_settles_counts_in_whole_until_it_is_known(store: SharedStore) {
    let mut crashed = reservation("crashed", vec![limit("b", 100)], 40);
    crashed.lease = Duration::ZERO;
    store.reserve(&crashed).await.unwrap();
    assert_eq!(book(&store, "b").await, Book { unknown: amount(40), ..Book::default() });
    let error = store.reserve(&reservation("next", vec![limit("b", 100)], 61)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BudgetExceeded);
    store.settle("crashed", Some(amount(1))).await.unwrap();
    assert_eq!(book(&store, "b").await, Book { spent: amount(1), ..Book::default() });
}

pub(crate) async fn many_at_once_never_reserve_more_than_there_is(store: SharedStore) {
    let one = |number: u32| {
        let store = store.clone();
        async move {
            let id = number.to_string();
            if store.reserve(&reservation(&id, vec![limit("b", 100)], 30)).await.is_err() {
                return 0;
            }
            tokio::task::yield_now().await;
            store.settle(&id, Some(amount(20))).await.unwrap();
            1
        }
    };
    let mut calls = tokio::task::JoinSet::new();
    (0..50).for_each(|number| {
        calls.spawn(one(number));
    });
    let made: u64 = calls.join_all().await.into_iter().sum();
    let end = book(&store, "b").await;
    assert_eq!((end.spent, end.reserved), (amount(20 * made), amount(0)));
    assert!((3..=4).contains(&made), "{made}");
}
