//! Several processes share one run.

use std::process::Command;
use std::time::Duration;

use super::fixture::{EVERYSEC, check, layers, work};
use crate::redis_server::RedisServer;

/// Names the server and the run to a process that this test starts.
const SHARED: &str = "MOTET_TEST_SHARED_RUN";
const TTL: Duration = Duration::from_millis(500);

#[tokio::test]
async fn four_processes_share_one_run_though_one_is_killed() {
    if let Ok(shared) = std::env::var(SHARED) {
        let (url, run) = shared.split_once(' ').unwrap();
        let store = motet_persistence::open(url).unwrap();
        work(&store, &run.parse().unwrap(), TTL).await;
        return;
    }
    let Some(server) = RedisServer::start(&EVERYSEC) else { return };
    let store = motet_persistence::open(&server.url("a")).unwrap();
    let run = store.submit(layers(50, 20)).await.unwrap();
    let mut processes: Vec<_> = (0..4)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "server::sharing::four_processes_share_one_run_though_one_is_killed"])
                .env(SHARED, format!("{} {run}", server.url("a")))
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    while store.run(&run).await.unwrap().unwrap().summary.done < 100 {
        store.changed(u64::MAX, Duration::from_millis(5)).await;
    }
    processes[0].kill().unwrap();
    for (number, mut process) in processes.into_iter().enumerate() {
        let status = process.wait().unwrap();
        assert!(status.success() || number == 0, "process {number}: {status}");
    }
    check(&store, &run, 1_000).await;
}
