//! The counts and their bounds.

use std::future::Future;

use allocation_counter::measure;
use futures::StreamExt as _;
use motet::Runtime;
use motet_agents::{Agent, dynamic};
use motet_core::request::ToolSpec;
use motet_core::settings::{Settings, Sources};
use motet_core::tool::{Effect, ToolOutput};
use motet_core::{ChatRequest, EmbedRequest, Message, ModelId, RunContext, StreamEvent};
use motet_tests::mock::{self, Sizes};

/// Calls before the count, which open connections and fill caches.
const WARM: u32 = 20;
/// Calls that are counted.
const COUNTED: u32 = 20;

fn engine(pieces: usize, vectors: usize) -> Runtime {
    engine_of(Sizes { pieces, vectors, tool_rounds: 0 })
}

fn engine_of(sizes: Sizes) -> Runtime {
    let address = mock::start(&sizes).unwrap();
    let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned(), "the test".to_owned());
    let overrides = vec![
        setting("providers.openai.base_url", &format!("http://{address}/v1")),
        setting("providers.openai.api_key", "k"),
        setting("store", "memory:"),
    ];
    let sources = Sources { overrides, ..Sources::default() };
    Runtime::new(Settings::load(&sources).unwrap(), std::env::temp_dir()).unwrap()
}

fn request() -> ChatRequest {
    let messages = vec![Message::system("Be brief."), Message::user("Tell me about the harbour.")];
    ChatRequest::new(ModelId::new("openai", "mock").unwrap(), messages)
}

/// What one call asks for, on average.
struct Asked {
    times: f64,
    bytes: f64,
}

fn counted<F: Future<Output = ()>>(call: impl Fn() -> F) -> f64 {
    measured(call).times
}

fn measured<F: Future<Output = ()>>(call: impl Fn() -> F) -> Asked {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for _ in 0..WARM {
            call().await;
        }
    });
    let info = measure(|| {
        runtime.block_on(async {
            for _ in 0..COUNTED {
                call().await;
            }
        });
    });
    let each = |total: u64| total as f64 / f64::from(COUNTED);
    Asked { times: each(info.count_total), bytes: each(info.bytes_total) }
}

async fn stream(engine: &Runtime) {
    let mut events = engine.stream(&RunContext::new(), request()).await.unwrap();
    let mut finished = false;
    while let Some(event) = events.next().await {
        finished |= matches!(event.unwrap(), StreamEvent::Finished { .. });
    }
    assert!(finished);
}

#[track_caller]
fn at_most(found: f64, most: f64, what: &str) {
    assert!(found > 1.0, "nothing was counted");
    assert!(found <= most, "{what}: {found:.1} asked for, and at most {most} is wanted");
}

#[test]
fn a_plain_call_asks_for_little_memory() {
    let (engine, request) = (engine(1, 1), request());
    let call = || async {
        let response = engine.complete(&RunContext::new(), &request).await.unwrap();
        assert!(!response.text().is_empty());
    };
    at_most(counted(call), PLAIN, "a plain call");
}

#[test]
fn a_piece_of_a_stream_asks_for_little_memory() {
    let (short, long) = (engine(100, 1), engine(600, 1));
    let (short, long) = (counted(|| stream(&short)), counted(|| stream(&long)));
    at_most(short, STREAM, "a stream of 100 pieces");
    at_most((long - short) / 500.0, PIECE, "a piece");
}

#[test]
fn vectors_are_read_into_the_memory_that_they_stay_in() {
    let counted_for = |vectors: usize| {
        let engine = engine(1, vectors);
        let inputs = vec!["Boats wait for the tide.".to_owned(); vectors];
        let request = EmbedRequest::new(ModelId::new("openai", "mock").unwrap(), inputs);
        counted(|| async {
            let response = engine.embed(&RunContext::new(), &request).await.unwrap();
            assert_eq!(response.embeddings.len(), vectors);
        })
    };
    let (few, many) = (counted_for(4), counted_for(20));
    at_most((many - few) / 16.0, VECTOR, "a vector");
}

/// Counts the memory that one run with so many rounds of a tool asks for.
fn counted_run(rounds: usize) -> Asked {
    let engine = engine_of(Sizes { pieces: 1, vectors: 1, tool_rounds: rounds });
    let number = serde_json::json!({"type": "integer"});
    let schema =
        serde_json::json!({"type": "object", "properties": {"a": number, "b": number}, "required": ["a"]});
    let add = dynamic(ToolSpec::new("add", "Adds.", schema), |_, _| async { Ok(ToolOutput::text("3")) });
    let agent = engine.agent("adder", ModelId::new("openai", "mock").unwrap());
    let agent = agent.instructions("Be brief.").max_iterations(20).tool(add.effect(Effect::Pure));
    let agent = agent.build().unwrap();
    measured(|| run(&engine, &agent, rounds))
}

async fn run(engine: &Runtime, agent: &Agent, rounds: usize) {
    let model = engine.models().model(agent.model()).await.unwrap();
    let result = motet_agents::run(&RunContext::new(), agent, model, "Add the numbers.").await;
    assert_eq!(result.into_result().unwrap().tool_history.len(), rounds);
}

#[test]
fn a_round_of_an_agent_asks_for_little_memory() {
    let (few, many) = (counted_run(2), counted_run(7));
    at_most(few.times, RUN, "a run of two rounds");
    at_most((many.times - few.times) / 5.0, ROUND, "a round");
    // Large pieces cost more than small ones, whether they are requests or futures in boxes.
    at_most((many.bytes - few.bytes) / 5.0, ROUND_BYTES, "the bytes of a round");
}

const PLAIN: f64 = 110.0;
const STREAM: f64 = 270.0;
const PIECE: f64 = 1.5;
const VECTOR: f64 = 3.0;
const RUN: f64 = 520.0;
const ROUND: f64 = 165.0;
const ROUND_BYTES: f64 = 48_000.0;
