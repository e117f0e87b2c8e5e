//! Methods that tasks of a workflow call, as rows.
//!
//! A method is one file here (or in another crate) and one row in [`built_in`].

use std::collections::BTreeMap;
use std::sync::Arc;

use motet_core::error::{Error, ErrorKind, Result};
use motet_core::method::Method;
use motet_core::model::Models;

pub mod file_write;
pub mod human_approve;
pub mod llm_chat;
pub mod workflow_run;

/// The methods of a runtime, by name.
#[derive(Clone, Default)]
pub struct Methods(BTreeMap<String, Arc<dyn Method>>);

impl Methods {
    /// Adds a method; one of the same name is replaced.
    #[must_use]
    pub fn with(mut self, method: Arc<dyn Method>) -> Self {
        self.0.insert(method.name().to_owned(), method);
        self
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
        .with(Arc::new(file_write::FileWrite))
        .with(Arc::new(human_approve::HumanApprove));
    crate::pattern::rows().iter().fold(methods, |methods, row| {
        methods.with(Arc::new(crate::pattern::PatternMethod::new((row.make)(), Arc::clone(models))))
    })
}
