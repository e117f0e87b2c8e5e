//! Chooses among several keys the one with most room, and rests those that were refused.
//!
//! Under construction: passes every call on.

use async_trait::async_trait;
use motet_core::Result;

use super::{Answer, Call, Layer, LayerRow, Next, Where};

/// Its place among the layers.
pub(super) const ROW: LayerRow = LayerRow {
    name: "key_pool",
    doc: "Chooses among several keys the one with most room, and rests those that were refused.",
    place: Where::Model,
};

/// The layer.
#[derive(Debug, Default)]
pub struct KeyPoolLayer {}

#[async_trait]
impl Layer for KeyPoolLayer {
    fn name(&self) -> &'static str {
        ROW.name
    }

    async fn call(&self, call: Call<'_>, next: Next) -> Result<Answer> {
        next.call(call).await
    }
}
