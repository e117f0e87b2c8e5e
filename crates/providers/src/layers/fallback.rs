//! Asks the next model of a list when one fails.
//!
//! Each model has its own chain, with its provider's key, its own retries, and its own circuit; this layer only knows
//! their order, what they failed with, and that all of them share one budget of attempts.

mod memory;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use motet_core::attempts::Attempts;
use motet_core::error::ErrorReport;
use motet_core::{Delivery, Error, ErrorKind, EventStream, ModelId, Result, RunContext, StreamEvent};

use super::ending::{Ending, Endings, Observed, Outcome};
use super::held_back::is_held_back;
use super::recovery::{Recover, recovering};
use super::stack::{events, observe};
use super::{Answer, Ask, Call, Chain, Layer, LayerRow, Next, Where};

pub use memory::Memory;

/// Its place among the layers.
pub(super) const ROW: LayerRow =
    LayerRow { name: "fallback", doc: "Asks the next model of a list when one fails.", place: Where::Call };

/// When the next model is asked.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Rules {
    /// Kinds of errors after which it is.
    pub on: Vec<ErrorKind>,
    /// Asks it even after part of the answer was shown; what was shown is declared void.
    pub recover_streams: bool,
}

/// The layer.
#[derive(Clone)]
pub struct FallbackLayer(Arc<Parts>);

struct Parts {
    rules: Rules,
    memory: Arc<Memory>,
    others: Vec<(ModelId, Chain)>,
}

impl FallbackLayer {
    /// Falls back to other models in turn; whoever shares the memory shares what is known of failures.
    #[must_use]
    pub fn new(rules: Rules, memory: Arc<Memory>, others: Vec<(ModelId, Chain)>) -> Self {
        Self(Arc::new(Parts { rules, memory, others }))
    }
}

#[async_trait]
impl Layer for FallbackLayer {
    fn name(&self) -> &'static str {
        ROW.name
    }

    async fn call(&self, call: Call<'_>, next: Next) -> Result<Answer> {
        let Call { context, ask, attempts, counted, .. } = call;
        let Ask::Chat { delivery, .. } = ask else {
            return next.call(Call { context, ask, attempts, endings: call.endings, counted }).await;
        };
        let recovers = self.0.rules.recover_streams && delivery == Delivery::Streamed;
        let kept = Kept(Arc::clone(&attempts));
        let mut session = Session::new(Arc::clone(&self.0), (context, ask, attempts), next);
        let stream = session.open(counted).await?;
        if recovers {
            let session = Box::new((session.into_owned(), kept));
            return Ok(Answer::Events(recovering(stream, session)));
        }
        Ok(Answer::Events(stream))
    }
}

/// Gives back what was kept for models that nobody will ask any more.
struct Kept(Arc<Attempts>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.keep(0);
    }
}

/// Why a model is not the one that answers.
enum Why {
    Failed(Error),
    /// It failed before this call.
    Remembered(Arc<ErrorReport>),
}

impl Why {
    fn report(&self) -> ErrorReport {
        match self {
            Why::Failed(error) => error.report(),
            Why::Remembered(report) => (**report).clone(),
        }
    }
}

/// One call over all its models.
struct Session<'a> {
    parts: Arc<Parts>,
    context: RunContext,
    ask: Ask<'a>,
    attempts: Arc<Attempts>,
    /// The way to the model that was asked for.
    first: Next,
    /// Models that were not asked yet, the next one last: `None` for the one that was asked for.
    left: Vec<Option<usize>>,
    asked: Vec<ModelId>,
}

impl<'a> Session<'a> {
    fn new(
        parts: Arc<Parts>,
        (context, ask, attempts): (RunContext, Ask<'a>, Arc<Attempts>),
        first: Next,
    ) -> Self {
        let mut session = Self { parts, context, ask, attempts, first, left: Vec::new(), asked: Vec::new() };
        let all = std::iter::once(None).chain((0..session.parts.others.len()).map(Some));
        let (failed, mut order): (Vec<_>, Vec<_>) =
            all.partition(|place| session.parts.memory.why(session.model(*place)).is_some());
        // Those that failed of late are asked when nobody else is left.
        order.extend(failed);
        order.reverse();
        session.left = order;
        session
    }

    fn into_owned(self) -> Session<'static> {
        let Self { parts, context, ask, attempts, first, left, asked } = self;
        Session { ask: ask.into_owned(), parts, context, attempts, first, left, asked }
    }

    fn model(&self, place: Option<usize>) -> &ModelId {
        let other = place.and_then(|place| self.parts.others.get(place));
        other.map_or_else(|| self.ask.model(), |(model, _)| model)
    }

