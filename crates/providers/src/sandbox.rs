//! Python that a model wrote, run in this process by an interpreter that has no way out.
//!
//! Code has no files, no network, no environment, and no clock; what it may do is call the functions that it is given.
//! A program is compiled once and run often, from a few microseconds a run. Knows nothing of agents and tools.

mod memory;
mod perform;
mod printed;
mod program;
mod threads;
mod value;

use std::fmt;
use std::time::Duration;

use motet_core::{Error, ErrorKind};
use serde_json::Value;

pub use perform::Host;
pub use printed::Stop;
pub use program::{Call, Names, Program, Step, Suspended};

/// Bounds of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Time that the code itself may run; waiting for functions does not count. 5 seconds by default.
    pub time: Duration,
    /// Bytes by which the run may make the process grow, and the largest single value; 256 MiB by default.
    ///
    /// Growth is measured on Linux, about once a millisecond; elsewhere only single values are bounded.
    pub memory_bytes: usize,
    /// Bytes that the code may print; 64 KiB by default.
    pub output_bytes: usize,
    /// Bytes of the result as JSON; 1 MiB by default.
    pub result_bytes: usize,
    /// How deep functions may call each other; 200 by default.
    pub recursion: usize,
    /// How often functions from outside may be called; 100 by default.
    pub calls: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(5),
            memory_bytes: 256 << 20,
            output_bytes: 64 << 10,
            result_bytes: 1 << 20,
            recursion: 200,
            calls: 100,
        }
    }
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Execution {
    /// Value of the last line, where that is an expression; null otherwise.
    pub value: Value,
    /// What was printed.
    pub output: String,
    /// How often functions from outside were called.
    pub calls: u32,
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// What kind of reason.
    pub kind: FailureKind,
    /// The reason; of an exception, the whole traceback.
    pub message: String,
    /// The line of the code, from 1, where one can be named.
    pub line: Option<u32>,
    /// What was printed before.
    pub output: String,
}

/// Kinds of reasons why code has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// It is no Python, or Python that the interpreter does not know.
    Syntax,
    /// It raised an exception.
    Exception,
    /// It ran longer than it may.
    Time,
    /// It used more memory than it may.
    Memory,
    /// It printed more than it may.
    Output,
    /// Its result is larger or deeper than it may be.
    Result,
    /// It called functions from outside more often than it may.
    Calls,
    /// Whoever waited for it does not want it any more.
    Stopped,
    /// The interpreter itself broke down.
    Broken,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), line: None, output: String::new() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let kind = match failure.kind {
            FailureKind::Stopped => ErrorKind::Cancelled,
            FailureKind::Broken => ErrorKind::Internal,
            FailureKind::Time
            | FailureKind::Memory
            | FailureKind::Output
            | FailureKind::Result
            | FailureKind::Calls => ErrorKind::LimitReached,
            FailureKind::Syntax | FailureKind::Exception => ErrorKind::ToolFailed,
        };
        Error::new(kind, failure.message)
    }
}

#[cfg(test)]
mod tests;
