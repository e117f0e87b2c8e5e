//! Where the time of a call goes: each stage alone, on the same bodies as the whole call.
//!
//! What cannot be run alone is the difference of two things that can.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use futures::StreamExt as _;
use motet_agents::call;
use motet_core::accumulate::Accumulator;
use motet_core::event::ready_stream;
use motet_core::id::content_hash;
use motet_core::run_log::{Begun, Step, StepKind};
use motet_core::tool::Effect;
use motet_core::{ChatRequest, ChatResponse, Delivery, EventStream, Model, ModelId, RunContext, StreamEvent};
use motet_providers::dialect::{self, Origin};
use motet_providers::driver::{Clients, HttpModel, StreamReader};
use motet_providers::provider::{ProviderConfig, Proxy, Timeouts};
use motet_providers::{dialects, rows};
use motet_tests::mock;

use super::{PIECES, median, ours, processor_time};

/// Rounds of which the median is taken.
const ROUNDS: usize = 9;
/// Bytes that one read of a stream brings.
const READ: usize = 16 << 10;
/// Time between pieces, as the settings have it.
const MINUTE: Duration = Duration::from_secs(60);

/// A model whose answer is there already.
struct Ready(Vec<StreamEvent>);

#[async_trait]
impl Model for Ready {
    async fn open(&self, _: &RunContext, _: &ChatRequest, _: Delivery) -> motet_core::Result<EventStream> {
        Ok(ready_stream(self.0.clone()))
    }
}

/// Everything that a stage needs, for one way of delivery.
struct Bench {
    delivery: Delivery,
    request: ChatRequest,
    origin: Arc<Origin>,
    body: Vec<u8>,
    http: HttpModel,
    ready: Arc<Ready>,
    response: ChatResponse,
    runtime: motet::Runtime,
    calls: u32,
}

/// Measures and prints the stages of a plain call and of a stream.
pub(super) async fn print(address: SocketAddr) -> Result<()> {
    let plain = Bench::new(address, Delivery::Plain, mock::chat().into_bytes(), 400)?;
    let streamed = Bench::new(address, Delivery::Streamed, mock::events(PIECES).into_bytes(), 12)?;
    println!("\n{:<22}{:>12}{:>12}", "STAGE", "PLAIN us", "STREAM us");
    let (plain, streamed) = (plain.stages().await?, streamed.stages().await?);
    for ((name, one), (_, other)) in plain.iter().zip(&streamed) {
        println!("{name:<22}{one:>12.2}{other:>12.2}");
    }
    let sum = |stages: &[(&str, f64)]| stages.iter().map(|(_, micros)| micros).sum::<f64>();
    println!("{:<22}{:>12.2}{:>12.2}", "all", sum(&plain), sum(&streamed));
    Ok(())
}

impl Bench {
    fn new(address: SocketAddr, delivery: Delivery, body: Vec<u8>, calls: u32) -> Result<Self> {
        let id = ModelId::new("openai", "mock")?;
        let row = rows::find("openai")?;
        let timeouts = Timeouts {
            connect: Some(MINUTE),
            first_byte: Some(MINUTE),
            idle: Some(MINUTE),
            total: Some(MINUTE),
        };
        let config = ProviderConfig {
            base_url: Some(format!("http://{address}/v1")),
            api_key: Some(motet_core::Secret::new("k")),
            proxy: Proxy::System,
            timeouts,
            ..ProviderConfig::default()
        };
        let origin = Arc::new(Origin::new(row, id.clone()));
        let events = decoded(delivery, &body, &origin)?;
        let response = folded(&id, events.clone())?;
        let runtime = ours::runtime(address)?;
        let ready = Arc::new(Ready(events));
        let own = ModelId::new("own", "ready")?;
        runtime.add_model(own, Arc::clone(&ready) as Arc<dyn Model>);
        let http = HttpModel::new(row, id.clone(), &config, &Clients::default())?;
        Ok(Self { delivery, request: ours::request(id), origin, body, http, ready, response, runtime, calls })
    }

