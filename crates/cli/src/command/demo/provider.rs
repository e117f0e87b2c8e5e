//! `motet demo provider`: a provider on loopback with quotas and faults.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use motet::core::settings::duration;
use motet::providers::simulated::quota::UNLIMITED;
use motet::providers::simulated::{Chance, Counts, Quota, Rules, Server, script};
use motet::{Error, ErrorKind, Result};
use serde::Serialize;
use serde_json::json;

use crate::context::Context;
use crate::exit::Exit;
use crate::table::table;

/// What the provider allows, and what goes wrong with it.
#[derive(Args)]
pub(super) struct Provider {
    /// Port of loopback; a free one where it is 0
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Requests a minute that each key is allowed; no limit where it is left out
    #[arg(long, value_name = "REQUESTS", value_parser = clap::value_parser!(u64).range(1..))]
    requests_per_minute: Option<u64>,
    /// Tokens a minute, input and output together, that each key is allowed; no limit where it is left out
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u64).range(1..))]
    tokens_per_minute: Option<u64>,
    /// Time until an answer begins
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = span)]
    latency: Duration,
    /// Time between two words of a streamed answer
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = span)]
    between: Duration,
    /// Words of an answer
    #[arg(long, default_value_t = 20)]
    words: usize,
    /// File with a JSON list of what goes wrong with which requests
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Share of the requests that something goes wrong with, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    fault_rate: f64,
    /// What chance begins with: the same requests meet the same with the same seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn span(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| error.to_string())
}

fn share(text: &str) -> Result<f64, String> {
    let share: Option<f64> = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "use a number from 0 to 1, such as 0.05".to_owned())
}

pub(super) fn run(context: &Context, args: &Provider) -> Result<Exit> {
    let (rules, printer) = (rules(args)?, context.printer);
    context.block_on(|cancellation| async move {
        let server = Server::start(rules, args.port).await?;
        let url = server.url();
        if printer.is_json() {
            printer.note(&url);
        } else {
            printer.text(&format!("{url}\n"))?;
        }
        printer.note(&format!("try: motet complete Hello --model custom:demo --base-url {url}"));
        printer.note("an interrupt (Ctrl-C) ends it");
        cancellation.cancelled().await;
        let keys: Vec<Key> =
            server.counts().into_iter().map(|(key, counts)| Key { key: shown(&key), counts }).collect();
        printer.data(&json!({"base_url": url, "keys": keys}), || counted(&keys))?;
        Ok(Exit::Success)
    })
}

fn rules(args: &Provider) -> Result<Rules> {
    let mut rules = Rules::new();
    let (requests, tokens) = (args.requests_per_minute, args.tokens_per_minute);
    if requests.is_some() || tokens.is_some() {
        rules.quota = Some(Quota {
            requests_per_minute: requests.unwrap_or(UNLIMITED),
            tokens_per_minute: tokens.unwrap_or(UNLIMITED),
        });
    }
    rules.latency = args.latency;
    rules.between = args.between;
    rules.words = args.words;
    rules.seed = args.seed;
    if let Some(path) = &args.faults {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let message = format!("`{}` cannot be read: {error}", path.display());
            Error::new(ErrorKind::InvalidRequest, message)
        })?;
        script::read(&text, &mut rules)
            .map_err(|error| error.with_context("file", path.display().to_string()))?;
    }
    if args.fault_rate > 0.0 {
        rules.chances.extend(Chance::of_every_kind(args.fault_rate));
    }
    Ok(rules)
}

/// What became of the requests of one key.
#[derive(Serialize)]
struct Key {
    key: String,
    #[serde(flatten)]
    counts: Counts,
}

/// Shows the end of a key that is as long as real ones, which somebody may have sent by mistake.
fn shown(key: &str) -> String {
    const LONG: usize = 12;
    let count = key.chars().count();
    if count < LONG {
        return key.to_owned();
    }
    let end: String = key.chars().skip(count - 4).collect();
    format!("…{end}")
}

fn counted(keys: &[Key]) -> String {
    let rows = keys.iter().map(|Key { key, counts }| {
        let Counts { arrived, answered, too_many, revoked, broken } = counts;
        let numbers = [arrived, answered, too_many, revoked, broken].map(u64::to_string);
        let [arrived, answered, too_many, revoked, broken] = numbers;
        [key.clone(), arrived, answered, too_many, revoked, broken]
    });
    table(["KEY", "REQUESTS", "ANSWERED", "OVER QUOTA", "REVOKED", "BROKEN"], rows)
}
