//! Sends a failed request again where that is safe, within one budget of attempts and time.
//!
//! Under construction: passes every call on.

use async_trait::async_trait;
use motet_core::Result;

use super::{Answer, Call, Layer, LayerRow, Next, Where};

/// Its place among the layers.
pub(super) const ROW: LayerRow = LayerRow {
    name: "retry",
    doc: "Sends a failed request again where that is safe, within one budget of attempts and time.",
    place: Where::Model,
};

/// The layer.
#[derive(Debug, Default)]
pub struct RetryLayer {}

#[async_trait]
impl Layer for RetryLayer {
    fn name(&self) -> &'static str {
        ROW.name
    }

    async fn call(&self, call: Call<'_>, next: Next) -> Result<Answer> {
        next.call(call).await
    }
}
