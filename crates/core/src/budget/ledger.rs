//! Books in memory: the one that every run has, and budgets for code that wants its own.
//!
//! Shares nothing with other processes; those books are a store's.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Amount, Book, Budget, Estimate, Limits, Reservation, Spent};
use crate::error::{Error, ErrorKind, Result};
use crate::settings::UnknownPrice;

/// A book in memory, and when it was opened.
#[derive(Debug)]
pub struct Ledger {
    book: Mutex<Book>,
    opened: Instant,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new(Amount::default())
    }
}

impl Ledger {
    /// Opens a book in which so much is spent already.
    #[must_use]
    pub fn new(spent: Amount) -> Self {
        Self { book: Mutex::new(Book { spent, ..Book::default() }), opened: Instant::now() }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the book as it stands.
    #[must_use]
    pub fn book(&self) -> Book {
        *self.lock()
    }

    /// Gives when it was opened.
    #[must_use]
    pub fn opened(&self) -> Instant {
        self.opened
    }

    /// Reserves an amount; `name` tells the user whose budget it is.
    ///
    /// # Errors
    /// `BudgetExceeded` when it does not fit.
    pub fn reserve(self: &Arc<Self>, name: &str, limits: &Limits, amount: Amount) -> Result<Hold> {
        self.lock().reserve(name, limits, amount)?;
        Ok(Hold { ledger: Arc::clone(self), amount: Some(amount) })
    }
}

/// An amount reserved in a ledger; dropped without being settled, all of it counts as spent.
#[derive(Debug)]
pub struct Hold {
    ledger: Arc<Ledger>,
    amount: Option<Amount>,
}

impl Hold {
    fn end(&mut self, spent: Option<Amount>) {
        if let Some(amount) = self.amount.take() {
            self.ledger.lock().settle(amount, spent);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.end(None);
    }
}

#[async_trait]
impl Reservation for Hold {
    async fn settle(mut self: Box<Self>, spent: Spent) -> Result<()> {
        self.end(spent.amount());
        Ok(())
    }
}

/// A budget in memory for code that wants its own, such as one for everything that a server does.
///
/// ```
/// use std::sync::Arc;
/// use motet_core::budget::{Limits, MemoryBudget};
/// use motet_core::{Cost, RunContext};
///
/// let limits = Limits { cost: Cost::from_dollars("0.50"), tokens: None };
/// let budget = Arc::new(MemoryBudget::new("server", limits));
/// let context = RunContext::new().with_budget(budget.clone());
/// # assert_eq!(context.budgets().len(), 1);
/// assert_eq!(budget.book().spent.cost, Cost::ZERO);
/// ```
pub struct MemoryBudget {
    name: String,
    limits: Limits,
    unknown_price: UnknownPrice,
    ledger: Arc<Ledger>,
}

impl MemoryBudget {
    /// Makes a budget; `name` tells users whose it is.
    #[must_use]
    pub fn new(name: impl Into<String>, limits: Limits) -> Self {
        Self::of(name, limits, Arc::default())
    }

    /// Makes a budget of a book that exists already.
    #[must_use]
    pub fn of(name: impl Into<String>, limits: Limits, ledger: Arc<Ledger>) -> Self {
        Self { name: name.into(), limits, unknown_price: UnknownPrice::Refuse, ledger }
    }

    /// Sets what happens with models of unknown price where money is limited; they are refused unless this says
    /// otherwise.
    #[must_use]
    pub fn with_unknown_price(self, unknown_price: UnknownPrice) -> Self {
        Self { unknown_price, ..self }
    }

    /// Gives what was spent and is reserved.
    #[must_use]
    pub fn book(&self) -> Book {
        self.ledger.book()
    }
}

impl fmt::Debug for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBudget")
            .field("name", &self.name)
            .field("limits", &self.limits)
            .field("book", &self.ledger.book())
            .finish()
    }
}

#[async_trait]
impl Budget for MemoryBudget {
    /// # Errors
    /// `BudgetExceeded` when it does not fit; `Configuration` when money is limited and the price is unknown.
    async fn reserve(&self, estimate: &Estimate) -> Result<Box<dyn Reservation>> {
        let refuses = self.unknown_price == UnknownPrice::Refuse;
        if refuses && self.limits.cost.is_some() && estimate.cost.is_none() {
            return Err(unknown_price(estimate));
        }
        Ok(Box::new(self.ledger.reserve(&self.name, &self.limits, estimate.amount())?))
    }
}

/// Tells that a budget in money cannot hold a model whose price is unknown.
pub(super) fn unknown_price(estimate: &Estimate) -> Error {
    let model = &estimate.model;
    Error::new(ErrorKind::Configuration, format!("the price of `{model}` is unknown, and a budget in money holds"))
        .with_model(model.clone())
        .with_hint(format!(
            "set `prices.\"{model}\".input` and `.output` in dollars per million tokens, or `budget.unknown_price` to `warn`"
        ))
        .with_unsent()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::{Cost, Usage};

    fn estimate(nanos: Option<u64>) -> Estimate {
        let cost = nanos.map(Cost::from_nanos);
        Estimate { model: "a:b".parse().unwrap(), cost, known_cost: cost.unwrap_or_default(), tokens: 10 }
    }

    #[tokio::test]
    async fn an_estimate_is_reserved_and_settled_or_counts_in_whole() {
        let limits = Limits { cost: Some(Cost::from_nanos(10)), tokens: None };
        let budget = MemoryBudget::new("test", limits);
        let first = budget.reserve(&estimate(Some(8))).await.unwrap();
        let error = budget.reserve(&estimate(Some(3))).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::BudgetExceeded);
        let spent = Spent::Known { usage: Usage::new(1, 1), cost: Some(Cost::from_nanos(2)) };
        first.settle(spent).await.unwrap();
        assert_eq!(budget.book().spent, Amount { cost: Cost::from_nanos(2), tokens: 2 });
        drop(budget.reserve(&estimate(Some(5))).await.unwrap());
        assert_eq!(budget.book().unknown.cost, Cost::from_nanos(5));
        budget.reserve(&estimate(Some(3))).await.unwrap().settle(Spent::Nothing).await.unwrap();
        assert_eq!(budget.book().reserved, Amount::default());
        let error = budget.reserve(&estimate(None)).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
}
