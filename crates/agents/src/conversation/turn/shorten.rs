//! Keeps a turn below its limit of tokens: chooses the summary that it goes on from, and has one written.

use std::sync::Arc;

use motet_core::conversation::{Summary, Unsummarised};
use motet_core::run_log::{Step, StepKind};
use motet_core::tool::Effect;
use motet_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::Taking;
use crate::call;
use crate::conversation::compaction::Compaction;
use crate::conversation::kept::Base;

/// Name of the step at which a turn takes down which summary it goes on from.
const VIEW: &str = "view";

/// What came of having the beginning summarised.
enum Tried {
    /// There is nothing that may be summarised.
    Nothing,
    Written(Summary),
    Failed,
}

/// What a turn goes on from, as its step takes it down.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum View {
    /// What the conversation has, as no summary could be written.
    Unsummarised(Unsummarised),
    /// Another summary than the conversation has.
    Summarised(Summary),
}

impl Taking<'_> {
    /// Chooses what the turn goes on from, where it is not just what the conversation has; once in the life of the turn,
    /// as a resumed one must send the same.
    pub(super) async fn choose(
        &self,
        rules: &Compaction,
        base: &Base,
        pending: Option<&Summary>,
    ) -> Result<Option<View>> {
        let tokens = base.tokens(&self.setup.agent, &self.request(base));
        let is_recorded = || self.context.log().lookup(&self.context.key(VIEW)).is_some();
        if pending.is_none() && !rules.is_near(tokens) && !is_recorded() {
            return Ok(None);
        }
        let look = || self.look(rules, base, pending);
        let (kind, effect) = (StepKind::Value, Effect::Pure);
        let step = Step { name: VIEW, kind, request_hash: VIEW, effect, label: VIEW };
        self.context.observe(step, look).await
    }

    async fn look(&self, rules: &Compaction, base: &Base, pending: Option<&Summary>) -> Result<Option<View>> {
        let mut current = base.clone();
        if let Some(pending) = pending {
            current.summarise(pending.clone());
        }
        let pending = pending.cloned().map(View::Summarised);
        let tokens = self.size(&current).await;
        if tokens <= rules.limit_tokens {
            return Ok(pending);
        }
        let failed = if rules.may_try(tokens, &current) {
            match self.summarised(rules, &current).await? {
                Tried::Nothing => return Ok(pending),
                Tried::Written(summary) => return Ok(Some(View::Summarised(summary))),
                Tried::Failed => Some(Unsummarised { tokens, summarised: current.summarised() }),
            }
        } else {
            current.unsummarised
        };
        // What was paid for is worth more than knowing when to try again.
        Ok(pending.or(failed.map(View::Unsummarised)))
    }

    /// Counts what would be sent: by the counter where there is one that can, else by estimate.
    async fn size(&self, base: &Base) -> u64 {
        let request = self.request(base);
        if let Some(counter) = &self.setup.counter
            && let Ok(tokens) = counter.count(&self.context, &request).await
        {
            return tokens;
        }
        base.tokens(&self.setup.agent, &request)
    }

    /// Has the beginning summarised by one model call.
    async fn summarised(&self, rules: &Compaction, base: &Base) -> Result<Tried> {
        let cut = rules.cut(base);
        if cut == 0 {
            return Ok(Tried::Nothing);
        }
        match self.write_summary(rules, base, cut).await {
            Ok(summary) => {
                let count = summary.through;
                self.warn(format!("the first {count} messages are sent as a summary from now on"));
                Ok(Tried::Written(summary))
            }
            Err(error) if error.kind() == ErrorKind::Cancelled || self.context.check().is_err() => Err(error),
            Err(error) => {
                self.warn(format!("the conversation could not be summarised and is sent whole: {error}"));
                Ok(Tried::Failed)
            }
        }
    }

    /// Asks a model for the summary of the first messages.
    pub(super) async fn write_summary(&self, rules: &Compaction, base: &Base, cut: usize) -> Result<Summary> {
        let (id, model) = match &rules.model {
            Some((id, model)) => (id.clone(), Arc::clone(model)),
            None => (self.setup.agent.model().clone(), Arc::clone(&self.setup.model)),
        };
        let request = rules.request(id, base, cut);
        let response = call::chat(&self.context.child("summary"), &*model, &request, "model").await?;
        let text = response.text();
        if text.trim().is_empty() {
            return Err(Error::new(ErrorKind::InvalidOutput, "the model wrote no summary"));
        }
        let through = base.summarised() + u32::try_from(cut).unwrap_or(u32::MAX);
        let mut summary = Summary::new(through, text);
        summary.model = Some(response.model);
        (summary.usage, summary.cost) = (response.usage.unwrap_or_default(), response.cost);
        Ok(summary)
    }

    /// Refuses a turn that the model cannot read, and warns of one that stays beyond the limit.
    pub(super) fn check_size(&self, rules: &Compaction, base: &Base) -> Result<()> {
        let agent = &self.setup.agent;
        let tokens = base.tokens(agent, &self.request(base));
        if let Some(window) = rules.window_tokens.filter(|window| tokens > *window) {
            let message =
                format!("the turn has about {tokens} tokens, and `{}` reads {window} at most", agent.model());
            return Err(Error::new(ErrorKind::TokenLimit, message)
                .with_hint("say less at once, use fewer tools, or a model with a larger window"));
        }
        if tokens > rules.limit_tokens {
            let limit = rules.limit_tokens;
            self.warn(format!("the turn has about {tokens} tokens, more than the limit of {limit}"));
        }
        Ok(())
    }
}
