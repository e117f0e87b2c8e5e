//! What one call has reserved, from its first send to its end, however it ends.
//!
//! Settling may have to wait for a store.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use motet_core::budget::{Estimate, ResendGate, Reservation, SharedBudget, Spent, may_be_billed};
use motet_core::price::{Price, Tier};
use motet_core::{Cost, Error, Result, RunContext, StreamEvent, Usage};

use crate::layers::{Outcome, Tally};

/// The reservations of a call's current send.
pub(super) struct Open {
    context: RunContext,
    budgets: Vec<SharedBudget>,
    estimate: Estimate,
    /// What the models charge that may answer, for answers that tell their counts but not their cost.
    prices: Vec<Price>,
    held: Mutex<Vec<Box<dyn Reservation>>>,
}

impl Open {
    /// Reserves the first send, in all budgets or in none.
    pub(super) async fn reserve(
        context: RunContext,
        budgets: Vec<SharedBudget>,
        (estimate, prices): (Estimate, Vec<Price>),
    ) -> Result<Arc<Self>> {
        let held = Mutex::new(reserve(&context, &budgets, &estimate).await?);
        Ok(Arc::new(Self { context, budgets, estimate, prices, held }))
    }

    /// Settles by how the call ended; a second time changes nothing.
    pub(super) fn settle(&self, outcome: Outcome<'_>, tally: &Tally) -> BoxFuture<'static, ()> {
        let (context, held, spent) = (self.context.clone(), self.take(), self.spent(outcome, tally));
        Box::pin(async move { settle(&context, held, spent).await })
    }

    /// The same where nobody can wait.
    pub(super) fn settle_soon(&self, outcome: Outcome<'_>, tally: &Tally) {
        let mut settling = self.settle(outcome, tally);
        // The first poll hands the work to the store, which finishes it even if nobody waits for that.
        if (&mut settling).now_or_never().is_none()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(settling);
        }
    }

    /// Tells what a call used.
    fn spent(&self, outcome: Outcome<'_>, tally: &Tally) -> Spent {
        if tally.cached {
            return Spent::Nothing;
        }
        let counted = |usage| Spent::Known { usage, cost: tally.cost.or_else(|| self.most(&usage)) };
        let known = tally.usage.map(counted);
        match outcome {
            Outcome::Done => known.unwrap_or(Spent::Unknown),
            // An answer that was complete is paid for as it tells, whatever went wrong after it.
            Outcome::Failed(_) | Outcome::Dropped if tally.finished => known.unwrap_or(Spent::Unknown),
            Outcome::Failed(error) if !may_be_billed(error) => Spent::Nothing,
            Outcome::Failed(_) | Outcome::Dropped => Spent::Unknown,
        }
    }

    /// Gives the most that a usage can have cost, where prices are known.
    fn most(&self, usage: &Usage) -> Option<Cost> {
        self.estimate.cost?;
        let most = |price: &Price| price.most(usage.input, usage.output, Tier::Standard, true);
        self.prices.iter().filter_map(most).max()
    }

    fn take(&self) -> Vec<Box<dyn Reservation>> {
        std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl ResendGate for Open {
    async fn before_resend(&self, failed: &Error) -> Result<()> {
        if !may_be_billed(failed) {
            return Ok(());
        }
        settle(&self.context, self.take(), Spent::Unknown).await;
        let held = reserve(&self.context, &self.budgets, &self.estimate).await;
        let held = held.map_err(|error| error.with_context("after", failed.to_string()))?;
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
        Ok(())
    }
}

async fn reserve(
    context: &RunContext,
    budgets: &[SharedBudget],
    estimate: &Estimate,
) -> Result<Vec<Box<dyn Reservation>>> {
    let mut held = Vec::with_capacity(budgets.len());
    for budget in budgets {
        match budget.reserve(estimate).await {
            Ok(reservation) => held.push(reservation),
            Err(error) => {
                settle(context, held, Spent::Nothing).await;
                return Err(error);
            }
        }
    }
    Ok(held)
}

/// Settles reservations; books that cannot be written keep the whole estimate, which is safe, and a warning tells.
async fn settle(context: &RunContext, held: Vec<Box<dyn Reservation>>, spent: Spent) {
    let settled = join_all(held.into_iter().map(|reservation| reservation.settle(spent))).await;
    for error in settled.into_iter().filter_map(Result::err) {
        let message = format!("what a call cost could not be written into the books of a budget: {error}");
        context.emit(&StreamEvent::Warning { message });
    }
}
