//! How often a task runs, as far as that is known before the run.

use std::collections::HashMap;

use motet_core::workflow::{ForEach, TaskSpec};
use motet_providers::files;
use motet_workflows::dag::machine::MAX_ITEMS;
use motet_workflows::dag::reference::{Root, Step, Template};
use serde_json::Value;

use super::size::{Sizes, Span};

/// The items of a task.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Items {
    /// How many; `None` where the run decides.
    pub(super) count: Option<u64>,
    /// How many at most; there is a limit in any case.
    pub(super) most: Option<u64>,
    /// The items, where they are known.
    pub(super) values: Vec<Value>,
    /// Bytes of their files, where they are files.
    pub(super) files: Vec<u64>,
}

impl Items {
    fn known(values: Vec<Value>, files: Vec<u64>) -> Self {
        let count = Some(values.len() as u64);
        Self { count, most: count, values, files }
    }

    fn single() -> Self {
        Self { count: Some(1), most: Some(1), values: Vec::new(), files: Vec::new() }
    }

    fn unknown() -> Self {
        Self { count: None, most: Some(MAX_ITEMS as u64), values: Vec::new(), files: Vec::new() }
    }
}

impl Sizes<'_> {
    /// Gives the items of a task: those written, those of inputs, and files as they lie there now.
    pub(super) fn items(&self, task: &TaskSpec, known: &HashMap<String, (Items, Span)>) -> Items {
        match &task.for_each {
            None => Items::single(),
            Some(ForEach::Items(Value::Array(items))) => {
                let sizes =
                    items.iter().filter_map(|item| self.file_size(item.get("path")?.as_str()?)).collect();
                Items::known(items.clone(), sizes)
            }
            Some(ForEach::Items(reference)) => match self.value(reference) {
                Some(Value::Array(items)) => {
                    let path =
                        |item: &Value| self.file_size(item.as_str().or_else(|| item.get("path")?.as_str())?);
                    let sizes = items.iter().filter_map(path).collect();
                    Items::known(items, sizes)
                }
                _ => self.same_items(reference, known).unwrap_or_else(Items::unknown),
            },
            Some(ForEach::Files(patterns)) => {
                let Some(patterns) = self.patterns(patterns) else { return Items::unknown() };
                let found = files::glob(&self.files, &patterns).unwrap_or_default();
                let sizes =
                    found.iter().filter_map(|path| Some(std::fs::metadata(path).ok()?.len())).collect();
                let path = |path: &std::path::PathBuf| serde_json::json!({"path": path.to_string_lossy()});
                Items::known(found.iter().map(path).collect(), sizes)
            }
        }
    }

    fn patterns(&self, written: &[String]) -> Option<Vec<String>> {
        let mut patterns = Vec::new();
        for pattern in written {
            match self.value(&Value::from(pattern.as_str()))? {
                Value::String(pattern) => patterns.push(pattern),
                Value::Array(several) => {
                    patterns.extend(several.iter().filter_map(Value::as_str).map(str::to_owned));
                }
                _ => return None,
            }
        }
        Some(patterns)
    }

    /// Gives as many items as another task has whose list of results is gone through.
    fn same_items(&self, reference: &Value, known: &HashMap<String, (Items, Span)>) -> Option<Items> {
        let Ok(Template::Whole(reference)) = Template::parse(reference.as_str()?) else { return None };
        let Root::Task(name) = reference.root() else { return None };
        let (items, _) = self.known(name, known)?;
        let whole = matches!(reference.path(), [] | [Step::Each, ..])
            && (items.count != Some(1) || !items.values.is_empty());
        whole.then(|| Items { count: items.count, most: items.most, values: Vec::new(), files: Vec::new() })
    }
}
