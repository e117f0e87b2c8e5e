//! Names of runs and workers, and the time they are stamped with.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::error::{Error, ErrorKind};

/// Names one run; later runs sort after earlier ones.
///
/// Shared, because rows, tokens, and views all carry it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub struct RunId(Arc<str>);

impl RunId {
    /// Makes a new name.
    #[must_use]
    pub fn new() -> Self {
        Self(uuid::Uuid::now_v7().simple().to_string().into())
    }

    /// Gives the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl From<String> for RunId {
    /// Takes a stored name as it is.
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl Default for RunId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RunId {
    type Err = Error;

    /// Reads a name: 1 to 64 letters, digits, `-` and `_`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if fits {
            return Ok(Self(text.into()));
        }
        Err(Error::new(ErrorKind::InvalidRequest, format!("`{text}` is not a run id"))
            .with_hint("`motet workflow list` shows the ids of all runs"))
    }
}

/// What the stored name of a worker begins with that reaches its store through a server.
const AWAY: &str = "away/";

/// Names one worker process or thread that claims tasks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub struct WorkerId(Arc<str>);

impl WorkerId {
    /// Makes a new name that carries the process id for people who read tables.
    #[must_use]
    pub fn new() -> Self {
        let unique = uuid::Uuid::now_v7().simple().to_string();
        Self(format!("{}-{unique}", std::process::id()).into())
    }

    /// Reads a name back from a store.
    #[must_use]
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into().into())
    }

    /// Gives the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Gives the name of the same worker as one that reaches its store through a server: no store can look at its
    /// process, so only its leases tell whether it lives.
    #[must_use]
    pub fn away(&self) -> Self {
        if self.is_away() { self.clone() } else { Self(format!("{AWAY}{}", self.0).into()) }
    }

    /// Tells whether it reaches its store through a server.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.0.starts_with(AWAY)
    }

    /// Gives the name by which it knows itself, however it reaches its store.
    #[must_use]
    pub fn at_home(&self) -> Self {
        self.0.strip_prefix(AWAY).map_or_else(|| self.clone(), Self::from_stored)
    }
}

impl From<WorkerId> for String {
    fn from(id: WorkerId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl From<String> for WorkerId {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl Default for WorkerId {
    fn default() -> Self {
        Self::new()
    }
}

/// Gives 16 random bytes in hexadecimal, which nobody can foresee.
///
/// Asks the operating system once for each thread; four of them then cost one hash.
#[must_use]
pub(crate) fn nonce() -> Arc<str> {
    let bytes = NONCES.with_borrow_mut(Nonces::next);
    let mut text = uuid::Uuid::encode_buffer();
    Arc::from(&*uuid::Uuid::from_bytes(bytes).simple().encode_lower(&mut text))
}

thread_local! {
    static NONCES: std::cell::RefCell<Nonces> = std::cell::RefCell::new(Nonces::new());
}

struct Nonces {
    key: [u8; 32],
    count: u64,
    /// The process that those left over were made in.
    process: u32,
    left: Vec<[u8; 16]>,
}

impl Nonces {
    fn new() -> Self {
        let mut key = [0; 32];
        let random = uuid::Uuid::new_v4().into_bytes().into_iter().chain(uuid::Uuid::new_v4().into_bytes());
        key.iter_mut().zip(random).for_each(|(byte, random)| *byte = random);
        Self { key, count: 0, process: 0, left: Vec::with_capacity(4) }
    }

    fn next(&mut self) -> [u8; 16] {
        // A process that was forked has the same key, count, and leftovers, and another id.
        let process = std::process::id();
        if std::mem::replace(&mut self.process, process) != process {
            self.left.clear();
        }
        if let Some(nonce) = self.left.pop() {
            return nonce;
        }
        let mut hash = blake3::Hasher::new_keyed(&self.key);
        hash.update(&self.count.to_le_bytes()).update(&process.to_le_bytes());
        let mut block = [0; 64];
        hash.finalize_xof().fill(&mut block);
        self.count += 1;
        self.left.extend(block.as_chunks::<16>().0);
        self.left.pop().unwrap_or_default()
    }
}

/// How far a test set the clock, in milliseconds.
#[cfg(debug_assertions)]
static JUMPED: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);

/// Milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// Reads the clock.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        #[cfg(debug_assertions)]
        let now = Self(now.0 + JUMPED.load(std::sync::atomic::Ordering::Relaxed));
        now
    }

