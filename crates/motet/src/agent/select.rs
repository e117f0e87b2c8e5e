//! Which of the tools that an agent's file lists its model is offered, and which of them code may call.
//!
//! Connects to nothing; all tools are there already.

use std::sync::Arc;

use motet_agents::CodeTool;
use motet_agents::tool_set::Filter;
use motet_core::error::Result;
use motet_core::{Error, Tool};
use motet_workflows::agent_file::Known;
use serde_json::Value;

use super::build::approvals;
use super::{AgentSpec, CodeSpec, ToolEntry};

/// A tool that code may call, and whether the model is offered it too.
struct Own {
    tool: Arc<dyn Tool>,
    is_offered: bool,
}

/// Gives the tools that a model is offered, of those that came of each line of the list and those that a program added,
/// which stand behind them; what lines of code stand for is made here.
///
/// # Errors
/// `Configuration` when a word stands for no tool, or code cannot call what it should.
pub(super) fn select(
    spec: &AgentSpec,
    listed: Vec<Vec<Arc<dyn Tool>>>,
    added: Vec<Arc<dyn Tool>>,
) -> Result<Vec<Arc<dyn Tool>>> {
    check(spec, listed.iter().flatten().chain(&added))?;
    let offered = spec.offered.ready()?;
    let categories = spec.tools.iter().map(|line| line.category.as_str());
    let mut lines: Vec<Vec<Own>> = Vec::with_capacity(listed.len() + 1);
    // What a program adds has no category.
    for (category, tools) in categories.zip(listed).chain([("", added)]) {
        let has = |tool: &Arc<dyn Tool>| offered.has(&tool.spec().name, category);
        let own = tools.into_iter().filter(has).map(|tool| Own { tool, is_offered: true });
        lines.push(own.collect());
    }
    let mut made = Vec::new();
    for (place, line) in spec.tools.iter().enumerate() {
        match &line.tool {
            ToolEntry::Code(code) if offered.has(code.name(), &line.category) => {
                made.push((place, code_tool(spec, code, &mut lines)?));
            }
            _ => {}
        }
    }
    let mut code = made.into_iter().peekable();
    let mut tools: Vec<Arc<dyn Tool>> = Vec::new();
    for (place, line) in lines.into_iter().enumerate() {
        tools.extend(code.next_if(|(at, _)| *at == place).map(|(_, tool)| Arc::new(tool) as Arc<dyn Tool>));
        tools.extend(line.into_iter().filter(|own| own.is_offered).map(|own| own.tool));
    }
    Ok(tools)
}

/// Finds out whether words that stand for tools do so; all tools are known by now, those of servers too.
fn check<'t>(spec: &AgentSpec, tools: impl Iterator<Item = &'t Arc<dyn Tool>>) -> Result<()> {
    let made = tools.map(|tool| Known { name: &tool.spec().name, is_code: false });
    let code = spec.tools.iter().filter_map(|line| match &line.tool {
        ToolEntry::Code(code) => Some(Known { name: code.name(), is_code: true }),
        _ => None,
    });
    let known: Vec<Known<'_>> = made.chain(code).collect();
    spec.check_selection(&known).map_err(|error| named(error, spec))
}

fn named(error: Error, spec: &AgentSpec) -> Error {
    error.with_context("agent", spec.name.as_deref().unwrap_or_default())
}

fn code_tool(spec: &AgentSpec, code: &CodeSpec, lines: &mut [Vec<Own>]) -> Result<CodeTool> {
    let filter = code.tools.as_ref().map(Filter::names).transpose()?;
    // A filter without patterns picks everything, and an empty list is meant to name nothing.
    let names_none = code.tools.as_ref().is_some_and(Vec::is_empty);
    let picks = |name: &str| !names_none && filter.as_ref().is_none_or(|filter| filter.picks(name, ""));
    let policy = approvals(spec);
    let mut callable = Vec::new();
    for own in lines.iter_mut().flatten().filter(|own| picks(&own.tool.spec().name)) {
        callable.push(Arc::clone(&own.tool));
        // Code cannot make a call that a person must agree to, so that the model must be able to.
        if code.only_in_code && !policy.asks(&*own.tool, &Value::Null) {
            own.is_offered = false;
        }
    }
    let mut tool = CodeTool::new(callable)
        .map_err(|error| named(error, spec))?
        .named(code.name())
        .limits(code.limits.resolved())
        .approvals(policy);
    if let Some(timeout) = code.call_timeout {
        tool = tool.call_timeout(timeout);
    }
    if let Some(timeout) = code.timeout {
        tool = tool.timeout(timeout);
    }
    Ok(tool)
}
