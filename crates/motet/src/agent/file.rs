//! Files of agents on the disk, and what they leave to settings and other files.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use motet_core::Tool;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::method::FileScope;
use motet_providers::files;
use motet_workflows::agent_file;
use serde_json::Value;

use super::select::select;
use super::{AgentEntry, AgentSpec, Surroundings, ToolEntry};
use crate::runtime::Runtime;
use crate::workflow::{FileError, read_file, unreadable};

/// An agent that was read and found sound.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentFile {
    /// What it says.
    pub spec: AgentSpec,
    /// Where it was read; its relative paths start in the directory of this.
    pub path: PathBuf,
}

impl AgentFile {
    /// Gives its name: the one written in it, or else that of its file.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        match &self.spec.name {
            Some(name) => Cow::Borrowed(name),
            None => self.path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default(),
        }
    }
}

/// An agent whose file is read, together with the files that it names.
struct Reading<'a> {
    /// Files of the agents that led to this one, and its own.
    above: Vec<PathBuf>,
    /// Where its files may lie; anywhere where whoever wrote it may read what they like.
    scope: Option<&'a FileScope>,
}

impl<'a> Reading<'a> {
    fn of(file: &AgentFile, scope: Option<&'a FileScope>) -> Self {
        Self { above: vec![file.path.clone()], scope }
    }

    /// Gives the real path of a file that an agent names.
    fn resolve(&self, base: &Path, named: &Path) -> Result<PathBuf> {
        let path = base.join(named);
        match self.scope {
            Some(scope) => files::resolve(scope, path),
            None => path.canonicalize().map_err(|error| unreadable(&path, error)),
        }
    }

    fn text(&self, base: &Path, named: &Path) -> Result<String> {
        let path = self.resolve(base, named)?;
        std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))
    }
}

impl Runtime {
    /// Reads and checks a file of an agent; nothing is started and nothing connected to.
    ///
    /// # Errors
    /// All its problems at once, or why it could not be read.
    pub fn read_agent(&self, path: &Path) -> Result<AgentFile, FileError> {
        self.read_checked(path, None, true)
    }

    /// Reads a file of an agent as [`read_agent`](Self::read_agent) does, to which a program adds tools: whether the names
    /// in it stand for any of them shows when it is built.
    ///
    /// # Errors
    /// As [`read_agent`](Self::read_agent).
    pub fn read_agent_to_extend(&self, path: &Path) -> Result<AgentFile, FileError> {
        self.read_checked(path, None, false)
    }

    /// Reads a file of an agent that may name no files but those of a scope, which it lies in itself.
    pub(crate) fn read_agent_within(&self, scope: &FileScope, path: &Path) -> Result<AgentFile, FileError> {
        let path = files::resolve(scope, path).map_err(FileError::Unreadable)?;
        self.read_checked(&path, Some(scope), true)
    }

    fn read_checked(
        &self,
        path: &Path,
        scope: Option<&FileScope>,
        is_whole: bool,
    ) -> Result<AgentFile, FileError> {
        let bytes = read_file(path).map_err(FileError::Unreadable)?;
        let read = if is_whole { agent_file::read } else { agent_file::read_to_extend };
        let spec = read(&bytes).map_err(FileError::Problems)?;
        let path = path.canonicalize().map_err(|error| FileError::Unreadable(unreadable(path, error)))?;
        let file = AgentFile { spec, path };
        self.check_agent(&file, scope, is_whole).map_err(FileError::Unreadable)?;
        Ok(file)
    }

    /// Reads an agent that is a value already, such as a Python dictionary; its relative paths start in the current
    /// directory. Whether it can be built shows when it is run.
    ///
    /// # Errors
    /// All its problems at once, or why there is no current directory.
    pub fn read_agent_value(value: &Value) -> Result<AgentFile, FileError> {
        Self::in_current_directory(agent_file::read_value(value).map_err(FileError::Problems)?)
    }

    /// Reads an agent as [`read_agent_value`](Self::read_agent_value) does, to which a program adds tools, so that names in
    /// it may stand for those.
    ///
    /// # Errors
    /// As [`read_agent_value`](Self::read_agent_value).
    pub fn read_agent_value_to_extend(value: &Value) -> Result<AgentFile, FileError> {
        Self::in_current_directory(agent_file::read_value_to_extend(value).map_err(FileError::Problems)?)
    }

    fn in_current_directory(spec: AgentSpec) -> Result<AgentFile, FileError> {
        let directory = current_directory().map_err(FileError::Unreadable)?;
        Ok(AgentFile { spec, path: directory.join("agent") })
    }

