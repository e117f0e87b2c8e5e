//! How many bytes a task puts before a model, as far as that is known before the run.

use std::collections::{BTreeMap, HashMap};

use motet_core::method::FileScope;
use motet_core::workflow::{TaskSpec, WorkflowSpec};
use motet_providers::files;
use motet_workflows::dag::reference::{Reference, Root, Segment, Template, substitute};
use motet_workflows::dag::scope::RunScope;
use serde_json::{Map, Value};

use super::items::Items;

/// The largest prompt that is looked at; what is larger no model reads.
pub(super) const LARGEST: usize = 64 << 20;

/// Bytes of a result of which nothing is known, such as that of a script.
const UNKNOWN_RESULT: u64 = 1_000;

/// Parameters that name files whose text goes to the model.
const FILES: [&str; 2] = ["file_path", "files"];

/// Parameters whose text does not go to the model.
const SILENT: [&str; 5] = ["model", "temperature", "max_tokens", "reasoning_effort", "seed"];

/// Bytes of a text that is not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) expected: u64,
    /// `None` where nothing bounds it.
    pub(super) most: Option<u64>,
}

impl Span {
    const NONE: Self = Self { expected: 0, most: Some(0) };

    /// That of something of which nothing is known, such as what a script gives.
    pub(super) const UNKNOWN: Self = Self { expected: UNKNOWN_RESULT, most: None };

    fn of(bytes: u64) -> Self {
        Self { expected: bytes, most: Some(bytes) }
    }

    fn add(&mut self, other: Span) {
        self.expected = self.expected.saturating_add(other.expected);
        self.most = self.most.zip(other.most).map(|(one, other)| one.saturating_add(other));
    }
}

/// Gives the bytes of the result of a method that asks no model.
pub(super) fn of_result(method: &str) -> Span {
    match method {
        "file/write" => Span { expected: 100, most: Some(8_192) },
        _ => Span::UNKNOWN,
    }
}

/// What sizes are read from.
pub(super) struct Sizes<'a> {
    pub(super) inputs: &'a Map<String, Value>,
    pub(super) spec: &'a WorkflowSpec,
    pub(super) files: FileScope,
}

impl Sizes<'_> {
    /// Gives a value whose references all lead to inputs.
    pub(super) fn value(&self, written: &Value) -> Option<Value> {
        let (environment, tasks, names) = (BTreeMap::new(), HashMap::new(), HashMap::new());
        let scope = RunScope {
            inputs: self.inputs,
            environment: &environment,
            names,
            tasks,
            item: None,
            index: None,
        };
        substitute(written, &scope).ok()
    }

    /// Gives a text whose references all lead to inputs.
    pub(super) fn text(&self, written: &str) -> Option<String> {
        self.value(&Value::from(written))?.as_str().map(str::to_owned)
    }

    pub(super) fn file_size(&self, path: &str) -> Option<u64> {
        let real = files::resolve(&self.files, path).ok()?;
        Some(std::fs::metadata(real).ok()?.len())
    }

    /// Gives the bytes that one run of a task puts before the model.
    pub(super) fn prompt(
        &self,
        task: &TaskSpec,
        items: &Items,
        known: &HashMap<String, (Items, Span)>,
    ) -> Span {
        let mut span = Span::NONE;
        for (name, value) in task.params.iter().filter(|(name, _)| !SILENT.contains(&name.as_str())) {
            if FILES.contains(&name.as_str()) {
                self.files_of(value, items, &mut span);
            } else {
                self.bytes(value, items, known, &mut span);
            }
        }
        span
    }

    fn bytes(&self, value: &Value, items: &Items, known: &HashMap<String, (Items, Span)>, span: &mut Span) {
        match value {
            Value::String(text) => match Template::parse(text) {
                Ok(Template::Whole(reference)) => span.add(self.reference(&reference, items, known)),
                Ok(Template::Mixed(segments)) => {
                    for segment in segments {
                        span.add(match segment {
                            Segment::Text(text) => Span::of(text.len() as u64),
                            Segment::Reference(reference) => self.reference(&reference, items, known),
                        });
                    }
                }
                Err(_) => span.add(Span::of(text.len() as u64)),
            },
            Value::Array(values) => values.iter().for_each(|value| self.bytes(value, items, known, span)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    span.add(Span::of(name.len() as u64 + 6));
                    self.bytes(value, items, known, span);
                }
            }
            other => span.add(Span::of(other.to_string().len() as u64)),
        }
    }

    /// Gives what is known of a task, by its id or name.
    pub(super) fn known<'k>(
        &self,
        name: &str,
        known: &'k HashMap<String, (Items, Span)>,
    ) -> Option<&'k (Items, Span)> {
        let by_name = || {
            let task = self.spec.tasks.iter().find(|task| task.name.as_deref() == Some(name))?;
            known.get(&task.id)
        };
        known.get(name).or_else(by_name)
    }

    /// Gives the bytes of what a reference will give.
    fn reference(
        &self,
        reference: &Reference,
        items: &Items,
        known: &HashMap<String, (Items, Span)>,
    ) -> Span {
        match reference.root() {
            Root::Task(name) => match self.known(name, known) {
                Some((items, each)) => Span {
                    expected: each.expected.saturating_mul(items.count.unwrap_or(1)),
                    most: each.most.zip(items.most).map(|(each, items)| each.saturating_mul(items)),
                },
                None => Span::UNKNOWN,
            },
            Root::Inputs => match self.value(&Value::String(reference.to_string())) {
                // An input that is not given yet may be of any size.
                None | Some(Value::Null) => Span::UNKNOWN,
                Some(value) => Span::of(rendered(&value)),
            },
            Root::Item if !items.values.is_empty() => {
                let sizes: Vec<u64> = items.values.iter().map(rendered).collect();
                average(&sizes)
            }
            Root::Index => Span::of(6),
            _ => Span::UNKNOWN,
        }
    }

    fn files_of(&self, value: &Value, items: &Items, span: &mut Span) {
        match value {
            Value::Array(paths) => paths.iter().for_each(|path| self.files_of(path, items, span)),
            Value::String(path) => {
                let size = self.text(path).and_then(|path| self.file_size(&path));
                span.add(match size {
                    Some(bytes) => Span::of(bytes),
                    None if !items.files.is_empty() => average(&items.files),
                    None => Span::UNKNOWN,
                });
            }
            _ => {}
        }
    }
}

fn rendered(value: &Value) -> u64 {
    value.as_str().map_or_else(|| value.to_string().len(), str::len) as u64
}

/// Expects the average of the sizes, and the largest at most.
fn average(sizes: &[u64]) -> Span {
    let count = (sizes.len() as u64).max(1);
    Span { expected: sizes.iter().sum::<u64>() / count, most: sizes.iter().copied().max() }
}
