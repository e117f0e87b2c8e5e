//! The budget layer by the settings.

mod books;

use std::sync::{Arc, Weak};
use std::time::Duration;

use motet_core::ModelId;
use motet_core::budget::{BookLimit, Limits, MemoryBudget, SharedBudget};
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::id::Millis;
use motet_core::settings::{Loaded, Settings};
use motet_core::{RunContext, settings};
use motet_providers::layers::Layer;
use motet_providers::layers::budget::bound::Candidate;
use motet_providers::layers::budget::{BudgetLayer, Budgets};

use self::books::StoreBudget;
use super::{Layers, Task};
use crate::lazy_store::LazyStore;
use crate::models::Table;

/// Time that a reservation outlives the longest call, for the writing of what it cost.
const GRACE: Duration = Duration::from_secs(60);

/// What all models share.
pub(super) struct Parts {
    budgets: Option<Arc<Configured>>,
    unknown_price: settings::UnknownPrice,
    fallbacks: Vec<ModelId>,
}

impl Parts {
    pub(super) fn new(loaded: &Loaded, store: &LazyStore) -> Result<Self> {
        let settings = &loaded.settings;
        Ok(Self {
            budgets: Configured::new(settings, store).map(Arc::new),
            unknown_price: settings.budget.unknown_price,
            fallbacks: settings.fallback.models.clone(),
        })
    }

    /// Gives the layer of a model; it is there also where nothing is configured, as contexts may bring budgets along.
    pub(super) fn layer(&self, layers: &Layers, id: &ModelId, task: Task) -> Arc<dyn Layer> {
        let fallbacks = if task == Task::Chat { self.fallbacks.clone() } else { Vec::new() };
        let (table, id) = (Weak::clone(&layers.table), id.clone());
        let candidates = move || {
            let reachable = std::iter::once(&id).chain(&fallbacks);
            reachable.map(|model| candidate(&table, model)).collect()
        };
        let mut layer = BudgetLayer::new(candidates).with_unknown_price(self.unknown_price);
        if let Some(budgets) = &self.budgets {
            layer = layer.with_budgets(Arc::clone(budgets) as Arc<dyn Budgets>);
        }
        Arc::new(layer)
    }
}

fn candidate(table: &Weak<Table>, model: &ModelId) -> Candidate {
    match table.upgrade() {
        Some(table) => table.candidate(model),
        None => Candidate::new(model.clone(), None),
    }
}

/// The budgets that the settings name.
#[derive(Debug)]
struct Configured {
    run: Limits,
    run_time: Option<Duration>,
    tenant: Option<String>,
    tenant_limits: Limits,
    day: Limits,
    store: LazyStore,
    lease: Duration,
}

impl Configured {
    /// Gives the budgets; `None` where the settings name none.
    fn new(settings: &Settings, store: &LazyStore) -> Option<Self> {
        let budget = &settings.budget;
        let limits = |cost, tokens: Option<u32>| Limits { cost, tokens: tokens.map(u64::from) };
        let configured = Self {
            run: limits(budget.run_cost, budget.run_tokens),
            run_time: budget.run_time,
            tenant: budget.tenant.clone(),
            tenant_limits: limits(budget.tenant_cost, budget.tenant_tokens),
            day: limits(budget.day_cost, budget.day_tokens),
            store: store.clone(),
            lease: settings.request.timeout.saturating_add(settings.retry.max_time).saturating_add(GRACE),
        };
        let limited = [&configured.run, &configured.tenant_limits, &configured.day];
        let any = limited.into_iter().any(|limits| !limits.is_empty()) || configured.run_time.is_some();
        any.then_some(configured)
    }

    /// Gives the books in the store that hold for a call, with their limits.
    fn books(&self, context: &RunContext) -> Result<Vec<BookLimit>> {
        let mut books = Vec::new();
        if !self.tenant_limits.is_empty() {
            let tenant =
                context.attribution().tenant.as_ref().or(self.tenant.as_ref()).ok_or_else(no_tenant)?;
            books.push(BookLimit { book: format!("tenant {tenant}"), limits: self.tenant_limits });
        }
        if !self.day.is_empty() {
            let now = Millis::now().to_string();
            let date = now.split('T').next().unwrap_or_default();
            books.push(BookLimit { book: format!("day {date}"), limits: self.day });
        }
        Ok(books)
    }
}

impl Budgets for Configured {
    fn of(&self, context: &RunContext) -> Result<Vec<SharedBudget>> {
        let mut budgets: Vec<SharedBudget> = Vec::new();
        if !self.run.is_empty() {
            let run = MemoryBudget::of("run", self.run, Arc::clone(context.ledger()));
            // The layer has judged by the settings.
            budgets.push(Arc::new(run.with_unknown_price(settings::UnknownPrice::Warn)));
        }
        let books = self.books(context)?;
        if !books.is_empty() {
            budgets.push(Arc::new(StoreBudget::new(self.store.clone(), books, self.lease)));
        }
        Ok(budgets)
    }

    fn limit_money(&self) -> bool {
        [&self.run, &self.tenant_limits, &self.day].into_iter().any(|limits| limits.cost.is_some())
    }

    fn run_time(&self) -> Option<Duration> {
        self.run_time
    }
}

fn no_tenant() -> Error {
    Error::new(ErrorKind::Configuration, "a tenant's budget holds, but no tenant is named")
        .with_hint("set `budget.tenant`, or name the tenant in the context's attribution")
        .with_unsent()
}
