//! What Motet costs beside a bare loop of reqwest and serde_json, in processor time; what `cargo xtask bench` runs.
#![expect(clippy::indexing_slicing, reason = "a benchmark that panics has failed")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a developer task talks to a terminal")]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use futures::StreamExt as _;
use motet::Runtime;
use motet_core::settings::{Settings, Sources};
use motet_core::{ChatRequest, Message, ModelId, RunContext};
use motet_tests::mock;
use serde::Deserialize;

/// Measures overhead.
#[derive(Parser)]
struct Arguments {
    /// Rounds, each of which measures the bare loop and Motet in turn.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
}

/// Pieces of a stream.
const PIECES: usize = 500;
/// Texts of an embedding request.
const VECTORS: usize = 16;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(&Arguments::parse())))
    {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Measures every workload; tells whether all goals are met.
async fn run(arguments: &Arguments) -> Result<bool> {
    let address = mock::start(PIECES, VECTORS)?;
    let (bare, ours) = (Bare::new(address)?, Ours::new(address)?);
    let mut met = true;
    println!("{:<22}{:>12}{:>12}{:>9}{:>9}", "WORKLOAD", "BARE us", "MOTET us", "RATIO", "GOAL");
    for (name, calls, goal) in [("plain call", 2_000, 1.15), ("stream of 500 pieces", 200, 1.5)] {
        let streamed = name.starts_with("stream");
        let (mut one, mut other) = (Vec::new(), Vec::new());
        for round in 0..=arguments.rounds {
            let begun = processor_time();
            for _ in 0..calls {
                if streamed { bare.stream().await? } else { bare.plain().await? }
            }
            let between = processor_time();
            for _ in 0..calls {
                if streamed { ours.stream().await? } else { ours.plain().await? }
            }
            // The first round opens connections and warms caches.
            if round > 0 {
                one.push(between - begun);
                other.push(processor_time() - between);
            }
        }
        let (one, other) = (each(one, calls), each(other, calls));
        let ratio = other / one;
        met &= ratio <= goal;
        println!("{name:<22}{one:>12.1}{other:>12.1}{ratio:>9.2}{goal:>9.2}");
    }
    Ok(met)
}

/// Gives the median of some rounds, in microseconds a call.
fn each(mut rounds: Vec<Duration>, calls: usize) -> f64 {
    rounds.sort_unstable();
    let median = rounds.get(rounds.len() / 2).copied().unwrap_or_default();
    median.as_secs_f64() * 1e6 / calls as f64
}

/// Gives the processor time of this thread, on which all of the client runs.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

const SYSTEM: &str = "You are a careful assistant that answers briefly and names its sources.";
const PROMPT: &str = "Tell me about the harbour, the boats that lie in it, and what they wait for. Keep to what is \
    known, and say what is not. Two paragraphs are enough, without a heading and without a list.";

/// The least that a client can do by hand.
struct Bare {
    client: reqwest::Client,
    url: String,
}

#[derive(Deserialize)]
struct Answer {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default, alias = "delta")]
    message: Text,
}

#[derive(Deserialize, Default)]
struct Text {
    content: Option<String>,
}

impl Bare {
    fn new(address: SocketAddr) -> Result<Self> {
        // The bare client needs one for the whole process; Motet's own clients carry theirs.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().tcp_nodelay(true).no_proxy().build()?;
        Ok(Self { client, url: format!("http://{address}/v1/chat/completions") })
    }

    async fn send(&self, stream: bool) -> Result<reqwest::Response> {
        let messages = [[("role", "system"), ("content", SYSTEM)], [("role", "user"), ("content", PROMPT)]];
        let messages: Vec<std::collections::BTreeMap<_, _>> = messages.into_iter().map(Into::into).collect();
        let body = serde_json::json!({"model": "mock", "messages": messages, "stream": stream});
        let request = self.client.post(&self.url).bearer_auth("k").header("content-type", "application/json");
        Ok(request.body(serde_json::to_vec(&body)?).send().await?.error_for_status()?)
    }

    async fn plain(&self) -> Result<()> {
        let answer: Answer = serde_json::from_slice(&self.send(false).await?.bytes().await?)?;
        let text = answer.choices.into_iter().next().and_then(|choice| choice.message.content);
        anyhow::ensure!(!text.context("no text")?.is_empty());
        Ok(())
    }

    async fn stream(&self) -> Result<()> {
        let mut body = self.send(true).await?.bytes_stream();
        let (mut text, mut buffer) = (String::new(), Vec::new());
        while let Some(piece) = body.next().await {
            buffer.extend_from_slice(&piece?);
            let mut from = 0;
            while let Some(end) = memchr::memchr(b'\n', &buffer[from..]) {
                let line = &buffer[from..from + end];
                from += end + 1;
                let Some(data) = line.strip_prefix(b"data: ").filter(|data| data != b"[DONE]") else {
                    continue;
                };
                let answer: Answer = serde_json::from_slice(data)?;
                let piece = answer.choices.into_iter().next().and_then(|choice| choice.message.content);
                text.push_str(&piece.unwrap_or_default());
            }
            buffer.drain(..from);
        }
        anyhow::ensure!(!text.is_empty());
        Ok(())
    }
}

/// Motet with its default layers.
struct Ours {
    runtime: Runtime,
    request: ChatRequest,
}

impl Ours {
    fn new(address: SocketAddr) -> Result<Self> {
        let setting = |name: &str, value: String| (name.to_owned(), value, "the benchmark".to_owned());
        let overrides = vec![
            setting("providers.openai.base_url", format!("http://{address}/v1")),
            setting("providers.openai.api_key", "k".to_owned()),
            setting("store", "memory:".to_owned()),
        ];
        let sources = Sources { overrides, ..Sources::default() };
        let runtime = Runtime::new(Settings::load(&sources)?, std::env::temp_dir())?;
        let messages = vec![Message::system(SYSTEM), Message::user(PROMPT)];
        let request = ChatRequest::new(ModelId::new("openai", "mock")?, messages);
        Ok(Self { runtime, request })
    }

    async fn plain(&self) -> Result<()> {
        let response = self.runtime.complete(&RunContext::new(), &self.request).await?;
        anyhow::ensure!(!response.text().is_empty());
        Ok(())
    }

    async fn stream(&self) -> Result<()> {
        let mut events = self.runtime.stream(&RunContext::new(), self.request.clone()).await?;
        let mut text = String::new();
        while let Some(event) = events.next().await {
            if let motet_core::StreamEvent::TextDelta { text: piece, .. } = event? {
                text.push_str(&piece);
            }
        }
        anyhow::ensure!(!text.is_empty());
        Ok(())
    }
}
