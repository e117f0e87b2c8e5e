//! Finds the model that an id names, added, built in, or a provider's, and what else a provider does.

mod built_in;
mod configured;
mod operations;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use motet_core::embedding::Embedder;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::model::{Delivery, Model, Models};
use motet_core::price::PriceChange;
use motet_core::settings::{Loaded, Settings};
use motet_core::usage::Price;
use motet_core::{ChatRequest, ModelId, Secret};
use motet_providers::dialect::Origin;
use motet_providers::driver::{Clients, DryRun, HttpEmbedder, HttpModel, Operations};
use motet_providers::layers::budget::bound::Candidate;
use motet_providers::layers::key_pool::KeySnapshot;
use motet_providers::layers::{Bottom, Chain, Stack};
use motet_providers::provider::{ProviderConfig, ProviderRow};
use motet_providers::rows;
use motet_workflows::dag::check::ModelStanding;
use serde::Serialize;

use self::configured::Provider;
use crate::layers::{Key, Layers, Task};
use crate::lazy_store::LazyStore;
use crate::prices;

/// A provider as users see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProviderInfo {
    /// Name in model ids.
    pub name: String,
    /// One line about it.
    pub doc: String,
    /// Wire format that it speaks; `None` for those built in.
    pub dialect: Option<String>,
    /// What can be asked of it: `chat`, `embed`, `list` its models, `count` tokens, `rerank`.
    pub can: Vec<&'static str>,
    /// Where it listens; `None` for those built in and where the settings must say.
    pub base_url: Option<String>,
    /// Name of the environment variable or setting that holds its key; `None` where it needs none.
    pub key: Option<String>,
    /// Whether a call can be made with the settings as they are.
    pub ready: bool,
    /// How its keys do, where it has several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeySnapshot>,
}

/// The format whose requests always carry a limit of the output.
const LIMITED_DIALECT: &str = "anthropic-messages";

/// Every model that was asked for, by id.
pub(crate) struct Table {
    pub(crate) layers: Layers,
    /// Those with a row in their order, then those that only the settings name.
    providers: Vec<Provider>,
    prices: HashMap<ModelId, PriceChange>,
    clients: Clients,
    settings: Settings,
    directory: PathBuf,
    added: Mutex<HashMap<ModelId, Arc<dyn Model>>>,
    made: Made<dyn Model>,
    embedders: Made<dyn Embedder>,
    rerankers: Made<Stack>,
}

impl Table {
    pub(crate) fn new(loaded: &Loaded, directory: &Path, store: &LazyStore) -> Result<Arc<Self>> {
        prices::check(loaded)?;
        let providers = configured::providers(loaded)?;
        let layers = Layers::new(loaded, store)?;
        Ok(Arc::new_cyclic(|table| Self {
            layers: layers.of(Weak::clone(table)),
            providers,
            prices: loaded.settings.prices.clone().into_iter().collect(),
            clients: Clients::default(),
            settings: loaded.settings.clone(),
            directory: directory.to_owned(),
            added: Mutex::default(),
            made: Made::default(),
            embedders: Made::default(),
            rerankers: Made::default(),
        }))
    }

    pub(crate) fn add(&self, id: ModelId, model: Arc<dyn Model>) {
        self.added.lock().unwrap_or_else(PoisonError::into_inner).insert(id, model);
        // Others may fall back to it.
        self.made.forget_all();
    }

    pub(crate) fn providers(&self) -> Vec<ProviderInfo> {
        let built_in = built_in::ALL.iter().map(|built_in| ProviderInfo {
            name: built_in.name.to_owned(),
            doc: built_in.doc.to_owned(),
            dialect: None,
            can: built_in.abilities(),
            base_url: None,
            key: None,
            ready: true,
            keys: Vec::new(),
        });
        let remote = self.providers.iter().map(|provider| {
            let Provider { row, config, keys } = provider;
            let keys = if keys.len() > 1 { operations::named(keys) } else { Vec::new() };
            ProviderInfo {
                name: row.name.to_owned(),
                doc: row.doc.to_owned(),
                dialect: Some(row.dialect.to_owned()),
                can: provider.abilities(),
                base_url: config.base_url.clone().or_else(|| row.base_url.map(str::to_owned)),
                key: row.key_names.first().map(|name| (*name).to_owned()),
                ready: provider.is_ready(),
                keys: self.layers.key_snapshots(row.name, &keys),
            }
        });
        remote.chain(built_in).collect()
    }

