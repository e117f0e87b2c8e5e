//! Whether a provider answers, and what to do where it does not.

use std::time::Duration;

use motet_core::error::{Error, ErrorKind, Retry};
use motet_providers::remote::RemoteSnapshot;
use serde::Serialize;

/// How a provider does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// The provider's name.
    pub provider: String,
    /// How it does, in a word.
    pub status: HealthStatus,
    /// Milliseconds until the answer was there or was given up; `None` where nothing was sent.
    pub latency_ms: Option<u64>,
    /// Models that its answer showed; `None` where it shows none. A long list counts by its first page.
    pub models: Option<usize>,
    /// What is wrong.
    pub message: Option<String>,
    /// What can be done about it.
    pub hint: Option<String>,
    /// How each of its keys does, where it has several; it does as the best of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyHealth>,
}

/// How a provider does with one of its keys.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct KeyHealth {
    /// The key's name, never the key itself.
    pub name: String,
    /// How it does, in a word.
    pub status: HealthStatus,
    /// Milliseconds until the answer was there or was given up; `None` where nothing was sent.
    pub latency_ms: Option<u64>,
    /// What is wrong.
    pub message: Option<String>,
    /// What can be done about it.
    pub hint: Option<String>,
}

/// How a provider does, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HealthStatus {
    /// It answers.
    Ok,
    /// Its key is not set; nothing was sent.
    MissingKey,
    /// It answers, but refuses the key.
    KeyRefused,
    /// It cannot be reached, or did not answer in time.
    Unreachable,
    /// No secure connection can be made.
    Tls,
    /// Its settings are not complete; nothing was sent.
    NotConfigured,
    /// It answers something else than it should.
    Failing,
}

impl HealthStatus {
    /// Gives the status for what went wrong.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Authentication | ErrorKind::Permission => HealthStatus::KeyRefused,
            // A connection that cannot be made later either is one whose encryption does not come about.
            ErrorKind::Connection if error.retry() == Retry::Never => HealthStatus::Tls,
            ErrorKind::Connection => HealthStatus::Unreachable,
            ErrorKind::Timeout if error.status().is_none() => HealthStatus::Unreachable,
            ErrorKind::Configuration => HealthStatus::NotConfigured,
            _ => HealthStatus::Failing,
        }
    }

    /// Gives the word for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            HealthStatus::Ok => "ok",
            HealthStatus::MissingKey => "no key",
            HealthStatus::KeyRefused => "key refused",
            HealthStatus::Unreachable => "unreachable",
            HealthStatus::Tls => "no TLS",
            HealthStatus::NotConfigured => "not configured",
            HealthStatus::Failing => "failing",
        }
    }
}

impl Health {
    /// Tells whether the provider can be called.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.status == HealthStatus::Ok
    }

    /// Puts together how the instances of a remote provider do; they stand in the place of keys, by their addresses.
    #[must_use]
    pub fn of_remote(remote: &RemoteSnapshot) -> Self {
        let is_ready = remote.is_ready();
        let status = |healthy| if healthy { HealthStatus::Ok } else { HealthStatus::Unreachable };
        let message = remote.instances.iter().find_map(|instance| instance.error.clone());
        Self {
            provider: remote.name.clone(),
            status: status(is_ready),
            latency_ms: remote.instances.iter().filter_map(|instance| instance.latency_ms).min(),
            models: None,
            message: message.filter(|_| !is_ready),
            hint: (!is_ready).then(|| "look whether it runs, and whether its address is right".to_owned()),
            keys: remote
                .instances
                .iter()
                .filter(|_| remote.instances.len() > 1)
                .map(|instance| KeyHealth {
                    name: instance.address.clone(),
                    status: status(instance.healthy),
                    latency_ms: instance.latency_ms,
                    message: instance.error.clone(),
                    hint: None,
                })
                .collect(),
        }
    }

    pub(crate) fn works(provider: &str, took: Duration, models: Option<usize>) -> Self {
        let latency_ms = Some(milliseconds(took));
        let status = HealthStatus::Ok;
        let provider = provider.to_owned();
        Self { provider, status, latency_ms, models, message: None, hint: None, keys: Vec::new() }
    }

    /// Puts together how a provider does with each of its keys, by their names.
    pub(crate) fn of_keys(found: Vec<(String, Self)>) -> Option<Self> {
        let keys = found.iter().map(|(name, health)| KeyHealth {
            name: name.clone(),
            status: health.status,
            latency_ms: health.latency_ms,
            message: health.message.clone(),
            hint: health.hint.clone(),
        });
        let keys = keys.collect();
        let best = found
            .into_iter()
            .map(|(_, health)| health)
            .reduce(|best, other| if other.is_ok() && !best.is_ok() { other } else { best });
        best.map(|best| Self { keys, ..best })
    }

    pub(crate) fn fails(
        provider: &str,
        status: HealthStatus,
        took: Option<Duration>,
        error: Option<&Error>,
    ) -> Self {
        Self {
            provider: provider.to_owned(),
            status,
            latency_ms: took.map(milliseconds),
            models: None,
            message: error.map(ToString::to_string),
            hint: error.and_then(|error| error.hint().map(str::to_owned)),
            keys: Vec::new(),
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
