//! Which providers there are and how each is reached, by their rows and the settings.
//!
//! Opens no connection.

use motet_core::Secret;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::settings::{Loaded, Provider as ProviderSettings, ProviderKey};
use motet_providers::dialect::Profile;
use motet_providers::provider::{Auth, AwsCredentials, ProviderConfig, ProviderRow, Proxy, Timeouts};
use motet_providers::{dialects, driver, rows};

use super::unknown_provider;
use crate::layers::Key;

/// A provider that can be asked.
pub(super) struct Provider {
    pub(super) row: &'static ProviderRow,
    /// How it is reached with its only key, or the first of several.
    pub(super) config: ProviderConfig,
    /// Its keys, at least one, which is empty where it needs none.
    pub(super) keys: Vec<(Key, Option<Secret>)>,
}

/// Name of a key that the settings give no name.
const ONLY_KEY: &str = "default";

/// Makes the keys of a provider; a limit that is given for one key of a group holds for the group.
fn keys(own: &ProviderSettings, only: Option<&Secret>) -> Vec<(Key, Option<Secret>)> {
    let group =
        |name: &str, settings: &ProviderKey| settings.group.clone().unwrap_or_else(|| name.to_owned());
    let key = |name: &str, settings: &ProviderKey| {
        let shared = group(name, settings);
        let of_group = |limit: fn(&ProviderKey) -> Option<u32>| {
            let others = own.keys.iter().filter(|(name, other)| group(name, other) == shared);
            limit(settings).or_else(|| others.filter_map(|(_, other)| limit(other)).next())
        };
        Key {
            name: name.to_owned(),
            weight: settings.weight.unwrap_or(1),
            requests_per_minute: of_group(|key| key.requests_per_minute).or(own.requests_per_minute),
            tokens_per_minute: of_group(|key| key.tokens_per_minute).or(own.tokens_per_minute),
            burst: of_group(|key| key.burst).or(own.burst),
            group: shared,
        }
    };
    if own.keys.is_empty() {
        return vec![(key(ONLY_KEY, &ProviderKey::default()), only.cloned())];
    }
    own.keys.iter().map(|(name, settings)| (key(name, settings), settings.api_key.clone())).collect()
}

/// Puts a row, its settings, and its keys together.
fn provider(row: &'static ProviderRow, own: ProviderSettings, loaded: &Loaded) -> Result<Provider> {
    if let Some((name, _)) = own.keys.iter().find(|(_, key)| key.api_key.is_none()) {
        let place = format!("providers.{}.keys.{name}.api_key", row.name);
        return Err(Error::new(
            ErrorKind::Configuration,
            format!("the key `{name}` of `{}` is empty", row.name),
        )
        .with_hint(format!("set `{place}`, or remove the key")));
    }
    if !own.keys.is_empty() && own.api_key.is_some() {
        return Err(Error::new(
            ErrorKind::Configuration,
            format!("`{}` has both `api_key` and `keys`", row.name),
        )
        .with_hint(format!("put the key under `providers.{}.keys` beside the others", row.name)));
    }
    let settings = own.clone();
    let mut config = config(row, own, loaded);
    let keys = keys(&settings, config.api_key.as_ref());
    config.api_key = keys.first().and_then(|(_, secret)| secret.clone());
    Ok(Provider { row, config, keys })
}

impl Provider {
    /// Tells whether a call can be made with the settings as they are.
    pub(super) fn is_ready(&self) -> bool {
        driver::check(self.row, &self.config).is_ok()
    }

    /// Gives what tells its answers from those that the provider's name usually means: another address, wire format, or
    /// part of the address, and headers, which may switch something on. `None` where nothing does.
    pub(super) fn server(&self) -> Option<String> {
        let ProviderConfig { base_url, variables, headers, .. } = &self.config;
        let usual = rows::ALL.iter().find(|row| row.name == self.row.name);
        let dialect =
            Some(self.row.dialect).filter(|dialect| usual.is_none_or(|row| row.dialect != *dialect));
        let is_usual = base_url.is_none() && dialect.is_none() && variables.is_empty() && headers.is_empty();
        (!is_usual).then(|| serde_json::json!([base_url, dialect, variables, headers]).to_string())
    }

    /// Gives what can be asked of it, in the order shown to users.
    pub(super) fn abilities(&self) -> Vec<&'static str> {
        let row = self.row;
        [
            ("chat", true),
            ("embed", row.embeddings.is_some()),
            ("list", row.listing.is_some()),
            ("count", row.counter.is_some()),
            ("rerank", row.reranker.is_some()),
        ]
        .into_iter()
        .filter_map(|(ability, can)| can.then_some(ability))
        .collect()
    }
}

/// Gives those with a row in their order, then those that only the settings name.
pub(super) fn providers(loaded: &Loaded) -> Result<Vec<Provider>> {
    let settings = &loaded.settings.providers;
    let mut providers = Vec::new();
    for row in rows::ALL {
        let own = settings.iter().find(|(name, _)| means(name, row)).map(|(_, own)| own.clone());
        let own = own.unwrap_or_default();
        let row = with_dialect(row, own.dialect.as_deref())?;
        providers.push(provider(row, own, loaded)?);
    }
    for (name, own) in settings.iter().filter(|(name, _)| !rows::ALL.iter().any(|row| means(name, row))) {
        let row = named_in_settings(name, own)?;
        providers.push(provider(row, own.clone(), loaded)?);
    }
    Ok(providers)
}

