//! One call on its way from key to key until one takes it.
//!
//! Decides nothing about keys: the pool does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::error::ErrorReport;
use motet_core::{Error, ErrorKind, Result, Retry, StreamEvent};
use tokio::time::{Instant, sleep_until};

use super::affinity::Past;
use super::choice::{Choice, Wish};
use super::keyed::keyed;
use super::pool::{Lease, Outlook, Sending};
use super::refusal::Refusal;
use super::{KeyPoolLayer, METADATA, Member, PATIENCE};
use crate::layers::held_back::held_back;
use crate::layers::{Answer, Bottom, Call, Chain, Ending, Endings, Layer, Next, Outcome, Tally};

/// A call and what it met with so far.
pub(super) struct Journey<'a, 'call> {
    layer: &'a KeyPoolLayer,
    call: &'a Call<'call>,
    past: Past,
    /// Guess of what it uses, where limits hold.
    tokens: u64,
    /// Keys that refused it.
    tried: Vec<usize>,
    /// Keys that it was told to be wrong with, which only another key's success confirms.
    unsure: Vec<(usize, ErrorReport)>,
    last: Option<Failure>,
    /// The resend that comes is counted already.
    is_counted: bool,
    /// When it gives up waiting for a key.
    give_up: Option<Instant>,
}

/// Why the last key would not do.
struct Failure {
    error: Error,
    refusal: Refusal,
}

/// What came of trying a key.
#[expect(clippy::large_enum_variant, reason = "it is looked at where it is made, and never kept in numbers")]
enum Tried {
    Answered(Result<Answer>, Endings),
    /// It went to rest before anything was sent.
    Left,
}

impl<'a, 'call> Journey<'a, 'call> {
    pub(super) fn new(layer: &'a KeyPoolLayer, call: &'a Call<'call>) -> Self {
        let limit = layer.members.iter().find_map(|member| member.limit.as_ref());
        Self {
            layer,
            call,
            past: Past::of(&call.ask),
            tokens: limit.map_or(0, |limit| limit.tokens(&call.ask)),
            tried: Vec::new(),
            unsure: Vec::new(),
            last: None,
            is_counted: false,
            give_up: None,
        }
    }

    pub(super) async fn travel(mut self) -> Result<Answer> {
        loop {
            if let Some(last) = self.last.take_if(|_| !self.is_counted && !self.call.attempts.has_more()) {
                return Err(self.ended(last));
            }
            let lease = match (self.choose(), self.last.take()) {
                (Choice::Use(using), last) => {
                    let lease = Lease::new(&self.layer.pool, using, &self.call.context);
                    self.count(last).await?;
                    lease
                }
                (Choice::Rest(until), None) => {
                    self.rest(until).await?;
                    continue;
                }
                (Choice::Rest(until), Some(last)) => return Err(self.later(last, until)),
                (Choice::Gone, Some(last)) if last.refusal.is_unsure() => return Err(last.error),
                (Choice::Tried, Some(last)) => return Err(last.error),
                (Choice::Tried | Choice::Gone, last) => {
                    let model = self.call.ask.model().model();
                    return Err(self.layer.pool.no_key(model, last.map(|last| last.error)));
                }
            };
            match self.send(&lease).await {
                Tried::Left => {}
                Tried::Answered(Ok(answer), endings) => return Ok(self.accept(lease, answer, endings)),
                Tried::Answered(Err(error), endings) => self.refused(lease, error, &endings)?,
            }
        }
    }

    fn choose(&self) -> Choice {
        let members = &self.layer.members;
        let limit = |at: usize| members.get(at).and_then(|member: &Member| member.limit.as_ref());
        let waits = |at| limit(at).map_or(Duration::ZERO, |limit| limit.expected_wait(self.tokens));
        let patience = self.call.context.remaining().into_iter().chain(self.layer.max_wait).min();
        self.layer.pool.choose(&Wish {
            model: self.call.ask.model().model(),
            waits: &waits,
            tried: &self.tried,
            past: self.past,
            patience: patience.unwrap_or(Duration::MAX),
            may_probe: self.call.attempts.has_more(),
        })
    }

    /// Says why the last attempt failed, or that no other could have done better.
    fn ended(&self, last: Failure) -> Error {
        let (pool, model) = (&self.layer.pool, self.call.ask.model().model());
        match pool.outlook(model) {
            Outlook::Never if !last.refusal.is_unsure() => pool.no_key(model, Some(last.error)),
            Outlook::At(until) => self.later(last, until),
            Outlook::Now if matches!(last.refusal, Refusal::TooMany(_)) => self.later(last, Instant::now()),
            Outlook::Never | Outlook::Now => last.error,
        }
    }

    /// Counts a resend; nothing more is sent where none is left, or where it does not fit into a budget.
    async fn count(&mut self, last: Option<Failure>) -> Result<()> {
        let Some(last) = last else { return Ok(()) };
        if !std::mem::replace(&mut self.is_counted, true) {
            let attempts = &self.call.attempts;
            if attempts.again(Duration::ZERO).is_none() {
                return Err(last.error);
            }
            let allowed = self.call.context.before_resend(&last.error).await;
            allowed.inspect_err(|_| attempts.not_sent())?;
        }
        self.last = Some(last);
        Ok(())
    }

