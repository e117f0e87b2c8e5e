//! The methods as rows: what a server answers, and the calls that ask it.
//!
//! One entry makes both: the call on this side, and on the other side what reads its parameters and answers it.

use futures::future::BoxFuture;
use motet_core::rpc::{Failure, Params};
use motet_core::store::Store;
use serde_json::{Map, Value};

use super::{answers, contract, conversations, failure};

pub(super) type Answered = Result<Value, Failure>;

/// One method.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct MethodRow {
    /// Its name, such as `task.claim`.
    pub name: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
    /// Names of its parameters; each may also stand at its place in a list.
    pub params: &'static [&'static str],
    /// Whether it waits for something to happen, and may be ended early without loss.
    pub waits: bool,
    pub(super) answer: for<'a> fn(&'a dyn Store, Value) -> BoxFuture<'a, Answered>,
}

/// Makes the calls of methods, and their rows.
macro_rules! table {
    ($rows:ident: $($doc:literal $name:literal $pace:ident $call:ident($($param:ident: $type:ty),*) -> $given:ty
      { |$store:ident| $work:expr })*) => {
        $(
            #[doc = $doc]
            pub(super) async fn $call(
                line: &$crate::remote::line::Line, $($param: $type),*
            ) -> motet_core::error::Result<$given> {
                #[derive(serde::Serialize)]
                struct Sent { $($param: $type),* }
                line.call($name, &Sent { $($param),* }, $crate::remote::line::$pace).await
            }
        )*

        pub(super) const $rows: &[$crate::remote::rows::MethodRow] = &[$({
            fn answer<'a>(
                store: &'a dyn motet_core::store::Store,
                params: serde_json::Value,
            ) -> futures::future::BoxFuture<'a, $crate::remote::rows::Answered> {
                #[derive(serde::Deserialize)]
                struct Sent { $($param: $type),* }
                Box::pin(async move {
                    let sent: Sent = serde_json::from_value(params)
                        .map_err(|why| $crate::remote::failure::unfit($name, &why))?;
                    let Sent { $($param),* } = sent;
                    let $store = store;
                    let done: motet_core::error::Result<$given> = async move { $work }.await;
                    let given = done.map_err(|error| $crate::remote::failure::told(&error))?;
                    serde_json::to_value(given).map_err(|why| $crate::remote::failure::unwritable($name, &why))
                })
            }
            $crate::remote::rows::MethodRow {
                name: $name, doc: $doc, params: &[$(stringify!($param)),*],
                waits: $crate::remote::line::$pace.waits, answer
            }
        }),*];
    };
}
pub(super) use table;

/// Every method.
pub fn methods() -> impl Iterator<Item = &'static MethodRow> {
    contract::ROWS.iter().chain(answers::ROWS).chain(conversations::ROWS)
}

/// Gives the method of this name.
#[must_use]
pub fn method(name: &str) -> Option<&'static MethodRow> {
    methods().find(|row| row.name == name)
}

/// Answers a call from a store: the server's half.
///
/// # Errors
/// Why there is no result, as it is sent: the store's own error with its kind and hint, or `-32601` and `-32602` where
/// there is no such method or the parameters do not fit it.
pub async fn answer(store: &dyn Store, name: &str, params: Option<Params>) -> Result<Value, Failure> {
    let row = method(name).ok_or_else(|| failure::no_such_method(name))?;
    let params = params.map_or_else(|| Value::Object(Map::new()), Params::into_json);
    (row.answer)(store, params).await
}
