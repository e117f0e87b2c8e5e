//! Checks the files that tasks name: that they are there, that they may be touched, and that scripts are Python.

use std::collections::{HashMap, HashSet};

use motet_core::workflow::{ForEach, TaskSpec};
use serde_json::Value;

use super::flow::{RUN, literal, takes};
use super::places::{TaskView, View, field};
use super::{Access, FileStanding, Found, Surroundings, rules};
use crate::dag::source::outline;
use crate::dag::yaml::{Content, Node, Place};

/// Parameters with the path of a file that is read.
const READ: [&str; 4] = ["file_path", "image_path", "files", "image_paths"];

/// Methods that run what a file holds, and its parameter.
const RUNS: [&str; 2] = [RUN, "agent/run"];
const RUN_FILE: &str = "file";

/// Methods that write no file, or only the one that they name.
const HARMLESS: [&str; 3] = [WRITE, "http/request", "human/approve"];
/// Families of which the same is true.
const HARMLESS_FAMILIES: [&str; 2] = ["llm/", "pattern/"];

const SCRIPT: &str = "python/execute";
const WRITE: &str = "file/write";

pub(super) fn check(view: &View<'_>, around: &dyn Surroundings, found: &mut Found) {
    let written = written(view);
    let mut scripts = Vec::new();
    for task in &view.tasks {
        read(task, &written, around, found);
        patterns(view, task, &written, around, found);
        if task.spec.method == WRITE
            && let Some(path) = task.spec.params.get("path").and_then(literal)
            && let FileStanding::Refused { message, hint } = around.file(path, Access::Write)
        {
            found.add_with(&rules::FILE_REFUSED, task.param_place("path"), message, hint);
        }
        if task.spec.method == SCRIPT {
            script((view, task), &written, around, &mut scripts, found);
        }
    }
    syntax(scripts, around, found);
}

/// Gives the paths that tasks write by name, so that those who read them later are not reported.
fn written<'v>(view: &'v View<'_>) -> HashSet<&'v str> {
    let tasks = view.tasks.iter().filter(|task| task.spec.method == WRITE);
    tasks.filter_map(|task| task.spec.params.get("path")?.as_str()).map(plain).collect()
}

fn plain(path: &str) -> &str {
    path.trim_start_matches("./")
}

fn read(task: &TaskView<'_>, written: &HashSet<&str>, around: &dyn Surroundings, found: &mut Found) {
    let runs = RUNS.contains(&task.spec.method.as_str()).then_some(RUN_FILE);
    for name in READ.into_iter().chain(runs).filter(|name| takes(task, name, around)) {
        let paths: Vec<(&str, Place)> = match task.spec.params.get(name) {
            Some(Value::String(path)) => vec![(path, task.param_place(name))],
            Some(Value::Array(_)) => task.param(name).map(texts).unwrap_or_default(),
            _ => continue,
        };
        for (path, place) in paths.into_iter().filter(|(path, _)| !path.contains("${")) {
            exists(path, place, written, around, found);
        }
    }
    // The items of a batch are paths, in the place where they were written.
    if let Some(ForEach::Items(Value::Array(items))) = &task.spec.for_each
        && field(task.node, "for_each").is_none()
    {
        let nodes = ["files", "image_paths"]
            .into_iter()
            .find_map(|name| task.param(name))
            .map(texts)
            .unwrap_or_default();
        for (item, (_, place)) in items.iter().zip(nodes) {
            if let Some(path) = item.get("path").and_then(literal) {
                exists(path, place, written, around, found);
            }
        }
    }
}

fn texts(node: &Node) -> Vec<(&str, Place)> {
    let Content::List(items) = &node.content else { return Vec::new() };
    let text = |item: &'_ Node| match &item.content {
        Content::String(text) => Some(text.len()),
        _ => None,
    };
    items
        .iter()
        .filter(|item| text(item).is_some())
        .filter_map(|item| match &item.content {
            Content::String(text) => Some((text.as_str(), item.place)),
            _ => None,
        })
        .collect()
}

fn exists(path: &str, place: Place, written: &HashSet<&str>, around: &dyn Surroundings, found: &mut Found) {
    match around.file(path, Access::Read) {
        FileStanding::Found => {}
        FileStanding::Missing if written.contains(plain(path)) => {}
        FileStanding::Missing => {
            let hint = "paths start in the workflow's directory; make the file before the workflow runs";
            found.add(&rules::FILE_MISSING, place, format!("there is no file `{path}`"), hint);
        }
        FileStanding::Refused { message, hint } => found.add_with(&rules::FILE_REFUSED, place, message, hint),
    }
}

