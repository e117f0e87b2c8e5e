//! Budgets: what a call may cost at most is reserved before it is made, and settled by what it did cost.
//!
//! Knows no prices and keeps no books on disk: a [`Budget`] does, in memory or in a store.

mod book;
mod ledger;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::{Error, ErrorKind, Result};
use crate::model_id::ModelId;
use crate::usage::{Cost, Usage};

pub use book::{Amount, Book, BookLimit, Limits, StoreReservation};
pub use ledger::{Hold, Ledger, MemoryBudget};

/// What a call may use at most.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// The model.
    pub model: ModelId,
    /// Upper bound of the money; `None` where the price is unknown.
    pub cost: Option<Cost>,
    /// Upper bound over those models alone that the call may reach and whose price is known.
    pub known_cost: Cost,
    /// Upper bound of input and output tokens together.
    pub tokens: u64,
}

impl Estimate {
    /// Gives the amount to reserve; money whose price is unknown counts as none.
    #[must_use]
    pub fn amount(&self) -> Amount {
        Amount { cost: self.cost.unwrap_or(self.known_cost), tokens: self.tokens }
    }
}

/// What a call did use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spent {
    /// This much, as the answer tells; an unknown price stays unknown.
    Known {
        /// Tokens.
        usage: Usage,
        /// Money; `None` where the price is unknown.
        cost: Option<Cost>,
    },
    /// Nothing: the provider was never asked, or refused.
    Nothing,
    /// Nobody knows; the provider may have billed it, so the whole estimate counts.
    Unknown,
}

impl Spent {
    /// Gives the amount that is known; `None` where nobody knows it.
    #[must_use]
    pub fn amount(&self) -> Option<Amount> {
        match self {
            Spent::Known { usage, cost } => {
                Some(Amount { cost: cost.unwrap_or_default(), tokens: usage.total() })
            }
            Spent::Nothing => Some(Amount::default()),
            Spent::Unknown => None,
        }
    }
}

/// Something that calls pay out of: a run's, a tenant's, or a day's allowance.
#[async_trait]
pub trait Budget: Send + Sync + fmt::Debug {
    /// Reserves an estimate.
    ///
    /// # Errors
    /// `BudgetExceeded` when what was spent and reserved leaves too little; `Store` when the books cannot be written.
    async fn reserve(&self, estimate: &Estimate) -> Result<Box<dyn Reservation>>;
}

/// An estimate that was reserved. Dropped without being settled, the whole estimate counts as spent.
#[async_trait]
pub trait Reservation: Send + Sync {
    /// Puts what was spent in the place of the estimate.
    ///
    /// # Errors
    /// `Store` when the books cannot be written.
    async fn settle(self: Box<Self>, spent: Spent) -> Result<()>;
}

/// A shared budget.
pub type SharedBudget = Arc<dyn Budget>;

/// Asked before a request is sent once more, so that each send is paid for.
#[async_trait]
pub trait ResendGate: Send + Sync {
    /// Settles the send that failed, and reserves the next one where that is needed.
    ///
    /// # Errors
    /// `BudgetExceeded` when the next send does not fit; `Store` when the books cannot be written.
    async fn before_resend(&self, failed: &Error) -> Result<()>;
}

/// Makes the error for a model whose price is unknown where a budget in money holds.
#[must_use]
pub fn unknown_price(estimate: &Estimate) -> Error {
    ledger::unknown_price(estimate)
}

/// Tells whether a provider may have billed a call that failed: it was sent, and not refused.
#[must_use]
pub fn may_be_billed(error: &Error) -> bool {
    if error.is_unsent() {
        return false;
    }
    match error.status() {
        // A refusal is not billed; whatever goes wrong inside an answer that had begun may be.
        Some(status) => status < 400,
        None => matches!(
            error.kind(),
            ErrorKind::Timeout
                | ErrorKind::Connection
                | ErrorKind::Truncated
                | ErrorKind::Cancelled
                | ErrorKind::InvalidOutput
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sent_and_not_refused_may_be_billed() {
        let error = |kind| Error::new(kind, "x");
        for (error, billed) in [
            (error(ErrorKind::Timeout), true),
            (error(ErrorKind::Timeout).with_unsent(), false),
            (error(ErrorKind::Truncated).with_status(200), true),
            (error(ErrorKind::Overloaded).with_status(200), true),
            (error(ErrorKind::Overloaded).with_status(529), false),
            (error(ErrorKind::Timeout).with_status(504), false),
            (error(ErrorKind::Connection), true),
            (error(ErrorKind::Cancelled), true),
            (error(ErrorKind::RateLimit), false),
            (error(ErrorKind::Configuration), false),
            (error(ErrorKind::BudgetExceeded), false),
        ] {
            assert_eq!(may_be_billed(&error), billed, "{error:?}");
        }
    }
}
