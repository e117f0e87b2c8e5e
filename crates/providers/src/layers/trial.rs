//! A simulated model under layers, and what became of calls to it: for the tests of layers.

use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use motet_core::attempts::Attempts;
use motet_core::{ChatRequest, Delivery, Error, Message, Model as _, ModelId, RunContext, StreamEvent};
use tokio::time::Instant;

use super::{Bottom, Chain, Layer, Stack};
use crate::simulated::{Rules, SimulatedModel, Simulation};

/// A simulated provider with one model and one key.
pub(super) struct Trial {
    pub(super) simulation: Arc<Mutex<Simulation>>,
    start: Instant,
}

impl Trial {
    pub(super) fn new(rules: Rules) -> Self {
        Self { simulation: Arc::new(Mutex::new(Simulation::new(rules))), start: Instant::now() }
    }

    pub(super) fn bottom(&self) -> Bottom {
        Bottom::Model(Arc::new(SimulatedModel::new(Arc::clone(&self.simulation), self.start, "key")))
    }

    pub(super) fn chain(&self, layers: Vec<Arc<dyn Layer>>) -> Chain {
        Chain::new(layers, self.bottom())
    }

    pub(super) fn stack(&self, layers: Vec<Arc<dyn Layer>>, max_attempts: u32) -> Stack {
        Stack::new(self.chain(layers), max_attempts, None)
    }

    /// Gives the number of requests that came.
    pub(super) fn arrived(&self) -> u64 {
        self.simulation.lock().unwrap().counts("key").arrived
    }
}

/// A context, and the events that its listener is told.
pub(super) fn listening() -> (RunContext, Arc<Mutex<Vec<StreamEvent>>>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    let listener = move |event: &StreamEvent| told.lock().unwrap().push(event.clone());
    (RunContext::new().with_events(Arc::new(listener)), events)
}

/// What came of one call.
#[derive(Debug)]
pub(super) struct Came {
    /// The events of its stream.
    pub(super) events: Vec<StreamEvent>,
    pub(super) error: Option<Error>,
}

impl Came {
    /// Gives the text that is valid in the end.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for event in &self.events {
            match event {
                StreamEvent::TextDelta { text: piece, .. } => text.push_str(piece),
                StreamEvent::OutputDiscarded { .. } => text.clear(),
                _ => {}
            }
        }
        text
    }

    pub(super) fn discarded(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, StreamEvent::OutputDiscarded { .. })).count()
    }

    pub(super) fn error(&self) -> &Error {
        self.error.as_ref().expect("the call failed")
    }
}

pub(super) fn id(text: &str) -> ModelId {
    text.parse().unwrap()
}

pub(super) fn request() -> ChatRequest {
    ChatRequest::new(id("simulated:a"), vec![Message::user("Tell me.")])
}

/// Asks, and reads the stream to its end.
pub(super) async fn ask(stack: &Stack, context: &RunContext, delivery: Delivery) -> Came {
    let mut came = Came { events: Vec::new(), error: None };
    match stack.open(context, &request(), delivery).await {
        Err(error) => came.error = Some(error),
        Ok(mut stream) => {
            while let Some(item) = stream.next().await {
                match item {
                    Ok(event) => came.events.push(event),
                    Err(error) => came.error = Some(error),
                }
            }
            assert!(stream.next().await.is_none(), "a stream that ended stays at its end");
        }
    }
    came
}

/// Gives a context whose calls come out of these attempts.
pub(super) fn with(attempts: &Arc<Attempts>) -> RunContext {
    RunContext::new().with_attempts(Arc::clone(attempts))
}