/// Reports patterns that match nothing now.
fn patterns(
    view: &View<'_>,
    task: &TaskView<'_>,
    written: &HashSet<&str>,
    around: &dyn Surroundings,
    found: &mut Found,
) {
    let Some(ForEach::Files(patterns)) = &task.spec.for_each else { return };
    let batch = ["directory", "files"].into_iter().find_map(|name| task.param(name));
    let place = match field(task.node, "for_each") {
        Some(for_each) => {
            field(&for_each.node, "files").map_or(for_each.node.place, |files| files.node.place)
        }
        None => batch.map_or_else(|| view.place("batch"), |node| node.place),
    };
    for pattern in patterns.iter().filter(|pattern| !pattern.contains("${")) {
        match around.matches(pattern) {
            Some(0) if !written.iter().any(|path| directory(path) == directory(pattern)) => {
                let hint = "patterns start in the workflow's directory; `**` goes through directories";
                found.add(&rules::FILE_MISSING, place, format!("no file matches `{pattern}`"), hint);
            }
            None => {
                let message = format!("the files of `{pattern}` cannot be listed");
                let hint = "write a pattern such as `notes/*.md`, within the workflow's directory or those of the setting `files.allow`";
                found.add(&rules::FILE_REFUSED, place, message, hint);
            }
            Some(_) => {}
        }
    }
}

fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// A script whose syntax is looked at: its text, where it stands, and how lines of it become lines of the workflow.
struct Script {
    text: String,
    /// Its file, or nothing when it stands in the workflow.
    file: Option<String>,
    place: Place,
}

/// Tells whether something that is done before a task may write files that it does not name, such as a script.
fn may_be_made(view: &View<'_>, task: &TaskView<'_>) -> bool {
    let by_id: HashMap<&str, &TaskSpec> =
        view.tasks.iter().map(|task| (task.spec.id.as_str(), task.spec)).collect();
    let mut seen: HashSet<&str> = HashSet::new();
    let mut left: Vec<&str> = task.spec.dependencies.iter().map(String::as_str).collect();
    while let Some(id) = left.pop() {
        let Some(before) = by_id.get(id).filter(|_| seen.insert(id)) else { continue };
        if writes_anything(before) {
            return true;
        }
        left.extend(before.dependencies.iter().map(String::as_str));
    }
    false
}

fn writes_anything(task: &TaskSpec) -> bool {
    let method = task.method.as_str();
    if method == SCRIPT {
        return task.params.get("sandbox") != Some(&Value::Bool(true));
    }
    !HARMLESS.contains(&method) && !HARMLESS_FAMILIES.iter().any(|family| method.starts_with(family))
}

fn script(
    (view, task): (&View<'_>, &TaskView<'_>),
    written: &HashSet<&str>,
    around: &dyn Surroundings,
    scripts: &mut Vec<Script>,
    found: &mut Found,
) {
    if let Some(code) = task.spec.params.get("code").and_then(Value::as_str)
        && let Some(text) = outline(code)
    {
        scripts.push(Script { text, file: None, place: task.param_place("code") });
    }
    let Some(file) = task.spec.params.get("file").and_then(literal) else { return };
    let place = task.param_place("file");
    match around.file(file, Access::Read) {
        FileStanding::Found => {
            scripts.extend(around.text(file).map(|text| Script { text, file: Some(file.to_owned()), place }));
        }
        FileStanding::Missing if written.contains(plain(file)) => {}
        FileStanding::Missing if may_be_made(view, task) => {
            let hint = "it runs only if a task before it makes the script";
            found.add(&rules::FILE_MISSING, place, format!("there is no script `{file}` yet"), hint);
        }
        FileStanding::Missing => {
            let hint = "paths start in the workflow's directory";
            found.add(&rules::SCRIPT_MISSING, place, format!("there is no script `{file}`"), hint);
        }
        FileStanding::Refused { message, hint } => found.add_with(&rules::FILE_REFUSED, place, message, hint),
    }
}

fn syntax(scripts: Vec<Script>, around: &dyn Surroundings, found: &mut Found) {
    if scripts.is_empty() {
        return;
    }
    let texts: Vec<String> = scripts.iter().map(|script| script.text.clone()).collect();
    for (script, fault) in scripts.iter().zip(around.python(&texts)) {
        let Some(fault) = fault else { continue };
        let what = script.file.as_ref().map_or_else(|| "the code".to_owned(), |file| format!("`{file}`"));
        let message = format!("{what} is not Python: line {}: {}", fault.line, fault.message);
        found.add(&rules::SCRIPT_SYNTAX, script.place, message, "a reference in code stands for a variable");
    }
}
