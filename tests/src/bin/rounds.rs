//! What the agent loop itself costs: rounds of tool calls with a model that answers at once, and the memory of many runs
//! side by side; what `cargo xtask bench rounds` runs.
#![expect(clippy::print_stdout, reason = "a developer task talks to a terminal")]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use async_trait::async_trait;
use clap::Parser;
use motet_agents::{Agent, dynamic};
use motet_core::accumulate::unfold;
use motet_core::event::ready_stream;
use motet_core::message::ToolCall;
use motet_core::request::ToolSpec;
use motet_core::tool::{Effect, ToolOutput};
use motet_core::{
    ChatRequest, ChatResponse, Delivery, EventStream, FinishReason, Message, Model, ModelId, Part, Role,
    RunContext, Usage,
};
use serde_json::{Value, json};
use tokio::sync::Barrier;

/// Measures the agent loop without input and output.
#[derive(Parser)]
struct Arguments {
    /// Runs one after the other.
    #[arg(long, default_value_t = 5_000)]
    rounds: u32,
    /// Runs side by side, whose tools all wait for each other.
    #[arg(long, default_value_t = 10_000)]
    concurrent: usize,
}

/// Rounds of tool calls of each run.
const TURNS: u32 = 5;

/// Microseconds that a round may take.
const GOAL: f64 = 20.0;

/// Calls the tool again and again, then answers.
struct Caller;

#[async_trait]
impl Model for Caller {
    async fn open(
        &self,
        _: &RunContext,
        request: &ChatRequest,
        _: Delivery,
    ) -> motet_core::Result<EventStream> {
        let rounds = request.messages.iter().filter(|message| message.role == Role::Assistant).count();
        let (message, reason) = if rounds < TURNS as usize {
            let call = ToolCall {
                id: format!("call_{rounds}"),
                name: "add".to_owned(),
                arguments: format!("{{\"a\":{rounds},\"b\":1}}"),
                minted: false,
                opaque: None,
            };
            let message = Message { role: Role::Assistant, parts: vec![Part::ToolCall(call)] };
            (message, FinishReason::ToolCalls)
        } else {
            (Message::assistant("The sum is known."), FinishReason::Stop)
        };
        let mut response = ChatResponse::new(request.model.clone(), message, reason);
        response.usage = Some(Usage::new(100, 10));
        Ok(ready_stream(unfold(&response)))
    }
}

/// Where runs wait for each other.
struct Meeting {
    arrived: AtomicUsize,
    begins: Barrier,
}

fn agent(meeting: Option<Arc<Meeting>>) -> Result<Agent> {
    let number = json!({"type": "integer"});
    let schema = json!({"type": "object", "properties": {"a": number, "b": number}, "required": ["a", "b"]});
    let spec = ToolSpec::new("add", "Adds two whole numbers.", schema);
    let add = dynamic(spec, move |arguments, _| {
        let meeting = meeting.clone();
        async move {
            let number = |name: &str| arguments.get(name).and_then(Value::as_i64).unwrap_or_default();
            if let (Some(meeting), 0) = (meeting, number("a")) {
                meeting.arrived.fetch_add(1, Ordering::Relaxed);
                meeting.begins.wait().await;
            }
            Ok(ToolOutput::text((number("a") + number("b")).to_string()))
        }
    });
    let builder = Agent::builder("adder", ModelId::new("scripted", "caller")?)
        .instructions("You are a careful assistant that answers briefly and names its sources.")
        .max_iterations(TURNS + 1)
        .tool_timeout(Duration::from_mins(10))
        .tool(add.effect(Effect::Pure));
    Ok(builder.build()?)
}

async fn run(agent: &Agent) -> Result<()> {
    let model: Arc<dyn Model> = Arc::new(Caller);
    let result =
        motet_agents::run(&RunContext::new(), agent, model, "Add the numbers.").await.into_result()?;
    anyhow::ensure!(result.tool_history.len() == TURNS as usize);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let agent = agent(None)?;
    run(&agent).await?;
    let begun = Instant::now();
    for _ in 0..arguments.rounds {
        run(&agent).await?;
    }
    let micros = begun.elapsed().as_secs_f64() * 1e6 / f64::from(arguments.rounds);
    let each = micros / f64::from(TURNS + 1);
    let met = each <= GOAL;
    let verdict = if met { "" } else { "  missed" };
    println!("a run of {TURNS} tool rounds {micros:.1} us, a round {each:.1} us, goal {GOAL} us{verdict}");
    side_by_side(arguments.concurrent).await?;
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts all runs at once, and looks at the memory while every one of them stands in its first tool.
async fn side_by_side(count: usize) -> Result<()> {
    let meeting = Arc::new(Meeting { arrived: AtomicUsize::new(0), begins: Barrier::new(count + 1) });
    let agent = agent(Some(Arc::clone(&meeting)))?;
    let before = resident()?;
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..count {
        let agent = agent.clone();
        tasks.spawn(async move { run(&agent).await });
    }
    while meeting.arrived.load(Ordering::Relaxed) < count {
        tokio::task::yield_now().await;
    }
    let during = resident()?;
    meeting.begins.wait().await;
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let each = during.saturating_sub(before) as f64 / count as f64;
    println!(
        "{count} runs side by side in {:.2} s: {each:.1} KiB each while they wait, {} MiB in all, {} MiB after",
        begun.elapsed().as_secs_f64(),
        during / 1024,
        resident()? / 1024,
    );
    Ok(())
}

/// Gives the resident memory of this process in KiB.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
