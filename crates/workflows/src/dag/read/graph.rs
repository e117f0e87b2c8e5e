//! Checks what tasks say about each other: ids, dependencies, references, circles.

use std::collections::{HashMap, HashSet};

use motet_core::workflow::TaskSpec;
use serde_json::{Map, Value};

use super::references::{ESCAPE, Found, Site};
use super::report::Report;
use super::task::Draft;
use crate::dag::reference::{Root, Step};
use crate::dag::yaml::Place;

/// How many tasks of a long circle a message names.
const SHOWN: usize = 12;

/// How many circles are reported.
const MAX_CIRCLES: usize = 20;

/// How many tasks of circles are looked at before the search ends.
const MAX_WALKED: usize = 1_000_000;

/// What references may name beside tasks.
pub(super) struct Names<'a> {
    pub(super) inputs: &'a Map<String, Value>,
    pub(super) env: &'a [String],
}

/// Checks all tasks and outputs, and gives the tasks with their dependencies as ids, those that references imply included.
pub(super) fn check(
    drafts: Vec<Draft>,
    outputs: &[Found],
    names: &Names<'_>,
    report: &mut Report<'_>,
) -> Vec<TaskSpec> {
    let index = Index::new(&drafts, report);
    let mut edges = Vec::with_capacity(drafts.len());
    for (number, draft) in drafts.iter().enumerate() {
        let mut own = Edges {
            task: Some(number),
            index: &index,
            drafts: &drafts,
            seen: HashSet::new(),
            found: Vec::new(),
        };
        own.written(draft, report);
        for found in &draft.references {
            own.reference(found, names, report);
        }
        edges.push(own.found);
    }
    let mut none =
        Edges { task: None, index: &index, drafts: &drafts, seen: HashSet::new(), found: Vec::new() };
    for found in outputs {
        none.reference(found, names, report);
    }
    refuse_circles(&drafts, &edges, report);
    let ids: Vec<String> = drafts.iter().map(|draft| draft.spec.id.clone()).collect();
    let mut tasks = Vec::with_capacity(drafts.len());
    for (draft, edges) in drafts.into_iter().zip(edges) {
        let dependencies = edges.iter().filter_map(|(number, _)| ids.get(*number).cloned());
        tasks.push(TaskSpec { dependencies: dependencies.collect(), ..draft.spec });
    }
    tasks
}

/// The tasks by id and by name.
struct Index<'d> {
    ids: HashMap<&'d str, usize>,
    names: HashMap<&'d str, usize>,
}

impl<'d> Index<'d> {
    fn new(drafts: &'d [Draft], report: &mut Report<'_>) -> Self {
        let mut index = Self { ids: HashMap::with_capacity(drafts.len()), names: HashMap::new() };
        for (number, draft) in drafts.iter().enumerate().filter(|(_, draft)| !draft.spec.id.is_empty()) {
            let id = draft.spec.id.as_str();
            match index.ids.get(id).and_then(|first| drafts.get(*first)) {
                Some(first) => {
                    let at = report.at(first.id_place);
                    report.hint(
                        draft.id_place,
                        format!("the id `{id}` stands twice"),
                        format!("the first is at {at}"),
                    );
                }
                None => drop(index.ids.insert(id, number)),
            }
        }
        for (number, draft) in drafts.iter().enumerate() {
            let Some(name) = draft.spec.name.as_deref().filter(|name| *name != draft.spec.id) else {
                continue;
            };
            let other =
                index.ids.get(name).or_else(|| index.names.get(name)).filter(|other| **other != number);
            match other.and_then(|other| drafts.get(*other)) {
                Some(other) => {
                    let at = report.at(other.name_place);
                    let message = format!("the name `{name}` means another task already");
                    report.hint(draft.name_place, message, format!("it is task `{}` at {at}", other.spec.id));
                }
                None => drop(index.names.insert(name, number)),
            }
        }
        index
    }

    /// Finds a task by id, or else by name.
    fn find(&self, name: &str) -> Option<usize> {
        self.ids.get(name).or_else(|| self.names.get(name)).copied()
    }
}

