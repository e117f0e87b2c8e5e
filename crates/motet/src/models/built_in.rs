//! The providers that need no network, as rows.
//!
//! Knows their names and what they can do; how they do it is the providers' crate's business.

use std::path::Path;
use std::sync::Arc;

use motet_core::embedding::Embedder;
use motet_core::error::Result;
use motet_core::model::Model;
use motet_core::{ChatRequest, ModelId, Settings};
use motet_providers::offline::{self, OfflineExtract};
use motet_providers::replay::ReplayModel;
use motet_providers::scripted::ScriptedModel;

/// Makes the embedding model for an id.
type MakeEmbedder = fn(&ModelId) -> Result<Arc<dyn Embedder>>;

/// A provider that needs no network.
pub(super) struct BuiltIn {
    pub(super) name: &'static str,
    pub(super) doc: &'static str,
    /// Makes the model for an id; relative paths start in the directory.
    pub(super) make: fn(&ModelId, &Path, &Settings) -> Result<Arc<dyn Model>>,
    /// Whether layers stand around it; what was recorded behind them is given without them.
    pub(super) layered: bool,
    /// Makes vectors, where it can.
    pub(super) embedder: Option<MakeEmbedder>,
    /// The names of its models, where they can be listed.
    pub(super) models: Option<&'static [&'static str]>,
    /// Counts the tokens of a request, where it can.
    pub(super) count: Option<fn(&ChatRequest) -> u64>,
}

pub(super) const ALL: &[BuiltIn] = &[
    BuiltIn {
        name: offline::PROVIDER,
        doc: "Extractive answers without a network; `offline:extract` is no language model.",
        make: |id, _, _| Ok(Arc::new(OfflineExtract::new(id)?)),
        layered: true,
        embedder: Some(|id| Ok(Arc::new(OfflineExtract::new(id)?))),
        models: Some(&[offline::MODEL]),
        count: Some(offline::count_tokens),
    },
    BuiltIn {
        name: motet_providers::scripted::PROVIDER,
        doc: "Answers from a file, for tests: `scripted:FILE.json`.",
        make: |id, directory, _| Ok(Arc::new(ScriptedModel::from_file(id, directory)?)),
        layered: true,
        embedder: None,
        models: None,
        count: None,
    },
    BuiltIn {
        name: motet_providers::replay::PROVIDER,
        doc: "Answers from a recorded run: `replay:FILE`, which `motet log export` writes.",
        make: |id, directory, settings| {
            Ok(Arc::new(ReplayModel::from_file(id, directory, settings.replay.strict)?))
        },
        layered: false,
        embedder: None,
        models: None,
        count: None,
    },
];

/// Finds one by its name.
pub(super) fn find(name: &str) -> Option<&'static BuiltIn> {
    ALL.iter().find(|built_in| built_in.name == name)
}

impl BuiltIn {
    /// Gives what can be asked of it, in the order shown to users.
    pub(super) fn abilities(&self) -> Vec<&'static str> {
        [
            ("chat", true),
            ("embed", self.embedder.is_some()),
            ("list", self.models.is_some()),
            ("count", self.count.is_some()),
        ]
        .into_iter()
        .filter_map(|(ability, can)| can.then_some(ability))
        .collect()
    }
}
