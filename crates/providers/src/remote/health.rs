//! Looks at instances now and then, so that one that failed is called again once it is there again.

use std::sync::{Arc, Weak};

use motet_core::{Result, RunContext};
use tokio::time::{Instant, MissedTickBehavior};

use super::HealthConfig;
use super::instance::Instance;
use crate::rpc::Address;

/// Looks in a row that a program may fail before it is ended, so that the next look starts it anew.
const LOOKS: u32 = 3;

/// Looks at an instance for as long as somebody holds it.
pub(super) fn watch(instance: &Arc<Instance>, config: HealthConfig) {
    let instance = Arc::downgrade(instance);
    tokio::spawn(go_on_looking(instance, config));
}

async fn go_on_looking(instance: Weak<Instance>, config: HealthConfig) {
    let context = RunContext::new();
    let mut ticks = tokio::time::interval(config.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(instance) = instance.upgrade() else { return };
        look(&instance, &context, &config).await;
    }
}

/// Looks at an instance once. A program that is at work is left alone: one that answers one call at a time would not answer
/// the look, and is no worse for it.
pub(super) async fn look(instance: &Instance, context: &RunContext, config: &HealthConfig) {
    let is_program = matches!(instance.client().address(), Address::Stdio { .. });
    if is_program && instance.under_way() > 0 {
        return;
    }
    let begun = Instant::now();
    let found: Result<()> = match &config.method {
        Some(method) => instance.client().probe(context, method, config.timeout).await,
        None => instance.client().look(context, config.path.as_deref(), config.timeout).await,
    };
    // A call may have come meanwhile; then it shows by itself how the program does.
    if context.check().is_err() || (is_program && instance.under_way() > 0) {
        return;
    }
    instance.looked(&found, begun.elapsed());
    if is_program && instance.has_failed_again(LOOKS) && instance.under_way() == 0 {
        // No call goes to it any more, so that nothing but this would ever end a program that hangs.
        instance.client().close().await;
    }
}