/// The tasks that one task waits for, each once, with the place that says so.
struct Edges<'d> {
    /// The task itself; `None` for the outputs.
    task: Option<usize>,
    index: &'d Index<'d>,
    drafts: &'d [Draft],
    seen: HashSet<usize>,
    found: Vec<(usize, Place)>,
}

impl Edges<'_> {
    fn written(&mut self, draft: &Draft, report: &mut Report<'_>) {
        for (name, place) in &draft.dependencies {
            match self.index.find(name) {
                None => {
                    let hint = self.advice(name, report);
                    let message =
                        format!("`{}` depends on `{name}`, but there is no such task", draft.spec.id);
                    report.add_with(*place, message, hint);
                }
                Some(number) if Some(number) == self.task => {
                    report.hint(
                        *place,
                        format!("`{name}` depends on itself"),
                        "remove it from `dependencies`",
                    );
                }
                Some(number) => self.add(number, *place),
            }
        }
    }

    fn add(&mut self, number: usize, place: Place) {
        if self.seen.insert(number) {
            self.found.push((number, place));
        }
    }

    fn advice(&self, name: &str, report: &mut Report<'_>) -> Option<String> {
        let ids = self.drafts.iter().map(|draft| draft.spec.id.as_str());
        let names = self.drafts.iter().filter_map(|draft| draft.spec.name.as_deref());
        let known = ids.filter(|id| !id.is_empty()).chain(names);
        match report.nearest(name, known) {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None => {
                let others = self.drafts.iter().enumerate().filter(|(number, _)| Some(*number) != self.task);
                let others = others.map(|(_, draft)| draft.spec.id.as_str()).filter(|id| !id.is_empty());
                let mut once = HashSet::new();
                let others: Vec<&str> = others.filter(|id| once.insert(*id)).collect();
                report.advice(name, others.iter().copied())
            }
        }
    }

    /// Checks one reference, and takes the task that it names as a dependency.
    fn reference(&mut self, found: &Found, names: &Names<'_>, report: &mut Report<'_>) {
        let (reference, place) = (&found.reference, found.place);
        match reference.root() {
            Root::Task(name) => self.task_reference(found, name, names, report),
            Root::Inputs => {
                if let [Step::Field(name), ..] = reference.path()
                    && !names.inputs.contains_key(name)
                {
                    let hint = report.advice(name, names.inputs.keys().map(String::as_str));
                    let hint = hint.unwrap_or_else(|| format!("declare it under `inputs`: `{name}: null`"));
                    report.hint(
                        place,
                        format!("`{reference}` refers to an input that is not declared"),
                        hint,
                    );
                }
            }
            Root::Env => env(found, names, report),
            Root::Item | Root::Index if found.site != Site::Item => {
                let message =
                    format!("`{reference}` has no meaning here: only a task with `for_each` has items");
                report.hint(place, message, "in `for_each` itself and in `outputs` there is no item");
            }
            Root::Item | Root::Index => {}
        }
    }

    fn task_reference(&mut self, found: &Found, name: &str, names: &Names<'_>, report: &mut Report<'_>) {
        let (reference, place) = (&found.reference, found.place);
        match self.index.find(name) {
            Some(number) if Some(number) == self.task => {
                report.add(place, format!("`{reference}` refers to the task's own result"));
            }
            Some(number) => self.add(number, place),
            None => {
                let hint = if names.inputs.contains_key(name) {
                    format!("write `${{inputs.{name}}}` for the input")
                } else {
                    match self.advice(name, report) {
                        Some(hint) => format!("{hint}; {ESCAPE}"),
                        None => ESCAPE.to_owned(),
                    }
                };
                report.hint(
                    place,
                    format!("`{reference}` refers to `{name}`, but there is no such task"),
                    hint,
                );
            }
        }
    }
}

