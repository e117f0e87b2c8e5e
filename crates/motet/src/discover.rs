//! Finds the files and variables that settings come from.
//!
//! The only place that reads `motet.toml`, `.env`, and the process's environment.

use std::path::{Path, PathBuf};

use motet_core::error::{Error, ErrorKind, Result};
use motet_core::settings::{Loaded, Settings, Sources};

/// Settings and the directory they belong to.
#[derive(Debug)]
pub struct Discovered {
    /// The settings and where each came from.
    pub loaded: Loaded,
    /// Where relative paths of settings start: the directory of `motet.toml`, or the one that was asked for.
    pub directory: PathBuf,
}

/// Loads settings for a directory: the nearest `motet.toml` in it or above it, `.env` beside that file (or in the directory
/// where there is none), the environment, and overrides as `(option, value, origin)`.
///
/// # Errors
/// `Configuration` when a file cannot be read or an option is unknown or wrong.
pub fn discover(start: &Path, overrides: Vec<(String, String, String)>) -> Result<Discovered> {
    let file = start.ancestors().map(|directory| directory.join("motet.toml")).find(|path| path.is_file());
    let directory = file.as_deref().and_then(Path::parent).unwrap_or(start).to_owned();
    let motet_toml = file.as_deref().map(read).transpose()?;
    let dotenv = Some(directory.join(".env")).filter(|path| path.is_file());
    let dotenv = dotenv.as_deref().map(read).transpose()?;
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let sources = Sources { motet_toml, dotenv, environment: environment.collect(), overrides };
    Ok(Discovered { loaded: Settings::load(&sources)?, directory })
}

fn read(path: &Path) -> Result<(String, String)> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::new(ErrorKind::Configuration, format!("`{}` cannot be read: {error}", path.display()))
            .with_source(error)
    })?;
    Ok((path.display().to_string(), text))
}