    /// Asks one model after the other until an answer begins.
    async fn open(&mut self, counted: bool) -> Result<EventStream> {
        let Some(place) = self.left.pop() else { return Err(nobody()) };
        self.attempts.keep(u32::try_from(self.left.len()).unwrap_or(u32::MAX));
        if place.is_some()
            && let Some(why) = self.parts.memory.why(self.ask.model())
        {
            self.tell(&self.ask.model().clone(), place, &Why::Remembered(why));
        }
        match self.ask_one(place, counted).await {
            Ok(stream) => Ok(stream),
            Err(error) => self.open_after(error).await,
        }
    }

    /// Asks those that are left after one failed.
    async fn open_after(&mut self, mut error: Error) -> Result<EventStream> {
        loop {
            let from = self.asked.last().cloned();
            let over = error.kind() == ErrorKind::Cancelled || self.context.check().is_err();
            if over || !self.parts.rules.on.contains(&error.kind()) {
                return Err(self.told(error));
            }
            let Some(place) = self.left.last().copied() else { return Err(self.told(error)) };
            if self.attempts.kept(Duration::ZERO).is_none() {
                return Err(self.told(error));
            }
            self.context.before_resend(&error).await?;
            self.left.pop();
            if let Some(from) = from {
                self.tell(&from, place, &Why::Failed(error));
            }
            match self.ask_one(place, true).await {
                Ok(stream) => return Ok(stream),
                Err(next) => error = next,
            }
        }
    }

    async fn ask_one(&mut self, place: Option<usize>, counted: bool) -> Result<EventStream> {
        let endings = Endings::default();
        let model = self.model(place).clone();
        endings.add(self.remembering(model.clone()));
        self.asked.push(model);
        let observed = Observed::new(endings.clone());
        let (context, attempts) = (self.context.clone(), Arc::clone(&self.attempts));
        let (way, ask) = match place.and_then(|place| self.parts.others.get(place)) {
            Some((model, chain)) => (&chain.start(), self.ask.for_model(model)),
            None => (&self.first, self.ask.again()),
        };
        let answer = way.call(Call { context, ask, attempts, endings, counted }).await;
        let stream = observe(answer, observed).and_then(events)?;
        let model = self.model(place);
        self.parts.memory.answered(model);
        if model == self.ask.model() && self.asked.len() == 1 {
            return Ok(stream);
        }
        let told = StreamEvent::AnsweredBy { model: model.clone() };
        Ok(futures::stream::iter([Ok(told)]).chain(stream).boxed())
    }

    /// Keeps in mind how a model's answer ended, also where that is too late for another model to be asked.
    fn remembering(&self, model: ModelId) -> impl FnOnce(&Ending<'_>) + Send + 'static {
        let (parts, context) = (Arc::clone(&self.parts), self.context.clone());
        move |ending| {
            let Outcome::Failed(error) = ending.outcome else { return };
            let counts = parts.rules.on.contains(&error.kind()) && is_of_the_model(error);
            if counts && context.check().is_ok() {
                parts.memory.failed(&model, error);
            }
        }
    }

    fn tell(&self, from: &ModelId, to: Option<usize>, why: &Why) {
        let to = self.model(to).clone();
        self.context.emit(&StreamEvent::FellBack { from: from.clone(), to, error: Box::new(why.report()) });
    }

    /// Names in an error all models that were asked, where they were several.
    fn told(&self, error: Error) -> Error {
        if self.asked.len() < 2 {
            return error;
        }
        let names: Vec<String> = self.asked.iter().map(|model| format!("`{model}`")).collect();
        error.with_context("models", names.join(", "))
    }
}

impl Recover for Box<(Session<'static>, Kept)> {
    fn recover(mut self, error: Error) -> BoxFuture<'static, (Self, Result<EventStream>)> {
        async move {
            let stream = self.0.open_after(error).await;
            (self, stream)
        }
        .boxed()
    }
}

/// Tells whether such a failure says something of the model, rather than of what it was asked.
fn is_of_the_model(error: &Error) -> bool {
    let of_the_request = matches!(
        error.kind(),
        ErrorKind::TokenLimit
            | ErrorKind::InvalidRequest
            | ErrorKind::ContentFilter
            | ErrorKind::InvalidOutput
            | ErrorKind::Unsupported
    );
    !of_the_request && !is_held_back(error)
}

fn nobody() -> Error {
    Error::new(ErrorKind::Internal, "a call was to fall back and had no model to ask")
}
