//! One tree of settings, merged from defaults, `motet.toml`, `.env`, the environment, and flags, in that order.
//!
//! Opens no file and reads no environment: whoever composes the program hands over texts. Unknown names are errors.

mod choice;
mod decimal;
mod dotenv;
pub mod duration;
mod environment;
mod kind;
mod layer;
mod path;
mod problem;
mod reference;
mod row;
mod table;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use figment::value::Value;
use serde::Serialize;

pub use choice::{BatchStrategy, CacheMode, CachePlace, Learning, Outage, UnknownPrice};
pub use environment::RESERVED;
pub use layer::{Layer, Origin};
pub use reference::reference_markdown;
pub use row::OptionRow;
pub use table::{
    Agent, Batch, Breaker, Budget, Cache, Eval, Fallback, Files, Http, Mcp, OPTIONS, Provider, ProviderKey,
    Python, RateLimit, Record, Remote, Replay, Request, RetrySettings, Server, Settings, Structured, Worker,
};

use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use layer::{Leaf, Piece};
use path::Place;
use problem::Problem;

/// Everything that settings are read from; what is left empty is absent.
#[derive(Clone, Default)]
pub struct Sources {
    /// The name and text of `motet.toml`.
    pub motet_toml: Option<(String, String)>,
    /// The name and text of `.env`.
    pub dotenv: Option<(String, String)>,
    /// Names and values of the process's environment variables, all of them.
    pub environment: Vec<(String, String)>,
    /// What flags and code say: an option's path, its value as on a command line, and who says it (`flag --model`).
    pub overrides: Vec<(String, String, String)>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |file: &Option<(String, String)>| file.as_ref().map(|(name, _)| name.clone());
        f.debug_struct("Sources")
            .field("motet_toml", &name(&self.motet_toml))
            .field("dotenv", &name(&self.dotenv))
            .finish_non_exhaustive()
    }
}

/// The settings, and where each of them comes from.
#[derive(Clone)]
pub struct Loaded {
    /// The merged settings.
    pub settings: Settings,
    origins: BTreeMap<String, Origin>,
    variables: BTreeMap<String, (Secret, Origin)>,
}

/// One value for `config show`, hidden where it is secret.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Shown {
    /// The option's path, such as `providers.groq.base_url`.
    pub path: String,
    /// Its value; `None` when it is not set.
    pub value: Option<String>,
    /// Where the value comes from.
    pub origin: Origin,
}

impl Settings {
    /// Merges all sources; each wins over those before it: defaults, file, `.env`, environment, overrides.
    ///
    /// A variable that is empty counts as not set.
    ///
    /// # Errors
    /// `Configuration` when a source cannot be read, names an unknown option, or holds a value of the wrong kind; the
    /// error tells file and line, variable, or flag.
    pub fn load(sources: &Sources) -> Result<Loaded> {
        let mut pieces = Vec::new();
        if let Some((name, text)) = &sources.motet_toml {
            let value = tree::read_toml(name, text)?;
            pieces.push(Piece { origin: Origin::new(Layer::File, name), keys: Vec::new(), value });
        }
        let overrides = read_overrides(&sources.overrides)?;
        let providers = provider_names(pieces.iter().chain(&overrides));
        let variables = read_variables(sources)?;
        for variable in &variables {
            pieces.extend(variable.piece(&providers)?);
        }
        pieces.extend(overrides);
        let leaves = layer::merge(pieces, |keys| matches!(path::place(keys), Some(Place::Option(_))))?;
        let (settings, origins) = assign(leaves)?;
        let kept = variables.into_iter().filter(|variable| !variable.value.is_empty());
        let variables = kept.map(|one| (one.name, (Secret::new(one.value), one.origin))).collect();
        Ok(Loaded { settings, origins, variables })
    }
}

impl Loaded {
    /// Tells where an option's value comes from, by its path; `None` when the path names no value that exists.
    #[must_use]
    pub fn origin(&self, path: &str) -> Option<Origin> {
        let plain = || OPTIONS.iter().any(|row| row.path == path && !path.contains('<'));
        self.origins.get(path).cloned().or_else(|| plain().then(Origin::default))
    }

