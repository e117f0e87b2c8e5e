//! Providers of methods that are other programs: which there are, how each does, and which instance takes a call.
//!
//! A call goes to the instance that is healthy, whose circuit lets it through, and that has the fewest calls under way. Knows
//! no workflow and reads no settings file.

mod config;
mod health;
mod instance;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use motet_core::rpc::Params;
use motet_core::{Error, ErrorKind, Result, Retry, RunContext};
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

pub use config::{HealthConfig, InstanceConfig, RemoteConfig, Transport};
pub use instance::InstanceSnapshot;

use crate::layers::breaker;
use crate::mcp::Variables;
use instance::Instance;

/// A provider and its instances; cheap to clone, and its connections are closed with its last clone.
#[derive(Clone)]
pub struct RemoteProvider(Arc<Shared>);

struct Shared {
    name: String,
    config: RemoteConfig,
    instances: Vec<Arc<Instance>>,
    /// Where the search begins among instances that are equally busy.
    turn: AtomicUsize,
}

/// How a provider does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RemoteSnapshot {
    /// Its name.
    pub name: String,
    /// How it is reached: `http` or `stdio`.
    pub transport: &'static str,
    /// The methods that it takes, as tasks write them.
    pub methods: Vec<String>,
    /// Its instances.
    pub instances: Vec<InstanceSnapshot>,
}

impl RemoteSnapshot {
    /// Tells whether one of its instances takes calls.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.instances.iter().any(|instance| instance.healthy)
    }
}

impl fmt::Debug for RemoteProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteProvider").field("name", &self.0.name).finish_non_exhaustive()
    }
}

impl RemoteProvider {
    /// Makes a provider; nothing is connected to before its first call. `${NAME}` in headers and environments takes a
    /// variable. Must be called inside a tokio runtime where the configuration asks for looks at its health.
    ///
    /// # Errors
    /// `Configuration` when the configuration cannot be used.
    pub fn new(
        name: &str,
        config: RemoteConfig,
        limits: breaker::Limits,
        variables: &Variables<'_>,
    ) -> Result<Self> {
        let addresses = config.addresses(name, variables)?;
        let several = addresses.len() > 1;
        let instances = addresses.into_iter().enumerate().map(|(place, address)| {
            let called = if several { format!("{name}[{place}]") } else { name.to_owned() };
            Ok(Arc::new(Instance::new(&called, address, limits)?))
        });
        let instances = instances.collect::<Result<Vec<_>>>()?;
        if let Some(health) = &config.health {
            for instance in &instances {
                health::watch(instance, health.clone());
            }
        }
        Ok(Self(Arc::new(Shared { name: name.to_owned(), config, instances, turn: AtomicUsize::new(0) })))
    }

    /// Gives its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Gives its configuration.
    #[must_use]
    pub fn config(&self) -> &RemoteConfig {
        &self.0.config
    }

    /// Calls a method, by the name that tasks write.
    ///
    /// Another instance is asked only where the call certainly did not reach the one before.
    ///
    /// # Errors
    /// `Overloaded` when no instance takes calls now, and what the call came to otherwise.
    pub async fn call(&self, context: &RunContext, method: &str, params: Option<Params>) -> Result<Value> {
        let sent = self.0.config.sent_name(&self.0.name, method);
        let mut tried = Vec::new();
        let mut last = None;
        while let Some((place, lease)) = self.choose(&tried) {
            tried.push(place);
            match lease.call(context, sent, params.clone(), self.0.config.timeout).await {
                Err(error) if error.is_unsent() && error.kind() == ErrorKind::Connection => {
                    last = Some(error)
                }
                ended => return ended,
            }
        }
        Err(last.unwrap_or_else(|| self.nobody()))
    }

    /// Looks at every instance now, and gives how the provider does.
    ///
    /// # Errors
    /// `Cancelled`; what is wrong with an instance stands in the answer.
    pub async fn check(&self, context: &RunContext, patience: std::time::Duration) -> Result<RemoteSnapshot> {
        let own = HealthConfig { timeout: patience, ..HealthConfig::default() };
        let config =
            self.0.config.health.clone().map_or(own, |health| HealthConfig { timeout: patience, ..health });
        let looks = self.0.instances.iter().map(|instance| health::look(instance, context, &config));
        futures::future::join_all(looks).await;
        context.check()?;
        Ok(self.snapshot())
    }

    /// Tells how it does, as far as that is known.
    #[must_use]
    pub fn snapshot(&self) -> RemoteSnapshot {
        let now = Instant::now();
        RemoteSnapshot {
            name: self.0.name.clone(),
            transport: self.0.config.transport.as_str(),
            methods: self.0.config.shown_methods(&self.0.name),
            instances: self.0.instances.iter().map(|instance| instance.snapshot(now)).collect(),
        }
    }

    /// Takes leave of all instances.
    pub async fn close(&self) {
        futures::future::join_all(self.0.instances.iter().map(|instance| instance.client().close())).await;
    }

    /// Chooses among the instances that were not tried yet: healthy, let through, and with the fewest calls under way.
    fn choose(&self, tried: &[usize]) -> Option<(usize, instance::Lease)> {
        let count = self.0.instances.len();
        let first = self.0.turn.fetch_add(1, Ordering::Relaxed);
        let places = (0..count).map(|step| first.wrapping_add(step) % count.max(1));
        let mut open: Vec<(usize, &Arc<Instance>)> = places
            .filter(|place| !tried.contains(place))
            .filter_map(|place| Some((place, self.0.instances.get(place)?)))
            .filter(|(_, instance)| instance.is_healthy())
            .collect();
        open.sort_by_key(|(_, instance)| instance.under_way());
        open.into_iter().find_map(|(place, instance)| Some((place, Instance::lease(instance)?)))
    }

    fn nobody(&self) -> Error {
        let snapshot = self.snapshot();
        let states: Vec<String> = snapshot
            .instances
            .iter()
            .map(|instance| {
                let why = instance.error.as_deref().map_or_else(String::new, |error| format!(": {error}"));
                format!("{} is {}{why}", instance.address, instance.state())
            })
            .collect();
        let message = format!("no instance of `{}` takes calls now: {}", self.0.name, states.join("; "));
        Error::new(ErrorKind::Overloaded, message)
            .with_retry(Retry::Backoff)
            .with_unsent()
            .with_provider(self.0.name.clone())
    }
}
