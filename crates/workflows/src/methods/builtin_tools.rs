//! `mcp/tool.echo`, `.add`, `.multiply`, and `.concat`: tools that are there without a server, to try workflows with.

use async_trait::async_trait;
use motet_core::RunContext;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::method::{Method, MethodCall, MethodOutcome, Parameter, ParameterKind};
use motet_core::tool::Effect;
use serde_json::{Map, Value, json};

/// One tool.
pub struct BuiltInTool(&'static Row);

/// What one tool is.
struct Row {
    name: &'static str,
    doc: &'static str,
    result: &'static str,
    parameters: &'static [Parameter],
    run: fn(&Map<String, Value>) -> Result<Value>,
}

const fn parameter(name: &'static str, kind: ParameterKind, doc: &'static str) -> Parameter {
    Parameter { name, kind, required: false, doc }
}

const ARGUMENTS: Parameter = parameter(
    "arguments",
    ParameterKind::Object,
    "the same parameters as one object, as servers of tools take them",
);

const ROWS: &[Row] = &[
    Row {
        name: "mcp/tool.echo",
        doc: "Gives a text back",
        result: "`response` holds the text; beside it `echoed`, which is true, and `length` in characters.",
        parameters: &[
            parameter("message", ParameterKind::String, "the text; empty where it is left out"),
            ARGUMENTS,
        ],
        run: echo,
    },
    Row {
        name: "mcp/tool.add",
        doc: "Adds two numbers",
        result: "`result` holds the sum, `response` the same as text, `calculation` how it came about.",
        parameters: &[
            parameter("a", ParameterKind::Number, "the first number; 0 where it is left out"),
            parameter("b", ParameterKind::Number, "the second number; 0 where it is left out"),
            ARGUMENTS,
        ],
        run: |given| calculated(given, 0, "+", (i64::checked_add, |a, b| a + b)),
    },
    Row {
        name: "mcp/tool.multiply",
        doc: "Multiplies two numbers",
        result: "`result` holds the product, `response` the same as text, `calculation` how it came about.",
        parameters: &[
            parameter("a", ParameterKind::Number, "the first number; 1 where it is left out"),
            parameter("b", ParameterKind::Number, "the second number; 1 where it is left out"),
            ARGUMENTS,
        ],
        run: |given| calculated(given, 1, "*", (i64::checked_mul, |a, b| a * b)),
    },
    Row {
        name: "mcp/tool.concat",
        doc: "Joins texts",
        result: "`response` holds the joined text; beside it `joined`, which is true, and `count` of the texts.",
        parameters: &[
            parameter("strings", ParameterKind::Array, "the texts, in order"),
            parameter(
                "separator",
                ParameterKind::String,
                "what stands between them; a space where it is left out",
            ),
            ARGUMENTS,
        ],
        run: concat,
    },
];

/// Gives every tool.
pub fn all() -> impl Iterator<Item = BuiltInTool> {
    ROWS.iter().map(BuiltInTool)
}

#[async_trait]
impl Method for BuiltInTool {
    fn name(&self) -> &str {
        self.0.name
    }

    fn doc(&self) -> &str {
        self.0.doc
    }

    fn parameters(&self) -> &[Parameter] {
        self.0.parameters
    }

    fn result(&self) -> &str {
        self.0.result
    }

    fn effect(&self) -> Effect {
        Effect::Pure
    }

    fn result_schema(&self, _params: &Map<String, Value>) -> Value {
        json!({"type": "object", "properties": {"response": {"type": "string"}}, "required": ["response"]})
    }

    async fn call(&self, context: &RunContext, call: MethodCall) -> Result<MethodOutcome> {
        context.check()?;
        (self.0.run)(&arguments(call.params)?).map(Into::into)
    }
}

/// Gives what a tool is called with: the parameters themselves, or their `arguments`.
///
/// # Errors
/// `InvalidRequest` when there are both.
pub fn arguments(mut params: Map<String, Value>) -> Result<Map<String, Value>> {
    params.retain(|_, value| !value.is_null());
    match params.remove("arguments") {
        None => Ok(params),
        Some(Value::Object(arguments)) if params.is_empty() => Ok(arguments),
        Some(other) => {
            // A tool may well have a parameter of this name itself.
            if params.is_empty() || !other.is_object() {
                params.insert("arguments".to_owned(), other);
                return Ok(params);
            }
            Err(Error::new(ErrorKind::InvalidRequest, "there are `arguments` and parameters beside them")
                .with_hint("write all of them in one of the two places"))
        }
    }
}

fn echo(given: &Map<String, Value>) -> Result<Value> {
    let message = match given.get("message") {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    Ok(json!({"length": message.chars().count(), "response": message, "echoed": true}))
}

/// An operation on whole numbers, `None` where the result does not fit, and on all numbers.
type Operation = (fn(i64, i64) -> Option<i64>, fn(f64, f64) -> f64);

fn calculated(
    given: &Map<String, Value>,
    default: i64,
    sign: &str,
    (whole, any): Operation,
) -> Result<Value> {
    let number = |name: &str| match given.get(name) {
        None => Ok(Value::from(default)),
        Some(number @ Value::Number(_)) => Ok(number.clone()),
        Some(other) => {
            Err(Error::new(ErrorKind::InvalidRequest, format!("`{name}` must be a number, not `{other}`")))
        }
    };
    let (a, b) = (number("a")?, number("b")?);
    let exact = a.as_i64().zip(b.as_i64()).and_then(|(a, b)| whole(a, b)).map(Value::from);
    let result = match exact {
        Some(exact) => exact,
        None => {
            let rounded = any(a.as_f64().unwrap_or_default(), b.as_f64().unwrap_or_default());
            serde_json::Number::from_f64(rounded).map(Value::Number).ok_or_else(|| {
                Error::new(ErrorKind::InvalidRequest, format!("{a} {sign} {b} is too large for a number"))
            })?
        }
    };
    Ok(
        json!({"response": result.to_string(), "calculation": format!("{a} {sign} {b} = {result}"), "result": result}),
    )
}

fn concat(given: &Map<String, Value>) -> Result<Value> {
    let texts: Vec<String> = match given.get("strings") {
        None => Vec::new(),
        Some(Value::Array(list)) => {
            list.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect()
        }
        Some(other) => {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                format!("`strings` must be a list, not `{other}`"),
            ));
        }
    };
    let separator = given.get("separator").and_then(Value::as_str).unwrap_or(" ");
    Ok(json!({"response": texts.join(separator), "joined": true, "count": texts.len()}))
}

