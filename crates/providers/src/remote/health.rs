//! Looks at instances now and then, so that one that failed is called again once it is there again.

use std::sync::{Arc, Weak};

use motet_core::{Result, RunContext};
use tokio::time::{Instant, MissedTickBehavior};

use super::HealthConfig;
use super::instance::Instance;

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

/// Looks at an instance once.
pub(super) async fn look(instance: &Instance, context: &RunContext, config: &HealthConfig) {
    let begun = Instant::now();
    let found: Result<()> = match &config.method {
        Some(method) => instance.client().call(context, method, None, config.timeout).await.map(drop),
        None => instance.client().look(context, config.path.as_deref(), config.timeout).await,
    };
    if context.check().is_ok() {
        instance.looked(&found, begun.elapsed());
    }
}
