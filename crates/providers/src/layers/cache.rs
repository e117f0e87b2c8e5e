//! Gives a kept answer to the same request again, and asks only once for requests made at once.
//!
//! Knows no provider and opens no store: whoever composes the program gives it one.

mod chat;
mod embed;
mod flight;
mod kept;
mod key;
mod lookup;
mod memory;
mod rerank;

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use motet_core::Result;
use motet_core::answers::AnswerStore;
use motet_core::settings::CacheMode;

pub use key::{FORMAT, Key, Scope};

use self::flight::Flights;
use self::memory::Memory;
use super::{Answer, Ask, Call, Layer, LayerRow, Next, Where};

/// Its place among the layers.
pub(super) const ROW: LayerRow = LayerRow {
    name: "cache",
    doc: "Gives a kept answer to the same request again, and asks only once for requests made at once.",
    place: Where::Call,
};

/// Name of the fact that marks an answer that was not paid for: `true`, or the number of texts whose vectors were kept.
pub const CACHED: &str = "cached";

/// Name of the fact that tells what the answer did cost when it was asked for, in US dollars.
pub const SAVED_COST: &str = "saved_cost";

/// How much is kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How long an answer is given again.
    pub max_age: Duration,
    /// Bytes in memory.
    pub memory_bytes: u64,
    /// Bytes in the store.
    pub store_bytes: u64,
}

impl Limits {
    /// Sets all limits.
    #[must_use]
    pub fn new(max_age: Duration, memory_bytes: u64, store_bytes: u64) -> Self {
        Self { max_age, memory_bytes, store_bytes }
    }
}

/// What all models of a runtime share: the kept answers, and the calls on their way.
pub struct Cache {
    limits: Limits,
    /// Made when it is first needed.
    memory: OnceLock<Memory>,
    flights: Arc<Flights>,
    store: Option<Arc<dyn AnswerStore>>,
    /// Tells the leases of this cache from those of others.
    holder: String,
    /// A failure of the store was told.
    warned: AtomicBool,
}

impl Cache {
    /// Makes an empty cache in memory.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            memory: OnceLock::new(),
            flights: Arc::default(),
            store: None,
            holder: motet_core::WorkerId::new().as_str().to_owned(),
            warned: AtomicBool::new(false),
        }
    }

    /// Keeps answers in a store too, which others may share.
    #[must_use]
    pub fn with_store(self, store: Arc<dyn AnswerStore>) -> Self {
        Self { store: Some(store), ..self }
    }

    fn memory(&self) -> &Memory {
        self.memory.get_or_init(|| Memory::new(self.limits))
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// The layer.
#[derive(Debug)]
pub struct CacheLayer {
    cache: Arc<Cache>,
    mode: CacheMode,
    server: Option<Arc<str>>,
    tenant: Option<String>,
}

impl CacheLayer {
    /// Uses a cache in a mode, unless the run says otherwise.
    #[must_use]
    pub fn new(cache: Arc<Cache>, mode: CacheMode) -> Self {
        Self { cache, mode, server: None, tenant: None }
    }

    /// Tells answers apart by where they come from: another server under the same name is another model.
    #[must_use]
    pub fn with_server(self, server: Option<Arc<str>>) -> Self {
        Self { server, ..self }
    }

    /// Names the tenant of calls that name none.
    #[must_use]
    pub fn with_tenant(self, tenant: Option<String>) -> Self {
        Self { tenant, ..self }
    }

    fn mode(&self, call: &Call<'_>) -> CacheMode {
        call.context.cache().unwrap_or(self.mode)
    }
}

#[async_trait]
impl Layer for CacheLayer {
    fn name(&self) -> &'static str {
        ROW.name
    }

    fn lets_pass(&self, call: &Call<'_>) -> bool {
        self.mode(call) == CacheMode::Off
    }

    async fn call(&self, call: Call<'_>, next: Next) -> Result<Answer> {
        let use_ = Use { cache: &self.cache, mode: self.mode(&call) };
        let tenant = call.context.attribution().tenant.as_ref().or(self.tenant.as_ref()).cloned();
        let scope = Scope { server: self.server.clone(), tenant };
        match &call.ask {
            Ask::Chat { .. } => use_.chat(&scope, call, next).await,
            Ask::Embed(_) => use_.embed(&scope, call, next).await,
            Ask::Rerank(_) => use_.rerank(&scope, call, next).await,
        }
    }
}

/// One call's use of the cache.
#[derive(Clone, Copy)]
struct Use<'a> {
    cache: &'a Arc<Cache>,
    mode: CacheMode,
}

impl Use<'_> {
    /// Tells whether a kept answer may be given.
    fn reads(self) -> bool {
        matches!(self.mode, CacheMode::Read | CacheMode::ReadWrite)
    }

    /// Tells whether an answer is kept, and if so, whether in the place of another.
    fn keeps(self) -> Option<Replace> {
        match self.mode {
            CacheMode::Write => Some(Replace(false)),
            // Who looked and asked nevertheless found nothing, or only what is too old by its own limit.
            CacheMode::ReadWrite | CacheMode::Refresh => Some(Replace(true)),
            _ => None,
        }
    }
}

/// Whether an answer takes the place of one that is there.
#[derive(Clone, Copy)]
struct Replace(bool);

#[cfg(test)]
mod tests;