    /// Waits until a key comes back, before anything was sent.
    async fn rest(&mut self, until: Instant) -> Result<()> {
        let now = Instant::now();
        let wait = until.saturating_duration_since(now);
        let provider = self.layer.pool.provider();
        let give_up = *self.give_up.get_or_insert(now + self.layer.max_wait.unwrap_or(PATIENCE));
        if until > give_up {
            return Err(all_rest(provider, wait));
        }
        if self.call.context.remaining().is_some_and(|left| left < wait) {
            let message = format!(
                "the keys of `{provider}` rest for {} s more, and the run's deadline is earlier",
                wait.as_secs_f64().ceil()
            );
            let error = Error::new(ErrorKind::Timeout, message)
                .with_retry(Retry::Never)
                .with_provider(provider)
                .with_hint("give the run more time, or add keys");
            return Err(held_back(error));
        }
        self.call.context.emit(&StreamEvent::Waiting {
            reason: "key_pool".to_owned(),
            delay_ms: u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX),
            scope: provider.to_owned(),
        });
        let mut changes = self.layer.pool.changes();
        tokio::select! {
            () = self.call.context.cancellation().cancelled() => self.call.context.check(),
            () = sleep_until(until) => Ok(()),
            _ = changes.changed() => Ok(()),
        }
    }

    /// Says when a call can be sent again that no key would take now.
    fn later(&self, last: Failure, until: Instant) -> Error {
        let wait = until.saturating_duration_since(Instant::now());
        match last.refusal {
            Refusal::Perhaps => last.error,
            Refusal::TooMany(_) => last.error.with_retry(Retry::After(wait)),
            Refusal::Account | Refusal::Key => {
                all_rest(self.layer.pool.provider(), wait).with_source(last.error)
            }
        }
    }

    async fn send(&self, lease: &Lease) -> Tried {
        let Some(member) = self.layer.members.get(lease.using.key) else { return Tried::Left };
        let mut call =
            Call::new(self.call.context.clone(), self.call.ask.again(), Arc::clone(&self.call.attempts));
        let mut listening = Listening(Some(std::mem::take(&mut call.endings)));
        call.endings = listening.endings();
        let answer = match &member.limit {
            None => {
                lease.sending().now();
                Some(member.chain.start().call(call).await)
            }
            Some(limit) => {
                let gate = Gate { sending: lease.sending(), chain: member.chain.clone() };
                let layers: Vec<Arc<dyn Layer>> = vec![Arc::clone(limit) as Arc<dyn Layer>, Arc::new(gate)];
                let chain = Chain::new(layers, Bottom::None);
                admitted(lease, chain.start(), call).await
            }
        };
        match answer {
            Some(answer) => Tried::Answered(answer, listening.take()),
            None => Tried::Left,
        }
    }

    fn refused(&mut self, lease: Lease, error: Error, endings: &Endings) -> Result<()> {
        let key = lease.using.key;
        let refusal = lease.failed(&error);
        // Told after the key went to rest: limits give back what was not used, and would let the next call through.
        endings.tell(&Ending { outcome: Outcome::Failed(&error), tally: &Tally::default() });
        let Some(refusal) = refusal else { return Err(error) };
        if refusal.is_unsure() {
            self.unsure.push((key, error.report()));
        }
        self.tried.push(key);
        self.is_counted = false;
        self.last = Some(Failure { error, refusal });
        Ok(())
    }

    fn accept(self, lease: Lease, answer: Answer, endings: Endings) -> Answer {
        let Self { call, unsure, past, layer, .. } = self;
        lease.accepted();
        let forbidden = unsure.into_iter().filter(|(_, why)| why.kind != ErrorKind::InvalidRequest);
        layer.pool.forbid(call.ask.model().model(), forbidden, &call.context);
        lease.remember(past.conversation);
        if lease.using.is_foreign {
            lease.remember(past.payload);
        }
        if !endings.is_empty() {
            call.on_end(move |ending| endings.tell(ending));
        }
        match answer {
            Answer::Events(stream) => Answer::Events(keyed(stream, lease)),
            Answer::Vectors(mut response) => {
                response.metadata.insert(METADATA.to_owned(), lease.name().into());
                lease.done();
                Answer::Vectors(response)
            }
            Answer::Ranking(response) => {
                lease.done();
                Answer::Ranking(response)
            }
        }
    }
}

/// Sends a call by a key that limits hold for; `None` when the key went to rest while the call still waited for them.
async fn admitted(lease: &Lease, next: Next, call: Call<'_>) -> Option<Result<Answer>> {
    let mut changes = lease.pool.changes();
    let mut answer = std::pin::pin!(next.call(call));
    loop {
        tokio::select! {
            // A call whose key went to rest must leave before limits let it through.
            biased;
            changed = changes.changed(), if !lease.is_sent() => {
                if lease.is_sent() || changed.is_err() {
                    return Some(answer.await);
                }
                if !lease.pool.is_usable(&lease.using) {
                    return None;
                }
            }
            answer = &mut answer => return Some(answer),
        }
    }
}

/// Notes that the limits let a call through, and sends it on.
struct Gate {
    sending: Sending,
    chain: Chain,
}

#[async_trait]
impl Layer for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    async fn call(&self, call: Call<'_>, _next: Next) -> Result<Answer> {
        self.sending.now();
        self.chain.start().call(call).await
    }
}

/// Those below who want to know how one send ended; told that it was dropped unless it ended otherwise.
struct Listening(Option<Endings>);

impl Listening {
    fn endings(&self) -> Endings {
        self.0.clone().unwrap_or_default()
    }

    fn take(&mut self) -> Endings {
        self.0.take().unwrap_or_default()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(endings) = self.0.take() {
            endings.tell(&Ending { outcome: Outcome::Dropped, tally: &Tally::default() });
        }
    }
}

fn all_rest(provider: &str, wait: Duration) -> Error {
    let message =
        format!("every key of `{provider}` that works rests for {} s more", wait.as_secs_f64().ceil());
    Error::new(ErrorKind::RateLimit, message)
        .with_retry(Retry::After(wait))
        .with_provider(provider)
        .with_hint("add keys, or set the limits of each so that fewer calls are refused")
}
