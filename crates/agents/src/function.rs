//! Tools made of functions: argument types become schemas, doc comments become what the model reads.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use motet_core::request::ToolSpec;
use motet_core::tool::Effect;
use motet_core::{Error, ErrorKind, Result, RunContext, Tool, ToolContext, ToolOutput};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a function tool knows about the call it answers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CallContext {
    /// The run the call belongs to; steps begun here are named below the call's own.
    pub run: RunContext,
    /// The id of the call.
    pub call_id: String,
    /// A key that is the same for every attempt at this call, for other services to recognise repeats by.
    pub idempotency_key: String,
}

impl CallContext {
    /// Keeps what a tool is told of its call, for work that outlives the borrow.
    #[must_use]
    pub fn of(context: &ToolContext<'_>) -> Self {
        Self {
            run: context.run.clone(),
            call_id: context.call_id.to_owned(),
            idempotency_key: context.idempotency_key.to_owned(),
        }
    }
}

/// The argument type of a function without arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
// What this type is for is nothing that a model needs to know.
#[schemars(transform = without_description)]
pub struct NoArguments {}

fn without_description(schema: &mut Schema) {
    schema.remove("description");
}

/// A tool made of a function.
pub struct FunctionTool {
    spec: ToolSpec,
    effect: Effect,
    timeout: Option<Duration>,
    body: Arc<Body>,
}

type Body = dyn Fn(Value, CallContext) -> BoxFuture<'static, Result<ToolOutput>> + Send + Sync;

/// Makes a tool of a function whose arguments are a struct: fields become parameters, doc comments their descriptions.
///
/// The result may be anything that can be written as JSON; a text is shown to the model as it is. Parameters that the
/// struct does not have are refused. The function must not block its thread, or time limits cannot end it.
///
/// ```
/// use motet_agents::function;
/// use motet_core::{Tool, tool::Effect};
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Forecast {
///     /// Name of the city, in English.
///     city: String,
/// }
///
/// let tool = function("forecast", "Tells tomorrow's weather.", |args: Forecast, _| async move {
///     Ok(format!("Sun in {}.", args.city))
/// })
/// .effect(Effect::Pure);
/// assert_eq!(tool.spec().parameters["properties"]["city"]["description"], "Name of the city, in English.");
/// ```
pub fn function<A, O, F, W>(name: impl Into<String>, description: impl Into<String>, body: F) -> FunctionTool
where
    A: DeserializeOwned + JsonSchema,
    O: Serialize,
    F: Fn(A, CallContext) -> W + Send + Sync + 'static,
    W: Future<Output = Result<O>> + Send + 'static,
{
    let spec = ToolSpec::new(name, description, schema_of::<A>());
    let name = spec.name.clone();
    FunctionTool::new(spec, move |arguments, context| match serde_json::from_value(arguments) {
        Ok(arguments) => {
            let answer = body(arguments, context);
            Box::pin(async move { to_output(&answer.await?) })
        }
        Err(problem) => {
            let error = unsuitable(&name, problem);
            Box::pin(async move { Err(error) })
        }
    })
}

/// Makes a tool of a specification that is known only at run time, and a function over JSON.
pub fn dynamic<F, W>(spec: ToolSpec, body: F) -> FunctionTool
where
    F: Fn(Value, CallContext) -> W + Send + Sync + 'static,
    W: Future<Output = Result<ToolOutput>> + Send + 'static,
{
    FunctionTool::new(spec, move |arguments, context| Box::pin(body(arguments, context)))
}

impl FunctionTool {
    fn new(
        spec: ToolSpec,
        body: impl Fn(Value, CallContext) -> BoxFuture<'static, Result<ToolOutput>> + Send + Sync + 'static,
    ) -> Self {
        Self { spec, effect: Effect::AtMostOnce, timeout: None, body: Arc::new(body) }
    }

    /// Says what happens when the tool runs twice; `AtMostOnce` where not said.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// Sets the longest time of a call; the agent's limit where not set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

#[async_trait]
impl Tool for FunctionTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, arguments: Value, context: &ToolContext<'_>) -> Result<ToolOutput> {
        (self.body)(arguments, CallContext::of(context)).await
    }

    fn effect(&self) -> Effect {
        self.effect
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}

impl fmt::Debug for FunctionTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionTool")
            .field("spec", &self.spec)
            .field("effect", &self.effect)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Gives the schema as models and providers like it: types in place, no dialect, no Rust name, nothing unknown allowed.
pub(crate) fn schema_of<A: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<A>().to_value();
    if let Value::Object(fields) = &mut schema {
        fields.shift_remove("title");
        let is_object = fields.get("type").and_then(Value::as_str) == Some("object");
        let is_open = fields.keys().any(|key| {
            matches!(key.as_str(), "additionalProperties" | "allOf" | "anyOf" | "oneOf" | "patternProperties")
        });
        if is_object {
            fields.entry("properties").or_insert_with(|| json!({}));
        }
        if is_object && !is_open {
            fields.insert("additionalProperties".to_owned(), Value::Bool(false));
        }
    }
    schema
}

