//! What goes wrong at a provider, and what then reaches it and the caller: counted, timed, and nothing more.
//!
//! Everything goes through a runtime with settings, as programs do.

mod matrix;
mod scripts;
mod settings;
mod sockets;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use motet::{Runtime, Settings};
use motet_core::accumulate::Accumulator;
use motet_core::settings::Sources;
use motet_core::{
    ChatRequest, ChatResponse, Delivery, Error, Message, ModelId, Result, RunContext, StreamEvent,
};
use motet_providers::simulated::{Fault, Rules, SimulatedModel, Simulation};
use tokio::time::Instant;

const BOTH: [Delivery; 2] = [Delivery::Plain, Delivery::Streamed];

/// Makes a runtime with these settings.
fn runtime(settings: &[(&str, &str)]) -> Runtime {
    let set = |(path, value): &(&str, &str)| ((*path).to_owned(), (*value).to_owned(), "test".to_owned());
    let sources = Sources { overrides: settings.iter().map(set).collect(), ..Sources::default() };
    Runtime::new(Settings::load(&sources).unwrap(), std::env::temp_dir()).unwrap()
}

fn id(text: &str) -> ModelId {
    text.parse().unwrap()
}

/// A model of a runtime that is simulated.
struct Simulated {
    id: ModelId,
    simulation: Arc<Mutex<Simulation>>,
}

impl Simulated {
    fn new(runtime: &Runtime, name: &str, rules: Rules) -> Self {
        let (id, simulation) = (id(name), Arc::new(Mutex::new(Simulation::new(rules))));
        let model = SimulatedModel::new(Arc::clone(&simulation), Instant::now(), "key");
        runtime.add_model(id.clone(), Arc::new(model));
        Self { id, simulation }
    }

    /// Gives the number of requests that came.
    fn arrived(&self) -> u64 {
        self.simulation.lock().unwrap().counts("key").arrived
    }
}

/// A provider whose first requests have these faults.
fn faulty(faults: impl IntoIterator<Item = Fault>) -> Rules {
    let mut rules = Rules::new();
    rules.faults = (0..).zip(faults).collect();
    rules
}

/// A provider that always has this fault.
fn always(fault: Fault) -> Rules {
    let mut rules = Rules::new();
    rules.always = Some(fault);
    rules
}

/// The text of every whole answer.
fn text() -> String {
    (0..20).map(|number| format!("word{number} ")).collect()
}

/// What came of one call.
struct Called {
    response: Result<ChatResponse>,
    /// What a listener of the run was told, the answer's events among it.
    events: Vec<StreamEvent>,
    took: Duration,
}

impl Called {
    fn error(&self) -> &Error {
        self.response.as_ref().expect_err("the call was answered")
    }

    fn text(&self) -> String {
        self.response.as_ref().expect("the call failed").text()
    }

    fn discarded(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, StreamEvent::OutputDiscarded { .. })).count()
    }

    fn waits(&self) -> Vec<u64> {
        let wait = |event: &StreamEvent| match event {
            StreamEvent::Retrying { delay_ms, .. } => Some(*delay_ms),
            _ => None,
        };
        self.events.iter().filter_map(wait).collect()
    }
}

/// Asks a model as programs do.
async fn call(runtime: &Runtime, model: &ModelId, delivery: Delivery) -> Called {
    call_within(runtime, RunContext::new(), model, delivery).await
}

async fn call_within(runtime: &Runtime, context: RunContext, model: &ModelId, delivery: Delivery) -> Called {
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    let context =
        context.with_events(Arc::new(move |event: &StreamEvent| told.lock().unwrap().push(event.clone())));
    let request = ChatRequest::new(model.clone(), vec![Message::user("Tell me.")]);
    let start = Instant::now();
    let response = match delivery {
        Delivery::Plain => runtime.complete(&context, &request).await,
        Delivery::Streamed => streamed(runtime, &context, request).await,
    };
    let took = start.elapsed();
    let events = events.lock().unwrap().clone();
    Called { response, events, took }
}

async fn streamed(runtime: &Runtime, context: &RunContext, request: ChatRequest) -> Result<ChatResponse> {
    let mut accumulator = Accumulator::new(request.model.clone());
    let mut stream = runtime.stream(context, request).await?;
    let mut failed = None;
    while let Some(item) = stream.next().await {
        assert!(failed.is_none(), "something came after the error");
        match item {
            Ok(event) => accumulator.push(event)?,
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or_else(|| accumulator.finish(), Err)
}
