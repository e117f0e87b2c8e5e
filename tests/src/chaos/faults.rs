//! What is done to workers and to the store's server, and when.

use std::time::Duration;

use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process};

use super::{Chaos, Ground, Herd, LEASE, Numbers, Told, Trouble, torn};

/// The faults of a run.
pub(super) struct Faults {
    numbers: Numbers,
    left: u32,
    has_server: bool,
    rolled_back: bool,
    workers: usize,
    trouble: Option<Trouble>,
}

impl Faults {
    pub(super) fn new(chaos: &Chaos, has_server: bool) -> Self {
        let numbers = Numbers::new(chaos.seed ^ 0xfa017);
        let (left, workers, trouble) = (chaos.faults, chaos.workers, chaos.trouble);
        Self { numbers, left, has_server, rolled_back: false, workers, trouble }
    }

    /// Tells whether the store was set back to an earlier state.
    pub(super) fn rolled_back(&self) -> bool {
        self.rolled_back
    }

    /// Waits a moment and does the next fault; tells whether there was one left.
    pub(super) fn next(&mut self, herd: &mut Herd, ground: &mut Ground<'_>, told: &mut Told) -> Result<bool> {
        let pause = 20 + u64::from(self.numbers.below(100));
        std::thread::sleep(Duration::from_millis(pause));
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        if let Some(trouble) = self.trouble.filter(|_| self.left.is_multiple_of(2)) {
            self.make(trouble, herd, ground, told)?;
            return Ok(true);
        }
        match self.numbers.below(if self.has_server { 8 } else { 6 }) {
            0..=3 => self.kill(herd, ground, told)?,
            4 | 5 => self.halt(herd, ground, told)?,
            6 => {
                let pause = Duration::from_millis(u64::from(50 + self.numbers.below(300)));
                if let Some(server) = &mut ground.server {
                    server.restart(pause)?;
                    told.outages += 1;
                }
            }
            _ => {
                let by = Duration::from_millis(u64::from(100 + self.numbers.below(300)));
                if let Some(server) = &mut ground.server {
                    server.roll_back(by)?;
                    told.outages += 1;
                    self.rolled_back = true;
                }
            }
        }
        Ok(true)
    }

    /// Does the fault of its own that a run has.
    fn make(
        &mut self,
        trouble: Trouble,
        herd: &mut Herd,
        ground: &Ground<'_>,
        told: &mut Told,
    ) -> Result<()> {
        match trouble {
            Trouble::Clock => {
                let hours = i64::from(self.numbers.below(3)) - 1;
                std::fs::write(&herd.clock, (hours * 3_600_000).to_string())?;
                told.jumps += 1;
            }
            Trouble::Disk => {
                if let Some(disk) = ground.disk {
                    disk.fill()?;
                    told.fills += 1;
                    std::thread::sleep(Duration::from_millis(u64::from(100 + self.numbers.below(400))));
                    disk.make_room()?;
                }
            }
            Trouble::Torn => {
                torn::tear(&mut self.numbers, herd, ground, told)?;
                self.rolled_back = true;
                for _ in 0..if ground.is_exclusive { 1 } else { self.workers } {
                    herd.start()?;
                }
            }
        }
        Ok(())
    }

    /// Kills a worker and starts another one in its place.
    fn kill(&mut self, herd: &mut Herd, ground: &Ground<'_>, told: &mut Told) -> Result<()> {
        herd.tend()?;
        if !herd.workers.is_empty() {
            let place = self.numbers.below(u32::try_from(herd.workers.len())?) as usize;
            herd.kill(place)?;
            told.kills += 1;
        }
        if herd.workers.len() < if ground.is_exclusive { 1 } else { self.workers } {
            herd.start()?;
        }
        Ok(())
    }

    /// Halts a worker for longer than its leases hold, so that it comes back as one that others took for dead.
    fn halt(&mut self, herd: &mut Herd, ground: &Ground<'_>, told: &mut Told) -> Result<()> {
        herd.tend()?;
        // Where one process has the store, nobody could take over what it holds.
        if herd.workers.is_empty() || ground.is_exclusive {
            return self.kill(herd, ground, told);
        }
        let place = self.numbers.below(u32::try_from(herd.workers.len())?) as usize;
        let Some(worker) = herd.workers.get(place) else { return Ok(()) };
        let Some(pid) = Pid::from_raw(i32::try_from(worker.id())?) else { return Ok(()) };
        kill_process(pid, Signal::STOP)?;
        std::thread::sleep(LEASE.mul_f64(1.5 + f64::from(self.numbers.below(10)) / 10.0));
        kill_process(pid, Signal::CONT)?;
        told.halts += 1;
        Ok(())
    }
}
