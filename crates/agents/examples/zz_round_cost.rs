//! temporary measurement
#![allow(clippy::all, clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing)]
use async_trait::async_trait;
use motet_agents::*;
use motet_core::accumulate::unfold;
use motet_core::event::ready_stream;
use motet_core::message::ToolCall;
use motet_core::*;
use std::sync::Arc;
struct M(Vec<ChatResponse>);
#[async_trait]
impl Model for M {
    async fn open(&self, _: &RunContext, r: &ChatRequest, _: Delivery) -> Result<EventStream> {
        let n = r.messages.iter().filter(|m| m.role == Role::Assistant).count();
        Ok(ready_stream(unfold(&self.0[n])))
    }
}
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct A {
    n: i64,
}
fn main() {
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let id: ModelId = "scripted:x".parse().unwrap();
    for rounds in [0usize, 1, 5, 9, 50] {
        let mut turns: Vec<_> = (0..rounds)
            .map(|i| {
                let call = ToolCall {
                    id: format!("c{i}"),
                    name: "double".into(),
                    arguments: "{\"n\":4}".into(),
                    minted: false,
                    opaque: None,
                };
                ChatResponse::new(
                    id.clone(),
                    Message { role: Role::Assistant, parts: vec![Part::ToolCall(call)] },
                    FinishReason::ToolCalls,
                )
            })
            .collect();
        turns.push(ChatResponse::new(id.clone(), Message::assistant("done"), FinishReason::Stop));
        let model: Arc<dyn Model> = Arc::new(M(turns));
        let agent = Agent::builder("a", id.clone())
            .instructions("You are helpful.")
            .max_iterations(100)
            .tool(function("double", "Doubles.", |a: A, _| async move { Ok(a.n * 2) }))
            .build()
            .unwrap();
        for mode in ["plain", "stream"] {
            let count = 3000;
            let start = std::time::Instant::now();
            for _ in 0..count {
                let r = rt.block_on(async {
                    if mode == "plain" {
                        run(&RunContext::new(), &agent, model.clone(), "go").await
                    } else {
                        stream(&RunContext::new(), &agent, model.clone(), "go").finish().await
                    }
                });
                assert_eq!(r.outcome, Outcome::Completed);
            }
            let per = start.elapsed().as_secs_f64() * 1e6 / count as f64;
            println!(
                "{rounds} rounds {mode}: {per:.1} us per run, {:.1} per call",
                per / (rounds + 1) as f64
            );
        }
    }
}
