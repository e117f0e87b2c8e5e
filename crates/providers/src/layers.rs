//! Behaviour around every call: one file and one row each, in one order that is written down here and tested.
//!
//! A layer sees what is asked, chat, vectors, or a ranking, before it goes on, and what came of it afterwards. No provider
//! file knows a layer.

pub mod breaker;
pub mod budget;
pub mod cache;
pub mod call;
pub mod ending;
pub mod fallback;
mod held_back;
pub mod key_pool;
mod lent;
pub mod rate_limit;
mod recovery;
pub mod retry;
pub mod stack;
pub mod trace;
#[cfg(test)]
mod trial;

use async_trait::async_trait;
use motet_core::Result;

#[cfg(test)]
mod tests;

pub use call::{Answer, Ask, Bottom, Call, Chain, Next};
pub use ending::{Ending, Endings, Outcome, Tally};
pub use lent::Lent;
pub use stack::{Place, Stack};

/// One behaviour around every call.
#[async_trait]
pub trait Layer: Send + Sync {
    /// Gives the name of its row, or one of the user's own.
    fn name(&self) -> &'static str;

    /// Tells whether a call goes on as if the layer were not there; asked first, as that costs much less than to send
    /// it on.
    fn lets_pass(&self, _call: &Call<'_>) -> bool {
        false
    }

    /// Sends a call on, or answers it otherwise.
    ///
    /// What has to be known of the end of the answer, which for a stream comes later, is asked for by
    /// [`Call::on_end`]; a layer wraps the stream only where it changes it.
    ///
    /// # Errors
    /// Whatever keeps the answer from starting.
    async fn call(&self, call: Call<'_>, next: Next) -> Result<Answer>;
}

/// A layer as users see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerRow {
    /// Its name.
    pub name: &'static str,
    /// One line about it.
    pub doc: &'static str,
    /// Who performs it.
    pub place: Where,
}

/// Who performs a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// Whoever calls models as steps of a run, so that the step's name is known.
    Caller,
    /// The stack, once for the whole logical call.
    Call,
    /// The stack, once for every model that is asked.
    Model,
    /// The stack, once for every key.
    Key,
    /// The driver, which alone sees bytes.
    Driver,
}

/// Every layer, outermost first.
pub const ROWS: &[LayerRow] = &[
    LayerRow {
        name: "run_log",
        doc: "Records the call as a step of the run, and gives a recorded answer back.",
        place: Where::Caller,
    },
    budget::ROW,
    cache::ROW,
    fallback::ROW,
    retry::ROW,
    breaker::ROW,
    key_pool::ROW,
    rate_limit::ROW,
    LayerRow {
        name: "timeout",
        doc: "Limits the time to connect, to the first byte, between pieces, and in all.",
        place: Where::Driver,
    },
    trace::ROW,
];
