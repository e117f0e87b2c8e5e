//! Whether tasks and what they wait for make a graph that can run.

use std::collections::HashSet;

use crate::error::{Error, ErrorKind, Result};
use crate::store::NewTask;

/// Refuses tasks whose dependencies do not make a graph that can run.
///
/// # Errors
/// `InvalidRequest` when there is no task, two have one name, a dependency names none, or tasks wait for each other.
pub fn check_graph(tasks: &[NewTask]) -> Result<()> {
    let invalid = |message: String| Err(Error::new(ErrorKind::InvalidRequest, message));
    if tasks.is_empty() {
        return invalid("a run needs at least one task".into());
    }
    let mut names = HashSet::with_capacity(tasks.len());
    if let Some(task) = tasks.iter().find(|task| !names.insert(task.name.as_str())) {
        return invalid(format!("two tasks of the run have the name `{}`", task.name));
    }
    let mut remaining: Vec<usize> = tasks.iter().map(|task| task.dependencies.len()).collect();
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); tasks.len()];
    for (number, task) in tasks.iter().enumerate() {
        for dependency in &task.dependencies {
            match dependents.get_mut(*dependency as usize) {
                Some(list) => list.push(number),
                None => {
                    return invalid(format!(
                        "task `{}` depends on task {dependency}, which is not there",
                        task.name
                    ));
                }
            }
        }
    }
    let mut ready: Vec<usize> =
        (0..tasks.len()).filter(|number| remaining.get(*number) == Some(&0)).collect();
    let mut seen = 0;
    while let Some(number) = ready.pop() {
        seen += 1;
        for dependent in dependents.get(number).into_iter().flatten() {
            if let Some(left) = remaining.get_mut(*dependent) {
                *left -= 1;
                if *left == 0 {
                    ready.push(*dependent);
                }
            }
        }
    }
    if seen < tasks.len() { invalid("tasks of the run wait for each other".into()) } else { Ok(()) }
}
