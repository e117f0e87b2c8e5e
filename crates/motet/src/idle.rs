//! Connections that all who need them share, and that are let go when nobody used them for a while.
//!
//! Knows nothing of what is connected to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use motet_core::error::Result;
use tokio::time::Instant;

/// Time without use after which a connection is let go.
pub(crate) const IDLE: Duration = Duration::from_secs(5 * 60);

/// What can be shared and let go.
#[async_trait]
pub(crate) trait Connected: Clone + Send + Sync + 'static {
    /// Tells whether somebody is served by it just now.
    fn is_busy(&self) -> bool;

    /// Takes leave of the other side.
    async fn leave(&self);
}

/// Connections by what they are connections to.
pub(crate) struct Idle<K, V>(Arc<Mutex<Entries<K, V>>>);

struct Entries<K, V> {
    known: Vec<Entry<K, V>>,
    made: u64,
}

struct Entry<K, V> {
    number: u64,
    key: K,
    value: V,
    used: Instant,
}

impl<K, V> Default for Idle<K, V> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Entries { known: Vec::new(), made: 0 })))
    }
}

impl<K: PartialEq + Send + 'static, V: Connected> Idle<K, V> {
    /// Gives the connection of a key, made where there is none. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// What keeps it from being made.
    pub(crate) fn get_or_make(&self, key: K, make: impl FnOnce(&K) -> Result<V>) -> Result<V> {
        let mut entries = lock(&self.0);
        if let Some(entry) = entries.known.iter_mut().find(|entry| entry.key == key) {
            entry.used = Instant::now();
            return Ok(entry.value.clone());
        }
        let value = make(&key)?;
        entries.made += 1;
        let number = entries.made;
        entries.known.push(Entry { number, key, value: value.clone(), used: Instant::now() });
        tokio::spawn(let_go(Arc::downgrade(&self.0), number));
        Ok(value)
    }

    /// Takes leave of all.
    pub(crate) async fn close(&self) {
        let known = std::mem::take(&mut lock(&self.0).known);
        futures::future::join_all(known.iter().map(|entry| entry.value.leave())).await;
    }
}

fn lock<K, V>(entries: &Mutex<Entries<K, V>>) -> MutexGuard<'_, Entries<K, V>> {
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until a connection was not used for long enough, and lets it go.
async fn let_go<K: Send + 'static, V: Connected>(entries: Weak<Mutex<Entries<K, V>>>, number: u64) {
    let mut moment = Instant::now() + IDLE;
    loop {
        tokio::time::sleep_until(moment).await;
        let Some(entries) = entries.upgrade() else { return };
        let unused = {
            let mut entries = lock(&entries);
            let place = entries.known.iter().position(|entry| entry.number == number);
            let Some((place, entry)) = place.and_then(|place| Some((place, entries.known.get(place)?)))
            else {
                return;
            };
            let since = if entry.value.is_busy() { Instant::now() } else { entry.used };
            moment = since + IDLE;
            (moment <= Instant::now()).then(|| entries.known.swap_remove(place).value)
        };
        if let Some(unused) = unused {
            return unused.leave().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use super::*;

    #[derive(Clone, Default)]
    struct Line {
        is_busy: Arc<AtomicBool>,
        left: Arc<AtomicU32>,
    }

    #[async_trait]
    impl Connected for Line {
        fn is_busy(&self) -> bool {
            self.is_busy.load(Ordering::Relaxed)
        }

        async fn leave(&self) {
            self.left.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_uses_is_let_go_and_what_is_used_or_busy_stays() {
        let lines = Idle::<&str, Line>::default();
        let get = |key| lines.get_or_make(key, |_| Ok(Line::default())).unwrap();
        let (used, busy, unused) = (get("used"), get("busy"), get("unused"));
        busy.is_busy.store(true, Ordering::Relaxed);
        for _ in 0..3 {
            tokio::time::sleep(IDLE * 2 / 3).await;
            assert!(Arc::ptr_eq(&get("used").left, &used.left));
        }
        let left = |line: &Line| line.left.load(Ordering::Relaxed);
        assert_eq!((left(&used), left(&busy), left(&unused)), (0, 0, 1));
        busy.is_busy.store(false, Ordering::Relaxed);
        tokio::time::sleep(IDLE * 3).await;
        assert_eq!((left(&used), left(&busy), left(&unused)), (1, 1, 1));
        assert!(!Arc::ptr_eq(&get("used").left, &used.left));
        lines.close().await;
        assert_eq!(left(&used), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn all_are_left_at_the_end_and_never_twice() {
        let lines = Idle::<&str, Line>::default();
        let line = lines.get_or_make("a", |_| Ok(Line::default())).unwrap();
        lines.close().await;
        tokio::time::sleep(IDLE * 2).await;
        assert_eq!(line.left.load(Ordering::Relaxed), 1);
    }
}
