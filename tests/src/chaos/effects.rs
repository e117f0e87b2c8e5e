//! What workers did outside of the store, as lines of a file that all of them append to: their order is the order in time.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// One thing that a worker did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// It began an attempt at a task.
    Begun {
        /// The task.
        task: String,
    },
    /// It paid for a step of a task.
    Paid {
        /// The task.
        task: String,
        /// What it got, another one each time.
        receipt: String,
    },
    /// It failed as it was told to.
    Failed {
        /// The task.
        task: String,
    },
}

impl Effect {
    /// Appends it in one write, so that lines of several processes do not mix.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append(&self, path: &Path) -> std::io::Result<()> {
        let line = match self {
            Effect::Begun { task } => format!("begun {task} -\n"),
            Effect::Paid { task, receipt } => format!("paid {task} {receipt}\n"),
            Effect::Failed { task } => format!("failed {task} -\n"),
        };
        OpenOptions::new().append(true).create(true).open(path)?.write_all(line.as_bytes())
    }
}

/// Everything that all workers did, in order.
#[derive(Debug, Clone, Default)]
pub struct Effects(Vec<Effect>);

impl Effects {
    /// Reads a file of effects.
    ///
    /// # Errors
    /// When it cannot be read, or holds a line that is none.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)?;
        text.lines().map(parse).collect::<Result<_>>().map(Self)
    }

    /// Gives the tasks of all attempts, in the order begun.
    pub fn begun(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|effect| match effect {
            Effect::Begun { task } => Some(task.as_str()),
            _ => None,
        })
    }

    /// Gives what was paid for a task, in order.
    pub fn receipts<'a>(&'a self, wanted: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter_map(move |effect| match effect {
            Effect::Paid { task, receipt } if task == wanted => Some(receipt.as_str()),
            _ => None,
        })
    }

    /// Counts payments for a task after the one of this receipt, and attempts that had begun before it and not paid: one of
    /// these may still pay, when its worker was halted and comes back, though what it got is recorded by nobody.
    #[must_use]
    pub fn after(&self, wanted: &str, of: &str) -> (usize, usize) {
        let (mut begun, mut paid, mut late, mut seen) = (0_usize, 0, 0, false);
        for effect in &self.0 {
            match effect {
                Effect::Begun { task } if task == wanted && !seen => begun += 1,
                Effect::Paid { task, .. } if task == wanted && seen => late += 1,
                Effect::Paid { task, receipt } if task == wanted => {
                    paid += 1;
                    seen = receipt == of;
                }
                _ => {}
            }
        }
        (late, begun.saturating_sub(paid))
    }

    /// Counts how often a task failed as it was told to.
    #[must_use]
    pub fn failures(&self, wanted: &str) -> usize {
        self.0.iter().filter(|effect| matches!(effect, Effect::Failed { task } if task == wanted)).count()
    }
}

fn parse(line: &str) -> Result<Effect> {
    let mut words = line.split(' ');
    let (kind, task, receipt) = (words.next(), words.next(), words.next());
    let task = task.with_context(|| format!("`{line}` is no effect"))?.to_owned();
    match (kind, receipt) {
        (Some("begun"), _) => Ok(Effect::Begun { task }),
        (Some("failed"), _) => Ok(Effect::Failed { task }),
        (Some("paid"), Some(receipt)) => Ok(Effect::Paid { task, receipt: receipt.to_owned() }),
        _ => anyhow::bail!("`{line}` is no effect"),
    }
}
