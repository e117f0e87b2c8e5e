//! Gives a kept answer to the same request again, and asks only once for requests made at once.
//!
//! Under construction: passes every call on.

use async_trait::async_trait;
use motet_core::Result;

use super::{Answer, Call, Layer, LayerRow, Next, Where};

/// Its place among the layers.
pub(super) const ROW: LayerRow = LayerRow {
    name: "cache",
    doc: "Gives a kept answer to the same request again, and asks only once for requests made at once.",
    place: Where::Call,
};

/// The layer.
#[derive(Debug, Default)]
pub struct CacheLayer {}

#[async_trait]
impl Layer for CacheLayer {
    fn name(&self) -> &'static str {
        ROW.name
    }

    async fn call(&self, call: Call<'_>, next: Next) -> Result<Answer> {
        next.call(call).await
    }
}
