//! What a run within a tool hands to the run around it in place of an answer: questions to people, and a broken log.
//!
//! Carried as the source of an error, so that any tool that passes on the error of an inner run does so.

use std::error::Error as StdError;
use std::fmt;

use motet_core::decision::Question;
use motet_core::tool::Spent;
use motet_core::{Error, ErrorKind};

/// A run within a tool waits for people, so that the run around it must wait too.
#[derive(Debug)]
pub(crate) struct Parked {
    /// What must be decided.
    pub(crate) questions: Vec<Question>,
    /// What the inner run used so far.
    pub(crate) spent: Spent,
}

impl fmt::Display for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a person must decide first")
    }
}

impl StdError for Parked {}

/// The log does not let a run within a tool go on, which no model can mend.
#[derive(Debug)]
struct Unrecordable;

impl fmt::Display for Unrecordable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the run log does not let the inner run go on")
    }
}

impl StdError for Unrecordable {}

/// Gives what the run that made this error waits for, if it waits.
pub(crate) fn parked(error: &Error) -> Option<&Parked> {
    sources(error).find_map(<dyn StdError>::downcast_ref)
}

/// Tells whether an error must end the run around it, or park it, instead of becoming a result that its model reads.
pub(crate) fn ends_outer_run(error: &Error) -> bool {
    sources(error).any(|source| source.is::<Parked>() || source.is::<Unrecordable>())
}

/// Marks the error of an inner run if it comes from the log: another definition than recorded, or a log that cannot be
/// written. A provider's conflicts name the provider.
pub(crate) fn marked(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Store | ErrorKind::Conflict if error.provider().is_none() => {
            error.with_source(Unrecordable)
        }
        _ => error,
    }
}

fn sources(error: &Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |source| (*source).source())
}
