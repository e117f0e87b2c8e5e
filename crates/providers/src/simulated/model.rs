//! A model inside the process that answers as the simulation decides.
//!
//! Sleeps by tokio's clock, so that tests that pause it take no time.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream;
use motet_core::event::StreamEvent;
use motet_core::{
    ChatRequest, Delivery, Error, ErrorKind, EventStream, FinishReason, Model, Result, Retry, RunContext,
    Usage,
};
use tokio::time::{Instant, sleep};

use super::{Fault, Rules, Simulation, Stage, Verdict};

/// One key's way to a simulated provider.
#[derive(Debug, Clone)]
pub struct SimulatedModel {
    simulation: Arc<Mutex<Simulation>>,
    start: Instant,
    key: String,
}

impl SimulatedModel {
    /// Makes the way for one key; the provider's time begins at `start`, the same for all keys.
    #[must_use]
    pub fn new(simulation: Arc<Mutex<Simulation>>, start: Instant, key: impl Into<String>) -> Self {
        Self { simulation, start, key: key.into() }
    }
}

/// Counts tokens as the simulation does: four bytes of text are one.
#[must_use]
pub fn tokens_of(request: &ChatRequest) -> u64 {
    let bytes: usize = request.messages.iter().map(|message| message.visible_text().len()).sum();
    bytes.div_ceil(4) as u64
}

#[async_trait]
impl Model for SimulatedModel {
    async fn open(
        &self,
        _context: &RunContext,
        request: &ChatRequest,
        _delivery: Delivery,
    ) -> Result<EventStream> {
        let input = tokens_of(request);
        let (verdict, rules) = {
            let mut simulation = self.simulation.lock().unwrap_or_else(PoisonError::into_inner);
            let (words, latency) = (simulation.rules().words as u64, simulation.next_latency());
            let verdict = simulation.arrive(self.start.elapsed(), &self.key, input + words);
            (verdict, Rules { latency, ..simulation.rules().clone() })
        };
        let limits = match verdict {
            Verdict::Answered { limits } => limits,
            Verdict::TooMany { retry_after, limits } => {
                return Err(Error::new(ErrorKind::RateLimit, "the simulated quota is used up")
                    .with_status(429)
                    .with_retry(Retry::After(retry_after))
                    .with_limits(limits));
            }
            Verdict::Revoked => {
                return Err(
                    Error::new(ErrorKind::Authentication, "the simulated key was revoked").with_status(401)
                );
            }
            Verdict::Broken(fault) => return broken(fault, &rules, input).await,
        };
        sleep(rules.latency).await;
        let mut events = vec![StreamEvent::Limits { limits: Box::new(limits) }];
        events.extend(answer(rules.words, input));
        Ok(paced(events, rules.between))
    }
}

fn answer(words: usize, input: u64) -> Vec<StreamEvent> {
    let mut events: Vec<StreamEvent> =
        (0..words).map(|number| StreamEvent::TextDelta { part: 0, text: format!("word{number} ") }).collect();
    events.push(StreamEvent::Usage { usage: Usage::new(input, words as u64) });
    events.push(StreamEvent::Finished { reason: FinishReason::Stop, raw: None });
    events
}

fn paced(events: Vec<StreamEvent>, between: std::time::Duration) -> EventStream {
    let one = move |event: StreamEvent| async move {
        if event.is_visible() && !between.is_zero() {
            sleep(between).await;
        }
        Ok(event)
    };
    stream::iter(events).then(one).boxed()
}

async fn broken(fault: Fault, rules: &Rules, input: u64) -> Result<EventStream> {
    if matches!(fault.stage, Stage::AfterConnect | Stage::InHeaders) {
        sleep(rules.latency).await;
    }
    let before: Vec<StreamEvent> = match fault.stage {
        Stage::BeforeConnect | Stage::AfterConnect | Stage::InHeaders => {
            if fault.hangs {
                std::future::pending::<()>().await;
            }
            return Err(fault.error());
        }
        Stage::MidBody => Vec::new(),
        Stage::MidStream => {
            sleep(rules.latency).await;
            answer(rules.words, input).into_iter().take(rules.words / 2 + 1).collect()
        }
        Stage::AfterFinish => {
            sleep(rules.latency).await;
            answer(rules.words, input)
        }
    };
    let end = async move {
        if fault.hangs {
            std::future::pending::<()>().await;
        }
        Err(fault.error())
    };
    Ok(paced(before, rules.between).chain(stream::once(end)).boxed())
}
