//! `motet provider`: what providers there are, and whether they answer.

use std::time::Duration;

use clap::{ArgMatches, Args, Subcommand};
use futures::future::try_join_all;
use motet::health::HealthStatus;
use motet::providers::layers::key_pool::{KeySnapshot, KeyStatus};
use motet::runtime::ProviderInfo;
use motet::{Health, Result, RunContext};

use super::{Row, arguments, length_of_time};
use crate::context::Context;
use crate::exit::Exit;
use crate::table::table;

pub(super) const ROW: Row = Row { name: "provider", build: Provider::augment_args, run };

/// Shows the providers that models can be named of, and whether they answer
#[derive(Args)]
struct Provider {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Lists providers, what can be asked of them, and whether their keys are set; those that are ready come first
    List {
        /// Only those that can be called with the settings as they are
        #[arg(long)]
        ready: bool,
    },
    /// Asks providers for as little as possible, to see whether they answer and take the key
    ///
    /// Without names, all that are ready are asked, and it is no failure if some do not answer. A provider without a
    /// list of models is only seen to answer: its key is not tried.
    Health {
        /// Names of providers; the command fails if one of them cannot be called
        names: Vec<String>,
        /// How long to wait for each
        #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = length_of_time)]
        timeout: Duration,
    },
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    match arguments::<Provider>(matches)?.action {
        Action::List { ready } => list(&context, ready),
        Action::Health { names, timeout } => health(&context, &names, timeout),
    }
}

fn list(context: &Context, only_ready: bool) -> Result<Exit> {
    let runtime = context.runtime()?;
    let mut providers = runtime.providers();
    providers.extend(runtime.remote_providers()?);
    providers.retain(|provider| provider.ready || !only_ready);
    providers.sort_by_key(|provider| !provider.ready);
    context.printer.data(&providers, || listed(&providers))?;
    Ok(Exit::Success)
}

fn listed(providers: &[ProviderInfo]) -> String {
    let rows = providers.iter().map(|provider| {
        let ready = if provider.ready { "yes" } else { "no" };
        let keys = match provider.keys.as_slice() {
            [] => or_dash(provider.key.as_deref()),
            keys => keys.iter().map(shown).collect::<Vec<_>>().join(" "),
        };
        [
            provider.name.clone(),
            ready.to_owned(),
            keys,
            or_dash(provider.dialect.as_deref()),
            provider.can.join(" "),
            or_dash(provider.base_url.as_deref()),
        ]
    });
    table(["NAME", "READY", "KEY", "DIALECT", "CAN", "ADDRESS"], rows)
}

/// Names a key, and its state where that is not as it should be.
fn shown(key: &KeySnapshot) -> String {
    match key.state {
        KeyStatus::Ready => key.name.clone(),
        state => format!("{}({})", key.name, state.as_str()),
    }
}

fn health(context: &Context, names: &[String], patience: Duration) -> Result<Exit> {
    let runtime = context.runtime()?;
    let remotes: Vec<String> = runtime.remote_configs()?.into_iter().map(|(name, _)| name).collect();
    let (others, models): (Vec<String>, Vec<String>) =
        names.iter().cloned().partition(|name| remotes.contains(name));
    let found = context.block_on(|cancellation| async move {
        let run = RunContext::new().with_cancellation(cancellation);
        let mut found = if names.is_empty() {
            runtime.check_providers(&run, patience).await?
        } else {
            try_join_all(models.iter().map(|name| runtime.check_provider(&run, name, patience))).await?
        };
        if names.is_empty() || !others.is_empty() {
            let remotes = runtime.check_remotes(&run, &others, patience).await;
            runtime.close_connections().await;
            found.extend(remotes?.iter().map(Health::of_remote));
        }
        Ok(found)
    })?;
    context.printer.data(&found, || checked(&found))?;
    for health in found.iter().filter(|health| health.is_ok() && !context.printer.is_json()) {
        for key in health.keys.iter().filter(|key| key.status != HealthStatus::Ok) {
            let message = key.message.as_deref().unwrap_or(key.status.as_str());
            context.printer.note(&format!("warning: {}: key `{}`: {message}", health.provider, key.name));
        }
    }
    if names.is_empty() {
        return Ok(Exit::Success);
    }
    let failing: Vec<&Health> = found.iter().filter(|health| !health.is_ok()).collect();
    for health in failing.iter().filter(|_| !context.printer.is_json()) {
        let message = health.message.as_deref().unwrap_or(health.status.as_str());
        context.printer.problem(&format!("{}: {message}", health.provider), health.hint.as_deref());
    }
    Ok(if failing.is_empty() { Exit::Success } else { Exit::Failed })
}

fn checked(found: &[Health]) -> String {
    let time = |latency: Option<u64>| or_dash(latency.map(|latency| format!("{latency} ms")).as_deref());
    let rows = found.iter().flat_map(|health| {
        let whole = [
            health.provider.clone(),
            health.status.as_str().to_owned(),
            time(health.latency_ms),
            or_dash(health.models.map(|models| models.to_string()).as_deref()),
            health.message.clone().unwrap_or_default(),
        ];
        let keys = health.keys.iter().map(|key| {
            [
                format!("{}/{}", health.provider, key.name),
                key.status.as_str().to_owned(),
                time(key.latency_ms),
                or_dash(None),
                key.message.clone().unwrap_or_default(),
            ]
        });
        std::iter::once(whole).chain(keys.collect::<Vec<_>>())
    });
    table(["NAME", "STATUS", "TIME", "MODELS", ""], rows)
}

fn or_dash(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}
