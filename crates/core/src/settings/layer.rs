//! Where values come from, and how sources are laid over each other.
//!
//! Values were checked before they come here.

use std::fmt;

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// The sources of settings; each wins over those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Layer {
    /// What holds when nobody says anything.
    Default,
    /// The file `motet.toml`.
    File,
    /// The file `.env`.
    DotEnv,
    /// The environment of the process.
    Environment,
    /// A flag, or a program that uses the library.
    Override,
}

impl Layer {
    /// Every source, the weakest first.
    pub const ALL: &'static [Layer] =
        &[Layer::Default, Layer::File, Layer::DotEnv, Layer::Environment, Layer::Override];

    /// Gives the name used in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Layer::Default => "default",
            Layer::File => "file",
            Layer::DotEnv => "dot_env",
            Layer::Environment => "environment",
            Layer::Override => "override",
        }
    }
}

/// Where one value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Which source.
    pub layer: Layer,
    /// The source in words, such as `motet.toml` or `environment variable MOTET_MODEL`.
    pub name: String,
}

impl Origin {
    pub(super) fn new(layer: Layer, name: impl Into<String>) -> Self {
        Self { layer, name: name.into() }
    }

    /// Finds the origin in what figment keeps of a source.
    fn of(metadata: &Metadata) -> Option<Self> {
        let layer = Layer::ALL.iter().find(|layer| layer.as_str() == metadata.name)?;
        Some(Self::new(*layer, metadata.source.as_ref()?.custom()?))
    }
}

impl Default for Origin {
    fn default() -> Self {
        Self::new(Layer::Default, "default")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What one file, variable, or flag says.
pub(super) struct Piece {
    pub(super) origin: Origin,
    /// The option or table that `value` is for; empty when it is the whole tree.
    pub(super) keys: Vec<String>,
    pub(super) value: Value,
}

impl Provider for Piece {
    fn metadata(&self) -> Metadata {
        Metadata::from(self.origin.layer.as_str(), self.origin.name.as_str())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        let nested = self
            .keys
            .iter()
            .rev()
            .fold(self.value.clone(), |value, key| Value::from(Dict::from([(key.clone(), value)])));
        Ok(Profile::Default.collect(nested.into_dict().unwrap_or_default()))
    }
}

/// One option's value after all sources were laid over each other.
pub(super) struct Leaf {
    pub(super) keys: Vec<String>,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// Lays pieces over each other, the weakest first, and gives the values that remain.
pub(super) fn merge(pieces: Vec<Piece>, is_option: impl Fn(&[String]) -> bool) -> Result<Vec<Leaf>> {
    let figment = pieces.into_iter().fold(Figment::new(), Figment::merge);
    let mut data = figment
        .data()
        .map_err(|error| Error::new(ErrorKind::Internal, format!("settings cannot be merged: {error}")))?;
    let tree = data.remove(&Profile::Default).unwrap_or_default();
    let mut open: Vec<(Vec<String>, Value)> = vec![(Vec::new(), Value::from(tree))];
    let mut leaves = Vec::new();
    while let Some((keys, value)) = open.pop() {
        match value {
            Value::Dict(_, dict) if !is_option(&keys) => {
                open.extend(dict.into_iter().rev().map(|(key, value)| {
                    let keys = keys.iter().cloned().chain([key]).collect();
                    (keys, value)
                }));
            }
            value => {
                let origin = figment.get_metadata(value.tag()).and_then(Origin::of).unwrap_or_default();
                leaves.push(Leaf { keys, value, origin });
            }
        }
    }
    Ok(leaves)
}
