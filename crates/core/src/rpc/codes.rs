//! Error codes of JSON-RPC: those of the protocol, and the ranges in which this project's own errors lie.
//!
//! One table, read in both directions. A code says where something failed and how; the kind says what users match on.

use super::Failure;
use crate::error::{Error, ErrorKind, Retry};

/// What came is no JSON.
pub const PARSE_ERROR: i64 = -32700;
/// What came is JSON, but no call.
pub const INVALID_REQUEST: i64 = -32600;
/// There is no such method.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// The parameters do not fit the method.
pub const INVALID_PARAMS: i64 = -32602;
/// The other side failed.
pub const INTERNAL_ERROR: i64 = -32603;

/// Where something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Place {
    /// The program as a whole: -31000 to -31099.
    System,
    /// What answers calls: -30000 to -30099.
    Provider,
    /// A task: -29000 to -29099.
    Task,
    /// A workflow: -28000 to -28099.
    Workflow,
    /// A queue of tasks: -27000 to -27099.
    Queue,
    /// A store: -26000 to -26099.
    Store,
    /// The way there: -25000 to -25099.
    Network,
}

/// One code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeRow {
    /// The code.
    pub code: i64,
    /// Its name, as documentation and logs write it.
    pub name: &'static str,
    /// Where it lies; `None` for the protocol's own.
    pub place: Option<Place>,
    /// What it means to us.
    pub kind: ErrorKind,
}

const fn own(code: i64, name: &'static str, place: Place, kind: ErrorKind) -> CodeRow {
    CodeRow { code, name, place: Some(place), kind }
}

const fn protocol(code: i64, name: &'static str, kind: ErrorKind) -> CodeRow {
    CodeRow { code, name, place: None, kind }
}

/// Every code. Of several with one place and kind the first is the one that is sent.
pub const ROWS: &[CodeRow] = &[
    protocol(PARSE_ERROR, "PARSE_ERROR", ErrorKind::InvalidRequest),
    protocol(INVALID_REQUEST, "INVALID_REQUEST", ErrorKind::InvalidRequest),
    protocol(METHOD_NOT_FOUND, "METHOD_NOT_FOUND", ErrorKind::Unsupported),
    protocol(INVALID_PARAMS, "INVALID_PARAMS", ErrorKind::InvalidRequest),
    protocol(INTERNAL_ERROR, "INTERNAL_ERROR", ErrorKind::ToolFailed),
    own(-31003, "CONFIGURATION_ERROR", Place::System, ErrorKind::Configuration),
    own(-31001, "SYSTEM_NOT_INITIALIZED", Place::System, ErrorKind::Overloaded),
    own(-31002, "SYSTEM_SHUTDOWN", Place::System, ErrorKind::Cancelled),
    own(-31004, "RESOURCE_EXHAUSTED", Place::System, ErrorKind::LimitReached),
    own(-31005, "RATE_LIMIT_EXCEEDED", Place::System, ErrorKind::RateLimit),
    own(-30001, "PROTOCOL_NOT_FOUND", Place::Provider, ErrorKind::NotFound),
    own(-30002, "PROVIDER_NOT_FOUND", Place::Provider, ErrorKind::NotFound),
    own(-30003, "PROVIDER_NOT_AVAILABLE", Place::Provider, ErrorKind::Connection),
    own(-30004, "PROVIDER_INITIALIZATION_FAILED", Place::Provider, ErrorKind::Configuration),
    own(-30007, "PROVIDER_OVERLOADED", Place::Provider, ErrorKind::Overloaded),
    own(-30005, "PROVIDER_UNHEALTHY", Place::Provider, ErrorKind::Overloaded),
    own(-30006, "PROVIDER_TIMEOUT", Place::Provider, ErrorKind::Timeout),
    own(-30008, "METHOD_NOT_SUPPORTED", Place::Provider, ErrorKind::Unsupported),
    own(-30009, "PROTOCOL_VERSION_MISMATCH", Place::Provider, ErrorKind::Unsupported),
    own(-29001, "TASK_VALIDATION_FAILED", Place::Task, ErrorKind::InvalidRequest),
    own(-29002, "TASK_EXECUTION_FAILED", Place::Task, ErrorKind::ToolFailed),
    own(-29003, "TASK_TIMEOUT", Place::Task, ErrorKind::Timeout),
    own(-29004, "TASK_CANCELLED", Place::Task, ErrorKind::Cancelled),
    own(-29005, "TASK_DEPENDENCY_FAILED", Place::Task, ErrorKind::Conflict),
    own(-29006, "TASK_PARAMETER_ERROR", Place::Task, ErrorKind::InvalidRequest),
    own(-29007, "TASK_RESULT_INVALID", Place::Task, ErrorKind::InvalidOutput),
    own(-29008, "TASK_RETRY_EXHAUSTED", Place::Task, ErrorKind::LimitReached),
    own(-29009, "TASK_NOT_FOUND", Place::Task, ErrorKind::NotFound),
    own(-28001, "WORKFLOW_VALIDATION_FAILED", Place::Workflow, ErrorKind::InvalidRequest),
    own(-28002, "WORKFLOW_NOT_FOUND", Place::Workflow, ErrorKind::NotFound),
    own(-28003, "WORKFLOW_EXECUTION_FAILED", Place::Workflow, ErrorKind::ToolFailed),
    own(-28004, "WORKFLOW_TIMEOUT", Place::Workflow, ErrorKind::Timeout),
    own(-28005, "WORKFLOW_CANCELLED", Place::Workflow, ErrorKind::Cancelled),
    own(-28006, "WORKFLOW_CIRCULAR_DEPENDENCY", Place::Workflow, ErrorKind::InvalidRequest),
    own(-28007, "WORKFLOW_INVALID_STATE", Place::Workflow, ErrorKind::Conflict),
    own(-27001, "QUEUE_NOT_FOUND", Place::Queue, ErrorKind::NotFound),
    own(-27002, "QUEUE_FULL", Place::Queue, ErrorKind::LimitReached),
    own(-27003, "QUEUE_EMPTY", Place::Queue, ErrorKind::NotFound),
    own(-27004, "SCHEDULING_FAILED", Place::Queue, ErrorKind::Internal),
    own(-27005, "SCHEDULER_NOT_RUNNING", Place::Queue, ErrorKind::Overloaded),
    own(-26001, "PERSISTENCE_CONNECTION_FAILED", Place::Store, ErrorKind::Connection),
    own(-26003, "PERSISTENCE_READ_FAILED", Place::Store, ErrorKind::Store),
    own(-26002, "PERSISTENCE_WRITE_FAILED", Place::Store, ErrorKind::Store),
    own(-26004, "PERSISTENCE_TRANSACTION_FAILED", Place::Store, ErrorKind::Conflict),
    own(-26005, "PERSISTENCE_INTEGRITY_ERROR", Place::Store, ErrorKind::Internal),
    own(-25001, "NETWORK_UNREACHABLE", Place::Network, ErrorKind::Connection),
    own(-25002, "CONNECTION_REFUSED", Place::Network, ErrorKind::Connection),
    own(-25003, "CONNECTION_TIMEOUT", Place::Network, ErrorKind::Timeout),
    own(-25004, "CONNECTION_LOST", Place::Network, ErrorKind::Connection),
    own(-25005, "AUTHENTICATION_FAILED", Place::Network, ErrorKind::Authentication),
    own(-25006, "AUTHORIZATION_FAILED", Place::Network, ErrorKind::Permission),
];

