//! Asks the next model of a list when one fails.
//!
//! Under construction: passes every call on.

use async_trait::async_trait;
use motet_core::Result;

use super::{Answer, Call, Layer, LayerRow, Next, Where};

/// Its place among the layers.
pub(super) const ROW: LayerRow =
    LayerRow { name: "fallback", doc: "Asks the next model of a list when one fails.", place: Where::Call };

/// The layer.
#[derive(Debug, Default)]
pub struct FallbackLayer {}

#[async_trait]
impl Layer for FallbackLayer {
    fn name(&self) -> &'static str {
        ROW.name
    }

    async fn call(&self, call: Call<'_>, next: Next) -> Result<Answer> {
        next.call(call).await
    }
}
