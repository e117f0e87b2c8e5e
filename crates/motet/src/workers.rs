//! Workers over the runtime's store: any number of processes may work on the same runs.

use motet_core::error::Result;
use motet_workflows::dag::worker::{Listeners, Worker};

use crate::runtime::Runtime;

/// What a worker does otherwise than the settings say.
#[derive(Default)]
#[non_exhaustive]
pub struct WorkerOptions {
    /// Queues to take tasks from, in the place of `worker.queues`.
    pub queues: Option<Vec<String>>,
    /// How many tasks it runs at once, in the place of `max_parallel_tasks`.
    pub max_parallel_tasks: Option<u32>,
    /// Who hears of the events of each run.
    pub listeners: Option<Listeners>,
}

impl Runtime {
    /// Makes a worker that takes tasks of any run of a workflow.
    ///
    /// # Errors
    /// `Configuration` when the store's URL is wrong; `Store` when it cannot be opened.
    pub async fn worker(&self, options: WorkerOptions) -> Result<Worker> {
        let mut config = self.worker_config();
        config.queues = options.queues.unwrap_or_else(|| self.settings().worker.queues.clone());
        config.max_parallel_tasks = options.max_parallel_tasks.unwrap_or(config.max_parallel_tasks);
        config.host = host();
        let worker = Worker::new(self.store().await?, self.methods(), config);
        Ok(match options.listeners {
            Some(listeners) => worker.with_listeners(listeners),
            None => worker,
        })
    }
}

/// Gives the name of this machine, as far as it can be known.
fn host() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let variable = || ["HOSTNAME", "COMPUTERNAME"].iter().find_map(|name| std::env::var(name).ok());
    let name = kernel.or_else(variable).map(|name| name.trim().to_owned());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}
