//! Reserves room for every call, and corrects it by what the call did use.
//!
//! Keeps no limit.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::{Error, ErrorKind, Result};

use super::estimate::{self, Outputs};
use super::{Limiter, Permit, ROW};
use crate::layers::{Answer, Ask, Call, Ending, Layer, Next, Outcome};

/// The layer.
#[derive(Debug)]
pub struct RateLimitLayer {
    limiter: Arc<dyn Limiter>,
    scope: String,
    outputs: Arc<Outputs>,
}

impl RateLimitLayer {
    /// Keeps to a limiter; `scope` names it in events and errors, such as a provider and a key's name.
    #[must_use]
    pub fn new(limiter: Arc<dyn Limiter>, scope: impl Into<String>) -> Self {
        Self { limiter, scope: scope.into(), outputs: Arc::default() }
    }

    /// Gives how many tokens a call will use at most, about.
    #[must_use]
    pub fn tokens(&self, ask: &Ask<'_>) -> u64 {
        estimate::input(ask).saturating_add(self.outputs.expected(ask))
    }

    /// Gives how long a call of so many tokens would wait now.
    #[must_use]
    pub fn expected_wait(&self, tokens: u64) -> Duration {
        self.limiter.expected_wait(tokens)
    }
}

#[async_trait]
impl Layer for RateLimitLayer {
    fn name(&self) -> &'static str {
        ROW.name
    }

    async fn call(&self, call: Call<'_>, next: Next) -> Result<Answer> {
        let tokens = self.tokens(&call.ask);
        let permit = self.limiter.admit(&call.context, tokens, &self.scope).await?;
        let (limiter, outputs) = (Arc::clone(&self.limiter), Arc::clone(&self.outputs));
        call.on_end(move |ending| end(limiter.as_ref(), &outputs, permit, ending));
        next.call(call).await
    }
}

/// Settles a permit, and learns from what the provider told.
fn end(limiter: &dyn Limiter, outputs: &Outputs, permit: Permit, ending: &Ending<'_>) {
    limiter.settle(permit, used(permit, ending));
    if let (Outcome::Done, Some(usage)) = (ending.outcome, ending.tally.usage) {
        outputs.note(usage.output);
    }
    let refused = match ending.outcome {
        Outcome::Failed(error) => Some(error),
        Outcome::Done | Outcome::Dropped => None,
    };
    if let Some(limits) = ending.tally.limits.as_ref().or_else(|| refused?.limits()) {
        limiter.learn(limits);
    }
    if let Some(error) = refused.filter(|error| error.kind() == ErrorKind::RateLimit)
        && let Some(after) = error.retry_after()
    {
        limiter.pause(after);
    }
}

/// Gives the tokens that a call used; `None` when nothing was sent, and the estimate where nobody knows.
fn used(permit: Permit, ending: &Ending<'_>) -> Option<u64> {
    if let Some(usage) = ending.tally.usage {
        return Some(usage.total());
    }
    match ending.outcome {
        Outcome::Failed(error) if was_not_sent(error) => None,
        Outcome::Failed(error) if was_refused(error) && !ending.tally.visible => Some(0),
        Outcome::Done | Outcome::Dropped | Outcome::Failed(_) => Some(permit.tokens),
    }
}

/// Tells whether the provider never saw the request: no connection came about, or it could not be written.
fn was_not_sent(error: &Error) -> bool {
    let unwritten = matches!(
        error.kind(),
        ErrorKind::Configuration | ErrorKind::Unsupported | ErrorKind::InvalidRequest | ErrorKind::TokenLimit
    );
    error.status().is_none() && (unwritten || error.is_unsent())
}

/// Tells whether the provider refused the request, so that it counts as one and used no token.
fn was_refused(error: &Error) -> bool {
    error.status().is_some_and(|status| status >= 400)
}

#[cfg(test)]
mod tests;
