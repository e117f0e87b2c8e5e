//! Finds the model that an id names: added ones, built-in ones, and providers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::model::{Model, Models};
use motet_core::settings::{Loaded, Provider as ProviderSettings};
use motet_core::usage::Price;
use motet_core::{ModelId, Secret};
use motet_providers::driver::{Clients, HttpModel};
use motet_providers::offline::OfflineExtract;
use motet_providers::provider::{Auth, AwsCredentials, ProviderConfig, ProviderRow, Proxy, Timeouts};
use motet_providers::scripted::ScriptedModel;
use motet_providers::{dialects, rows};
use serde::Serialize;

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
    /// Where it listens; `None` for those built in and where the settings must say.
    pub base_url: Option<String>,
    /// Name of the environment variable or setting that holds its key; `None` where it needs none.
    pub key: Option<String>,
    /// Whether a call can be made with the settings as they are.
    pub ready: bool,
}

/// A model that needs no network, as a row.
struct BuiltIn {
    name: &'static str,
    doc: &'static str,
    make: fn(&ModelId, &Path) -> Result<Arc<dyn Model>>,
}

const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        name: "offline",
        doc: "Extractive answers without a network; `offline:extract` is no language model.",
        make: |id, _| Ok(Arc::new(OfflineExtract::new(id)?)),
    },
    BuiltIn {
        name: "scripted",
        doc: "Answers from a file, for tests: `scripted:FILE.json`.",
        make: |id, directory| Ok(Arc::new(ScriptedModel::from_file(id, directory)?)),
    },
];

/// Every model that was asked for, by id.
pub(crate) struct Table {
    /// Those with a row in their order, then those that only the settings name.
    providers: Vec<Provider>,
    prices: HashMap<ModelId, Price>,
    clients: Clients,
    directory: PathBuf,
    made: Mutex<HashMap<ModelId, Arc<dyn Model>>>,
}

struct Provider {
    row: &'static ProviderRow,
    config: ProviderConfig,
}

impl Table {
    pub(crate) fn new(loaded: &Loaded, directory: &Path) -> Result<Self> {
        let settings = &loaded.settings;
        let mut providers = Vec::new();
        for row in rows::ALL {
            let own = settings.providers.get(row.name).cloned().unwrap_or_default();
            let row = with_dialect(row, own.dialect.as_deref())?;
            providers.push(Provider { row, config: config(row, own, loaded) });
        }
        for (name, own) in
            settings.providers.iter().filter(|(name, _)| rows::ALL.iter().all(|row| row.name != **name))
        {
            let row = named_in_settings(name, own)?;
            providers.push(Provider { row, config: config(row, own.clone(), loaded) });
        }
        Ok(Self {
            providers,
            prices: settings.prices.clone().into_iter().collect(),
            clients: Clients::default(),
            directory: directory.to_owned(),
            made: Mutex::default(),
        })
    }

    pub(crate) fn add(&self, id: ModelId, model: Arc<dyn Model>) {
        self.made().insert(id, model);
    }

