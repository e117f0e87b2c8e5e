//! One of several processes that share a limit: asks for room as often as it gets it and prints when it came.
//!
//! Called as `limited URL REQUESTS_PER_MINUTE BURST MILLISECONDS`; each line is the time that the server granted and the
//! time at which the request could go, in microseconds since 1970.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, ensure};
use motet_core::RunContext;
use motet_core::settings::{Learning, Outage};
use motet_providers::layers::rate_limit::{
    LimitQueue, Limiter as _, Limits, MemoryLimiter, RedisLimiter, RedisServer,
};

/// How many ask at once.
const TASKS: usize = 8;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, per_minute, burst, milliseconds] = arguments.as_slice() else {
        anyhow::bail!("four arguments are needed")
    };
    let limits = Limits::per_minute(Some(per_minute.parse()?), None, Some(burst.parse()?));
    let local = MemoryLimiter::new(Arc::new(LimitQueue::new(limits)), Learning::Off, None);
    let server = RedisServer::new(url, Outage::Fail).ok().context("the URL is wrong")?;
    let limiter = Arc::new(RedisLimiter::new(server, "shared/all", "model", local));
    let end = Instant::now() + Duration::from_millis(milliseconds.parse()?);
    let asking = (0..TASKS).map(|_| tokio::spawn(ask(Arc::clone(&limiter), end)));
    for task in asking.collect::<Vec<_>>() {
        for (granted, went) in task.await?? {
            println!("{granted} {went}");
        }
    }
    Ok(())
}

async fn ask(limiter: Arc<RedisLimiter>, end: Instant) -> anyhow::Result<Vec<(u128, u128)>> {
    let mut all = Vec::new();
    while Instant::now() < end {
        let permit = limiter.admit(&RunContext::new(), 1, "shared").await?;
        let went = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let granted = permit.comes_at();
        ensure!(granted.is_some(), "the server granted nothing");
        all.push((granted.unwrap_or_default().as_micros(), went.as_micros()));
    }
    Ok(all)
}