    /// Makes the error for a call without a model; its hint names what could be used.
    pub(crate) fn no_model(&self) -> Error {
        let with_key: Vec<String> = self
            .providers
            .iter()
            .filter(|provider| provider.config.api_key.is_some())
            .map(|provider| format!("`{}`", provider.row.name))
            .collect();
        let found = if with_key.is_empty() {
            "no key was found".to_owned()
        } else {
            format!("keys were found for {}", with_key.join(", "))
        };
        Error::new(ErrorKind::Configuration, "no model was named").with_hint(format!(
            "{found}; give `--model provider:model` or the setting `model`, for example `offline:extract`, which needs no key"
        ))
    }

    /// Gives the embedding model for an id.
    ///
    /// # Errors
    /// `Configuration` when the provider is unknown or its key is missing, `Unsupported` when it has no embeddings.
    pub(crate) fn embedder(&self, id: &ModelId) -> Result<Arc<dyn Embedder>> {
        self.embedders.get_or_make(id, || {
            let keys = if let Some(built_in) = built_in::find(id.provider()) {
                let make = built_in.embedder.ok_or_else(|| operations::unable(built_in.name, "embed"))?;
                vec![(Key::none(), Bottom::Embedder(make(id)?))]
            } else {
                self.each_key(id, |row, config| {
                    let embedder = HttpEmbedder::new(row, id.clone(), config, &self.clients)?;
                    Ok(Bottom::Embedder(Arc::new(embedder.with_price(self.price(id)))))
                })?
            };
            Ok(Arc::new(self.layers.stack(id, Task::Embed, keys)?) as Arc<dyn Embedder>)
        })
    }

    /// Gives the reranking model for an id.
    ///
    /// # Errors
    /// `Configuration` when the provider is unknown or its key is missing, `Unsupported` when it does not rerank.
    pub(crate) fn reranker(&self, id: &ModelId) -> Result<Arc<Stack>> {
        self.rerankers.get_or_make(id, || {
            if built_in::find(id.provider()).is_some() {
                return Err(operations::unable(id.provider(), "rerank"));
            }
            let keys = self.each_key(id, |row, config| {
                let operations = Operations::new(row, config, &self.clients)?;
                Ok(Bottom::Reranker(Arc::new(operations.with_price(self.price(id)))))
            })?;
            Ok(Arc::new(self.layers.stack(id, Task::Rerank, keys)?))
        })
    }

    /// Gives the kept answers of a model alone; `None` for a model without layers, of which none are kept.
    pub(crate) fn kept(&self, id: &ModelId) -> Option<Stack> {
        let is_bare = built_in::find(id.provider()).is_some_and(|built_in| !built_in.layered);
        (!is_bare).then(|| self.layers.kept(id))
    }

    /// Gives the chain of a model that another falls back to.
    ///
    /// # Errors
    /// `Configuration` when the provider is unknown or its key is missing.
    pub(crate) fn model_chain(&self, id: &ModelId) -> Result<Chain> {
        self.layers.model_chain(id, Task::Chat, self.chat_keys(id)?)
    }

    fn chat_keys(&self, id: &ModelId) -> Result<Vec<(Key, Bottom)>> {
        let added = self.added.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        if let Some(model) = added {
            return Ok(vec![(Key::none(), Bottom::Model(model))]);
        }
        if let Some(built_in) = built_in::find(id.provider()) {
            let model = (built_in.make)(id, &self.directory, &self.settings)?;
            return Ok(vec![(Key::none(), Bottom::Model(model))]);
        }
        self.each_key(id, |row, config| {
            let model = HttpModel::new(row, id.clone(), config, &self.clients)?;
            Ok(Bottom::Model(Arc::new(model.with_price(self.price(id)))))
        })
    }

