//! `cargo run -p motet-tests --bin files -- [COUNT]`: a batch over many files through the command, killed half way and
//! resumed. Prints memory as it goes, the time, and whether what is stored adds up.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]
#![expect(clippy::indexing_slicing, reason = "a measurement that panics has found something")]

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use motet_tests::command::Place;
use serde_json::Value;

const WORKFLOW: &str = "name: many\ntasks:\n- id: each\n  for_each: {files: 'files/*/*.txt'}\n  method: llm/chat\n  params: {model: 'scripted:answers.json', prompt: Note, file_path: '${item.path}'}\noutputs: {status: '${each.status}'}\n";

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(200);

fn main() -> Result<()> {
    let count: usize = std::env::args().nth(1).map_or(Ok(100_000), |text| text.parse())?;
    let place = Place::new()?;
    place.write("answers.json", r#"{"on_exhausted": "cycle", "answers": [{"text": "noted"}]}"#)?;
    place.write("w.yaml", WORKFLOW)?;
    for number in 0..count {
        place.write(&format!("files/{:03}/{number:06}.txt", number % 200), format!("text {number}"))?;
    }
    println!("{count} files");
    let begun = Instant::now();
    let first = start(&place, &["run", "w.yaml"])?;
    let (killed, largest) = watch(first, &place, Some(count / 2))?;
    ensure!(killed, "it ended before half of the files were done");
    println!("killed after {:.1} s, at most {} MiB", begun.elapsed().as_secs_f64(), largest >> 20);
    let run = listed(&place)?;
    let before = done(&place, &run)?;
    let resumed = Instant::now();
    let (_, largest) = watch(start(&place, &["workflow", "resume", &run])?, &place, None)?;
    println!(
        "resumed from {before} for {:.1} s, at most {} MiB",
        resumed.elapsed().as_secs_f64(),
        largest >> 20
    );
    let after = done(&place, &run)?;
    // The task that was spread is done too.
    ensure!(after == count + 1, "{after} of {count} files are done");
    ensure!(place.run(&["workflow", "results", &run, "--report", "r.json"])?.code == Some(0), "no report");
    let report: Value = serde_json::from_str(&place.read("r.json")?)?;
    ensure!(report["summary"]["successful"] == count, "the report tells {}", report["summary"]);
    println!("all {count} files are reported");
    Ok(())
}

fn start(place: &Place, arguments: &[&str]) -> Result<Child> {
    Ok(place.command(arguments)?.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

/// Watches a command until it ends, or until so many tasks are done, when it is killed; gives its largest memory.
fn watch(mut child: Child, place: &Place, kill_at: Option<usize>) -> Result<(bool, u64)> {
    let (mut largest, mut looked) = (0, Instant::now());
    loop {
        if child.try_wait()?.is_some() {
            return Ok((false, largest));
        }
        largest = largest.max(memory(child.id()));
        if looked.elapsed() > Duration::from_secs(5) {
            looked = Instant::now();
            let run = listed(place).unwrap_or_default();
            let done = if run.is_empty() { 0 } else { done(place, &run).unwrap_or(0) };
            println!("  {done} done, {} MiB", memory(child.id()) >> 20);
            if kill_at.is_some_and(|most| done >= most) {
                child.kill()?;
                child.wait()?;
                return Ok((true, largest));
            }
        }
        std::thread::sleep(LOOK);
    }
}

fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn listed(place: &Place) -> Result<String> {
    let runs = place.run(&["workflow", "list", "--output", "json"])?.json()?;
    Ok(runs[0]["id"].as_str().context("no run is stored")?.to_owned())
}

/// Counts the tasks that are done.
fn done(place: &Place, run: &str) -> Result<usize> {
    let runs = place.run(&["workflow", "status", run, "--output", "json"])?.json()?;
    let tasks = runs["tasks"].as_array().context("no tasks")?;
    Ok(tasks.iter().filter(|task| task["state"] == "done").count())
}
