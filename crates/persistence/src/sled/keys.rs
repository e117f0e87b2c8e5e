//! The keys of rows, and how their values are written: a byte for the format, then JSON.
//!
//! Knows nothing of what rows mean. Numbers in keys are big-endian, so that their order is that of the bytes.

use motet_core::error::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// JSON follows.
const JSON: u8 = 1;

/// The JSON lies apart, under the key with [`APART`] before it.
pub(super) const ELSEWHERE: u8 = 2;

/// Longer values lie apart, so that reading rows does not read them.
const MOST_BYTES: usize = 16 * 1024;

/// Begins the keys of values that lie apart.
pub(super) const APART: &[u8] = b"z/";

/// Rows of a run, by the letter that their keys begin with.
pub(super) mod of_run {
    pub(in crate::sled) const HEAD: u8 = b'r';
    pub(in crate::sled) const DEFINITION: u8 = b'd';
    pub(in crate::sled) const TASK: u8 = b't';
    pub(in crate::sled) const NEW_TASK: u8 = b'n';
    pub(in crate::sled) const OUTPUT: u8 = b'o';
    pub(in crate::sled) const JOURNAL: u8 = b'j';
    pub(in crate::sled) const EVENT: u8 = b'v';
    pub(in crate::sled) const QUESTION: u8 = b's';
    pub(in crate::sled) const ITEM: u8 = b'l';

    /// Every one of them.
    pub(in crate::sled) const ALL: [u8; 9] =
        [HEAD, DEFINITION, TASK, NEW_TASK, OUTPUT, JOURNAL, EVENT, QUESTION, ITEM];
}

pub(super) const WORKER: u8 = b'w';
pub(super) const BOOK: u8 = b'k';
pub(super) const HELD: u8 = b'y';
pub(super) const CONVERSATION: u8 = b'a';
pub(super) const TURN: u8 = b'u';
pub(super) const ANSWER: u8 = b'c';
pub(super) const ANSWER_BODY: u8 = b'b';

/// The number of the layout of rows.
pub(super) const FORMAT: &[u8] = b"m/format";

/// Makes the key of a row that is named, or what the keys of all rows of a letter begin with where the name is empty.
pub(super) fn named(letter: u8, name: &str) -> Vec<u8> {
    let mut key = vec![letter, b'/'];
    key.extend_from_slice(name.as_bytes());
    key
}

/// Makes what the keys of the rows begin with that belong to something named.
pub(super) fn below(letter: u8, name: &str) -> Vec<u8> {
    let mut key = named(letter, name);
    key.push(b'/');
    key
}

/// Makes the key of a numbered task or turn.
pub(super) fn numbered(letter: u8, name: &str, number: u32) -> Vec<u8> {
    let mut key = below(letter, name);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// Makes the key of an entry of a journal or an event.
pub(super) fn sequenced(letter: u8, name: &str, seq: u64) -> Vec<u8> {
    let mut key = below(letter, name);
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

/// Makes the key of something that is named below something named.
pub(super) fn part(letter: u8, name: &str, part: &str) -> Vec<u8> {
    let mut key = below(letter, name);
    key.extend_from_slice(part.as_bytes());
    key
}

pub(super) fn apart(key: &[u8]) -> Vec<u8> {
    [APART, key].concat()
}

/// A value as it is stored.
pub(super) enum Written {
    /// In its row.
    Here(Vec<u8>),
    /// Apart from its row.
    Apart(Vec<u8>),
}

/// Writes a value.
pub(super) fn write(value: &impl Serialize) -> Result<Written> {
    let mut bytes = vec![JSON];
    serde_json::to_writer(&mut bytes, value).map_err(|error| {
        Error::new(ErrorKind::Internal, "a row cannot be written as JSON").with_source(error)
    })?;
    Ok(if bytes.len() > MOST_BYTES { Written::Apart(bytes) } else { Written::Here(bytes) })
}

/// Reads a value; of one that lies apart, what lies there.
pub(super) fn read<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T> {
    let what = String::from_utf8_lossy(key).into_owned();
    match bytes.split_first() {
        Some((&JSON, json)) => serde_json::from_slice(json).map_err(|error| {
            Error::new(ErrorKind::Store, format!("the row `{what}` of the store cannot be read"))
                .with_source(error)
        }),
        Some((format, _)) if *format > ELSEWHERE => Err(Error::new(
            ErrorKind::Store,
            format!("the row `{what}` has the format {format}, which is not known"),
        )
        .with_hint("a newer version of Motet wrote it: use that version")),
        _ => Err(Error::new(ErrorKind::Store, format!("the row `{what}` of the store is cut off"))),
    }
}

/// Gives the number at the end of a key.
pub(super) fn tail(prefix: &[u8], key: &[u8]) -> String {
    String::from_utf8_lossy(key.get(prefix.len()..).unwrap_or_default()).into_owned()
}