    pub(crate) fn providers(&self) -> Vec<ProviderInfo> {
        let built_in = BUILT_IN.iter().map(|built_in| ProviderInfo {
            name: built_in.name.to_owned(),
            doc: built_in.doc.to_owned(),
            dialect: None,
            base_url: None,
            key: None,
            ready: true,
        });
        let remote = self.providers.iter().map(|Provider { row, config }| {
            let base_url = config.base_url.clone().or_else(|| row.base_url.map(str::to_owned));
            ProviderInfo {
                name: row.name.to_owned(),
                doc: row.doc.to_owned(),
                dialect: Some(row.dialect.to_owned()),
                ready: base_url.is_some()
                    && (config.api_key.is_some() || config.base_url.is_some() || !row.key_required),
                base_url,
                key: row.key_names.first().map(|name| (*name).to_owned()),
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

    fn made(&self) -> MutexGuard<'_, HashMap<ModelId, Arc<dyn Model>>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(&self, id: &ModelId) -> Result<Arc<dyn Model>> {
        if let Some(built_in) = BUILT_IN.iter().find(|built_in| built_in.name == id.provider()) {
            return (built_in.make)(id, &self.directory);
        }
        let found = self.providers.iter().find(|provider| provider.row.name == id.provider());
        let Some(Provider { row, config }) = found else {
            return Err(rows::unknown(id.provider()));
        };
        let price = self.prices.get(id).copied().or_else(|| prices::listed(id));
        Ok(Arc::new(HttpModel::new(row, id.clone(), config, &self.clients)?.with_price(price)))
    }
}

#[async_trait]
impl Models for Table {
    async fn model(&self, id: &ModelId) -> Result<Arc<dyn Model>> {
        if let Some(model) = self.made().get(id) {
            return Ok(Arc::clone(model));
        }
        let model = self.make(id)?;
        Ok(Arc::clone(self.made().entry(id.clone()).or_insert(model)))
    }
}

/// Makes the row of a provider that only the settings know: a compatible server under a name of its own.
///
/// The row stays for the life of the process, like those that are compiled in; there are as many as settings name.
fn named_in_settings(name: &str, own: &ProviderSettings) -> Result<&'static ProviderRow> {
    if own.base_url.is_none() {
        return Err(rows::unknown(name)
            .with_context("setting", format!("providers.{name}"))
            .with_hint(format!("to add a server of this name, set `providers.{name}.base_url`")));
    }
    let template = with_dialect(rows::find("custom")?, own.dialect.as_deref())?;
    let doc = "Named in the settings.";
    Ok(Box::leak(Box::new(ProviderRow { name: String::leak(name.to_owned()), doc, ..*template })))
}

/// Gives the row, or a copy of it that speaks the dialect that the settings name.
fn with_dialect(row: &'static ProviderRow, dialect: Option<&str>) -> Result<&'static ProviderRow> {
    match dialect {
        Some(name) if name != row.dialect => {
            Ok(Box::leak(Box::new(row.speaking(dialects::find(name)?.name()))))
        }
        _ => Ok(row),
    }
}

fn config(row: &ProviderRow, own: ProviderSettings, loaded: &Loaded) -> ProviderConfig {
    let usual_key = || row.key_names.iter().find_map(|name| loaded.variable(name));
    let request = &loaded.settings.request;
    let first = |names: &[&str]| names.iter().find_map(|name| loaded.variable(name));
    let variables: Vec<(&'static str, String)> = row
        .variables
        .iter()
        .filter_map(|variable| Some((variable.name, first(variable.sources)?.expose().to_owned())))
        .collect();
    let address = || {
        let value = loaded.variable(row.address?.name)?;
        row.address?.base_url(value.expose(), row.base_url)
    };
    ProviderConfig {
        aws: aws_credentials(row, loaded),
        variables,
        base_url: own.base_url.or_else(address),
        api_key: own.api_key.or_else(usual_key),
        headers: own
            .headers
            .into_iter()
            .map(|(name, value): (String, Secret)| (name, value.expose().to_owned()))
            .collect(),
        proxy: own.proxy.map_or(Proxy::System, |address| Proxy::Address(Secret::new(address))),
        timeouts: Timeouts {
            connect: Some(request.connect_timeout),
            first_byte: Some(request.first_byte_timeout),
            idle: Some(request.idle_timeout),
            total: Some(request.timeout),
        },
    }
}

/// Finds the credentials that Amazon's own tools use, where the provider wants signatures.
fn aws_credentials(row: &ProviderRow, loaded: &Loaded) -> Option<AwsCredentials> {
    let Auth::AwsSigV4 { .. } = row.auth else { return None };
    let region = loaded.variable("AWS_REGION").or_else(|| loaded.variable("AWS_DEFAULT_REGION"));
    Some(AwsCredentials {
        access_key_id: loaded.variable("AWS_ACCESS_KEY_ID")?.expose().to_owned(),
        secret_access_key: loaded.variable("AWS_SECRET_ACCESS_KEY")?,
        session_token: loaded.variable("AWS_SESSION_TOKEN"),
        region: region.map_or_else(|| "us-east-1".to_owned(), |region| region.expose().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use motet_core::settings::{Settings, Sources};

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
            let table = Table::new(&Settings::load(&sources).unwrap(), Path::new(".")).unwrap();
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
