//! What can go wrong with a request, and when.
//!
//! Data only; whoever answers acts on it.

use motet_core::{Error, ErrorKind, Retry};
use std::time::Duration;

/// When it goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// The connection is refused.
    BeforeConnect,
    /// The connection closes before anything of the answer came.
    AfterConnect,
    /// The answer is a refusal with a status.
    InHeaders,
    /// A plain answer breaks off, or a stream before anything visible came.
    MidBody,
    /// A stream breaks off after visible output.
    MidStream,
    /// The answer is complete and something is wrong after it.
    AfterFinish,
}

impl Stage {
    /// Every stage, in the order of time.
    pub const ALL: &'static [Stage] = &[
        Stage::BeforeConnect,
        Stage::AfterConnect,
        Stage::InHeaders,
        Stage::MidBody,
        Stage::MidStream,
        Stage::AfterFinish,
    ];

    /// Gives the name used in scripts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::BeforeConnect => "before_connect",
            Stage::AfterConnect => "after_connect",
            Stage::InHeaders => "in_headers",
            Stage::MidBody => "mid_body",
            Stage::MidStream => "mid_stream",
            Stage::AfterFinish => "after_finish",
        }
    }
}

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Fault {
    /// When.
    pub stage: Stage,
    /// What kind of error the caller sees.
    pub kind: ErrorKind,
    /// HTTP status, where there is an answer.
    pub status: Option<u16>,
    /// Time after which the provider asks to be asked again.
    pub retry_after: Option<Duration>,
    /// Nothing more comes, instead of an error: what is due hangs.
    pub hangs: bool,
}

impl Fault {
    /// Makes a fault.
    #[must_use]
    pub fn new(stage: Stage, kind: ErrorKind) -> Self {
        Self { stage, kind, status: None, retry_after: None, hangs: false }
    }

    /// Sets the HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Names the time after which the provider asks to be asked again.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// Lets nothing more come.
    #[must_use]
    pub fn hanging(mut self) -> Self {
        self.hangs = true;
        self
    }

    /// Gives the error that a caller sees.
    #[must_use]
    pub fn error(&self) -> Error {
        let error = Error::new(self.kind, format!("a simulated fault: `{}`", self.kind));
        let error = match self.retry_after {
            Some(after) => error.with_retry(Retry::After(after)),
            None => error,
        };
        let error = if self.stage == Stage::BeforeConnect { error.with_unsent() } else { error };
        match self.status {
            Some(status) => error.with_status(status),
            None => error,
        }
    }
}
