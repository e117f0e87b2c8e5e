//! Finds a child's processes in `/proc`.
//!
//! Reads the environment of a process once only; blocks for as long as listing `/proc` takes.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;

use rustix::process::{Pid, Signal, kill_process};

use super::Breach;
use crate::python::request::Limits;

/// Whether looking again and again can find anything.
pub(super) const SEES: bool = true;
/// What interpreters and libraries take besides data, so that one process meets its own limit, which it can report,
/// before the watch ends it.
const CODE_BYTES: u64 = 64 << 20;
/// `PF_KTHREAD` of the kernel's process flags.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// The processes of one child, as far as they were seen.
#[derive(Debug)]
pub(super) struct Scan {
    group: Option<i32>,
    marker: Vec<u8>,
    /// Processes known not to belong to the child.
    strangers: HashSet<i32>,
    /// Processes seen to belong to it, with their start time: those stay its own whatever they become.
    members: HashMap<i32, u64>,
}

/// A line of `/proc/<pid>/stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    id: i32,
    parent: i32,
    group: i32,
    session: i32,
    kernel: bool,
    started: u64,
    resident_pages: u64,
}

impl Scan {
    pub(super) fn new(group: Option<i32>, marker: &str, strangers: HashSet<i32>) -> Self {
        let marker = format!("MOTET_TASK={marker}").into_bytes();
        Self { group, marker, strangers, members: HashMap::new() }
    }

    /// Tells whether the child uses more than it may.
    pub(super) fn breach(&mut self, limits: &Limits) -> Option<Breach> {
        let most = usize::try_from(limits.max_processes).unwrap_or(usize::MAX);
        let mut family = Vec::new();
        // The leader, which only watches for the end of the engine, is not counted. Of a family that grows without
        // bound no more is looked at than it takes to say so: whoever counts it to its end comes too late.
        self.visit(|process| {
            family.push(process.clone());
            family.len() <= most.saturating_add(1)
        });
        if family.iter().filter(|process| Some(process.id) != self.group).count() > most {
            return Some(Breach::Processes);
        }
        let most = limits.memory_bytes.saturating_add(CODE_BYTES);
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
        let resident = |process: &Process| process.resident_pages.saturating_mul(page);
        let exact = |process: &Process| share(process.id).unwrap_or_else(|| resident(process));
        // Resident memory counts shared pages in each process; the exact share costs more to find out.
        let over =
            family.iter().map(resident).sum::<u64>() > most && family.iter().map(exact).sum::<u64>() > most;
        over.then_some(Breach::Memory)
    }

    /// Sends the kill signal to all that belongs to the child; gives how many there still were.
    pub(super) fn kill(&mut self) -> usize {
        let mut killed = 0;
        self.visit(|process| {
            killed += 1;
            if let Some(id) = Pid::from_raw(process.id) {
                // An error means that it ended meanwhile.
                kill_process(id, Signal::KILL).ok();
            }
            true
        });
        killed
    }

    /// Shows every process of the child as soon as it is found, until told to stop.
    fn visit(&mut self, mut show: impl FnMut(&Process) -> bool) {
        let listed: HashSet<i32> = running().into_iter().collect();
        self.strangers.retain(|id| listed.contains(id));
        self.members.retain(|id, _| listed.contains(id));
        let mut others = Vec::new();
        for id in listed {
            if self.strangers.contains(&id) {
                continue;
            }
            let Some(process) = Process::read(id) else { continue };
            if !self.is_member(&process) {
                others.push(process);
            } else if !self.admit(&process, &mut show) {
                return;
            }
        }
        loop {
            let (children, rest): (Vec<_>, Vec<_>) =
                others.into_iter().partition(|process| self.members.contains_key(&process.parent));
            others = rest;
            if children.is_empty() {
                break;
            }
            if !children.iter().all(|process| self.admit(process, &mut show)) {
                return;
            }
        }
        for process in others {
            match environment(process.id) {
                Ok(bytes) if self.carries_marker(&bytes) => {
                    if !self.admit(&process, &mut show) {
                        return;
                    }
                }
                // Empty while a process is between two programs: it is looked at again.
                Ok(bytes) if bytes.is_empty() && !process.kernel => {}
                _ => {
                    self.strangers.insert(process.id);
                }
            }
        }
    }

    fn admit(&mut self, process: &Process, show: &mut impl FnMut(&Process) -> bool) -> bool {
        self.members.insert(process.id, process.started);
        show(process)
    }

    fn is_member(&self, process: &Process) -> bool {
        self.group.is_some_and(|group| process.group == group || process.session == group)
            || self.members.get(&process.id) == Some(&process.started)
    }

    fn carries_marker(&self, environment: &[u8]) -> bool {
        environment.split(|byte| *byte == 0).any(|variable| variable == self.marker)
    }
}

impl Process {
    /// Reads a process; `None` when it is gone or dead and only waits to be reaped.
    fn read(id: i32) -> Option<Self> {
        Self::parse(id, &fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
    }

    fn parse(id: i32, stat: &str) -> Option<Self> {
        // The name before it may contain blanks and parentheses.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split_ascii_whitespace().collect();
        let signed = |index: usize| fields.get(index)?.parse::<i32>().ok();
        let unsigned = |index: usize| fields.get(index)?.parse::<u64>().ok();
        if matches!(*fields.first()?, "Z" | "X" | "x") {
            return None;
        }
        Some(Self {
            id,
            parent: signed(1)?,
            group: signed(2)?,
            session: signed(3)?,
            kernel: unsigned(6)? & KERNEL_THREAD != 0,
            started: unsigned(19)?,
            resident_pages: unsigned(21)?,
        })
    }
}

/// Lists the ids of all processes.
pub(super) fn running() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

fn environment(id: i32) -> io::Result<Vec<u8>> {
    fs::read(format!("/proc/{id}/environ"))
}

/// Gives the memory of a process with shared pages divided among those that share them.
fn share(id: i32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name_is() {
        let stat = "7 (a) b (c) S 3 5 6 0 -1 4194304 102 0 0 0 0 0 0 0 20 0 1 0 209280 3133440 390 18446744073709551615";
        let expected = Process {
            id: 7,
            parent: 3,
            group: 5,
            session: 6,
            kernel: false,
            started: 209_280,
            resident_pages: 390,
        };
        assert_eq!(Process::parse(7, stat), Some(expected));
    }

    #[test]
    fn a_dead_process_is_not_one() {
        let stat =
            "7 (python3) Z 3 5 6 0 -1 4194304 102 0 0 0 0 0 0 0 20 0 1 0 209280 0 0 18446744073709551615";
        assert_eq!(Process::parse(7, stat), None);
        assert_eq!(Process::parse(7, "nonsense"), None);
    }

    #[test]
    fn this_process_is_found_and_has_memory() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(running().contains(&own));
        assert!(Process::read(own).is_some_and(|process| process.resident_pages > 0 && !process.kernel));
        assert!(share(own).is_some_and(|bytes| bytes > 0));
    }
}
