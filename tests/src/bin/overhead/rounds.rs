//! What a round of an agent takes when its model and its tool take nothing: no provider, no wire, no disk.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use futures::StreamExt as _;
use motet_agents::{Agent, dynamic};
use motet_core::accumulate::unfold;
use motet_core::event::ready_stream;
use motet_core::message::ToolCall;
use motet_core::request::ToolSpec;
use motet_core::tool::{Effect, ToolOutput};
use motet_core::{
    ChatRequest, ChatResponse, Delivery, EventStream, FinishReason, Message, Model, ModelId, Part, Role,
    RunContext, StreamEvent,
};

use super::{median, processor_time};

/// Microseconds that a round may take.
const GOAL: f64 = 20.0;
/// Rounds of the longer of two runs; the shorter one has a single round.
const LONG: usize = 9;
/// Runs of one measurement.
const RUNS: u32 = 200;
/// Measurements of which the median is taken.
const MEASUREMENTS: usize = 15;

/// Calls a tool a number of times and then answers; which turn it is shows in the transcript.
struct Scripted {
    call: Vec<StreamEvent>,
    answer: Vec<StreamEvent>,
    rounds: usize,
}

#[async_trait]
impl Model for Scripted {
    async fn open(
        &self,
        _: &RunContext,
        request: &ChatRequest,
        _: Delivery,
    ) -> motet_core::Result<EventStream> {
        let turn = request.messages.iter().filter(|message| message.role == Role::Assistant).count();
        Ok(ready_stream(if turn < self.rounds { self.call.clone() } else { self.answer.clone() }))
    }
}

/// Measures and prints a round, plain and streamed; tells whether the goal is met.
pub(super) async fn print() -> Result<bool> {
    let (plain, streamed) = (round(Delivery::Plain).await?, round(Delivery::Streamed).await?);
    let verdict = if plain <= GOAL { "" } else { "  missed" };
    println!("\n{:<22}{:>12}{:>12}{:>9}", "AGENT WITHOUT I/O", "PLAIN us", "STREAM us", "GOAL");
    println!("{:<22}{plain:>12.2}{streamed:>12.2}{GOAL:>9.2}{verdict}", "one tool round");
    Ok(plain <= GOAL)
}

/// Gives what one more round costs, in microseconds.
async fn round(delivery: Delivery) -> Result<f64> {
    let agent = agent()?;
    let (short, long) = (model(1)?, model(LONG)?);
    let mut figures = Vec::new();
    for measurement in 0..=MEASUREMENTS {
        let (one, other) = (time(&agent, &short, delivery).await?, time(&agent, &long, delivery).await?);
        if measurement > 0 {
            figures.push((other - one) / (LONG - 1) as f64);
        }
    }
    Ok(median(figures))
}

async fn time(agent: &Agent, model: &Arc<Scripted>, delivery: Delivery) -> Result<f64> {
    let begun = processor_time();
    for _ in 0..RUNS {
        let (context, model) = (RunContext::new(), Arc::clone(model) as Arc<dyn Model>);
        let result = match delivery {
            Delivery::Plain => motet_agents::run(&context, agent, model, "Add them.").await,
            Delivery::Streamed => {
                let mut events = motet_agents::stream(&context, agent, model, "Add them.");
                while let Some(event) = events.next().await {
                    drop(event?);
                }
                events.finish().await
            }
        };
        drop(result.into_result()?);
    }
    Ok((processor_time() - begun).as_secs_f64() * 1e6 / f64::from(RUNS))
}

fn agent() -> Result<Agent> {
    let spec = ToolSpec::new("add", "Adds two whole numbers.", super::ours::add_parameters());
    let add = dynamic(spec, |_, _| async { Ok(ToolOutput::text("3")) }).effect(Effect::Pure);
    let agent = Agent::builder("adder", id()?).instructions("Add with the tool.").tool(add);
    Ok(agent.max_iterations(LONG as u32 + 1).max_repeated_rounds(0).build()?)
}

fn model(rounds: usize) -> Result<Arc<Scripted>> {
    let call = Part::ToolCall(ToolCall {
        id: "call_1".to_owned(),
        name: "add".to_owned(),
        arguments: "{\"a\":1,\"b\":2}".to_owned(),
        minted: false,
        opaque: None,
    });
    let asks = Message { role: Role::Assistant, parts: vec![call] };
    let events = |message, reason| Ok::<_, anyhow::Error>(unfold(&ChatResponse::new(id()?, message, reason)));
    Ok(Arc::new(Scripted {
        call: events(asks, FinishReason::ToolCalls)?,
        answer: events(Message::assistant("3"), FinishReason::Stop)?,
        rounds,
    }))
}

fn id() -> Result<ModelId> {
    Ok(ModelId::new("scripted", "bench")?)
}
