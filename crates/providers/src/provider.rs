//! What a provider row says, and how a provider is configured.
//!
//! Opens no connection and reads no environment: whoever composes the program fills a [`ProviderConfig`].

mod address;

use std::fmt;
use std::time::Duration;

use motet_core::Secret;

pub use address::AddressVariable;

use crate::dialect::{KeyHeader, Profile};

/// A provider, as a row of data.
#[derive(Debug, Clone, Copy)]
pub struct ProviderRow {
    /// Name in model ids.
    pub name: &'static str,
    /// One line about the provider.
    pub doc: &'static str,
    /// Name of the wire format that it speaks.
    pub dialect: &'static str,
    /// Where it listens; `None` where the user must say.
    pub base_url: Option<&'static str>,
    /// Addresses that stand for it where a variable has a certain value.
    pub base_url_rules: &'static [BaseUrlRule],
    /// Environment variable that holds the address where the settings name none.
    pub address: Option<AddressVariable>,
    /// Environment variables that hold the key, the usual one first.
    pub key_names: &'static [&'static str],
    /// A call without a key cannot succeed.
    pub key_required: bool,
    /// How a request proves who sends it.
    pub auth: Auth,
    /// Headers that every request carries; names in lower case.
    pub headers: &'static [(&'static str, &'static str)],
    /// What stands for the names in braces in `base_url`.
    pub variables: &'static [Variable],
    /// Name of the wire format of embeddings; `None` where there are none.
    pub embeddings: Option<&'static str>,
    /// Name of the wire format of the list of models; `None` where there is none.
    pub listing: Option<&'static str>,
    /// Name of the wire format by which tokens are counted; `None` where the provider does not count.
    pub counter: Option<&'static str>,
    /// Name of the wire format of reranking; `None` where there is none.
    pub reranker: Option<&'static str>,
    /// What its models can do unless a rule below says otherwise.
    pub profile: Profile,
    /// Models that differ.
    pub models: &'static [ModelRule],
    /// What to do when it does not know a model; `{model}` stands for the model's name.
    pub unknown_model_hint: Option<&'static str>,
    /// What to do when it cannot be reached.
    pub unreachable_hint: Option<&'static str>,
    /// Other wire formats that it speaks elsewhere, for users who name them.
    pub alternatives: &'static [Alternative],
}

/// What differs where a provider speaks another wire format than its usual one.
#[derive(Debug, Clone, Copy)]
pub struct Alternative {
    /// Name of the wire format.
    pub dialect: &'static str,
    /// Where it is spoken.
    pub base_url: Option<&'static str>,
    /// Name of the wire format of embeddings there.
    pub embeddings: Option<&'static str>,
    /// Name of the wire format of the list of models there.
    pub listing: Option<&'static str>,
    /// What the models can do there.
    pub profile: Profile,
}

/// How a request proves who sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// By the key, in the header that the dialect names.
    Key,
    /// By the key, in this header.
    Header(KeyHeader),
    /// By a signature of Amazon's kind, or by the key where there is one.
    AwsSigV4 {
        /// The service that is signed for, such as `bedrock`.
        service: &'static str,
    },
}

/// A part of a base URL that differs from user to user, such as a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Name in braces in the base URL.
    pub name: &'static str,
    /// Environment variables that hold the value, the usual one first.
    pub sources: &'static [&'static str],
    /// Value where none of them is set; `None` where the user must say.
    pub default: Option<&'static str>,
}

/// A base URL that is unlike the usual one, where a variable has a certain value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseUrlRule {
    /// Name of the variable.
    pub variable: &'static str,
    /// The value.
    pub value: &'static str,
    /// The address, which may hold variables too.
    pub base_url: &'static str,
}

/// What is known about models whose names begin alike.
#[derive(Debug, Clone, Copy)]
pub struct ModelRule {
    /// Beginning of the names; the longest rule that fits counts.
    pub prefix: &'static str,
    /// Month whose documentation this describes, as `YYYY-MM`.
    pub as_of: &'static str,
    /// What these models can do.
    pub profile: Profile,
}

impl ProviderRow {
    /// A server that speaks OpenAI Chat Completions and keeps to what most do; rows state only what differs.
    pub const COMPATIBLE: ProviderRow = ProviderRow {
        name: "",
        doc: "",
        dialect: "openai-chat",
        base_url: None,
        base_url_rules: &[],
        address: None,
        key_names: &[],
        key_required: false,
        auth: Auth::Key,
        headers: &[],
        variables: &[],
        embeddings: Some("openai-embeddings"),
        listing: Some("openai-models"),
        counter: None,
        reranker: None,
        profile: Profile::COMMON,
        models: &[],
        unknown_model_hint: None,
        unreachable_hint: None,
        alternatives: &[],
    };

