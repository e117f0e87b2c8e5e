//! What may be said in a run: rules that look at texts and redact them, block them, or have them written again.
//!
//! Knows no run and no stream: who reviews what is said gives a guardrail a text and does what it finds.

mod blocklist;
mod closure;
mod flow;
mod json;
mod judge;
mod length;
mod pattern;
mod pii;
mod reviewer;
mod spec;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use motet_core::{Result, RunContext};
use serde::{Deserialize, Serialize};

pub use self::blocklist::Blocklist;
pub use self::closure::{Custom, CustomText};
pub(crate) use self::flow::{Chunk, Flow};
pub use self::judge::Judge;
pub use self::length::Length;
pub use self::pattern::Pattern;
pub use self::pii::{Pii, PiiKind};
pub(crate) use self::reviewer::Reviewer;
pub(crate) use self::spec::time;
pub use self::spec::{
    Actions, ActionsSpec, BlocklistSpec, BoundedPattern, CustomSpec, GuardrailRegistry, GuardrailSpec,
    GuardrailsSpec, JudgeSpec, LengthSpec, PatternSpec, PiiSpec,
};

/// Bytes of text before [`Subject::from`] that a guardrail can count on being shown, if there are so many.
pub const CONTEXT: usize = 64;

/// Where a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// What a run is given.
    Input,
    /// What a model says: text, reasoning, refusals, and structured answers.
    Output,
    /// What a model wants to call a tool with.
    ToolArguments,
    /// What a tool answers.
    ToolResult,
}

impl Place {
    /// Every place.
    pub const ALL: [Place; 4] = [Place::Input, Place::Output, Place::ToolArguments, Place::ToolResult];

    /// Gives the name used in files, events, and hooks.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Place::Input => "input",
            Place::Output => "output",
            Place::ToolArguments => "tool_arguments",
            Place::ToolResult => "tool_result",
        }
    }
}

/// What is done about a text that a guardrail objects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing: the guardrail does not look there.
    Off,
    /// What is objected to is replaced, and the rest passes.
    Redact,
    /// The run ends as blocked; the result of a tool is withheld from the model instead.
    Block,
    /// The model is asked for another answer; where there is no answer to ask again for, it is as blocking.
    AskAgain,
}

impl Action {
    /// Gives the name used in files, events, and hooks.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Off => "off",
            Action::Redact => "redact",
            Action::Block => "block",
            Action::AskAgain => "ask_again",
        }
    }
}

/// A text that a guardrail looks at, whole or as far as it is known.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Where it stands.
    pub place: Place,
    /// The end of what has passed already, for context, and what is to be looked at.
    pub text: &'a str,
    /// The byte of `text` from which on is to be looked.
    pub from: usize,
    /// Characters of the whole text that lie before `from`.
    pub passed: usize,
    /// The others of the set, which clean what a guardrail itself says.
    peers: &'a [Entry],
}

impl<'a> Subject<'a> {
    /// Makes a subject of a whole text.
    #[must_use]
    pub fn whole(place: Place, text: &'a str) -> Self {
        Self { place, text, from: 0, passed: 0, peers: &[] }
    }

    /// Gives what is to be looked at.
    #[must_use]
    pub fn rest(&self) -> &'a str {
        self.text.get(self.from..).unwrap_or_default()
    }

    /// Gives a text about the subject, such as a reason, without what the guardrails of the set find in it.
    pub async fn cleaned(&self, context: &RunContext, text: &str) -> String {
        reviewer::cleaned(self.peers, context, text).await
    }
}

/// One thing that a guardrail finds in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which bytes of the subject's text it is about; not before [`Subject::from`].
    pub span: Range<usize>,
    /// What to do.
    pub remedy: Remedy,
}

/// What is to be done about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// This takes the place of the span.
    Replace(String),
    /// Nothing of the text passes, and the run ends. The reason is for people and models; it does not repeat the text.
    Block(String),
    /// Nothing of the text passes, and the model is asked for another, being told the reason.
    AskAgain(String),
}

impl Finding {
    /// Makes the finding that an action asks for; none where it is to be left alone.
    #[must_use]
    pub fn by(action: Action, span: Range<usize>, replacement: &str, reason: &str) -> Option<Self> {
        let remedy = match action {
            Action::Off => return None,
            Action::Redact => Remedy::Replace(replacement.to_owned()),
            Action::Block => Remedy::Block(reason.to_owned()),
            Action::AskAgain => Remedy::AskAgain(reason.to_owned()),
        };
        Some(Self { span, remedy })
    }
}

/// A rule about texts.
#[async_trait]
pub trait Guardrail: Send + Sync {
    /// Gives the name by which errors and events speak of it.
    fn name(&self) -> &str;

    /// Tells whether it looks at texts of a place at all.
    fn holds_at(&self, place: Place) -> bool;

    /// Looks at a text and gives what it finds, in the order of the text and without overlaps.
    ///
    /// A resumed run must find the same again, so this reads the text alone; what it asks of others it records as steps
    /// of the context.
    ///
    /// # Errors
    /// An error counts as said where the guardrail is added; by default the text is blocked.
    async fn inspect(&self, context: &RunContext, subject: Subject<'_>) -> Result<Vec<Finding>>;

    /// Tells up to which byte of a text that is not whole nothing can be found, or found otherwise, whatever follows.
    ///
    /// Streams show that much and hold the rest back. `subject.from`, the default, holds all back until the text is
    /// whole.
    fn settled(&self, subject: Subject<'_>) -> usize {
        subject.from
    }

    /// Tells whether it is shown structured text, such as the arguments of a tool, as one JSON text instead of one string
    /// after the other.
    fn reads_documents(&self) -> bool {
        false
    }
}

/// What the failure of a guardrail means for the text that it was to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// The text is blocked.
    #[default]
    Closed,
    /// The text passes, and the failure is told as a warning.
    Open,
}

/// A guardrail with the rules for its failures.
#[derive(Clone)]
struct Entry {
    guardrail: Arc<dyn Guardrail>,
    on_failure: OnFailure,
    timeout: Duration,
}

/// Guardrails in the order in which they look at a text; each sees what the one before it left of it.
///
/// ```
/// use motet_agents::guardrails::{Blocklist, Guardrails, Pii};
/// let guardrails = Guardrails::default()
///     .with(Pii::default())
///     .with(Blocklist::of_words(["Project Falcon"])?);
/// assert_eq!(guardrails.len(), 2);
/// # Ok::<(), motet_core::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Guardrails(Vec<Entry>);

impl Guardrails {
    /// Adds a guardrail behind those that are there. A failure of it, or a look that takes longer than 30 seconds, blocks
    /// the text.
    #[must_use]
    pub fn with(self, guardrail: impl Guardrail + 'static) -> Self {
        self.with_rules(Arc::new(guardrail), OnFailure::Closed, Duration::from_secs(30))
    }

    /// Adds a guardrail behind those that are there, and says what its failure means and how long a look may take.
    #[must_use]
    pub fn with_rules(
        mut self,
        guardrail: Arc<dyn Guardrail>,
        on_failure: OnFailure,
        timeout: Duration,
    ) -> Self {
        self.0.push(Entry { guardrail, on_failure, timeout });
        self
    }

    /// Adds all of another set behind those that are there.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Gives how many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells whether any looks at texts of a place.
    #[must_use]
    pub fn hold_at(&self, place: Place) -> bool {
        self.0.iter().any(|entry| entry.guardrail.holds_at(place))
    }
}

impl fmt::Debug for Guardrails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|entry| entry.guardrail.name())).finish()
    }
}

#[cfg(test)]
mod tests;
