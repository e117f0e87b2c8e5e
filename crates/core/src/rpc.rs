//! JSON-RPC 2.0: requests, notifications, batches, answers, and what their error codes mean.
//!
//! Text in, messages out. Knows no transport, sends nothing, and makes up no ids.

pub mod codes;
#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::{Map, Number, Value, json};

use codes::{INVALID_REQUEST, PARSE_ERROR};

/// Longest part of a wrong message that an error repeats, in characters.
const SHOWN: usize = 80;

/// What ties an answer to its request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Id {
    /// The id of an answer to what could not be read; a request should not use it.
    Null,
    /// A number, given back exactly as it came.
    Number(Number),
    /// A text.
    Text(String),
}

impl Id {
    /// Reads an id; `None` for what can be none.
    #[must_use]
    pub fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(Id::Null),
            Value::Number(number) => Some(Id::Number(number.clone())),
            Value::String(text) => Some(Id::Text(text.clone())),
            _ => None,
        }
    }

    /// Gives it as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Id::Null => Value::Null,
            Id::Number(number) => Value::Number(number.clone()),
            Id::Text(text) => Value::String(text.clone()),
        }
    }
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Id::Number(number.into())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_json())
    }
}

/// What a method is called with.
#[derive(Debug, Clone, PartialEq)]
pub enum Params {
    /// By place.
    List(Vec<Value>),
    /// By name.
    Named(Map<String, Value>),
}

impl Params {
    /// Reads parameters; `None` for what can be none.
    #[must_use]
    pub fn read(value: Value) -> Option<Self> {
        match value {
            Value::Array(list) => Some(Params::List(list)),
            Value::Object(named) => Some(Params::Named(named)),
            _ => None,
        }
    }

    /// Gives them as JSON.
    #[must_use]
    pub fn into_json(self) -> Value {
        match self {
            Params::List(list) => Value::Array(list),
            Params::Named(named) => Value::Object(named),
        }
    }
}

/// A call of a method.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Its name.
    pub method: String,
    /// What it is called with, if anything.
    pub params: Option<Params>,
    /// What its answer will carry; a notification has none and is not answered.
    pub id: Option<Id>,
}

impl Request {
    /// Makes a call that is answered.
    #[must_use]
    pub fn new(method: impl Into<String>, params: Option<Params>, id: Id) -> Self {
        Self { method: method.into(), params, id: Some(id) }
    }

    /// Makes a call that is not answered.
    #[must_use]
    pub fn notification(method: impl Into<String>, params: Option<Params>) -> Self {
        Self { method: method.into(), params, id: None }
    }

    /// Reads one; `Err` holds the answer that tells what is wrong.
    ///
    /// # Errors
    /// `-32600` under the id of the request where it has a sound one, and under null otherwise.
    #[expect(
        clippy::result_large_err,
        reason = "the answer is made once for a wrong request and sent as it is"
    )]
    pub fn read(value: Value) -> Result<Self, Response> {
        let Value::Object(mut fields) = value else {
            return Err(invalid(Id::Null, "a request is an object"));
        };
        let written = fields.remove("id");
        let id = written.as_ref().map(Id::read);
        let told = id.clone().flatten().unwrap_or(Id::Null);
        if id == Some(None) {
            return Err(invalid(Id::Null, "`id` is a text, a number, or null"));
        }
        if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(invalid(told, "`jsonrpc` must be \"2.0\""));
        }
        let method = match fields.remove("method") {
            Some(Value::String(method)) if !method.is_empty() => method,
            Some(Value::String(_)) => return Err(invalid(told, "`method` is empty")),
            Some(_) => return Err(invalid(told, "`method` must be a text")),
            None => return Err(invalid(told, "`method` is missing")),
        };
        let params = match fields.remove("params") {
            // Null is no list and no object, but widely sent for "none".
            None | Some(Value::Null) => None,
            Some(written) => match Params::read(written) {
                Some(params) => Some(params),
                None => return Err(invalid(told, "`params` must be a list or an object")),
            },
        };
        Ok(Self { method, params, id: id.flatten() })
    }

    /// Tells whether it is a notification.
    #[must_use]
    pub fn is_notification(&self) -> bool {
        self.id.is_none()
    }

    /// Gives it as JSON.
    #[must_use]
    pub fn into_json(self) -> Value {
        let mut fields = Map::new();
        fields.insert("jsonrpc".to_owned(), "2.0".into());
        fields.insert("method".to_owned(), self.method.into());
        if let Some(params) = self.params {
            fields.insert("params".to_owned(), params.into_json());
        }
        if let Some(id) = self.id {
            fields.insert("id".to_owned(), id.to_json());
        }
        Value::Object(fields)
    }
}

