//! The examples in the older spelling of workflows run as they stand, and so do its batch forms.

use std::path::Path;

use motet_tests::command::{Place, workspace};
use serde_json::{Value, json};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to)
        } else {
            let _ = std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Gives a place with the examples, and their names.
fn examples() -> (Place, Vec<String>) {
    let place = Place::new().unwrap();
    copy(&workspace().join("examples/gleitzeit"), place.path());
    let names = std::fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> =
        names.filter(|name| name.ends_with(".yaml") || name == "simple_workflow.json").collect();
    names.sort();
    (place, names)
}

#[test]
fn every_example_is_sound_and_runs_to_its_end() {
    let (place, names) = examples();
    assert!(names.len() >= 15, "{names:?}");
    for name in names {
        let checked = place.run(&["check", &name]).unwrap();
        assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""), "{name}");
        let done = place.run(&["run", &name, "--output", "json"]).unwrap();
        let report = done.json().unwrap();
        assert_eq!((done.code, report["state"].as_str()), (Some(0), Some("completed")), "{name}: {report}");
        let tasks = report["tasks"].as_array().unwrap();
        assert!(tasks.iter().all(|task| task["state"] == "done"), "{name}: {report}");
    }
}

#[test]
fn references_by_name_reach_prompts_and_code() {
    let (place, _) = examples();
    let run = |name: &str| place.run(&["run", name, "--output", "json"]).unwrap().json().unwrap();
    let research = run("research_workflow.yaml");
    let summary = research["outputs"]["process_data"]["result"]["summary"].as_str().unwrap().to_owned();
    assert!(!summary.is_empty() && !summary.contains("${"), "{summary}");
    let pipeline = run("data_pipeline.yaml");
    assert_eq!(pipeline["outputs"]["generate_data"]["result"]["count"], 100);
    let counted = run("batch_python.yaml");
    let files: Vec<_> = counted["outputs"]["process"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["result"]["file"].clone())
        .collect();
    assert_eq!(files, ["documents/harbour.txt", "documents/orchard.txt"], "each item has a path of its own");
}

/// Runs a batch over three named files of which the second is missing, and gives the exit code and the report.
fn reported(place: &Place, policy: &str) -> (Option<i32>, Value) {
    let workflow = format!(
        "name: partial\ntasks:\n- name: each\n  method: llm/chat\n  on_failure: {policy}\n  params: {{model: 'offline:extract', files: [b.txt, none.txt, a.txt], batch_mode: true, prompt: Sum up}}\n"
    );
    place.write("partial.yaml", workflow).unwrap();
    let done = place.run(&["run", "partial.yaml", "--report", "r.json", "--report", "r.md"]).unwrap();
    (done.code, serde_json::from_str(&place.read("r.json").unwrap()).unwrap())
}

#[test]
fn a_report_holds_every_file_by_its_path_in_order_and_failures_beside_successes() {
    let place = Place::new().unwrap();
    place.write("a.txt", "Anna lives in Aarhus.").unwrap();
    place.write("b.txt", "Bert lives in Bergen.").unwrap();
    for (policy, code, state) in [("continue", 0, "completed"), ("skip_dependents", 1, "failed")] {
        let (exit, report) = reported(&place, policy);
        assert_eq!((exit, &report["state"]), (Some(code), &json!(state)), "{report}");
        let results = report["results"].as_object().unwrap();
        assert_eq!(results.keys().collect::<Vec<_>>(), ["b.txt", "none.txt", "a.txt"]);
        assert!(results["b.txt"]["content"].as_str().unwrap().contains("Bergen"));
        assert!(results["a.txt"]["content"].as_str().unwrap().contains("Aarhus"));
        assert_eq!(results["none.txt"]["status"], "failed");
        assert!(results["none.txt"]["error"].as_str().unwrap().contains("none.txt"));
        let summary = &report["summary"];
        assert_eq!([&summary["total"], &summary["successful"], &summary["failed"]], [3, 2, 1]);
        assert_eq!(report["parameters"]["prompt"], "Sum up");
    }
    let markdown = place.read("r.md").unwrap();
    assert!(markdown.starts_with("# Batch Processing Results\n"), "{markdown}");
    assert!(markdown.contains("- **Total Files**: 3 (2 successful, 1 failed)\n"), "{markdown}");
    assert!(
        markdown.contains("\n### \u{2705} b.txt\n")
            && markdown.contains("\n### \u{274c} none.txt\n\nError: "),
        "{markdown}"
    );
}

