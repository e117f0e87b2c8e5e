//! Opens a tracing span for every request that is sent, from its sending to the end of its answer.
//!
//! Names follow OpenTelemetry's conventions for generative AI. Never holds what was asked or answered.

use async_trait::async_trait;
use motet_core::Result;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::{Instrument as _, Span, debug_span};

use super::{Answer, Ask, Call, Ending, Layer, LayerRow, Next, Outcome, Where};

/// Its place among the layers.
pub(super) const ROW: LayerRow = LayerRow {
    name: "trace",
    doc: "Opens a tracing span for every request that is sent.",
    place: Where::Key,
};

/// The layer; costs next to nothing while nobody listens to spans of `motet_providers` at level `debug`.
#[derive(Debug, Default)]
pub struct TraceLayer {
    /// Name of the key that requests are sent with, where the provider has several.
    key: Option<String>,
}

impl TraceLayer {
    /// Names the key in the spans.
    #[must_use]
    pub fn for_key(key: impl Into<String>) -> Self {
        Self { key: Some(key.into()) }
    }

    fn span(&self, call: &Call<'_>) -> Span {
        let model = call.ask.model();
        let operation = match call.ask {
            Ask::Chat { .. } => "chat",
            Ask::Embed(_) => "embeddings",
            Ask::Rerank(_) => "rerank",
        };
        debug_span!(
            "model_request",
            otel.kind = "client",
            gen_ai.operation.name = operation,
            gen_ai.provider.name = model.provider(),
            gen_ai.request.model = model.model(),
            motet.run = call.context.run_id().as_str(),
            motet.step = call.context.step_name(),
            motet.attempt = call.attempts.sent(),
            motet.key = self.key.as_deref(),
            motet.cost_nanos = Empty,
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            error.type = Empty,
        )
    }
}

fn record(span: &Span, ending: &Ending<'_>) {
    if let Some(usage) = ending.tally.usage {
        span.record("gen_ai.usage.input_tokens", usage.input);
        span.record("gen_ai.usage.output_tokens", usage.output);
    }
    if let Some(cost) = ending.tally.cost {
        span.record("motet.cost_nanos", cost.nanos());
    }
    match ending.outcome {
        Outcome::Done => {}
        Outcome::Failed(error) => {
            span.record("error.type", error.kind().as_str());
        }
        Outcome::Dropped => {
            span.record("error.type", "dropped");
        }
    }
}

#[async_trait]
impl Layer for TraceLayer {
    fn name(&self) -> &'static str {
        ROW.name
    }

    fn lets_pass(&self, _: &Call<'_>) -> bool {
        LevelFilter::current() < LevelFilter::DEBUG
    }

    async fn call(&self, call: Call<'_>, next: Next) -> Result<Answer> {
        let span = self.span(&call);
        if span.is_disabled() {
            return next.call(call).await;
        }
        let ended = span.clone();
        call.on_end(move |ending| record(&ended, ending));
        next.call(call).instrument(span).await
    }
}

#[cfg(test)]
mod tests;
