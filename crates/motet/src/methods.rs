//! Methods that need the whole runtime: agents, tools of servers, and other programs that answer calls.
//!
//! Which methods a workflow can call depends on its file: tools and remote methods are known by rules.

mod agent_run;
mod mcp_tool;
mod remote;

use std::sync::Arc;

use motet_core::error::{Error, Result};
use motet_core::method::Method;
use motet_core::model::Models;
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
        let methods = self.methods();
        let mut all: Vec<Arc<dyn Method>> = methods.iter().cloned().collect();
        let nothing = Map::new();
        let providers = workflow.get("providers").and_then(Value::as_object).unwrap_or(&nothing);
        for (name, written) in providers {
            remote::check(name, written, &all)?;
        }
        let mut seen = std::collections::BTreeSet::new();
        for name in written_methods(workflow) {
            if !all.iter().any(|method| method.name() == name)
                && seen.insert(name.clone())
                && let Ok(method) = methods.find(&name, providers)
            {
                all.push(method);
            }
        }
        Ok(all)
    }

    /// Gives the methods that a workflow is checked against, and what is wrong with its providers. Tools of servers that
    /// there are not are among them, so that the server is what a check tells about, and not the method.
    pub(crate) fn methods_to_check(&self, workflow: &Value) -> (Vec<Arc<dyn Method>>, Option<Error>) {
        let (mut methods, fault) = match self.methods_of(workflow) {
            Ok(methods) => (methods, None),
            Err(error) => (self.methods().iter().cloned().collect(), Some(error)),
        };
        for name in written_methods(workflow) {
            if !methods.iter().any(|method| method.name() == name)
                && let Some(tool) = mcp_tool::unreached(self, &name)
            {
                methods.push(tool);
            }
        }
        (methods, fault)
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