    /// Gives the value of a variable of the base URL: the one configured, or its default.
    #[must_use]
    pub fn variable<'a>(&self, name: &str, config: &'a ProviderConfig) -> Option<&'a str> {
        let known = config.variables.iter().find(|(known, _)| *known == name);
        let default = || self.variables.iter().find(|variable| variable.name == name)?.default;
        known.map(|(_, value)| value.as_str()).or_else(default)
    }

    /// Gives the address that fits the variables' values, variables not filled in yet.
    #[must_use]
    pub fn base_url_for(&self, config: &ProviderConfig) -> Option<&'static str> {
        let fits = |rule: &&BaseUrlRule| self.variable(rule.variable, config) == Some(rule.value);
        self.base_url_rules.iter().find(fits).map(|rule| rule.base_url).or(self.base_url)
    }

    /// Gives the row as it is where the provider speaks another wire format.
    #[must_use]
    pub fn speaking(&self, dialect: &'static str) -> ProviderRow {
        let Some(other) = self.alternatives.iter().find(|other| other.dialect == dialect) else {
            return ProviderRow { dialect, ..*self };
        };
        ProviderRow {
            dialect,
            base_url: other.base_url,
            embeddings: other.embeddings,
            listing: other.listing,
            counter: None,
            reranker: None,
            profile: other.profile,
            models: &[],
            ..*self
        }
    }

    /// Gives what is known about a model, by the longest rule that fits its name.
    #[must_use]
    pub fn profile_of(&self, model: &str) -> Profile {
        let model = self.profile.bare(model);
        let rules = self.models.iter().filter(|rule| model.starts_with(rule.prefix));
        rules.max_by_key(|rule| rule.prefix.len()).map_or(self.profile, |rule| rule.profile)
    }
}

/// How one provider is reached.
#[derive(Clone, Default)]
pub struct ProviderConfig {
    /// Address that replaces the row's, such as `http://localhost:8000/v1`.
    pub base_url: Option<String>,
    /// Key to send.
    pub api_key: Option<Secret>,
    /// Values of the variables in the row's base URL, by name.
    pub variables: Vec<(&'static str, String)>,
    /// Credentials to sign with, where the provider wants signatures and there is no key.
    pub aws: Option<AwsCredentials>,
    /// Headers added to every request; they win over Motet's own.
    pub headers: Vec<(String, String)>,
    /// Which proxy to go through.
    pub proxy: Proxy,
    /// How long to wait for what.
    pub timeouts: Timeouts,
}

impl ProviderConfig {
    /// Tells whether no call can succeed for want of a key, or of credentials to sign with.
    ///
    /// Another server than the provider's own may well want no key; if it does, it says so.
    #[must_use]
    pub fn lacks_key(&self, row: &ProviderRow) -> bool {
        let signs = matches!(row.auth, Auth::AwsSigV4 { .. }) && self.aws.is_some();
        row.key_required && self.api_key.is_none() && self.base_url.is_none() && !signs
    }
}

impl fmt::Debug for ProviderConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("ProviderConfig")
            .field("base_url", &self.base_url.as_ref().map(|_| "…"))
            .field("api_key", &self.api_key)
            .field("variables", &self.variables)
            .field("aws", &self.aws)
            .field("headers", &names)
            .field("proxy", &self.proxy)
            .field("timeouts", &self.timeouts)
            .finish()
    }
}

/// Environment variables that hold the credentials to sign with, by the names that Amazon's own tools use.
pub const AWS_CREDENTIAL_NAMES: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

/// Credentials by which requests to Amazon are signed.
#[derive(Debug, Clone, PartialEq)]
pub struct AwsCredentials {
    /// Id of the access key.
    pub access_key_id: String,
    /// The access key's secret.
    pub secret_access_key: Secret,
    /// Token of a session, where the key is a temporary one.
    pub session_token: Option<Secret>,
    /// Region to sign for, such as `us-east-1`.
    pub region: String,
}

/// Which proxy to go through.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Proxy {
    /// The one that the system or the usual environment variables name, if any.
    #[default]
    System,
    /// None, whatever the system says.
    Off,
    /// This address; it may hold a password and is never shown.
    Address(Secret),
}

/// How long to wait for what; `None` waits as long as the run allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands.
    pub connect: Option<Duration>,
    /// From sending until the answer begins; a plain answer begins when the model is done.
    pub first_byte: Option<Duration>,
    /// Between two pieces of an answer.
    pub idle: Option<Duration>,
    /// For the whole call.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    /// Ten seconds to connect, ten minutes until the answer begins, five minutes between pieces, no limit in total.
    fn default() -> Self {
        Self {
            connect: Some(Duration::from_secs(10)),
            first_byte: Some(Duration::from_mins(10)),
            idle: Some(Duration::from_mins(5)),
            total: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_that_speaks_two_formats_brings_what_belongs_to_each() {
        let row = crate::rows::find("ollama").unwrap();
        let other = row.speaking("openai-chat");
        assert_eq!(
            (other.name, other.dialect, other.unreachable_hint),
            ("ollama", "openai-chat", row.unreachable_hint)
        );
        assert_eq!(other.base_url, Some("http://localhost:11434/v1"));
        assert_eq!((other.embeddings, other.listing), (Some("openai-embeddings"), Some("openai-models")));
        let named = crate::rows::find("custom").unwrap().speaking("ollama-chat");
        assert_eq!((named.embeddings, named.profile), (Some("ollama-embed"), row.profile));
        let chat = crate::rows::find("xai").unwrap().speaking("openai-chat");
        assert!(chat.profile.reasoning_outside_output && !chat.profile.null_content);
        let unknown = row.speaking("anthropic-messages");
        assert_eq!((unknown.dialect, unknown.base_url), ("anthropic-messages", row.base_url));
    }

    #[test]
    fn a_configuration_shows_no_secret() {
        let config = ProviderConfig {
            base_url: Some("http://me:hunter2@host/v1".into()),
            api_key: Some(Secret::new("sk-abcdefghijklmnop")),
            headers: vec![("x-token".into(), "hunter2".into())],
            proxy: Proxy::Address(Secret::new("http://me:hunter2@proxy")),
            ..ProviderConfig::default()
        };
        let shown = format!("{config:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("abcdef"), "{shown}");
        assert!(shown.contains("x-token"));
    }
}
