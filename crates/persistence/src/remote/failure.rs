//! Errors on their way through JSON-RPC: a store's error is the same on the other side, kind and hint included.

use motet_core::error::{Error, ErrorKind, ErrorReport};
use motet_core::rpc::Failure;
use motet_core::rpc::codes::{INVALID_PARAMS, METHOD_NOT_FOUND, Place, code};

/// Tells of a store's error: the code for those who know codes, the whole report for us.
pub(super) fn told(error: &Error) -> Failure {
    Failure {
        code: code(error.kind(), Place::Store),
        message: error.message().to_owned(),
        data: serde_json::to_value(error.report()).ok(),
    }
}

/// Gives the error that was told of.
pub(super) fn error(failure: Failure) -> Error {
    let report = failure.data.as_ref().map(|data| serde_json::from_value::<ErrorReport>(data.clone()));
    match report {
        Some(Ok(report)) => Error::from(report),
        // Not told by a store: the protocol's own failures, or those of another program.
        _ => failure.into_error("the server"),
    }
}

/// Tells that parameters do not fit their method.
pub(super) fn unfit(method: &str, why: &serde_json::Error) -> Failure {
    let error = Error::new(ErrorKind::InvalidRequest, format!("the parameters do not fit `{method}`: {why}"));
    Failure { code: INVALID_PARAMS, ..told(&error) }
}

/// Tells that there is no such method.
pub(super) fn no_such_method(name: &str) -> Failure {
    let error = Error::new(ErrorKind::Unsupported, format!("there is no method `{name}`"))
        .with_hint("the two sides may be of different versions of Motet");
    Failure { code: METHOD_NOT_FOUND, ..told(&error) }
}

/// Tells that a result cannot be written.
pub(super) fn unwritable(method: &str, why: &serde_json::Error) -> Failure {
    told(&Error::new(ErrorKind::Internal, format!("the result of `{method}` cannot be written: {why}")))
}

#[cfg(test)]
mod tests {
    use motet_core::error::Retry;

    use super::*;

    #[test]
    fn an_error_of_every_kind_is_the_same_on_the_other_side() {
        for kind in ErrorKind::ALL {
            let error = Error::new(*kind, "what happened").with_hint("what to do").with_context("run", "r1");
            let failure = told(&error);
            assert_ne!(failure.code, METHOD_NOT_FOUND);
            assert_eq!(super::error(failure).report(), error.report());
        }
        let later = Error::new(ErrorKind::Store, "busy").with_retry(Retry::Backoff);
        assert_eq!(error(told(&later)).retry(), Retry::Backoff);
    }

    #[test]
    fn what_no_store_told_keeps_its_code() {
        let failed = error(Failure::new(-31004, "too large"));
        assert_eq!(failed.kind(), ErrorKind::LimitReached);
        assert!(failed.to_string().contains("RESOURCE_EXHAUSTED"), "{failed}");
        let unknown = no_such_method("a.b");
        assert_eq!((unknown.code, error(unknown).kind()), (METHOD_NOT_FOUND, ErrorKind::Unsupported));
    }
}