    /// Has this process read the clock as if it had been set ahead or back by so many milliseconds; for tests, and in no
    /// build that is released.
    #[cfg(debug_assertions)]
    #[doc(hidden)]
    pub fn set_jump(milliseconds: i64) {
        JUMPED.store(milliseconds, std::sync::atomic::Ordering::Relaxed);
    }

    /// Gives the beginning of a day in UTC, written as `2026-05-03`; `None` when there is no such day.
    #[must_use]
    pub fn of_day(text: &str) -> Option<Self> {
        let day: jiff::civil::Date = text.parse().ok()?;
        let start = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Self(start.timestamp().as_millisecond()))
    }

    /// Reads a time written as RFC 3339 with its offset, such as `2026-05-03T09:00:00+02:00`; `None` when it is none.
    #[must_use]
    pub fn of_time(text: &str) -> Option<Self> {
        let time: jiff::Timestamp = text.trim().parse().ok()?;
        Some(Self(time.as_millisecond()))
    }

    /// Gives the time this long after.
    #[must_use]
    pub fn after(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Gives the time from an earlier one to this; zero where it lies later.
    #[must_use]
    pub fn since(self, earlier: Millis) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Millis {
    /// Writes RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// Hashes a value by its canonical JSON: object keys sorted, so that the order of fields does not matter.
///
/// # Errors
/// `Internal` when the value cannot be written as JSON.
pub fn content_hash(value: &impl Serialize) -> Result<String, Error> {
    let unwritable =
        |error| Error::new(ErrorKind::Internal, "a value cannot be written as JSON").with_source(error);
    // One buffer, because hashing many small pieces costs more than copying them together.
    let canonical = canonical::written(value).map_err(unwritable)?;
    Ok(blake3::hash(&canonical).to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_fields_does_not_change_the_hash_and_any_value_does() {
        let one: serde_json::Value = serde_json::from_str(r#"{"a":1,"b":[1,2]}"#).unwrap();
        let two: serde_json::Value = serde_json::from_str(r#"{"b":[1,2],"a":1}"#).unwrap();
        let three: serde_json::Value = serde_json::from_str(r#"{"b":[2,1],"a":1}"#).unwrap();
        assert_eq!(content_hash(&one).unwrap(), content_hash(&two).unwrap());
        assert_ne!(content_hash(&one).unwrap(), content_hash(&three).unwrap());
        // What runs of earlier versions recorded must be found again.
        let known = "49eeec183e3bb207f8fba6482e8f8fbfd25d319045032c3d68dedad5c0191421";
        assert_eq!(content_hash(&one).unwrap(), known);
    }

    #[test]
    fn times_need_an_offset() {
        for (time, read) in [
            ("2026-05-03T09:00:00+02:00", Some("2026-05-03T07:00:00.000Z")),
            ("2026-05-03T07:00:00.25Z", Some("2026-05-03T07:00:00.250Z")),
            ("2026-05-03T07:00:00", None),
            ("tomorrow", None),
        ] {
            assert_eq!(Millis::of_time(time).map(|time| time.to_string()).as_deref(), read, "{time}");
        }
    }

    #[test]
    fn no_nonce_comes_twice() {
        let of_thread = || std::thread::spawn(|| (0..1_000).map(|_| nonce()).collect::<Vec<_>>());
        let made: Vec<_> =
            [of_thread(), of_thread()].into_iter().flat_map(|made| made.join().unwrap()).collect();
        assert!(made.iter().all(|nonce| nonce.len() == 32 && nonce.bytes().all(|b| b.is_ascii_hexdigit())));
        assert_eq!(made.iter().collect::<std::collections::HashSet<_>>().len(), 2_000);
    }

    #[test]
    fn days_begin_at_midnight() {
        for (day, begins) in [
            ("1970-01-01", Some("1970-01-01T00:00:00.000Z")),
            ("2024-02-29", Some("2024-02-29T00:00:00.000Z")),
        ] {
            assert_eq!(Millis::of_day(day).map(|start| start.to_string()).as_deref(), begins);
        }
        assert!(Millis::of_day("2026-02-30").is_none() && Millis::of_day("7d").is_none());
    }

    #[test]
    fn times_print_as_rfc_3339() {
        assert_eq!(Millis(1_700_000_000_123).to_string(), "2023-11-14T22:13:20.123Z");
    }
}
