//! `http/request`: asks a service of the web, where the settings allow its host.
//!
//! Every request is checked before it is sent, those of redirects too. Knows no workflow and no settings file; shows no
//! value of headers and queries.

mod allowed;
mod exchange;
mod params;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use motet_core::id::content_hash;
use motet_core::method::{Method, MethodCall, MethodOutcome, Parameter, ParameterKind};
use motet_core::run_log::{Step, StepKind};
use motet_core::tool::Effect;
use motet_core::{Result, RunContext};
use serde_json::{Map, Value, json};

pub use allowed::Allowed;
use exchange::Exchange;
use params::Asked;

/// The method's name.
pub const NAME: &str = "http/request";

/// The largest answer that is read: 8 MiB.
pub const MAX_RESPONSE_BYTES: usize = 8 << 20;

const fn parameter(name: &'static str, kind: ParameterKind, doc: &'static str) -> Parameter {
    Parameter { name, kind, required: false, doc }
}

const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "url",
        kind: ParameterKind::String,
        required: true,
        doc: "address to ask; its host must stand in the setting `http.allow`",
    },
    parameter(
        "method",
        ParameterKind::String,
        "GET where it is left out; POST where there is `json` or `body`",
    ),
    parameter("headers", ParameterKind::Object, "headers to send, by name"),
    parameter("query", ParameterKind::Object, "values added to the address; a list adds one for each item"),
    parameter("json", ParameterKind::Any, "body as JSON"),
    parameter("body", ParameterKind::String, "body as text, instead of `json`"),
    parameter(
        "timeout",
        ParameterKind::Number,
        "seconds after which it is given up; 30 where it is left out",
    ),
    parameter(
        "expect",
        ParameterKind::Any,
        "status that counts as success: a number, a class such as `2xx`, or a list; `2xx` where it is left out",
    ),
    parameter(
        "follow",
        ParameterKind::Boolean,
        "whether redirects to allowed hosts are followed, at most 5; true",
    ),
];

/// Asks services of the web.
#[derive(Debug)]
pub struct HttpRequest {
    exchange: Exchange,
}

impl HttpRequest {
    /// Makes the method for the hosts that are allowed.
    #[must_use]
    pub fn new(allowed: Allowed) -> Self {
        Self { exchange: Exchange::new(allowed) }
    }
}

#[async_trait]
impl Method for HttpRequest {
    fn name(&self) -> &'static str {
        NAME
    }

    fn doc(&self) -> &'static str {
        "Asks a service of the web by HTTP"
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn result(&self) -> &str {
        "`status`, `headers` by lower-case name, and the body: as `json` where it is JSON, otherwise as `text`, or as `base64` where it is no text."
    }

    /// Each request is a step of the run log whose own effect its method tells, so that this one is looked at no more.
    fn effect(&self) -> Effect {
        Effect::Pure
    }

    fn is_recorded(&self) -> bool {
        true
    }

    fn result_schema(&self, _params: &Map<String, Value>) -> Value {
        json!({
            "type": "object",
            "properties": {
                "status": {"type": "integer"},
                "headers": {"type": "object", "additionalProperties": {"type": "string"}},
                "json": true,
                "text": {"type": "string"},
                "base64": {"type": "string"},
            },
            "required": ["status", "headers"],
            "additionalProperties": false,
        })
    }

    async fn call(&self, context: &RunContext, call: MethodCall) -> Result<MethodOutcome> {
        let asked = Asked::read(call.params)?;
        let step = Step {
            name: "request",
            kind: StepKind::Method,
            request_hash: &content_hash(&asked.identity())?,
            effect: asked.effect(),
            label: &asked.label(),
        };
        let result: Value = context.step(step, || self.exchange.perform(context, &asked)).await?;
        Ok(result.into())
    }
}
