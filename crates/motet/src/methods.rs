//! Methods that need the whole runtime: agents, tools of servers, and other programs that answer calls.
//!
//! Which methods a workflow can call depends on its file: tools and remote methods are known by rules.

mod agent_run;
mod mcp_tool;
mod remote;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use motet_core::error::{Error, Result};
use motet_core::method::Method;
use motet_core::model::Models;
use motet_workflows::dag::read::Rules;
use motet_workflows::methods::Methods;
use serde_json::{Map, Value};

pub(crate) use remote::Remotes;

use crate::runtime::Runtime;

/// Adds the methods of this module.
pub(crate) fn with_runtime(methods: Methods, runtime: &Runtime, models: &Arc<dyn Models>) -> Methods {
    methods
        .with(Arc::new(agent_run::AgentRun::new(runtime.clone(), Arc::clone(models))))
        .with_family(Arc::new(mcp_tool::McpTools::new(runtime.clone())))
        .with_family(Arc::new(remote::RemoteMethods::new(runtime.clone())))
}

impl Runtime {
    /// Gives every method that a workflow can call: those of [`methods`](Self::methods), and those that this one names and
    /// that are known only by rule, such as `mcp/git.status` or a method of its `providers`.
    ///
    /// # Errors
    /// `Configuration` when what it says of providers cannot be used.
    pub fn methods_of(&self, workflow: &Value) -> Result<Vec<Arc<dyn Method>>> {
        let known = self.known_methods(workflow);
        match known.wrong_providers.into_values().next() {
            Some(error) => Err(error),
            None => Ok(known.methods),
        }
    }

    /// Gives the methods that a workflow can call, and why it cannot call the others that it names.
    pub(crate) fn known_methods(&self, workflow: &Value) -> KnownMethods {
        let methods = self.methods();
        let mut known =
            KnownMethods { methods: methods.iter().cloned().collect(), ..KnownMethods::default() };
        let nothing = Map::new();
        let providers = workflow.get("providers").and_then(Value::as_object).unwrap_or(&nothing);
        for (name, written) in providers {
            if let Err(error) = remote::check(name, written, &known.methods) {
                known.wrong_providers.insert(name.clone(), error);
            }
        }
        let mut seen: BTreeSet<String> =
            known.methods.iter().map(|method| method.name().to_owned()).collect();
        for name in written_methods(workflow) {
            if !seen.insert(name.clone()) {
                continue;
            }
            match methods.look_for(&name, providers) {
                Ok(Some(method)) => known.methods.push(method),
                Ok(None) => {}
                Err(error) => drop(known.missing.insert(name, error)),
            }
        }
        known
    }
}

/// What a workflow can call.
#[derive(Default)]
pub(crate) struct KnownMethods {
    methods: Vec<Arc<dyn Method>>,
    /// Why methods that it names cannot be had, by their names.
    missing: BTreeMap<String, Error>,
    /// What is wrong with its own providers, by their names.
    wrong_providers: BTreeMap<String, Error>,
}

impl KnownMethods {
    /// Gives what a workflow is read by, with the limits of the settings.
    pub(crate) fn rules(&self, runtime: &Runtime) -> Rules<'_> {
        Rules::new(&self.methods)
            .with_limits(runtime.settings().limits.clone())
            .with_missing(&self.missing)
            .with_wrong_providers(&self.wrong_providers)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&dyn Method> {
        self.methods.iter().find(|method| method.name() == name).map(|method| &**method)
    }

    /// Takes tools of servers that there are not for methods, so that the server is what a check tells about.
    pub(crate) fn with_unreached(mut self, runtime: &Runtime) -> Self {
        self.missing.retain(|name, _| match mcp_tool::unreached(runtime, name) {
            Some(tool) => {
                self.methods.push(tool);
                false
            }
            None => true,
        });
        self
    }
}

/// Gives the names of methods that a workflow writes, also as its protocols complete them.
fn written_methods(workflow: &Value) -> Vec<String> {
    let tasks = workflow.get("tasks").and_then(Value::as_array).into_iter().flatten();
    let mut names = Vec::new();
    for task in tasks.chain(workflow.get("template")).chain([workflow]) {
        let Some(method) = task.get("method").and_then(Value::as_str).map(str::trim) else { continue };
        let protocol = task.get("protocol").or_else(|| workflow.get("protocol")).and_then(Value::as_str);
        if let Some(family) = protocol.map(|protocol| protocol.split('/').next().unwrap_or(protocol)) {
            names.push(format!("{family}/{method}"));
        }
        names.push(method.to_owned());
    }
    names
}
