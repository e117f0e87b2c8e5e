//! Methods of other programs that speak JSON-RPC: which there are, and one connection to each.
//!
//! A provider is one of the settings' file or of the workflow's own `providers`, which wins.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::RunContext;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::id::content_hash;
use motet_core::method::{Method, MethodCall, MethodOutcome, Parameter, ParameterKind};
use motet_core::rpc::Params;
use motet_core::run_log::{Step, StepKind};
use motet_core::tool::Effect;
use motet_providers::remote::{RemoteConfig, RemoteProvider, RemoteSnapshot, Transport};
use motet_workflows::methods::MethodFamily;
use serde_json::{Map, Value};

use crate::idle::{Connected, Idle};
use crate::layers;
use crate::runtime::{ProviderInfo, Runtime};

/// The providers of a runtime that were asked for, by name and configuration, in which their directories are put.
pub(crate) type Remotes = Idle<(String, RemoteConfig), RemoteProvider>;

#[async_trait]
impl Connected for RemoteProvider {
    fn is_busy(&self) -> bool {
        self.snapshot().instances.iter().any(|instance| instance.under_way > 0)
    }

    async fn leave(&self) {
        self.close().await;
    }
}

/// Refuses what cannot be a provider, or takes the name of a method that is there already.
pub(super) fn check(name: &str, written: &Value, methods: &[Arc<dyn Method>]) -> Result<()> {
    if is_mcp(written) {
        return Ok(());
    }
    let config = RemoteConfig::read(name, written)?;
    let taken = methods.iter().find(|method| config.takes(name, method.name()));
    match taken {
        None => Ok(()),
        Some(method) => Err(Error::new(
            ErrorKind::Configuration,
            format!("the provider `{name}` would take the method `{}`, which is built in", method.name()),
        )
        .with_hint("give its methods other names")),
    }
}

fn is_mcp(written: &Value) -> bool {
    written.get("type").and_then(Value::as_str) == Some("mcp")
}