#[cfg(test)]
mod tests {
    use motet_core::method::FileScope;

    use super::*;

    async fn call(name: &str, params: Value) -> Result<Value> {
        let tool = all().find(|tool| tool.name() == name).unwrap();
        let call = MethodCall {
            params: params.as_object().unwrap().clone(),
            files: FileScope { base: ".".into(), allowed: Vec::new() },
            default_model: None,
            idempotency_key: String::new(),
            task: None,
        };
        tool.call(&RunContext::new(), call).await.map(|outcome| outcome.result().unwrap())
    }

    #[tokio::test]
    async fn tools_take_their_arguments_in_either_place() {
        for (name, params, expected) in [
            (
                "mcp/tool.echo",
                json!({"message": "zwölf"}),
                json!({"length": 5, "response": "zwölf", "echoed": true}),
            ),
            ("mcp/tool.echo", json!({}), json!({"length": 0, "response": "", "echoed": true})),
            (
                "mcp/tool.add",
                json!({"arguments": {"a": 1, "b": 2}}),
                json!({"response": "3", "calculation": "1 + 2 = 3", "result": 3}),
            ),
            (
                "mcp/tool.multiply",
                json!({"a": 1.5}),
                json!({"response": "1.5", "calculation": "1.5 * 1 = 1.5", "result": 1.5}),
            ),
            (
                "mcp/tool.concat",
                json!({"strings": ["a", 1], "separator": "-"}),
                json!({"response": "a-1", "joined": true, "count": 2}),
            ),
        ] {
            assert_eq!(call(name, params).await.unwrap(), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn wrong_arguments_are_errors_and_large_numbers_are_no_overflow() {
        for (name, params) in [
            ("mcp/tool.add", json!({"a": "1"})),
            ("mcp/tool.add", json!({"a": 1, "arguments": {"b": 2}})),
            ("mcp/tool.concat", json!({"strings": "a"})),
            ("mcp/tool.multiply", json!({"a": 1e308, "b": 1e308})),
        ] {
            assert_eq!(call(name, params).await.unwrap_err().kind(), ErrorKind::InvalidRequest, "{name}");
        }
        let sum = call("mcp/tool.add", json!({"a": i64::MAX, "b": 1})).await.unwrap();
        assert_eq!(sum["result"], json!(9.223_372_036_854_776e18));
    }
}
