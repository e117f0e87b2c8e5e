//! Calls methods of other programs by JSON-RPC 2.0, over HTTP or over a child's standard input and output.
//!
//! Sends nothing twice, and reads nothing beyond its bounds. Knows no workflow, no health, and no choice among several.

mod http;
mod stdio;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use motet_core::rpc::{Failure, Id, Params, Request, Response};
use motet_core::{Error, ErrorKind, Result, RunContext};
use serde_json::Value;

use crate::mcp::told::Told;
pub(crate) use http::causes;

/// Largest message that is read, in bytes: 16 MiB.
pub const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// Where calls go.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// An address that takes calls by POST.
    Http {
        /// The address.
        url: String,
        /// Headers of every request.
        headers: BTreeMap<String, String>,
    },
    /// A program that takes one call a line.
    Stdio {
        /// The program.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// Its environment, beside the few variables that every program needs.
        env: BTreeMap<String, String>,
        /// Where it runs.
        directory: Option<PathBuf>,
    },
}

impl Address {
    /// Names a service that takes calls by POST.
    pub fn http(url: impl Into<String>) -> Self {
        Address::Http { url: url.into(), headers: BTreeMap::new() }
    }

    /// Names a program that takes one call a line.
    pub fn stdio(command: impl Into<String>, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Address::Stdio {
            command: command.into(),
            args: args.into_iter().map(Into::into).collect(),
            env: BTreeMap::new(),
            directory: None,
        }
    }
}

impl fmt::Display for Address {
    /// Shows it without user, password, and query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Http { url, .. } => match url::Url::parse(url) {
                Ok(mut url) => {
                    let _ = url.set_username("");
                    let _ = url.set_password(None);
                    url.set_query(None);
                    f.write_str(url.as_str())
                }
                Err(_) => f.write_str("an address that is malformed"),
            },
            Address::Stdio { command, args, .. } => {
                f.write_str(command)?;
                args.iter().try_for_each(|argument| write!(f, " {argument}"))
            }
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// One way to the other side.
#[async_trait]
trait Endpoint: Send + Sync {
    /// Sends calls and gives the answers that came, in any order; notifications have none. Where it is dropped before
    /// they came, it ends what may still run for them.
    ///
    /// # Errors
    /// Whatever kept the answers from coming; unsent where nothing was sent.
    async fn exchange(&self, calls: &[Request], manner: Manner) -> Result<Vec<Response>>;

    /// Looks whether the other side is there, where that can be seen without calling a method.
    async fn look(&self, path: Option<&str>) -> Result<()>;

    /// Takes leave.
    async fn close(&self);
}

/// How calls are sent, and what becomes of them where nobody waits for their answers any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// One call by itself.
    One,
    /// A list of calls.
    Batch,
    /// One call that only shows whether the other side answers: no work is ended for it.
    Look,
}

/// A connection to one other side; cheap to clone, and closed with its last clone.
#[derive(Clone)]
pub struct RpcClient(Arc<Shared>);

struct Shared {
    name: String,
    address: Address,
    endpoint: Box<dyn Endpoint>,
    next: AtomicU64,
}

impl fmt::Debug for RpcClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcClient")
            .field("name", &self.0.name)
            .field("address", &self.0.address)
            .finish_non_exhaustive()
    }
}

impl RpcClient {
    /// Makes a client; nothing is connected to or started before the first call. `name` stands in errors.
    ///
    /// # Errors
    /// `Configuration` when the address or a header cannot be used.
    pub fn new(name: impl Into<String>, address: Address) -> Result<Self> {
        Self::reading(name, address, MAX_MESSAGE_BYTES)
    }

    /// Makes a client of a service that is trusted with larger answers: up to so many bytes. A program's answers stay
    /// within [`MAX_MESSAGE_BYTES`].
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn reading(name: impl Into<String>, address: Address, most_bytes: usize) -> Result<Self> {
        let name = name.into();
        let endpoint: Box<dyn Endpoint> = match &address {
            Address::Http { url, headers } => Box::new(http::Http::new(&name, url, headers, most_bytes)?),
            Address::Stdio { .. } => Box::new(stdio::Stdio::new(&name, &address)),
        };
        Ok(Self(Arc::new(Shared { name, address, endpoint, next: AtomicU64::new(1) })))
    }