impl Runtime {
    /// Gives the remote providers that the settings' file names, in its order; none where no file is set.
    ///
    /// # Errors
    /// `Configuration` when the file is missing or wrong.
    pub fn remote_configs(&self) -> Result<Vec<(String, RemoteConfig)>> {
        let Some(file) = &self.settings().remote.file else { return Ok(Vec::new()) };
        let path = self.directory().join(file);
        let wrong = |why: String| {
            Error::new(ErrorKind::Configuration, format!("`{}` {why}", path.display()))
                .with_hint(r#"write it as `{"providers": {"name": {"type": "http", "url": "http://..."}}}`"#)
        };
        let text =
            std::fs::read_to_string(&path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let file: Value =
            serde_json::from_str(&text).map_err(|error| wrong(format!("is not JSON: {error}")))?;
        let entries = file.get("providers").and_then(Value::as_object);
        let entries = entries.ok_or_else(|| wrong("holds no `providers`".to_owned()))?;
        entries.iter().map(|(name, written)| Ok((name.clone(), RemoteConfig::read(name, written)?))).collect()
    }

    /// Describes the remote providers that the settings' file names as [`providers`](Self::providers) does those of models.
    ///
    /// # Errors
    /// As [`remote_configs`](Self::remote_configs).
    pub fn remote_providers(&self) -> Result<Vec<ProviderInfo>> {
        let describe = |(name, config): (String, RemoteConfig)| ProviderInfo {
            doc: format!("methods of another program: {}", config.shown_methods(&name).join(", ")),
            dialect: Some(format!("json-rpc/{}", config.transport.as_str())),
            can: vec!["call"],
            base_url: config.shown_addresses(&name),
            key: None,
            ready: true,
            keys: Vec::new(),
            name,
        };
        Ok(self.remote_configs()?.into_iter().map(describe).collect())
    }

    /// Looks at the remote providers that the settings' file names, side by side; at those of these names where there are
    /// any.
    ///
    /// # Errors
    /// `Configuration` when the file is wrong, `Cancelled`; what is wrong with an instance stands in the answer.
    pub async fn check_remotes(
        &self,
        context: &RunContext,
        names: &[String],
        patience: Duration,
    ) -> Result<Vec<RemoteSnapshot>> {
        let mut configs = self.remote_configs()?;
        configs.retain(|(name, _)| names.is_empty() || names.contains(name));
        let mut providers = Vec::new();
        for (name, config) in configs {
            providers.push(self.remote(&name, config, self.directory())?);
        }
        let looks = providers.iter().map(|provider| provider.check(context, patience));
        futures::future::try_join_all(looks).await
    }

    /// Gives the connection to a provider; all who ask share it. Programs that name no directory run in this one.
    fn remote(&self, name: &str, mut config: RemoteConfig, directory: &Path) -> Result<RemoteProvider> {
        if config.transport == Transport::Stdio {
            let place = |own: &Option<std::path::PathBuf>| match own {
                Some(own) => directory.join(own),
                None => directory.to_owned(),
            };
            let base = place(&config.place.directory);
            config.place.directory = Some(base.clone());
            for instance in &mut config.instances {
                instance.directory = instance.directory.as_ref().map(|own| base.join(own));
            }
        }
        let variable = |name: &str| {
            let name = name.strip_prefix("env.").unwrap_or(name);
            self.loaded().variable(name).map(|value| value.expose().to_owned())
        };
        self.remotes().get_or_make((name.to_owned(), config), |(name, config)| {
            let limits = layers::breaker::remote_limits(self.settings());
            RemoteProvider::new(name, config.clone(), limits, &variable)
        })
    }
}

/// The methods of all providers.
pub(super) struct RemoteMethods {
    runtime: Runtime,
}

impl RemoteMethods {
    pub(super) fn new(runtime: Runtime) -> Self {
        Self { runtime }
    }
}

impl MethodFamily for RemoteMethods {
    fn find(&self, name: &str, providers: &Map<String, Value>) -> Result<Option<Arc<dyn Method>>> {
        let method = |provider: &str, config: RemoteConfig, is_listed: bool| -> Option<Arc<dyn Method>> {
            Some(Arc::new(RemoteMethod {
                name: name.to_owned(),
                provider: provider.to_owned(),
                config,
                is_listed,
                runtime: self.runtime.clone(),
            }))
        };
        for (provider, written) in providers.iter().filter(|(_, written)| !is_mcp(written)) {
            let config = RemoteConfig::read(provider, written)?;
            if config.takes(provider, name) {
                return Ok(method(provider, config, false));
            }
        }
        for (provider, config) in self.runtime.remote_configs()? {
            if config.takes(&provider, name) {
                return Ok(method(&provider, config, true));
            }
        }
        Ok(None)
    }
}

/// One method of a provider.
struct RemoteMethod {
    name: String,
    provider: String,
    config: RemoteConfig,
    /// Whether the settings' file names the provider, so that commands find it by its name.
    is_listed: bool,
    runtime: Runtime,
}

impl RemoteMethod {
    /// Adds how to find out why no instance takes calls.
    fn advised(&self, error: Error) -> Error {
        let is_refused = error.kind() == ErrorKind::Overloaded && error.is_unsent();
        if !self.is_listed || !is_refused {
            return error;
        }
        error.with_hint(format!("`motet provider health {}` looks at each of them", self.provider))
    }
}

const PARAMETERS: &[Parameter] = &[Parameter {
    name: Parameter::ANY_NAME,
    kind: ParameterKind::Any,
    required: false,
    doc: "the method's own parameters, which its provider checks",
}];

#[async_trait]
impl Method for RemoteMethod {
    fn name(&self) -> &str {
        &self.name
    }

    fn doc(&self) -> &'static str {
        "Calls a method of another program by JSON-RPC"
    }

    fn parameters(&self) -> &'static [Parameter] {
        PARAMETERS
    }

    fn result(&self) -> &str {
        "Whatever the other program answers; null is a result too."
    }

    /// Each call is a step of the run log with the effect that the provider's configuration tells.
    fn effect(&self) -> Effect {
        Effect::Pure
    }

    fn is_recorded(&self) -> bool {
        true
    }

    async fn call(&self, context: &RunContext, call: MethodCall) -> Result<MethodOutcome> {
        let step = Step {
            name: "call",
            kind: StepKind::Method,
            request_hash: &content_hash(&(&self.provider, &self.name, &call.params))?,
            effect: self.config.effect,
            label: &self.name,
        };
        let params = Some(call.params).filter(|params| !params.is_empty()).map(Params::Named);
        let ask = || async {
            let provider = self.runtime.remote(&self.provider, self.config.clone(), &call.files.base)?;
            provider.call(context, &self.name, params).await.map_err(|error| self.advised(error))
        };
        let result: Value = context.step(step, ask).await?;
        Ok(result.into())
    }
}