#[test]
fn a_report_of_a_stored_run_is_written_later_and_other_files_are_refused_first() {
    let (place, _) = examples();
    let run = place.run(&["run", "batch_template.yaml", "--output", "json"]).unwrap().json().unwrap();
    let id = run["id"].as_str().unwrap();
    let done = place.run(&["workflow", "results", id, "--report", "later.json"]).unwrap();
    assert_eq!(done.code, Some(0), "{done:?}");
    let report: Value = serde_json::from_str(&place.read("later.json").unwrap()).unwrap();
    assert_eq!(
        report["results"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["documents/harbour.txt", "documents/orchard.txt"]
    );
    for (file, reason) in [("x.csv", "no form"), ("nowhere/x.json", "cannot be written")] {
        let refused = place.run(&["run", "batch_template.yaml", "--report", file]).unwrap();
        assert_eq!(refused.code, Some(3));
        assert!(refused.stderr.contains(reason), "{refused:?}");
    }
}

#[test]
fn a_failed_run_is_reported_before_it_ends() {
    let place = Place::new().unwrap();
    place
        .write("w.yaml", "name: w\ntasks: [{id: a, method: python/execute, params: {code: '1/0'}}]\n")
        .unwrap();
    let done = place.run(&["run", "w.yaml", "--report", "r.json"]).unwrap();
    assert_eq!(done.code, Some(1));
    let report: Value = serde_json::from_str(&place.read("r.json").unwrap()).unwrap();
    assert_eq!((&report["state"], &report["results"]["a"]["status"]), (&json!("failed"), &json!("failed")));
}

/// Runs a command and gives how it ended with its largest memory, in bytes.
#[cfg(target_os = "linux")]
fn measured(place: &Place, arguments: &[&str]) -> (Option<i32>, u64) {
    let mut child = place.command(arguments).unwrap().stdout(std::process::Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut largest = 0;
    loop {
        if let Some(ended) = child.try_wait().unwrap() {
            return (ended.code(), largest);
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        largest = largest.max(kilobytes.unwrap_or(0) * 1024);
        std::thread::yield_now();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn memory_grows_little_with_the_number_of_files() {
    let place = Place::new().unwrap();
    place.write("answers.json", r#"{"on_exhausted": "cycle", "answers": [{"text": "noted"}]}"#).unwrap();
    place.write("w.yaml", "inputs: {pattern: null}\ntasks:\n- id: each\n  for_each: {files: '${inputs.pattern}'}\n  method: llm/chat\n  params: {model: 'scripted:answers.json', prompt: Note, file_path: '${item.path}'}\noutputs: {status: '${each.status}'}\n").unwrap();
    for (directory, count) in [("few", 250), ("many", 5_000)] {
        for number in 0..count {
            place.write(&format!("{directory}/{number:05}.txt"), "x".repeat(4_000)).unwrap();
        }
    }
    let run = |directory: &str| {
        let pattern = format!("pattern={directory}/*.txt");
        let (code, bytes) = measured(&place, &["run", "w.yaml", "--input", &pattern, "--report", "r.json"]);
        assert_eq!(code, Some(0));
        bytes
    };
    let (few, many) = (run("few"), run("many"));
    let report: Value = serde_json::from_str(&place.read("r.json").unwrap()).unwrap();
    assert_eq!(report["summary"]["successful"], 5_000);
    // A store's own page cache takes up to 64 MiB of this, and the list of all results is held as a text when they are
    // joined.
    let each = many.saturating_sub(few) / 4_750;
    assert!(each < 14_000, "each file costs {each} bytes of memory: {few} of 250 files, {many} of 5,000");
}
