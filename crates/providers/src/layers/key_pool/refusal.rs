//! What an error says about the key that was used.
//!
//! Knows no key and no state.

use std::time::Duration;

use motet_core::{Error, ErrorKind};

/// What a key, or its account, was refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Too many requests or tokens; the provider may have named a time.
    TooMany(Option<Duration>),
    /// The account has nothing left.
    Account,
    /// The key is not known.
    Key,
    /// The key may not do this, or nobody may: only another key's success tells.
    Perhaps,
}

impl Refusal {
    /// Reads an error; `None` where another key would fare no better.
    ///
    /// `is_foreign` tells that the request carried what perhaps only another account can read.
    pub(super) fn of(error: &Error, is_foreign: bool) -> Option<Self> {
        Some(match error.kind() {
            ErrorKind::RateLimit => Refusal::TooMany(error.retry_after()),
            ErrorKind::QuotaExceeded => Refusal::Account,
            ErrorKind::Authentication => Refusal::Key,
            // Models that a key may not see are said not to exist.
            ErrorKind::Permission | ErrorKind::NotFound => Refusal::Perhaps,
            ErrorKind::InvalidRequest if is_foreign => Refusal::Perhaps,
            _ => return None,
        })
    }

    /// Tells whether the request itself may be at fault, so that there is nothing to wait for.
    pub(super) fn is_unsure(self) -> bool {
        self == Refusal::Perhaps
    }
}
