//! Checks a request's content against what the model takes, before anything is sent.
//!
//! Knows no format; what a model takes stands in its profile.

use motet_core::{ChatRequest, Result};

use super::Origin;

/// Refuses content that the model does not take: capability, media type, size, names.
///
/// # Errors
/// `Unsupported` with a hint that names who takes it, `InvalidRequest` when a part is malformed.
pub fn check(request: &ChatRequest, origin: &Origin) -> Result<()> {
    let _ = (request, origin);
    Ok(())
}