    /// Makes the bottom for every key of a model's provider.
    fn each_key(
        &self,
        id: &ModelId,
        make: impl Fn(&'static ProviderRow, &ProviderConfig) -> Result<Bottom>,
    ) -> Result<Vec<(Key, Bottom)>> {
        let Provider { row, config, keys } = self.provider(id.provider())?;
        let one = |(key, secret): &(Key, Option<Secret>)| {
            let config = ProviderConfig { api_key: secret.clone(), ..config.clone() };
            Ok((key.clone(), make(row, &config)?))
        };
        keys.iter().map(one).collect()
    }

    /// Gives the request that a call would send, with its secrets masked; needs no key.
    ///
    /// # Errors
    /// What keeps the request from being written, and `Unsupported` for providers that send nothing.
    pub(crate) fn dry_run(&self, request: &ChatRequest, delivery: Delivery) -> Result<DryRun> {
        let id = &request.model;
        if built_in::find(id.provider()).is_some() {
            return Err(Error::new(ErrorKind::Unsupported, format!("`{id}` works here and sends nothing"))
                .with_hint("a dry run shows what goes to a provider; name a model of one"));
        }
        let Provider { row, config, .. } = self.provider(id.provider())?;
        HttpModel::to_look_at(row, id.clone(), config, &self.clients)?.dry_run(request, delivery)
    }

    fn provider(&self, name: &str) -> Result<&Provider> {
        let found = self.providers.iter().find(|provider| provider.row.name == name);
        found.ok_or_else(|| unknown_provider(name))
    }

    /// Gives what tells a model's server from the one that its provider's name usually means; `None` where nothing does.
    pub(crate) fn server(&self, id: &ModelId) -> Option<String> {
        self.provider(id.provider()).ok()?.server()
    }

    /// Gives what bounds the cost of a call to a model, as far as that is known.
    pub(crate) fn candidate(&self, id: &ModelId) -> Candidate {
        let listed = prices::find(id);
        let provider = self.provider(id.provider()).ok();
        // Some formats demand a limit of the output, so that there always is one.
        let known =
            provider.map(|provider| (provider.row.dialect, Origin::new(provider.row, id.clone()).profile));
        let always =
            known.filter(|(dialect, _)| *dialect == LIMITED_DIALECT).map(|(_, profile)| profile.max_output);
        let max_output = always.or(listed.as_ref().and_then(|listed| listed.max_output));
        let context = listed.as_ref().and_then(|listed| listed.context);
        let hidden = known.map_or(0, |(_, profile)| profile.hidden_input);
        Candidate::new(id.clone(), self.price(id)).with_limits(max_output, context).with_hidden_input(hidden)
    }

    /// Tells whether a model can be called, as far as that is known without calling it.
    pub(crate) fn standing(&self, id: &ModelId) -> ModelStanding {
        let wrong = |error: Error| ModelStanding::Wrong {
            message: error.message().to_owned(),
            hint: error.hint().map(str::to_owned),
        };
        if self.added.lock().unwrap_or_else(PoisonError::into_inner).contains_key(id) {
            return ModelStanding::Ready;
        }
        if let Some(built_in) = built_in::find(id.provider()) {
            return match (built_in.make)(id, &self.directory, &self.settings) {
                Ok(_) => ModelStanding::Ready,
                Err(error) => wrong(error),
            };
        }
        let Provider { row, config, .. } = match self.provider(id.provider()) {
            Ok(provider) => provider,
            Err(error) => return wrong(error),
        };
        if config.lacks_key(row) {
            return ModelStanding::NoKey(row.key_names.first().map_or(row.name, |name| *name).to_owned());
        }
        let has_rule = row.models.iter().any(|rule| row.profile.bare(id.model()).starts_with(rule.prefix));
        if has_rule || config.base_url.is_some() || self.price(id).is_some() {
            return ModelStanding::Ready;
        }
        let listed = prices::models_of(id.provider());
        if listed.is_empty() {
            return ModelStanding::Ready;
        }
        let near = listed.iter().map(|known| (strsim::osa_distance(known, id.model()), known)).min();
        let near = near.filter(|(distance, known)| *distance <= known.len() / 3);
        ModelStanding::Unlisted(near.map(|(_, known)| format!("{}:{known}", id.provider())))
    }

    /// Gives what a model charges, by the settings and the list; `None` where that is unknown.
    pub(crate) fn price(&self, id: &ModelId) -> Option<Price> {
        let listed = prices::listed(id);
        self.prices.get(id).map_or(listed, |change| change.over(listed))
    }
}

#[async_trait]
impl Models for Table {
    async fn model(&self, id: &ModelId) -> Result<Arc<dyn Model>> {
        self.made.get_or_make(id, || {
            let mut keys = self.chat_keys(id)?;
            if built_in::find(id.provider()).is_some_and(|built_in| !built_in.layered)
                && let Some((_, Bottom::Model(model))) = keys.pop()
            {
                return Ok(model);
            }
            Ok(Arc::new(self.layers.stack(id, Task::Chat, keys)?) as Arc<dyn Model>)
        })
    }