/// Tells whether settings under a name mean a row; variables cannot spell `-` and have `_` there.
fn means(name: &str, row: &ProviderRow) -> bool {
    name == row.name || (!rows::ALL.iter().any(|row| row.name == name) && name.replace('_', "-") == row.name)
}

/// Makes the row of a provider that only the settings know: a compatible server under a name of its own.
///
/// The row stays for the life of the process, like those that are compiled in; there are as many as settings name.
fn named_in_settings(name: &str, own: &ProviderSettings) -> Result<&'static ProviderRow> {
    if own.base_url.is_none() {
        return Err(unknown_provider(name)
            .with_context("setting", format!("providers.{name}"))
            .with_hint(format!("to add a server of this name, set `providers.{name}.base_url`")));
    }
    let template = with_dialect(rows::find(CUSTOM)?, own.dialect.as_deref())?;
    let doc = "Named in the settings.";
    Ok(Box::leak(Box::new(ProviderRow { name: String::leak(name.to_owned()), doc, ..*template })))
}

/// The row of servers of which only the address is known.
const CUSTOM: &str = "custom";

/// Gives the row, or a copy of it that speaks the dialect that the settings name.
///
/// Of a server of which only the address is known, everything else is taken to be as the first provider of that
/// dialect has it: how the key is sent, what models accept, how lists and embeddings are written.
fn with_dialect(row: &'static ProviderRow, dialect: Option<&str>) -> Result<&'static ProviderRow> {
    let Some(name) = dialect.filter(|name| *name != row.dialect) else { return Ok(row) };
    let dialect = dialects::find(name)?.name();
    if row.alternatives.iter().any(|other| other.dialect == dialect) {
        return Ok(Box::leak(Box::new(row.speaking(dialect))));
    }
    let like = rows::ALL.iter().find(|like| like.dialect == dialect && row.name == CUSTOM);
    let changed = like.map_or(ProviderRow { dialect, ..*row }, |like| ProviderRow {
        name: row.name,
        doc: row.doc,
        base_url: row.base_url,
        key_names: row.key_names,
        key_required: row.key_required,
        variables: row.variables,
        unknown_model_hint: row.unknown_model_hint,
        unreachable_hint: row.unreachable_hint,
        // Limits of the vendor's own models are not those of whatever the server runs.
        profile: Profile { max_output: Profile::COMMON.max_output, ..like.profile },
        ..**like
    });
    Ok(Box::leak(Box::new(changed)))
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
    use motet_core::Settings;
    use motet_core::settings::Sources;

    use super::*;

    /// Gives the providers under environment variables.
    fn with(variables: &[(String, String)]) -> Vec<Provider> {
        let sources = Sources { environment: variables.to_vec(), ..Sources::default() };
        providers(&Settings::load(&sources).unwrap()).unwrap()
    }

    #[test]
    fn every_row_can_be_set_by_variables_and_speak_any_dialect() {
        for row in rows::ALL {
            let spelled = row.name.to_uppercase().replace('-', "_");
            for dialect in dialects::ALL {
                let set = |option: &str, value: &str| {
                    (format!("MOTET_PROVIDERS_{spelled}_{option}"), value.to_owned())
                };
                let found = with(&[set("BASE_URL", "http://localhost:1/v1"), set("DIALECT", dialect.name())]);
                assert_eq!(found.len(), rows::ALL.len(), "no provider beside the rows, for `{}`", row.name);
                let changed = found.iter().find(|provider| provider.row.name == row.name).unwrap();
                assert_eq!(changed.config.base_url.as_deref(), Some("http://localhost:1/v1"));
                assert_eq!(changed.row.dialect, dialect.name());
                assert!(changed.is_ready() && changed.row.key_names == row.key_names, "{}", row.name);
            }
        }
    }

    #[test]
    fn a_provider_is_ready_once_its_key_is_there() {
        let ready = |variables: &[(String, String)]| {
            with(variables).iter().find(|provider| provider.row.name == "openai").unwrap().is_ready()
        };
        assert!(!ready(&[]));
        assert!(ready(&[("OPENAI_API_KEY".to_owned(), "sk-0123456789abcdef".to_owned())]));
    }

    #[test]
    fn a_server_of_which_only_the_address_is_known_is_like_the_first_of_its_dialect() {
        for like in rows::ALL {
            let first = rows::ALL.iter().find(|row| row.dialect == like.dialect).unwrap();
            let custom = rows::find(CUSTOM).unwrap();
            let changed = with_dialect(custom, Some(like.dialect)).unwrap();
            assert_eq!((changed.name, changed.doc, changed.key_required), (custom.name, custom.doc, false));
            if changed.dialect != custom.dialect {
                assert_eq!((changed.auth, changed.listing), (first.auth, first.listing), "{}", like.dialect);
            }
        }
    }
}
