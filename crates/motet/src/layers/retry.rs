//! The retry layer by the settings.

use std::sync::{Arc, Mutex, PoisonError};

use motet_core::error::Result;
use motet_core::settings::Loaded;
use motet_providers::layers::Layer;
use motet_providers::layers::retry::{Chance, RetryJudge, RetryLayer, Rules};

/// What all models share.
pub(super) struct Parts {
    rules: Rules,
    judge: Mutex<Option<Arc<dyn RetryJudge>>>,
}

impl Parts {
    pub(super) fn new(loaded: &Loaded) -> Result<Self> {
        let settings = &loaded.settings.retry;
        let mut rules = Rules::default();
        rules.min_delay = settings.min_delay;
        rules.max_delay = settings.max_delay;
        rules.multiplier = settings.multiplier;
        rules.on.clone_from(&settings.on);
        rules.recover_streams = settings.recover_streams;
        Ok(Self { rules, judge: Mutex::default() })
    }

    pub(super) fn judge(&self, judge: Arc<dyn RetryJudge>) {
        *self.judge.lock().unwrap_or_else(PoisonError::into_inner) = Some(judge);
    }

    pub(super) fn layer(&self) -> Arc<dyn Layer> {
        let judge = self.judge.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Arc::new(RetryLayer::new(self.rules.clone(), Chance::default(), judge))
    }
}
