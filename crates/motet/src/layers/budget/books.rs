//! A budget whose books are in the store, so that all processes that share it share the budget.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::budget::{BookLimit, Budget, Estimate, Reservation, Spent, StoreReservation};
use motet_core::error::Result;
use motet_core::id::RunId;
use motet_core::store::SharedStore;

use crate::lazy_store::LazyStore;

/// Books that a call is paid out of, all or none.
pub(super) struct StoreBudget {
    store: LazyStore,
    books: Vec<BookLimit>,
    lease: Duration,
}

impl StoreBudget {
    pub(super) fn new(store: LazyStore, books: Vec<BookLimit>, lease: Duration) -> Self {
        Self { store, books, lease }
    }
}

impl fmt::Debug for StoreBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreBudget").field("books", &self.books).finish_non_exhaustive()
    }
}

#[async_trait]
impl Budget for StoreBudget {
    async fn reserve(&self, estimate: &Estimate) -> Result<Box<dyn Reservation>> {
        let store = self.store.get().await?;
        let reservation = StoreReservation {
            id: RunId::new().as_str().to_owned(),
            books: self.books.clone(),
            amount: estimate.amount(),
            lease: self.lease,
        };
        store.reserve(&reservation).await?;
        Ok(Box::new(Held { store, id: reservation.id }))
    }
}

/// A reservation in the store; one that is never settled counts as spent when its lease is over.
struct Held {
    store: SharedStore,
    id: String,
}

#[async_trait]
impl Reservation for Held {
    async fn settle(self: Box<Self>, spent: Spent) -> Result<()> {
        self.store.settle(&self.id, spent.amount()).await
    }
}
