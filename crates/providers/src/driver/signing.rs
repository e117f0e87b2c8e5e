//! Signs requests where a provider wants a signature in place of a key: Amazon's Signature Version 4.
//!
//! Reads no environment and no clock but the one it is given: credentials come with the provider's configuration.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{self, SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::Request;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use motet_core::{Error, ErrorKind, Result};

use crate::provider::{AWS_CREDENTIAL_NAMES, Auth, AwsCredentials};

/// Adds the signature that the provider wants, if it wants one and there are credentials.
///
/// # Errors
/// `Configuration` when the credentials or a header cannot be signed.
pub(super) fn sign(
    request: &mut Request<Bytes>,
    auth: Auth,
    credentials: Option<&AwsCredentials>,
) -> Result<()> {
    match (auth, credentials) {
        // A key, or what the user set in its place, already proves who sends.
        _ if request.headers().contains_key(AUTHORIZATION) => Ok(()),
        (Auth::AwsSigV4 { service }, Some(credentials)) => {
            let headers = signature(request, service, credentials, SystemTime::now())?;
            request.headers_mut().extend(headers.into_iter().map(|(name, value)| (Some(name), value)));
            Ok(())
        }
        _ => Ok(()),
    }
}

type Headers = Vec<(HeaderName, HeaderValue)>;

/// Gives the headers that carry the signature of method, address, headers, and body as they are sent.
fn signature(
    request: &Request<Bytes>,
    service: &str,
    credentials: &AwsCredentials,
    now: SystemTime,
) -> Result<Headers> {
    let token = credentials.session_token.as_ref().map(|token| token.expose().to_owned());
    let secret = credentials.secret_access_key.expose();
    let identity = Credentials::new(&credentials.access_key_id, secret, token, None, "motet").into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(&credentials.region)
        .name(service)
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(unsigned)?
        .into();
    // Headers that hold secrets stay unsigned, which is allowed, as the signer would repeat them where logs are kept in
    // every detail; and so do those that are no text.
    let open = request.headers().iter().filter(|(_, value)| !value.is_sensitive());
    let headers = open.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let (body, address) = (SignableBody::Bytes(request.body()), request.uri().to_string());
    let signable = SignableRequest::new(request.method().as_str(), &address, headers, body);
    let signed = http_request::sign(signable.map_err(unsigned)?, &parameters).map_err(unsigned)?;
    let (headers, _) = signed.into_parts().0.into_parts();
    let parsed = headers.into_iter().map(|header| {
        let mut value = HeaderValue::from_str(header.value()).map_err(unsigned)?;
        // The signature is as good as a key for some minutes.
        value.set_sensitive(header.sensitive() || header.name() == AUTHORIZATION.as_str());
        Ok((HeaderName::from_static(header.name()), value))
    });
    parsed.collect()
}

/// Tells that a request cannot be signed; the cause may hold what must not show, so only its kind is named.
fn unsigned<E: std::error::Error>(error: E) -> Error {
    let [id, secret] = AWS_CREDENTIAL_NAMES;
    Error::new(ErrorKind::Configuration, format!("the request cannot be signed: {error}")).with_hint(format!(
        "look for a stray character in `{id}`, `{secret}`, the session's token, or a header"
    ))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use http::Method;
    use motet_core::Secret;

    use super::*;

    /// 2015-08-30T12:36:00Z, the moment of Amazon's published test suite.
    const MOMENT: Duration = Duration::from_secs(1_440_938_160);

    fn credentials(token: Option<&str>) -> AwsCredentials {
        AwsCredentials {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session_token: token.map(Secret::new),
            region: "us-east-1".into(),
        }
    }

    fn request(method: Method, url: &str, body: &'static [u8]) -> Request<Bytes> {
        Request::builder().method(method).uri(url).body(Bytes::from_static(body)).unwrap()
    }

    fn signed(request: &Request<Bytes>, credentials: &AwsCredentials) -> Vec<(String, String)> {
        let headers = signature(request, "service", credentials, UNIX_EPOCH + MOMENT).unwrap();
        assert!(headers.iter().all(|(name, value)| value.is_sensitive() != (name == "x-amz-date")));
        headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    }

    #[test]
    fn signatures_are_those_of_amazons_test_suite() {
        let host = "https://example.amazonaws.com";
        let token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
        for (method, url, token, headers, expected) in [
            (
                Method::POST,
                format!("{host}/"),
                None,
                "host;x-amz-date",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                Method::GET,
                format!("{host}/"),
                Some(token),
                "host;x-amz-date;x-amz-security-token",
                "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
            ),
            (
                Method::GET,
                format!("{host}/?Param2=value2&Param1=value1"),
                None,
                "host;x-amz-date",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
        ] {
            let found = signed(&request(method, &url, b""), &credentials(token));
            let authorization = format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                 SignedHeaders={headers}, Signature={expected}"
            );
            assert!(found.contains(&("authorization".to_owned(), authorization)), "{url}: {found:?}");
            assert!(found.contains(&("x-amz-date".to_owned(), "20150830T123600Z".to_owned())));
            let sent =
                found.iter().find(|(name, _)| name == "x-amz-security-token").map(|(_, value)| &**value);
            assert_eq!(sent, token);
        }
    }

    #[test]
    fn everything_that_is_sent_is_signed() {
        let url = "https://h/model/us.some%3A0/converse";
        let known = |url: &str, body: &'static [u8], name: &str| {
            let mut request = request(Method::POST, url, body);
            request.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
            request.headers_mut().insert("x-team", HeaderValue::from_str(name).unwrap());
            let headers = signature(&request, "bedrock", &credentials(None), UNIX_EPOCH + MOMENT).unwrap();
            headers
                .into_iter()
                .find(|(name, _)| name == AUTHORIZATION)
                .unwrap()
                .1
                .to_str()
                .unwrap()
                .to_owned()
        };
        let first = known(url, b"{}", "blue");
        assert!(first.contains("SignedHeaders=content-type;host;x-amz-date;x-team,"), "{first}");
        assert!(first.contains("/us-east-1/bedrock/aws4_request"), "{first}");
        for other in [
            known("https://h/model/us.some:0/converse", b"{}", "blue"),
            known(url, b"{ }", "blue"),
            known(url, b"{}", "red"),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn what_already_proves_who_sends_is_left_alone_and_secrets_never_show() {
        let auth = Auth::AwsSigV4 { service: "bedrock" };
        let mut keyed = request(Method::POST, "https://h/", b"");
        keyed.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("Bearer k"));
        sign(&mut keyed, auth, Some(&credentials(None))).unwrap();
        assert_eq!(keyed.headers().len(), 1);
        for (auth, credentials) in [(Auth::Key, Some(credentials(None))), (auth, None)] {
            let mut plain = request(Method::POST, "https://h/", b"");
            sign(&mut plain, auth, credentials.as_ref()).unwrap();
            assert!(plain.headers().is_empty());
        }
        let broken = credentials(Some("hunter2\n"));
        let error = sign(&mut request(Method::POST, "https://h/", b""), auth, Some(&broken)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.hint().is_some_and(|hint| hint.contains("AWS_SECRET_ACCESS_KEY")));
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }
}
