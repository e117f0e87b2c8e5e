//! Marks the errors of calls that a layer held back: nothing was sent, so that they cost nothing and say nothing of the
//! model.
//!
//! Knows no layer.

use std::fmt;

use motet_core::Error;

/// Lies under such errors.
#[derive(Debug)]
struct HeldBack;

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing was sent")
    }
}

impl std::error::Error for HeldBack {}

/// Marks an error.
pub(super) fn held_back(error: Error) -> Error {
    error.with_unsent().with_source(HeldBack)
}

/// Tells whether an error is marked.
pub(super) fn is_held_back(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<HeldBack>)
}