    /// Gives the stages in the order in which a call passes them.
    #[expect(clippy::unit_arg, reason = "what a stage gives is not looked at")]
    async fn stages(&self) -> Result<Vec<(&'static str, f64)>> {
        let context = self.time(async || Ok(drop(RunContext::new()))).await?;
        let hash = self.time(async || Ok(drop(content_hash(&self.request)?))).await?;
        let logged = self.time(async || self.logged().await).await?;
        let encode = self.time(async || self.encode()).await?;
        let headers = self.time(async || Ok(headers())).await?;
        let decode = self.time(async || Ok(drop(decoded(self.delivery, &self.body, &self.origin)?))).await?;
        let clone = self.time(async || Ok(drop(self.ready.0.clone()))).await?;
        let fold =
            self.time(async || Ok(drop(folded(&self.request.model, self.ready.0.clone())?))).await? - clone;
        let sent = self
            .time(async || {
                drain(self.http.open(&RunContext::new(), &self.request, self.delivery).await?).await
            })
            .await?;
        let model: Arc<dyn Model> = Arc::clone(&self.ready) as Arc<dyn Model>;
        let bare = self.time(async || self.called(&model, &self.request).await).await?;
        let own = ChatRequest { model: ModelId::new("own", "ready")?, ..self.request.clone() };
        let layered = self.time(async || self.called_by_name(&own).await).await?;
        Ok(vec![
            ("context", context),
            ("request's hash", hash),
            ("run log", logged - context),
            ("layers", layered - bare),
            ("encode", encode),
            ("transport", sent - context - encode - headers - decode),
            ("headers", headers),
            ("decode", decode),
            ("fold", fold),
            ("call and feed", bare - context - hash - (logged - context) - fold - clone),
        ])
    }

    /// Gives the processor time of one run, in microseconds.
    async fn time(&self, mut work: impl AsyncFnMut() -> Result<()>) -> Result<f64> {
        let mut figures = Vec::new();
        for round in 0..=ROUNDS {
            let begun = processor_time();
            for _ in 0..self.calls {
                work().await?;
            }
            if round > 0 {
                figures.push((processor_time() - begun).as_secs_f64() * 1e6 / f64::from(self.calls));
            }
        }
        Ok(median(figures))
    }

    async fn logged(&self) -> Result<()> {
        let step = Step {
            name: "model",
            kind: StepKind::Model,
            request_hash: "0000000000000000000000000000000000000000000000000000000000000000",
            effect: Effect::Pure,
            label: "openai:mock",
        };
        let context = RunContext::new();
        if let Begun::Fresh(pending) = context.begin(step).await? {
            pending.finish(&self.response).await?;
        }
        Ok(())
    }

    fn encode(&self) -> Result<()> {
        dialect::content::check(&self.request, &self.origin)?;
        let lowered = dialect::lowering::lower(&self.request, &self.origin.profile, self.delivery);
        let dialect = dialects::find(self.origin.row.dialect)?;
        dialect.encode(&lowered.request, &self.origin.profile, self.delivery)?;
        Ok(())
    }

    async fn called(&self, model: &Arc<dyn Model>, request: &ChatRequest) -> Result<()> {
        let context = RunContext::new();
        match self.delivery {
            Delivery::Plain => drop(call::chat(&context, &**model, request, "model").await?),
            Delivery::Streamed => {
                drain(call::open(&context, Arc::clone(model), request.clone(), "model")).await?;
            }
        }
        Ok(())
    }

    async fn called_by_name(&self, request: &ChatRequest) -> Result<()> {
        let context = RunContext::new();
        match self.delivery {
            Delivery::Plain => drop(self.runtime.complete(&context, request).await?),
            Delivery::Streamed => drain(self.runtime.stream(&context, request.clone()).await?).await?,
        }
        Ok(())
    }
}

fn decoded(delivery: Delivery, body: &[u8], origin: &Arc<Origin>) -> Result<Vec<StreamEvent>> {
    let dialect = dialects::find(origin.row.dialect)?;
    if delivery == Delivery::Plain {
        return Ok(dialect.decode(body, origin)?);
    }
    let (mut reader, mut events) = (StreamReader::new(dialect, origin), Vec::new());
    for piece in body.chunks(READ) {
        reader.feed(piece, &mut events)?;
    }
    reader.finish(&mut events)?;
    Ok(events)
}

fn folded(model: &ModelId, events: Vec<StreamEvent>) -> Result<ChatResponse> {
    let mut whole = Accumulator::new(model.clone());
    for event in events {
        whole.push(event)?;
    }
    Ok(whole.finish()?)
}

/// Reads the limits out of the mock's headers.
fn headers() {
    let lines = mock::HEADERS.lines().filter_map(|line| line.split_once(": "));
    let limits = dialect::limits::read(lines.map(|(name, value)| (name, value.as_bytes())), || {
        dialect::limits::served_at(Some("Sat, 21 Nov 2026 12:00:00 GMT"))
    });
    assert!(!limits.is_empty());
}

async fn drain(mut events: EventStream) -> Result<()> {
    while let Some(event) = events.next().await {
        drop(event?);
    }
    Ok(())
}
