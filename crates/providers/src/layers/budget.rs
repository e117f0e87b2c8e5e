//! Reserves what a call may cost at most before it is made, and settles what it did cost.
//!
//! Keeps no books: budgets do. Each send is paid for: one that may have been billed although it failed counts in whole,
//! and the next one needs a reservation of its own.

pub mod bound;
mod open;
mod paying;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use motet_core::budget::{SharedBudget, unknown_price};
use motet_core::settings::UnknownPrice;
use motet_core::{Error, ErrorKind, Result, RunContext, StreamEvent};

use self::bound::{Bound, Candidate};
use self::open::Open;
use self::paying::Guard;
use super::{Answer, Call, Layer, LayerRow, Next, Where};

/// Its place among the layers.
pub(super) const ROW: LayerRow = LayerRow {
    name: "budget",
    doc: "Reserves what a call may cost at most before it is made, and settles what it did cost.",
    place: Where::Call,
};

/// The budgets that hold for calls beside those that their contexts bring along.
pub trait Budgets: Send + Sync + fmt::Debug {
    /// Gives the budgets that a call of this run pays out of.
    ///
    /// # Errors
    /// `Configuration` when it cannot be told whose budget holds.
    fn of(&self, context: &RunContext) -> Result<Vec<SharedBudget>>;

    /// Tells whether any of them limits money.
    fn limit_money(&self) -> bool;

    /// Gives the time that a run has in all.
    fn run_time(&self) -> Option<Duration>;
}

type Candidates = Box<dyn Fn() -> Vec<Candidate> + Send + Sync>;

/// The layer.
pub struct BudgetLayer {
    budgets: Option<Arc<dyn Budgets>>,
    unknown_price: UnknownPrice,
    find: Candidates,
    candidates: OnceLock<Vec<Candidate>>,
}

impl BudgetLayer {
    /// Makes the layer over the models that a call may reach, which are asked for when a budget first holds.
    #[must_use]
    pub fn new(candidates: impl Fn() -> Vec<Candidate> + Send + Sync + 'static) -> Self {
        let unknown_price = UnknownPrice::Refuse;
        Self { budgets: None, unknown_price, find: Box::new(candidates), candidates: OnceLock::new() }
    }

    /// Adds budgets that hold for every call.
    #[must_use]
    pub fn with_budgets(mut self, budgets: Arc<dyn Budgets>) -> Self {
        self.budgets = Some(budgets);
        self
    }

    /// Sets what happens where a call cannot be bounded.
    #[must_use]
    pub fn with_unknown_price(mut self, unknown_price: UnknownPrice) -> Self {
        self.unknown_price = unknown_price;
        self
    }

    /// Refuses a call whose cost nothing bounds, or warns of it.
    fn judge(&self, context: &RunContext, bound: &Bound, money: bool) -> Result<()> {
        if let Some(model) = &bound.unlimited_output {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!("nothing limits how much `{model}` writes, and a budget holds"),
            )
            .with_model(model.clone())
            .with_hint("set `max_tokens`, or `--max-tokens` on the command line")
            .with_unsent());
        }
        let mut doubts = Vec::new();
        if let Some(model) = bound.unknown_price.as_ref().filter(|_| money) {
            let estimate = motet_core::budget::Estimate { model: model.clone(), ..bound.estimate.clone() };
            doubts.push((
                unknown_price(&estimate),
                format!("the price of `{model}` is unknown: its cost is not counted"),
            ));
        }
        if let Some(what) = bound.unseen_input {
            let message = format!("the request holds {}, so that its input cannot be bounded", named(what));
            let error = Error::new(ErrorKind::Configuration, format!("{message}, and a budget holds"));
            let hint = "leave it out, or set `budget.unknown_price` to `warn`";
            doubts.push((error.with_hint(hint).with_unsent(), message));
        }
        for (error, warning) in doubts {
            match self.unknown_price {
                UnknownPrice::Warn => context.emit(&StreamEvent::Warning { message: warning }),
                _ => return Err(error),
            }
        }
        Ok(())
    }
}

fn named(what: &str) -> String {
    if what.contains(' ') { what.to_owned() } else { format!("`{what}`") }
}

/// Lets a call spend no more time than its run has left.
fn limit_time(context: &mut RunContext, most: Duration) -> Result<()> {
    let left = most.saturating_sub(context.ledger().opened().elapsed());
    if left.is_zero() {
        let message = format!("the run used up its budget of time, which is {most:?}");
        return Err(Error::new(ErrorKind::BudgetExceeded, message)
            .with_hint("raise `budget.run_time`")
            .with_context("budget", "run_time")
            .with_unsent());
    }
    *context = context.clone().with_time_budget(left);
    Ok(())
}

#[async_trait]
impl Layer for BudgetLayer {
    fn name(&self) -> &'static str {
        ROW.name
    }

    fn lets_pass(&self, call: &Call<'_>) -> bool {
        self.budgets.is_none() && call.context.budgets().is_empty()
    }

    async fn call(&self, mut call: Call<'_>, next: Next) -> Result<Answer> {
        let mut budgets = call.context.budgets().to_vec();
        let mut money = false;
        if let Some(own) = &self.budgets {
            if let Some(most) = own.run_time() {
                limit_time(&mut call.context, most)?;
            }
            money = own.limit_money();
            budgets.extend(own.of(&call.context)?);
        }
        if budgets.is_empty() {
            return next.call(call).await;
        }
        let candidates = self.candidates.get_or_init(|| (self.find)());
        let bound = bound::bound(&call.ask, candidates);
        self.judge(&call.context, &bound, money)?;
        let prices = candidates.iter().filter_map(|candidate| candidate.price).collect();
        let open = Open::reserve(call.context.clone(), budgets, (bound.estimate, prices)).await?;
        let guard = Guard::new(Arc::clone(&open));
        call.context = call.context.with_resend_gate(open);
        guard.settle(next.call(call).await).await
    }
}

impl fmt::Debug for BudgetLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BudgetLayer").field("budgets", &self.budgets).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
