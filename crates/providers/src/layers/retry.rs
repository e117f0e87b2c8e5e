//! Sends a failed request again where that is safe, within one budget of attempts and time.
//!
//! Safe is what the user does not see: until the first visible piece of an answer, and never once it is complete. It is
//! also who watches each attempt, and tells those who asked how it ended.

mod attempt;
mod judge;
mod rules;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use motet_core::attempts::Attempts;
use motet_core::{Delivery, Error, ErrorKind, EventStream, Result, RunContext, StreamEvent};

use super::ending::{Endings, Observed};
use super::recovery::{Recover, recovering};
use super::{Answer, Ask, Call, Layer, LayerRow, Next, Where, breaker, stack};
use attempt::{AttemptStream, told};
use rules::Backoff;

pub use judge::{Failure, Judgement, RetryJudge};
pub use rules::{Chance, Rules};

/// Its place among the layers.
pub(super) const ROW: LayerRow = LayerRow {
    name: "retry",
    doc: "Sends a failed request again where that is safe, within one budget of attempts and time.",
    place: Where::Model,
};

/// The layer.
#[derive(Clone)]
pub struct RetryLayer(Arc<Parts>);

struct Parts {
    rules: Rules,
    chance: Chance,
    judge: Option<Arc<dyn RetryJudge>>,
}

impl RetryLayer {
    /// Tries again by rules, after waits that are drawn from a source of chance.
    #[must_use]
    pub fn new(rules: Rules, chance: Chance, judge: Option<Arc<dyn RetryJudge>>) -> Self {
        Self(Arc::new(Parts { rules, chance, judge }))
    }
}

impl Default for RetryLayer {
    fn default() -> Self {
        Self::new(Rules::default(), Chance::default(), None)
    }
}

#[async_trait]
impl Layer for RetryLayer {
    fn name(&self) -> &'static str {
        ROW.name
    }

    async fn call(&self, call: Call<'_>, next: Next) -> Result<Answer> {
        if !call.counted {
            call.attempts.first();
        }
        let Call { context, ask, attempts, .. } = call;
        let parts = Arc::clone(&self.0);
        let recovers =
            parts.rules.recover_streams && matches!(ask, Ask::Chat { delivery: Delivery::Streamed, .. });
        let mut session = Session { parts, context, ask, attempts, next, recovers, made: 0, backoff: None };
        match session.open().await? {
            Answer::Events(stream) if recovers => {
                Ok(Answer::Events(recovering(stream, Box::new(session.into_owned()))))
            }
            answer => Ok(answer),
        }
    }
}

/// One call at one model, over all its attempts.
struct Session<'a> {
    parts: Arc<Parts>,
    context: RunContext,
    ask: Ask<'a>,
    attempts: Arc<Attempts>,
    next: Next,
    /// Failures after the first visible piece come back here.
    recovers: bool,
    /// Attempts that were sent.
    made: u32,
    backoff: Option<Backoff>,
}

impl Session<'_> {
    fn into_owned(self) -> Session<'static> {
        let Self { parts, context, ask, attempts, next, recovers, made, backoff } = self;
        Session { ask: ask.into_owned(), parts, context, attempts, next, recovers, made, backoff }
    }

    /// Sends until an answer begins.
    async fn open(&mut self) -> Result<Answer> {
        loop {
            match self.send().await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.wait_after(error).await?,
            }
        }
    }

    async fn send(&mut self) -> Result<Answer> {
        self.made += 1;
        let endings = Endings::default();
        let mut observed = Observed::new(endings.clone());
        let (context, attempts) = (self.context.clone(), Arc::clone(&self.attempts));
        let call = Call { context, ask: self.ask.again(), attempts, endings, counted: true };
        let stream = match self.next.call(call).await {
            Ok(Answer::Events(stream)) => AttemptStream::new(stream, observed, self.context.clone()),
            answer => {
                stack::tell(&answer, &mut observed);
                return answer;
            }
        };
        let settled = match self.ask {
            // What fails after this comes back here, and is not the end yet.
            Ask::Chat { delivery: Delivery::Streamed, .. } if self.recovers => stream.begun(0).await,
            Ask::Chat { delivery: Delivery::Streamed, .. } => stream.begun(self.made).await,
            _ => stream.whole().await,
        };
        settled.map(Answer::Events)
    }

    /// Waits as long as is due before the next attempt.
    ///
    /// # Errors
    /// The error itself where there is no next attempt, or `Cancelled`.
    async fn wait_after(&mut self, error: Error) -> Result<()> {
        if breaker::is_open(&error) {
            self.made = self.made.saturating_sub(1);
        }
        match self.resend_after(&error).await {
            Some((attempt, delay)) => {
                let (delay_ms, report) = (milliseconds(delay), error.report());
                self.context.emit(&StreamEvent::Retrying { attempt, delay_ms, error: Box::new(report) });
                tokio::select! {
                    biased;
                    () = self.context.cancellation().cancelled() => {}
                    () = tokio::time::sleep(delay) => {}
                }
                // Budgets learn of the failed send also where no other follows.
                let allowed = self.context.before_resend(&error).await;
                let allowed = self.context.check().and(allowed);
                allowed.inspect_err(|_| self.attempts.not_sent())
            }
            None => Err(told(error, self.made)),
        }
    }

    /// Takes the next attempt where there is one, and gives its number and how long to wait for it.
    async fn resend_after(&mut self, error: &Error) -> Option<(u32, Duration)> {
        let over = error.kind() == ErrorKind::Cancelled || self.context.check().is_err();
        if over || !self.attempts.has_more() || !self.is_worth_waiting(error) {
            return None;
        }
        if !self.is_allowed(error).await {
            return None;
        }
        let most = self.backoff.get_or_insert_with(|| self.parts.rules.backoff()).next();
        let delay = error.retry_after().unwrap_or_else(|| self.parts.chance.up_to(most));
        if self.context.remaining().is_some_and(|remaining| remaining <= delay) {
            return None;
        }
        self.attempts.again(delay).map(|attempt| (attempt, delay))
    }

    /// Tells whether this model is waited for, although another one may be asked at once.
    fn is_worth_waiting(&self, error: &Error) -> bool {
        let is_long = error.retry_after().is_some_and(|advice| advice > self.parts.rules.max_delay);
        !self.attempts.keeps_any() || !(is_long || breaker::is_open(error))
    }

    async fn is_allowed(&mut self, error: &Error) -> bool {
        let retried = self.parts.rules.retries(error);
        let Some(judge) = &self.parts.judge else { return retried };
        let failure = Failure { attempt: self.made, error, ask: &self.ask, retried };
        match judge.judge(&failure).await {
            Judgement::AsSet => retried,
            Judgement::Stop => false,
            Judgement::Again => true,
            Judgement::AgainWith(ask) => {
                self.ask = ask.for_model(self.ask.model());
                true
            }
        }
    }
}

impl Recover for Box<Session<'static>> {
    fn recover(mut self, error: Error) -> BoxFuture<'static, (Self, Result<EventStream>)> {
        async move {
            let answer = match self.wait_after(error).await {
                Ok(()) => self.open().await,
                Err(error) => Err(error),
            };
            let stream = answer.and_then(stack::events);
            (self, stream)
        }
        .boxed()
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