    /// Gives its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Gives where its calls go.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.0.address
    }

    /// Calls a method and gives its result, which may be null.
    ///
    /// A call that takes longer than `timeout`, or whose run is cancelled, is given up: a program is killed for it, and
    /// started again by the next call.
    ///
    /// # Errors
    /// What the other side answers, with its code beside the message; `Timeout`, `Cancelled`, and `Connection`.
    pub async fn call(
        &self,
        context: &RunContext,
        method: &str,
        params: Option<Params>,
        timeout: Duration,
    ) -> Result<Value> {
        let outcome = self.ask(context, method, params, timeout).await?;
        outcome.map_err(|failure| self.named(failure.into_error(&self.whose())))
    }

    /// Calls a method and gives what the other side answered, as it stands there.
    ///
    /// # Errors
    /// As [`call`](Self::call), but for what the other side answers.
    pub async fn ask(
        &self,
        context: &RunContext,
        method: &str,
        params: Option<Params>,
        timeout: Duration,
    ) -> Result<std::result::Result<Value, Failure>> {
        self.called(context, (method, params), timeout, Manner::One).await
    }

    /// Calls a method without parameters to see whether the other side answers. One that does not is left running, as it
    /// may be at work for others.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn probe(&self, context: &RunContext, method: &str, timeout: Duration) -> Result<()> {
        let outcome = self.called(context, (method, None), timeout, Manner::Look).await?;
        outcome.map(drop).map_err(|failure| self.named(failure.into_error(&self.whose())))
    }

    async fn called(
        &self,
        context: &RunContext,
        (method, params): (&str, Option<Params>),
        timeout: Duration,
        manner: Manner,
    ) -> Result<std::result::Result<Value, Failure>> {
        let id = Id::from(self.0.next.fetch_add(1, Ordering::Relaxed));
        let calls = [Request::new(method, params, id.clone())];
        let answers = self.within(context, timeout, self.0.endpoint.exchange(&calls, manner)).await?;
        let answer = answers.into_iter().find(|answer| answer.id == id || answer.id == Id::Null);
        answer
            .map(|answer| answer.outcome)
            .ok_or_else(|| self.no_answer("the answer is not to the call that was made"))
    }

    /// Calls a method whose result nobody wants.
    ///
    /// # Errors
    /// As [`call`](Self::call), but for what the other side makes of it.
    pub async fn notify(
        &self,
        context: &RunContext,
        method: &str,
        params: Option<Params>,
        timeout: Duration,
    ) -> Result<()> {
        let calls = [Request::notification(method, params)];
        self.within(context, timeout, self.0.endpoint.exchange(&calls, Manner::One)).await.map(drop)
    }

    /// Sends one call as it is, and gives its answer whole; a notification has none.
    ///
    /// # Errors
    /// As [`batch`](Self::batch).
    pub async fn whole(
        &self,
        context: &RunContext,
        call: Request,
        timeout: Duration,
    ) -> Result<Option<Response>> {
        let calls = [call];
        let answers = self.within(context, timeout, self.0.endpoint.exchange(&calls, Manner::One)).await?;
        self.in_order(&calls, &answers).map(|mut answers| answers.pop())
    }

    /// Sends calls as one batch, and gives the answers in the order of the calls; notifications have none.
    ///
    /// # Errors
    /// As [`call`](Self::call), but for what the other side answers to a call, which stands in the answers;
    /// `InvalidRequest` when two calls have one id, `InvalidOutput` when an answer is missing.
    pub async fn batch(
        &self,
        context: &RunContext,
        calls: &[Request],
        timeout: Duration,
    ) -> Result<Vec<Response>> {
        let mut ids = HashSet::new();
        for id in calls.iter().filter_map(|call| call.id.as_ref()) {
            if !ids.insert(id) {
                let message = format!("two calls of the batch have the id {id}");
                return Err(Error::new(ErrorKind::InvalidRequest, message)
                    .with_hint("give every call an id of its own"));
            }
        }
        let answers = self.within(context, timeout, self.0.endpoint.exchange(calls, Manner::Batch)).await?;
        self.in_order(calls, &answers)
    }

    fn in_order(&self, calls: &[Request], answers: &[Response]) -> Result<Vec<Response>> {
        // An error without an id stands for all that was sent, where that could not be read.
        let refusal = answers
            .iter()
            .find_map(|answer| answer.outcome.as_ref().err().filter(|_| answer.id == Id::Null).cloned());
        let lost = |why: &str| match &refusal {
            Some(failure) => self.named(failure.clone().into_error(&self.whose())),
            None => self.no_answer(why),
        };
        let wanted: Vec<&Id> = calls.iter().filter_map(|call| call.id.as_ref()).collect();
        if wanted.is_empty() && refusal.is_some() {
            return Err(lost("it answers notifications"));
        }
        let answer = |id: &Id| {
            let found = answers.iter().find(|answer| answer.id == *id).cloned();
            found.ok_or_else(|| lost(&format!("there is no answer to the call {id}")))
        };
        wanted.into_iter().map(answer).collect()
    }

    /// Looks whether the other side is there: a path of an address is asked for by GET, a program is started.
    ///
    /// # Errors
    /// What keeps it from being there.
    pub async fn look(&self, context: &RunContext, path: Option<&str>, timeout: Duration) -> Result<()> {
        self.within(context, timeout, self.0.endpoint.look(path)).await
    }

    /// Takes leave; a program is given a few seconds to end by itself.
    pub async fn close(&self) {
        self.0.endpoint.close().await;
    }

    async fn within<T>(
        &self,
        context: &RunContext,
        timeout: Duration,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        context.check()?;
        let limit = context.remaining().map_or(timeout, |left| left.min(timeout));
        let ended = tokio::select! {
            ended = tokio::time::timeout(limit, work) => ended,
            () = context.cancellation().cancelled() => {
                return Err(self.named(Error::new(ErrorKind::Cancelled, format!("the call of {} was cancelled", self.whose()))));
            }
        };
        match ended {
            Ok(ended) => ended.map_err(|error| self.named(error)),
            Err(_) => {
                let message = format!(
                    "{} gave no answer within {limit:?}; it may have acted all the same",
                    self.whose()
                );
                Err(self.named(
                    Error::new(ErrorKind::Timeout, message)
                        .with_hint("give it more `timeout` where that is too short"),
                ))
            }
        }
    }

    fn whose(&self) -> String {
        format!("`{}`", self.0.name)
    }

    fn named(&self, error: Error) -> Error {
        error.with_provider(self.0.name.clone())
    }

    fn no_answer(&self, why: &str) -> Error {
        self.named(Error::new(
            ErrorKind::InvalidOutput,
            format!("{} did not keep to the protocol: {why}", self.whose()),
        ))
    }
}

