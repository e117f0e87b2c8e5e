//! The examples of the protocol's own text, and whatever else may come.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::codes::{self, INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, Place};
use super::*;
use crate::error::{Error, ErrorKind, Retry};

fn code(read: &Result<Request, Response>) -> (Id, i64) {
    let Err(Response { id, outcome: Err(failure) }) = read else { panic!("a call: {read:?}") };
    (id.clone(), failure.code)
}

#[test]
fn calls_and_notifications_of_the_protocol_are_read() {
    for (text, method, id) in [
        (
            r#"{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}"#,
            "subtract",
            Some(Id::from(1)),
        ),
        (
            r#"{"jsonrpc": "2.0", "method": "get", "params": {"a": 1}, "id": "3"}"#,
            "get",
            Some(Id::Text("3".into())),
        ),
        (r#"{"jsonrpc": "2.0", "method": "update", "params": [1]}"#, "update", None),
        (r#"{"jsonrpc": "2.0", "method": "x", "id": null}"#, "x", Some(Id::Null)),
        (r#"{"jsonrpc": "2.0", "method": "x", "params": null}"#, "x", None),
    ] {
        let Incoming::One(Ok(request)) = Incoming::read(text.as_bytes()) else { panic!("{text}") };
        assert_eq!((request.method.as_str(), &request.id), (method, &id), "{text}");
        assert_eq!(request.is_notification(), id.is_none());
        assert_eq!(Request::read(request.clone().into_json()), Ok(request));
    }
}

#[test]
fn what_is_no_call_has_its_exact_code_and_id() {
    for (text, id, expected) in [
        (r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#, Id::Null, -32700),
        ("", Id::Null, -32700),
        ("\u{feff}{}", Id::Null, -32700),
        ("[]", Id::Null, -32600),
        ("1", Id::Null, -32600),
        (r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#, Id::Null, -32600),
        (r#"{"jsonrpc": "2.0", "method": "x", "params": "bar", "id": 7}"#, Id::from(7), -32600),
        (r#"{"jsonrpc": "1.0", "method": "x", "id": "a"}"#, Id::Text("a".into()), -32600),
        (r#"{"method": "x", "id": 2}"#, Id::from(2), -32600),
        (r#"{"jsonrpc": "2.0", "method": "", "id": 2}"#, Id::from(2), -32600),
        (r#"{"jsonrpc": "2.0", "method": "x", "id": {"a": 1}}"#, Id::Null, -32600),
        (r#"{"jsonrpc": "2.0", "method": "x", "id": true}"#, Id::Null, -32600),
    ] {
        let Incoming::One(read) = Incoming::read(text.as_bytes()) else { panic!("{text}") };
        assert_eq!(code(&read), (id, expected), "{text}");
    }
    let Incoming::Batch(three) = Incoming::read(b"[1,2,3]") else { panic!("no batch") };
    assert!(three.iter().all(|read| code(read) == (Id::Null, -32600)) && three.len() == 3);
    let deep = "[".repeat(100_000);
    let Incoming::One(read) = Incoming::read(deep.as_bytes()) else { panic!("read") };
    assert_eq!(code(&read), (Id::Null, -32700));
}

#[test]
fn a_result_of_null_is_a_result_and_an_answer_has_one_of_two() {
    let read = |value: Value| Response::read(&value);
    assert_eq!(
        read(json!({"jsonrpc": "2.0", "id": 1, "result": null})),
        Ok(Response::done(Id::from(1), Value::Null))
    );
    let failure = Failure { code: -32601, message: "no".into(), data: Some(json!([1])) };
    let failed = Response::failed(Id::Text("a".into()), failure);
    assert_eq!(read(failed.to_json()), Ok(failed.clone()));
    let mut both = failed.to_json();
    both["result"] = Value::Null;
    assert_eq!(read(both.clone()), Ok(failed));
    both["result"] = json!(1);
    for wrong in [
        both,
        json!({"jsonrpc": "2.0", "id": 1}),
        json!({"id": 1, "result": 1}),
        json!({"jsonrpc": "2.0", "result": 1}),
        json!({"jsonrpc": "2.0", "id": [], "result": 1}),
        json!({"jsonrpc": "2.0", "id": 1, "error": {"code": "a", "message": "b"}}),
        json!([]),
    ] {
        assert!(read(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn codes_lie_in_their_ranges_and_mean_what_they_say() {
    let mut seen = std::collections::BTreeSet::new();
    for row in codes::ROWS {
        assert!(seen.insert(row.code), "{} stands twice", row.name);
        let range = match row.place {
            None => -32700..=-32600,
            Some(Place::System) => -31099..=-31000,
            Some(Place::Provider) => -30099..=-30000,
            Some(Place::Task) => -29099..=-29000,
            Some(Place::Workflow) => -28099..=-28000,
            Some(Place::Queue) => -27099..=-27000,
            Some(Place::Store) => -26099..=-26000,
            Some(Place::Network) => -25099..=-25000,
        };
        assert!(range.contains(&row.code), "{}", row.name);
        assert_eq!(codes::kind(row.code), row.kind);
    }
    for (kind, place, expected) in [
        (ErrorKind::Timeout, Place::Provider, -30006),
        (ErrorKind::Timeout, Place::Task, -29003),
        (ErrorKind::Timeout, Place::Workflow, -28004),
        (ErrorKind::Timeout, Place::Network, -25003),
        (ErrorKind::InvalidRequest, Place::Task, -29001),
        (ErrorKind::InvalidRequest, Place::Provider, INVALID_PARAMS),
        (ErrorKind::NotFound, Place::Workflow, -28002),
        (ErrorKind::Authentication, Place::Provider, -25005),
        (ErrorKind::Store, Place::Store, -26003),
        (ErrorKind::Internal, Place::Provider, INTERNAL_ERROR),
    ] {
        assert_eq!(codes::code(kind, place), expected, "{kind} {place:?}");
    }
    // Every kind has a code everywhere, and one that means nearly the same when it comes back.
    for kind in ErrorKind::ALL {
        assert!(codes::row(codes::code(*kind, Place::Task)).is_some(), "{kind}");
    }
}

#[test]
fn errors_keep_their_code_and_say_whether_to_try_again() {
    let error = Failure::new(METHOD_NOT_FOUND, "no such thing").into_error("`box`");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unsupported, Retry::Never));
    assert!(error.context().iter().any(|(name, value)| name == "code" && value == "-32601"));
    let unknown = Failure { code: 7, message: "x".into(), data: Some(json!({"retryable": true})) };
    let error = unknown.into_error("`box`");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::ToolFailed, Retry::Backoff));
    let sent = Failure::of(&Error::new(ErrorKind::RateLimit, "slowly").with_hint("wait"), Place::System);
    assert_eq!(
        (sent.code, sent.data.as_ref().map(|data| data["retryable"].clone())),
        (-31005, Some(json!(true)))
    );
    assert_eq!(sent.into_error("`box`").kind(), ErrorKind::RateLimit);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9_f64).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let key = prop_oneof![
            Just("jsonrpc".to_owned()),
            Just("method".to_owned()),
            Just("id".to_owned()),
            Just("params".to_owned()),
            ".{0,4}"
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..5).prop_map(|pairs| pairs.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Incoming::read(&bytes);
    }

    #[test]
    fn any_json_is_a_call_or_an_answer_that_can_be_read(value in any_json()) {
        let reads = match Incoming::read_value(value) {
            Incoming::One(read) => vec![read],
            Incoming::Batch(reads) => { prop_assert!(!reads.is_empty()); reads }
        };
        for read in reads {
            match read {
                Ok(request) => prop_assert_eq!(Request::read(request.clone().into_json()), Ok(request)),
                Err(response) => prop_assert_eq!(Response::read(&response.to_json()), Ok(response)),
            }
        }
    }

    #[test]
    fn requests_and_answers_survive_the_wire(
        method in "[a-z/._]{1,12}", params in any_json(), id in any_json(), result in any_json()
    ) {
        let request = Request { method, params: Params::read(params), id: Id::read(&id) };
        let text = request.clone().into_json().to_string();
        prop_assert_eq!(Incoming::read(text.as_bytes()), Incoming::One(Ok(request)));
        let response = Response::done(Id::read(&id).unwrap_or(Id::Null), result);
        prop_assert_eq!(Response::read(&response.to_json()), Ok(response));
    }
}
