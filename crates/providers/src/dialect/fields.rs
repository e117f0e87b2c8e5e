//! Writing a request's body field by field, the caller's own fields last and in place of Motet's.
//!
//! Knows no format.

use motet_core::{Error, ErrorKind};
use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::{Map, Value};

/// Room that is made for a body at once, in bytes; larger ones grow.
const USUAL: usize = 1024;

/// Writes a body as JSON.
pub(crate) fn written<T: Serialize>(body: &T) -> motet_core::Result<Vec<u8>> {
    let mut written = Vec::with_capacity(USUAL);
    serde_json::to_writer(&mut written, body).map_err(|error| {
        Error::new(ErrorKind::Internal, "the request cannot be written as JSON").with_source(error)
    })?;
    Ok(written)
}

/// The body's fields, without those that the caller sets.
pub(crate) struct Fields<'a, M> {
    map: M,
    extra: &'a Map<String, Value>,
}

impl<'a, M: SerializeMap> Fields<'a, M> {
    /// Starts a body.
    pub(crate) fn new(map: M, extra: &'a Map<String, Value>) -> Self {
        Self { map, extra }
    }

    /// Writes a field unless the caller sets it.
    pub(crate) fn put<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), M::Error> {
        if self.extra.contains_key(name) { Ok(()) } else { self.map.serialize_entry(name, value) }
    }

    /// Writes a field that has a value, unless the caller sets it.
    pub(crate) fn put_some<T: Serialize>(
        &mut self,
        name: &'static str,
        value: Option<T>,
    ) -> Result<(), M::Error> {
        value.map_or(Ok(()), |value| self.put(name, &value))
    }

    /// Writes the caller's own fields and ends the body.
    pub(crate) fn end(mut self) -> Result<M::Ok, M::Error> {
        for (name, value) in self.extra {
            self.map.serialize_entry(name, value)?;
        }
        self.map.end()
    }
}
