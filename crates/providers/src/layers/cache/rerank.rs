//! Rankings, which are kept whole.

use std::sync::Arc;

use motet_core::rerank::RerankResponse;
use motet_core::{Cost, Result, StreamEvent, Usage};

use super::kept::Kept;
use super::lookup::Found;
use super::{Key, Scope, Use};
use crate::layers::{Answer, Ask, Call, Next};

impl Use<'_> {
    pub(super) async fn rerank(self, scope: &Scope, call: Call<'_>, next: Next) -> Result<Answer> {
        let Ask::Rerank(request) = &call.ask else { return next.call(call).await };
        let key = Key::of_ranking(request, scope)?;
        let duty = match self.look(key, &call).await? {
            Found::Kept(Kept::Ranking(response)) => {
                call.context.emit(&StreamEvent::CacheHit { key: key.to_string() });
                // Nothing was used, and a ranking has no other place to tell so.
                let mut given = RerankResponse::clone(&response);
                given.usage = given.usage.map(|_| Usage::default());
                given.cost = given.cost.map(|_| Cost::ZERO);
                return Ok(Answer::Ranking(given));
            }
            // Keys tell what was asked for, so nothing else is ever found.
            Found::Kept(_) => return next.call(call).await,
            Found::Ask(duty) => duty,
        };
        let context = call.context.clone();
        match next.call(call).await {
            Ok(Answer::Ranking(response)) => {
                duty.done(Kept::Ranking(Arc::new(response.clone())), true, &context).await;
                Ok(Answer::Ranking(response))
            }
            other => {
                duty.give_up().await;
                other
            }
        }
    }
}
