//! Guardrails that are functions of a program's own.

use async_trait::async_trait;
use futures::future::BoxFuture;
use motet_core::{Result, RunContext};

use super::{Finding, Guardrail, Place, Subject};

/// What a function of a program's own is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomText {
    /// Where the text stands.
    pub place: Place,
    /// The whole text.
    pub text: String,
}

type Look = dyn Fn(RunContext, CustomText) -> BoxFuture<'static, Result<Vec<Finding>>> + Send + Sync;

/// Asks a function; texts of streams are held back until they are whole.
///
/// ```
/// use motet_agents::guardrails::{Custom, Finding, Place, Remedy};
/// let no_shouting = Custom::new("no_shouting", [Place::Output], |text| {
///     let loud = text.text.len() > 8 && text.text == text.text.to_uppercase();
///     let remedy = Remedy::AskAgain("it is in capital letters".to_owned());
///     Ok(loud.then(|| Finding { span: 0..text.text.len(), remedy }).into_iter().collect())
/// });
/// ```
pub struct Custom {
    name: String,
    places: Vec<Place>,
    look: Box<Look>,
}

impl Custom {
    /// Asks a function at some places.
    pub fn new(
        name: impl Into<String>,
        places: impl IntoIterator<Item = Place>,
        look: impl Fn(CustomText) -> Result<Vec<Finding>> + Send + Sync + 'static,
    ) -> Self {
        Self::asynchronous(name, places, move |_, text| {
            let found = look(text);
            async move { found }
        })
    }

    /// Asks a function that waits for something; what it asks of others it must record as steps of the context.
    pub fn asynchronous<F>(
        name: impl Into<String>,
        places: impl IntoIterator<Item = Place>,
        look: impl Fn(RunContext, CustomText) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Vec<Finding>>> + Send + 'static,
    {
        let look: Box<Look> = Box::new(move |context, text| Box::pin(look(context, text)));
        Self { name: name.into(), places: places.into_iter().collect(), look }
    }
}

#[async_trait]
impl Guardrail for Custom {
    fn name(&self) -> &str {
        &self.name
    }

    fn holds_at(&self, place: Place) -> bool {
        self.places.contains(&place)
    }

    async fn inspect(&self, context: &RunContext, subject: Subject<'_>) -> Result<Vec<Finding>> {
        let text = CustomText { place: subject.place, text: subject.rest().to_owned() };
        let mut findings = (self.look)(context.clone(), text).await?;
        for finding in &mut findings {
            finding.span = finding.span.start + subject.from..finding.span.end + subject.from;
        }
        Ok(findings)
    }
}