    /// Gives the value of any variable of `.env` or the environment, such as `OPENAI_API_KEY`; the environment wins.
    ///
    /// A variable that is empty counts as not set.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<Secret> {
        self.variables.get(name).map(|(value, _)| value.clone())
    }

    /// Tells where [`variable`](Self::variable) finds a variable.
    #[must_use]
    pub fn variable_origin(&self, name: &str) -> Option<&Origin> {
        self.variables.get(name).map(|(_, origin)| origin)
    }

    /// Gives every option's value and origin, in the order of the table; secrets and passwords are masked.
    #[must_use]
    pub fn show(&self) -> Vec<Shown> {
        let shown = |path: String, value| {
            let origin = self.origins.get(&path).cloned().unwrap_or_default();
            Shown { path, value, origin }
        };
        let mut rows = Vec::new();
        for row in OPTIONS {
            let values = row.values(&self.settings);
            if values.is_empty() && !row.path.contains('<') {
                rows.push(shown(row.path.to_owned(), None));
            }
            rows.extend(values.into_iter().map(|(path, text)| shown(path, Some(text))));
        }
        rows
    }
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("settings", &self.settings)
            .field("origins", &self.origins)
            .finish_non_exhaustive()
    }
}

/// One variable of `.env` or the environment.
struct Variable {
    name: String,
    value: String,
    origin: Origin,
    place: Vec<(&'static str, String)>,
}

impl Variable {
    /// Gives what it says about an option; `None` when it says nothing.
    fn piece(&self, providers: &BTreeSet<String>) -> Result<Option<Piece>> {
        let Some(keys) =
            environment::resolve(&self.name, providers).map_err(|problem| problem.at(&self.place))?
        else {
            return Ok(None);
        };
        if self.value.is_empty() {
            return Ok(None);
        }
        let named =
            || self.place.iter().cloned().chain([("variable", self.name.clone())]).collect::<Vec<_>>();
        let value = tree::read_text(&keys, &self.value).map_err(|problem| problem.at(&named()))?;
        Ok(Some(Piece { origin: self.origin.clone(), keys, value }))
    }
}

/// Gives all variables, those of `.env` first.
fn read_variables(sources: &Sources) -> Result<Vec<Variable>> {
    let mut variables = Vec::new();
    if let Some((file, text)) = &sources.dotenv {
        variables.extend(dotenv::parse(file, text)?.into_iter().map(|pair| Variable {
            origin: Origin::new(Layer::DotEnv, format!("{file} ({})", pair.name)),
            place: vec![("file", file.clone()), ("line", pair.line.to_string())],
            name: pair.name,
            value: pair.value,
        }));
    }
    variables.extend(sources.environment.iter().map(|(name, value)| Variable {
        name: name.clone(),
        value: value.clone(),
        origin: Origin::new(Layer::Environment, format!("environment variable {name}")),
        place: Vec::new(),
    }));
    Ok(variables)
}

fn read_overrides(overrides: &[(String, String, String)]) -> Result<Vec<Piece>> {
    let read = |(path, text, origin): &(String, String, String)| {
        let piece = || {
            let malformed = || {
                Problem::new(format!("`{path}` is not an option's path"))
                    .with_hint("divide its parts by dots and put a part that has dots in double quotes")
            };
            let keys = path::resolve(&path::split(path).ok_or_else(malformed)?)?;
            let value = tree::read_text(&keys, text)?;
            Ok(Piece { origin: Origin::new(Layer::Override, origin), keys, value })
        };
        piece().map_err(|problem: Problem| problem.at(&[("source", origin.clone())]))
    };
    overrides.iter().map(read).collect()
}

/// Gives the names of providers that pieces speak of.
fn provider_names<'a>(pieces: impl Iterator<Item = &'a Piece>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for piece in pieces {
        match piece.keys.as_slice() {
            [] => {
                let providers = piece.value.find_ref("providers").and_then(Value::as_dict);
                names.extend(providers.into_iter().flat_map(|dict| dict.keys().cloned()));
            }
            [first] if first == "providers" => {
                names.extend(piece.value.as_dict().into_iter().flat_map(|dict| dict.keys().cloned()));
            }
            [first, name, ..] if first == "providers" => {
                names.insert(name.clone());
            }
            _ => {}
        }
    }
    names
}

fn assign(leaves: Vec<Leaf>) -> Result<(Settings, BTreeMap<String, Origin>)> {
    let mut settings = Settings::default();
    let mut origins = BTreeMap::new();
    for Leaf { keys, value, origin } in leaves {
        let path = path::join(&keys);
        let done = match path::place(&keys) {
            Some(Place::Option(row)) => (row.assign)(&mut settings, &keys, &value),
            _ => None,
        };
        done.ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("the checked option `{path}` cannot be set"))
        })?;
        origins.insert(path, origin);
    }
    Ok((settings, origins))
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = OPTIONS.iter().flat_map(|row| row.values(self));
        f.debug_map().entries(values).finish()
    }
}