fn env(found: &Found, names: &Names<'_>, report: &mut Report<'_>) {
    let (reference, place) = (&found.reference, found.place);
    let [Step::Field(name)] = reference.path() else {
        report.hint(place, format!("`{reference}` names no variable"), "write `${env.NAME}`");
        return;
    };
    if !names.env.contains(name) {
        let near = report.nearest(name, names.env.iter().map(String::as_str));
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add `{name}` to the list `env` of the workflow"),
        };
        report.hint(place, format!("`{reference}` refers to a variable that `env` does not list"), hint);
    } else if found.site == Site::Output {
        report.add(place, format!("`{reference}` cannot stand in `outputs`, which are stored and shown"));
    }
}

/// Reports circles of tasks that wait for each other; tasks that are all in reported circles already make no further one.
fn refuse_circles(drafts: &[Draft], edges: &[Vec<(usize, Place)>], report: &mut Report<'_>) {
    let mut marks = vec![Mark::New; edges.len()];
    let mut circles = Circles { drafts, edges, reported: HashSet::new(), count: 0, walked: 0 };
    for start in 0..edges.len() {
        // The path from the start, with the edges of each task that are still to be followed.
        let mut path: Vec<(usize, std::slice::Iter<'_, (usize, Place)>)> = Vec::new();
        let mut next = Some(start);
        while !circles.is_enough() {
            match next.take().and_then(|task| Some((task, marks.get_mut(task)?))) {
                Some((task, mark @ Mark::New)) => {
                    *mark = Mark::OnPath;
                    path.push((task, edges.get(task).map(|edges| edges.iter()).unwrap_or_default()));
                }
                Some((task, Mark::OnPath)) => {
                    let on_path = path.iter().rev().map(|(task, _)| *task);
                    let mut circle: Vec<usize> =
                        on_path.take_while(|on_path| *on_path != task).chain([task]).collect();
                    circle.reverse();
                    circles.found(&circle, report);
                }
                _ => {}
            }
            let Some((task, rest)) = path.last_mut() else { break };
            match rest.next() {
                Some((dependency, _)) => next = Some(*dependency),
                None => {
                    marks.get_mut(*task).into_iter().for_each(|mark| *mark = Mark::Left);
                    path.pop();
                }
            }
        }
    }
}

/// How far the search for circles has come with a task.
#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    OnPath,
    Left,
}

/// The circles found so far.
struct Circles<'d> {
    drafts: &'d [Draft],
    edges: &'d [Vec<(usize, Place)>],
    /// Tasks of the circles that were reported.
    reported: HashSet<usize>,
    count: usize,
    walked: usize,
}

impl Circles<'_> {
    /// Tells whether the search can end: one circle makes a workflow wrong, and a dense graph has no end of them.
    fn is_enough(&self) -> bool {
        self.count >= MAX_CIRCLES || self.walked >= MAX_WALKED
    }

    /// Reports a circle, from the task that is written first, at the place that makes it wait for the next.
    fn found(&mut self, circle: &[usize], report: &mut Report<'_>) {
        self.walked += circle.len();
        let known = self.reported.len();
        self.reported.extend(circle);
        if self.reported.len() == known {
            return;
        }
        self.count += 1;
        let first =
            circle.iter().enumerate().min_by_key(|(_, task)| **task).map_or(0, |(position, _)| position);
        let turned: Vec<usize> = circle.iter().cycle().skip(first).take(circle.len() + 1).copied().collect();
        let [task, next, ..] = turned.as_slice() else { return };
        let edge = self.edges.get(*task).and_then(|edges| edges.iter().find(|(to, _)| to == next));
        let Some((_, place)) = edge else { return };
        let name = |task: &usize| self.drafts.get(*task).map_or("", |draft| draft.spec.id.as_str());
        let names: Vec<&str> = if turned.len() > SHOWN {
            turned.iter().take(SHOWN - 2).map(name).chain(["…"]).chain(turned.last().map(name)).collect()
        } else {
            turned.iter().map(name).collect()
        };
        let message = format!("tasks wait for each other in a circle: {}", names.join(" → "));
        report.hint(*place, message, "remove one of these dependencies or references");
    }
}