fn invalid(id: Id, why: &str) -> Response {
    Response::failed(id, Failure::new(INVALID_REQUEST, format!("Invalid Request: {why}")))
}

/// Why a call has no result, in the protocol's words.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The kind of failure; see [`codes`].
    pub code: i64,
    /// One sentence.
    pub message: String,
    /// Whatever the other side adds.
    pub data: Option<Value>,
}

impl Failure {
    /// Makes one without further data.
    #[must_use]
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    fn read(value: &Value) -> Option<Self> {
        let code = value.get("code")?.as_i64()?;
        let message = value.get("message")?.as_str()?.to_owned();
        Some(Self { code, message, data: value.get("data").cloned() })
    }

    fn to_json(&self) -> Value {
        let mut error = json!({"code": self.code, "message": self.message});
        if let (Some(data), Some(fields)) = (&self.data, error.as_object_mut()) {
            fields.insert("data".to_owned(), data.clone());
        }
        error
    }
}

/// The answer to one call.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The id of the call.
    pub id: Id,
    /// Its result, which may be null, or why there is none.
    pub outcome: Result<Value, Failure>,
}

impl Response {
    /// Makes the answer of a call that went well.
    #[must_use]
    pub fn done(id: Id, result: Value) -> Self {
        Self { id, outcome: Ok(result) }
    }

    /// Makes the answer of a call that failed.
    #[must_use]
    pub fn failed(id: Id, failure: Failure) -> Self {
        Self { id, outcome: Err(failure) }
    }

    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(value: &Value) -> Result<Self, String> {
        let fields = value.as_object().ok_or_else(|| format!("{} is no answer", short(value)))?;
        if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err("its `jsonrpc` is not \"2.0\"".to_owned());
        }
        let id = fields.get("id").ok_or("it has no `id`")?;
        let id = Id::read(id).ok_or_else(|| format!("its `id` is {}", short(id)))?;
        // A result of null beside an error is what some libraries send; the error is what is meant.
        let error = fields.get("error").filter(|error| !error.is_null());
        match (fields.get("result"), error) {
            (Some(result), Some(_)) if !result.is_null() => {
                Err("it has both a `result` and an `error`".to_owned())
            }
            (_, Some(error)) => match Failure::read(error) {
                Some(failure) => Ok(Self { id, outcome: Err(failure) }),
                None => Err(format!("its `error` is {}", short(error))),
            },
            (Some(result), None) => Ok(Self { id, outcome: Ok(result.clone()) }),
            (None, None) => Err("it has neither a `result` nor an `error`".to_owned()),
        }
    }

    /// Gives it as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.outcome {
            Ok(result) => json!({"jsonrpc": "2.0", "id": self.id.to_json(), "result": result}),
            Err(failure) => json!({"jsonrpc": "2.0", "id": self.id.to_json(), "error": failure.to_json()}),
        }
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    let cut: String = text.chars().take(SHOWN).collect();
    if cut.len() < text.len() { format!("`{cut}…`") } else { format!("`{cut}`") }
}

/// What somebody sent: one call or several, each read or the answer that tells what is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// One call.
    One(Result<Request, Response>),
    /// A batch, which is answered by a list; by nothing where it holds notifications alone.
    Batch(Vec<Result<Request, Response>>),
}

impl Incoming {
    /// Reads what came. Nothing that can be sent is an error of this function: it becomes the answer to be given.
    #[must_use]
    pub fn read(text: &[u8]) -> Self {
        match serde_json::from_slice(text) {
            Ok(value) => Self::read_value(value),
            Err(error) => {
                let failure = Failure::new(PARSE_ERROR, format!("Parse error: {error}"));
                Incoming::One(Err(Response::failed(Id::Null, failure)))
            }
        }
    }

    /// Reads what came as a value already.
    #[must_use]
    pub fn read_value(value: Value) -> Self {
        match value {
            Value::Array(calls) if calls.is_empty() => {
                Incoming::One(Err(invalid(Id::Null, "a batch holds at least one call")))
            }
            Value::Array(calls) => Incoming::Batch(calls.into_iter().map(Request::read).collect()),
            one => Incoming::One(Request::read(one)),
        }
    }
}
