//! Leaves a model alone for a while when most of its calls fail.
//!
//! Under construction: passes every call on.

use async_trait::async_trait;
use motet_core::Result;

use super::{Answer, Call, Layer, LayerRow, Next, Where};

/// Its place among the layers.
pub(super) const ROW: LayerRow = LayerRow {
    name: "breaker",
    doc: "Leaves a model alone for a while when most of its calls fail.",
    place: Where::Model,
};

/// The layer.
#[derive(Debug, Default)]
pub struct BreakerLayer {}

#[async_trait]
impl Layer for BreakerLayer {
    fn name(&self) -> &'static str {
        ROW.name
    }

    async fn call(&self, call: Call<'_>, next: Next) -> Result<Answer> {
        next.call(call).await
    }
}