/// Where a failure of a kind lies when the place itself has no code for it.
fn elsewhere(kind: ErrorKind) -> i64 {
    match kind {
        ErrorKind::Authentication => -25005,
        ErrorKind::Permission => -25006,
        ErrorKind::RateLimit => -31005,
        ErrorKind::QuotaExceeded
        | ErrorKind::BudgetExceeded
        | ErrorKind::LimitReached
        | ErrorKind::TokenLimit => -31004,
        ErrorKind::Configuration => -31003,
        ErrorKind::Connection => -25001,
        ErrorKind::Timeout => -29003,
        ErrorKind::Overloaded => -30007,
        ErrorKind::Cancelled => -29004,
        ErrorKind::Conflict => -28007,
        ErrorKind::Store => -26003,
        ErrorKind::Unsupported => -30008,
        ErrorKind::NotFound => -29009,
        ErrorKind::InvalidRequest => INVALID_PARAMS,
        ErrorKind::InvalidOutput | ErrorKind::Truncated => -29007,
        ErrorKind::ToolFailed | ErrorKind::ContentFilter | ErrorKind::Blocked => -29002,
        ErrorKind::Internal => INTERNAL_ERROR,
    }
}

/// Gives the code for what failed somewhere.
#[must_use]
pub fn code(kind: ErrorKind, place: Place) -> i64 {
    let row = ROWS.iter().find(|row| row.kind == kind && row.place == Some(place));
    row.map_or_else(|| elsewhere(kind), |row| row.code)
}

/// Gives the row of a code, where it has one.
#[must_use]
pub fn row(code: i64) -> Option<&'static CodeRow> {
    ROWS.iter().find(|row| row.code == code)
}

/// Gives what a code of the other side means to us; one that nobody knows is the failure of whatever was called.
#[must_use]
pub fn kind(code: i64) -> ErrorKind {
    row(code).map_or(ErrorKind::ToolFailed, |row| row.kind)
}

impl Failure {
    /// Makes the failure that tells of an error; it shows what the error shows, and whether trying again can help.
    #[must_use]
    pub fn of(error: &Error, place: Place) -> Self {
        let data = serde_json::json!({
            "kind": error.kind(),
            "retryable": error.retry().is_retryable(),
            "hint": error.hint(),
        });
        Self { code: code(error.kind(), place), message: error.message().to_owned(), data: Some(data) }
    }

    /// Makes the error that this failure of another side is to us; its code and data are kept beside the message.
    #[must_use]
    pub fn into_error(self, whose: &str) -> Error {
        let error = Error::new(kind(self.code), format!("{whose} answered with an error: {}", self.message))
            .with_context("code", self.code.to_string());
        let error = match row(self.code) {
            Some(row) => error.with_context("code_name", row.name),
            None => error,
        };
        let Some(data) = self.data else { return error };
        let error = match data.get("retryable").and_then(serde_json::Value::as_bool) {
            Some(true) if !error.retry().is_retryable() => error.with_retry(Retry::Backoff),
            Some(false) => error.with_retry(Retry::Never),
            _ => error,
        };
        let shown: String = data.to_string().chars().take(500).collect();
        error.with_context("data", shown)
    }
}