    async fn embedder(&self, id: &ModelId) -> Result<Arc<dyn Embedder>> {
        Table::embedder(self, id)
    }
}

/// What was made once and serves every later call.
struct Made<T: ?Sized>(Mutex<HashMap<ModelId, Arc<T>>>);

impl<T: ?Sized> Default for Made<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: ?Sized> Made<T> {
    fn forget_all(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn get_or_make(&self, id: &ModelId, make: impl FnOnce() -> Result<Arc<T>>) -> Result<Arc<T>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).map(Arc::clone);
        if let Some(one) = known {
            return Ok(one);
        }
        let one = make()?;
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(made.entry(id.clone()).or_insert(one)))
    }
}

fn unknown_provider(name: &str) -> Error {
    let known =
        rows::ALL.iter().map(|row| row.name).chain(built_in::ALL.iter().map(|built_in| built_in.name));
    let near = known.map(|known| (strsim::damerau_levenshtein(known, name), known)).min();
    let near = near.filter(|(distance, known)| *distance <= known.len().min(name.len()) / 3);
    let meant = near.map(|(_, known)| format!("did you mean `{known}`? ")).unwrap_or_default();
    Error::new(ErrorKind::Configuration, format!("there is no provider `{name}`")).with_hint(format!(
        "{meant}`motet provider list` shows all; `custom` speaks to any compatible server by its base URL"
    ))
}

#[cfg(test)]
mod tests {
    use motet_core::settings::Sources;

    use super::*;

    #[test]
    fn a_local_server_is_found_by_its_variable_and_in_either_format() {
        let found = |variable: Option<&str>, options: &[(&str, &str)]| {
            let overrides = options.iter().map(|(path, value)| {
                (format!("providers.ollama.{path}"), (*value).to_owned(), "test".to_owned())
            });
            let environment = variable.map(|value| ("OLLAMA_HOST".into(), value.into()));
            let sources = Sources {
                environment: environment.into_iter().collect(),
                overrides: overrides.collect(),
                ..Sources::default()
            };
            let table = {
                let store = LazyStore::new("memory:".to_owned(), ".".into(), Default::default());
                Table::new(&Settings::load(&sources).unwrap(), Path::new("."), &store).unwrap()
            };
            let info = table.providers().into_iter().find(|info| info.name == "ollama").unwrap();
            (info.dialect.unwrap(), info.base_url.unwrap())
        };
        let compatible = ("dialect", "openai-chat");
        for (variable, options, dialect, base_url) in [
            (None, &[][..], "ollama-chat", "http://localhost:11434"),
            (Some("0.0.0.0:8080"), &[], "ollama-chat", "http://127.0.0.1:8080"),
            (Some("box"), &[("base_url", "http://other:1")], "ollama-chat", "http://other:1"),
            (None, &[compatible], "openai-chat", "http://localhost:11434/v1"),
            (Some("box"), &[compatible], "openai-chat", "http://box:11434/v1"),
        ] {
            assert_eq!(found(variable, options), (dialect.to_owned(), base_url.to_owned()));
        }
    }
}
