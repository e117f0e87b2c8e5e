//! Reserves what a call may cost at most before it is made, and settles what it did cost.
//!
//! Under construction: passes every call on.

use async_trait::async_trait;
use motet_core::Result;

use super::{Answer, Call, Layer, LayerRow, Next, Where};

/// Its place among the layers.
pub(super) const ROW: LayerRow = LayerRow {
    name: "budget",
    doc: "Reserves what a call may cost at most before it is made, and settles what it did cost.",
    place: Where::Call,
};

/// The layer.
#[derive(Debug, Default)]
pub struct BudgetLayer {}

#[async_trait]
impl Layer for BudgetLayer {
    fn name(&self) -> &'static str {
        ROW.name
    }

    async fn call(&self, call: Call<'_>, next: Next) -> Result<Answer> {
        next.call(call).await
    }
}
