//! Budgets: what a call may cost at most is reserved before it is made, and settled by what it did cost.
//!
//! Knows no prices and keeps no books: a [`Budget`] does, in memory or in a store.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Result;
use crate::model_id::ModelId;
use crate::usage::{Cost, Usage};

/// What a call may use at most.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// The model.
    pub model: ModelId,
    /// Upper bound of the money; `None` where the price is unknown.
    pub cost: Option<Cost>,
    /// Upper bound of input and output tokens together.
    pub tokens: u64,
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
