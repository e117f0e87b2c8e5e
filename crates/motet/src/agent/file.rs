//! Files of agents on the disk, and what they leave to settings and other files.

use std::path::{Path, PathBuf};

use motet_core::error::{Error, ErrorKind, Result};
use motet_workflows::agent_file;
use serde_json::Value;

use super::{AgentSpec, Surroundings};
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

impl Runtime {
    /// Reads and checks a file of an agent; nothing is started and nothing connected to.
    ///
    /// # Errors
    /// All its problems at once, or why it could not be read.
    pub fn read_agent(&self, path: &Path) -> Result<AgentFile, FileError> {
        let bytes = read_file(path).map_err(FileError::Unreadable)?;
        let spec = agent_file::read(&bytes).map_err(FileError::Problems)?;
        let path = path.canonicalize().map_err(|error| FileError::Unreadable(unreadable(path, error)))?;
        let file = AgentFile { spec, path };
        self.check_agent(&file).map_err(FileError::Unreadable)?;
        Ok(file)
    }

    /// Finds out whether an agent can be built as far as that is known without its servers.
    fn check_agent(&self, file: &AgentFile) -> Result<()> {
        let mut file = file.clone();
        // A file may leave its model to the settings and to whoever runs it.
        file.spec.model.get_or_insert("offline:extract".parse()?);
        // Whoever runs it gives the values of a template, which was read with the file.
        file.spec.instructions_template = None;
        let (spec, surroundings) = self.whole(&file)?;
        let tools = self.commands(&spec, &surroundings)?;
        let tools = tools.into_iter().flatten();
        self.builder(&spec)?.tools(tools).build().map(drop)
    }

    /// Puts into an agent what its file leaves to settings and other files, so that it can be stored whole.
    pub(super) fn whole(&self, file: &AgentFile) -> Result<(AgentSpec, Surroundings)> {
        let mut spec = file.spec.clone();
        let base = file.path.parent().unwrap_or(Path::new("/")).to_owned();
        if spec.name.is_none() {
            spec.name = file.path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        }
        if spec.model.is_none() {
            spec.model = Some(self.default_model()?);
        }
        if let Some(path) = spec.instructions_file.take() {
            spec.instructions = Some(text(&base.join(path))?);
        }
        if let Some(Value::String(path)) = &spec.output {
            let path = base.join(path);
            let schema = serde_json::from_str(&text(&path)?).map_err(|error| {
                Error::new(
                    ErrorKind::InvalidRequest,
                    format!("`{}` is not valid JSON: {error}", path.display()),
                )
            })?;
            spec.output = Some(schema);
        }
        let (limits, settings) = (&mut spec.limits, &self.settings().agent);
        limits.max_iterations.get_or_insert(settings.max_iterations);
        limits.max_parallel_tools.get_or_insert(settings.max_parallel_tools as usize);
        limits.tool_timeout.get_or_insert(settings.tool_timeout);
        limits.max_repairs.get_or_insert(self.settings().structured.max_repairs);
        let directory = std::env::current_dir().map_err(|error| {
            Error::new(ErrorKind::Configuration, "the current directory cannot be found").with_source(error)
        })?;
        Ok((spec, Surroundings { base, directory }))
    }
}

fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| unreadable(path, error))
}
