//! Opens a tracing span for every request that is sent.
//!
//! Under construction: passes every call on.

use async_trait::async_trait;
use motet_core::Result;

use super::{Answer, Call, Layer, LayerRow, Next, Where};

/// Its place among the layers.
pub(super) const ROW: LayerRow = LayerRow {
    name: "trace",
    doc: "Opens a tracing span for every request that is sent.",
    place: Where::Key,
};

/// The layer.
#[derive(Debug, Default)]
pub struct TraceLayer {}

#[async_trait]
impl Layer for TraceLayer {
    fn name(&self) -> &'static str {
        ROW.name
    }

    async fn call(&self, call: Call<'_>, next: Next) -> Result<Answer> {
        next.call(call).await
    }
}
