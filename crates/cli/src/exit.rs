//! How the command ends, as the shell sees it.

use std::process::ExitCode;

use motet::ErrorKind;

/// Exit codes; documented with the JSON output. The argument parser ends with 2 by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything went well.
    Success = 0,
    /// The work itself failed: a model, a task, a store.
    Failed = 1,
    /// A file, a setting, or a value was wrong; nothing was done.
    InvalidInput = 3,
    /// All was done, but the answers are worse than they must be.
    Unmet = 4,
    /// Nothing can go on before a person decides.
    Waiting = 5,
    /// It was interrupted.
    Interrupted = 130,
}

impl Exit {
    /// Chooses the code for an error.
    pub(crate) fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Configuration
            | ErrorKind::InvalidRequest
            | ErrorKind::NotFound
            | ErrorKind::Unsupported => Exit::InvalidInput,
            ErrorKind::Cancelled => Exit::Interrupted,
            _ => Exit::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