/// Reads the text of one answer or of a list of them.
fn answers(text: &[u8]) -> Result<Vec<Response>, String> {
    let value: Value = serde_json::from_slice(text).map_err(|error| format!("it is no JSON: {error}"))?;
    match &value {
        Value::Array(list) => list.iter().map(Response::read).collect(),
        one => Ok(vec![Response::read(one)?]),
    }
}

/// Gives calls as they are sent.
fn written(calls: &[Request], manner: Manner) -> Vec<u8> {
    let mut list: Vec<Value> = calls.iter().cloned().map(Request::into_json).collect();
    let value = if manner == Manner::Batch { Value::Array(list) } else { list.pop().unwrap_or_default() };
    value.to_string().into_bytes()
}

/// Masks what an error of the other side repeats of headers and environment. A result is data and stays as it is.
fn without_secrets(mut answer: Response, told: &Told) -> Response {
    if let Err(failure) = &mut answer.outcome {
        failure.message = told.masked(&failure.message);
        failure.data.iter_mut().for_each(|data| mask(data, told));
    }
    answer
}

fn mask(value: &mut Value, told: &Told) {
    match value {
        Value::String(text) => *text = told.masked(text),
        Value::Array(list) => list.iter_mut().for_each(|value| mask(value, told)),
        Value::Object(fields) => fields.values_mut().for_each(|value| mask(value, told)),
        _ => {}
    }
}