    /// Finds out whether an agent can be built as far as that is known without its servers, and without what a program
    /// adds where it is not whole.
    fn check_agent(&self, file: &AgentFile, scope: Option<&FileScope>, is_whole: bool) -> Result<()> {
        let mut file = file.clone();
        // A file may leave its model to the settings and to whoever runs it.
        file.spec.model.get_or_insert("offline:extract".parse()?);
        // Whoever runs it gives the values of a template, which was read with the file.
        file.spec.instructions_template = None;
        let (spec, surroundings) = self.whole_within(&file, scope)?;
        let mut all_known = is_whole;
        for line in &spec.tools {
            match &line.tool {
                ToolEntry::Mcp { name, server } => {
                    self.reached(name, server)?;
                    all_known = false;
                }
                ToolEntry::Agent(_) => all_known = false,
                _ => {}
            }
        }
        let commands = self.commands(&spec, &surroundings)?.into_iter();
        let listed: Vec<Vec<Arc<dyn Tool>>> = commands.map(|tool| tool.into_iter().collect()).collect();
        // Which tools servers offer is not known yet, nor what of it is selected.
        let tools = if all_known {
            select(&spec, listed, Vec::new())?
        } else {
            listed.into_iter().flatten().collect()
        };
        self.builder(&spec)?.tools(tools).build().map(drop)
    }

    /// Puts into an agent what its file leaves to settings and other files, so that it can be stored whole.
    pub(crate) fn whole(&self, file: &AgentFile) -> Result<(AgentSpec, Surroundings)> {
        self.whole_within(file, None)
    }

    /// Does as [`whole`](Self::whole), reading no files but those of a scope.
    pub(crate) fn whole_within(
        &self,
        file: &AgentFile,
        scope: Option<&FileScope>,
    ) -> Result<(AgentSpec, Surroundings)> {
        self.whole_below(file.clone(), &mut Reading::of(file, scope))
    }

    fn whole_below(&self, file: AgentFile, reading: &mut Reading<'_>) -> Result<(AgentSpec, Surroundings)> {
        let name = file.name().into_owned();
        let AgentFile { mut spec, path } = file;
        let base = path.parent().unwrap_or(Path::new("/")).to_owned();
        spec.name = Some(name);
        if spec.model.is_none() {
            spec.model = Some(self.default_model()?);
        }
        if let Some(router) = &mut spec.router {
            router.model = router.model.take().or_else(|| spec.model.clone());
        }
        self.read_inner(&mut spec, &base, reading)?;
        if let Some(path) = spec.instructions_file.take() {
            spec.instructions = Some(reading.text(&base, path.as_ref())?);
        }
        if let Some(Value::String(path)) = &spec.output {
            let schema = serde_json::from_str(&reading.text(&base, path.as_ref())?).map_err(|error| {
                Error::new(
                    ErrorKind::InvalidRequest,
                    format!("`{}` is not valid JSON: {error}", base.join(path).display()),
                )
            })?;
            spec.output = Some(schema);
        }
        let (limits, settings) = (&mut spec.limits, &self.settings().agent);
        limits.max_iterations.get_or_insert(settings.max_iterations);
        limits.max_parallel_tools.get_or_insert(settings.max_parallel_tools as usize);
        limits.tool_timeout.get_or_insert(settings.tool_timeout);
        limits.max_repairs.get_or_insert(self.settings().structured.max_repairs);
        Ok((spec, Surroundings { base, directory: current_directory()? }))
    }
}

impl Runtime {
    /// Reads the agents that an agent calls, and those that they call.
    fn read_inner(&self, spec: &mut AgentSpec, base: &Path, reading: &mut Reading<'_>) -> Result<()> {
        for tool in &mut spec.tools {
            let ToolEntry::Agent(AgentEntry::File(named)) = &tool.tool else { continue };
            let path = reading.resolve(base, named.as_path())?;
            if reading.above.contains(&path) {
                let message = format!("the agent of `{}` calls itself", path.display());
                return Err(Error::new(ErrorKind::Configuration, message)
                    .with_hint("let the agent above do what it is called for"));
            }
            let bytes = read_file(&path)?;
            let mut inner = agent_file::read(&bytes).map_err(|problems| {
                Error::from(FileError::Problems(problems)).with_context("agent", path.display().to_string())
            })?;
            if !inner.limits.budget.is_empty() {
                let message = format!("`{}` has a budget, and is called by another agent", path.display());
                return Err(Error::new(ErrorKind::Configuration, message)
                    .with_hint("what it spends counts for the agent that is run; set the budget there"));
            }
            let model = spec.model.clone();
            inner.model = inner.model.or(model);
            reading.above.push(path.clone());
            let (inner, surroundings) = self.whole_below(AgentFile { spec: inner, path }, reading)?;
            reading.above.pop();
            tool.tool =
                ToolEntry::Agent(AgentEntry::Whole { spec: Box::new(inner), base: surroundings.base });
        }
        Ok(())
    }
}

fn current_directory() -> Result<PathBuf> {
    std::env::current_dir().map_err(|error| {
        Error::new(ErrorKind::Configuration, "the current directory cannot be found").with_source(error)
    })
}