fn to_output(answer: &impl Serialize) -> Result<ToolOutput> {
    serde_json::to_value(answer).map(|value| ToolOutput::json(&value)).map_err(|error| {
        Error::new(ErrorKind::ToolFailed, format!("the result cannot be written as JSON: {error}"))
    })
}

fn unsuitable(name: &str, problem: serde_json::Error) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("the arguments of `{name}` do not fit: {problem}"))
        .with_source(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where and when to look.
    #[derive(Deserialize, JsonSchema)]
    struct Search {
        /// Words to look for.
        query: String,
        /// How many results, 10 where left out.
        #[expect(dead_code, reason = "only its schema matters here")]
        limit: Option<u8>,
        order: Order,
    }

    #[derive(Deserialize, Serialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Order {
        Newest,
        Best,
    }

    async fn call(tool: &FunctionTool, arguments: Value) -> Result<ToolOutput> {
        let run = RunContext::new();
        tool.call(arguments, &ToolContext { run: &run, call_id: "c1", idempotency_key: "k1" }).await
    }

    #[test]
    fn fields_and_comments_become_the_schema() {
        let tool = function("search", "Finds things.", |_: Search, _| async { Ok(()) });
        assert_eq!(
            tool.spec().parameters,
            json!({
                "description": "Where and when to look.",
                "type": "object",
                "properties": {
                    "query": {"description": "Words to look for.", "type": "string"},
                    "limit": {
                        "description": "How many results, 10 where left out.",
                        "type": ["integer", "null"], "format": "uint8", "minimum": 0, "maximum": 255,
                    },
                    "order": {"type": "string", "enum": ["newest", "best"]},
                },
                "required": ["query", "order"],
                "additionalProperties": false,
            })
        );
        let nothing = function("now", "", |_: NoArguments, _| async { Ok(()) });
        assert_eq!(
            nothing.spec().parameters,
            json!({"type": "object", "additionalProperties": false, "properties": {}})
        );
    }

    #[tokio::test]
    async fn any_result_that_json_can_hold_is_an_answer() {
        let text = function("a", "", |args: Search, context| async move {
            Ok(format!("{} {} {}", args.query, context.call_id, context.idempotency_key))
        });
        let arguments = json!({"query": "x", "order": "best"});
        assert_eq!(call(&text, arguments.clone()).await.unwrap(), ToolOutput::text("x c1 k1"));
        let value = function("b", "", |args: Search, _| async move { Ok(vec![args.order]) });
        assert_eq!(call(&value, arguments).await.unwrap(), ToolOutput::text(r#"["best"]"#));
    }

    #[tokio::test]
    async fn arguments_of_the_wrong_type_are_told_in_words() {
        let tool = function("search", "", |_: Search, _| async { Ok(()) });
        let error = call(&tool, json!({"query": 5, "order": "best"})).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the arguments of `search` do not fit: invalid type: integer `5`, expected a string"
        );
    }

    #[tokio::test]
    async fn a_tool_known_only_at_run_time_gets_the_json_itself() {
        let spec = ToolSpec::new("echo", "", json!({"type": "object"}));
        let tool = dynamic(spec, |arguments, _| async move { Ok(ToolOutput::json(&arguments)) })
            .effect(Effect::Idempotent)
            .timeout(Duration::from_secs(1));
        assert_eq!(call(&tool, json!({"a": [1]})).await.unwrap(), ToolOutput::text(r#"{"a":[1]}"#));
        assert_eq!((tool.effect, Tool::timeout(&tool)), (Effect::Idempotent, Some(Duration::from_secs(1))));
    }
}
