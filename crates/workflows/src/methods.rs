//! Methods that tasks of a workflow call, as rows.
//!
//! A method is one file here (or in another crate) and one row in [`built_in`].

use std::collections::BTreeMap;
use std::sync::Arc;

use motet_core::error::{Error, ErrorKind, Result};
use motet_core::method::Method;
use motet_core::model::Models;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

pub mod builtin_tools;
pub mod file_write;
pub mod human_approve;
pub mod llm_chat;
pub mod llm_complete;
pub mod llm_embed;
pub mod llm_vision;
mod mcp_name;
pub mod workflow_run;

pub use mcp_name::server_and_tool;

/// Methods that are known by a rule and not by a list, such as the tools of servers.
pub trait MethodFamily: Send + Sync {
    /// Gives the method of this name; `None` where the name is none of the family's. `providers` is what the workflow's
    /// file says of providers.
    ///
    /// # Errors
    /// What is wrong with the providers, or with the name.
    fn find(&self, name: &str, providers: &Map<String, Value>) -> Result<Option<Arc<dyn Method>>>;
}

/// The methods of a runtime, by name.
#[derive(Clone, Default)]
pub struct Methods(BTreeMap<String, Arc<dyn Method>>, Vec<Arc<dyn MethodFamily>>);

impl Methods {
    /// Adds a method; one of the same name is replaced.
    #[must_use]
    pub fn with(mut self, method: Arc<dyn Method>) -> Self {
        self.0.insert(method.name().to_owned(), method);
        self
    }

    /// Adds a family; those added first are asked first, and all of them after the methods with names of their own.
    #[must_use]
    pub fn with_family(mut self, family: Arc<dyn MethodFamily>) -> Self {
        self.1.push(family);
        self
    }

    /// Gives its families alone.
    #[must_use]
    pub fn families(&self) -> Self {
        Self(BTreeMap::new(), self.1.clone())
    }

    /// Gives the method of this name in a workflow that says this of providers.
    ///
    /// # Errors
    /// As [`get`](Self::get), and what is wrong with the providers.
    pub fn find(&self, name: &str, providers: &Map<String, Value>) -> Result<Arc<dyn Method>> {
        match self.look_for(name, providers)? {
            Some(method) => Ok(method),
            None => self.get(name).cloned(),
        }
    }

    /// Does as [`find`](Self::find), but gives `None` where there is no such method.
    ///
    /// # Errors
    /// What is wrong with the providers, or keeps it from being known whether there is such a method.
    pub fn look_for(&self, name: &str, providers: &Map<String, Value>) -> Result<Option<Arc<dyn Method>>> {
        if let Some(method) = self.0.get(name) {
            return Ok(Some(Arc::clone(method)));
        }
        for family in &self.1 {
            if let Some(method) = family.find(name, providers)? {
                return Ok(Some(method));
            }
        }
        Ok(None)
    }

    /// Gives the method of this name.
    ///
    /// # Errors
    /// `Configuration` when there is none; the hint names the nearest.
    pub fn get(&self, name: &str) -> Result<&Arc<dyn Method>> {
        self.0.get(name).ok_or_else(|| {
            let nearest = self.0.keys().max_by_key(|known| {
                let likeness = strsim::jaro_winkler(known, name) * 1_000.0;
                #[expect(clippy::cast_possible_truncation, reason = "a likeness lies between 0 and 1000")]
                let rank = likeness as i64;
                rank
            });
            let error = Error::new(ErrorKind::Configuration, format!("there is no method `{name}`"));
            match nearest {
                Some(nearest) => error.with_hint(format!("did you mean `{nearest}`?")),
                None => error,
            }
        })
    }

    /// Gives all methods in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Method>> {
        self.0.values()
    }
}

/// Gives the methods of this crate; the facade adds those of others.
#[must_use]
pub fn built_in(models: &Arc<dyn Models>, max_repairs: u32) -> Methods {
    let methods = Methods::default()
        .with(Arc::new(llm_chat::LlmChat::new(Arc::clone(models), max_repairs)))
        .with(Arc::new(llm_complete::LlmComplete::new(Arc::clone(models))))
        .with(Arc::new(llm_complete::LlmComplete::generate(Arc::clone(models))))
        .with(Arc::new(llm_vision::LlmVision::new(Arc::clone(models))))
        .with(Arc::new(llm_embed::LlmEmbed::new(Arc::clone(models))))
        .with(Arc::new(file_write::FileWrite))
        .with(Arc::new(human_approve::HumanApprove));
    let methods = builtin_tools::all().fold(methods, |methods, tool| methods.with(Arc::new(tool)));
    crate::pattern::rows().iter().fold(methods, |methods, row| {
        methods.with(Arc::new(crate::pattern::PatternMethod::new((row.make)(), Arc::clone(models))))
    })
}

/// Reads the parameters of a call; null means "not given".
fn given<T: DeserializeOwned>(params: Map<String, Value>) -> Result<T> {
    let given = params.into_iter().filter(|(_, value)| !value.is_null()).collect();
    serde_json::from_value(Value::Object(given))
        .map_err(|error| Error::new(ErrorKind::InvalidRequest, format!("the parameters do not fit: {error}")))
}

/// Gives schemas of the fields that all results of chat models have.
fn result_fields() -> Map<String, Value> {
    let text = || json!({"type": "string"});
    let fields = json!({
        "response": text(),
        "content": text(),
        "role": text(),
        "model": text(),
        "provider": text(),
        "provider_id": text(),
        "done": {"type": "boolean"},
        "total_duration": {"type": ["integer", "null"]},
        "finish_reason": true,
        "usage": {"type": ["object", "null"]},
        "tokens_used": {"type": "integer"},
        "cost": {"type": ["number", "null"]},
        "files": {"type": "array", "items": text()},
        "reasoning": text(),
        "cached": {"type": "boolean"},
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
