//! Which of its tools an agent has, and how a model selects among them, as its file says it.
//!
//! Asks no model. Finds words that stand for no tool, as they are slips far more often than meant.

use motet_agents::tool_set::Filter;
use motet_core::{Error, ErrorKind, ModelId, Result};
use serde::{Deserialize, Serialize};

use super::place_of::Places;
use super::spec::AgentSpec;
use super::tool_line::ToolEntry;
use crate::dag::read::report::Report;
use crate::dag::reference::{list_of, nearest};

/// Which of the tools in the list an agent has; patterns of one kind are alternatives, and all kinds must agree.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct OfferedSpec {
    /// Patterns of the names of those that it has; all where empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// Patterns of the names of those that it does not have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// Patterns of the categories of those that it has; all where empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
}

/// How a model selects the tools that a run is offered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RouterSpec {
    /// The model that selects; the agent's where it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelId>,
    /// Up to so many tools are all offered without asking; 16 where it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<usize>,
    /// Names of tools that are always offered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub always: Vec<String>,
}

/// What an [`OfferedSpec`] says, ready to be asked.
#[derive(Debug, Default)]
pub struct Offered {
    picked: Filter,
    without: Vec<Filter>,
}

impl Offered {
    /// Tells whether the agent has a tool.
    #[must_use]
    pub fn has(&self, name: &str, category: &str) -> bool {
        self.picked.picks(name, category) && !self.without.iter().any(|filter| filter.picks(name, category))
    }
}

impl OfferedSpec {
    /// Makes the patterns ready.
    ///
    /// # Errors
    /// `Configuration` when one is malformed.
    pub fn ready(&self) -> Result<Offered> {
        Ok(Offered {
            picked: Filter::names(&self.only)?.and(Filter::categories(&self.categories)?),
            // A filter without patterns picks everything, so each has one.
            without: self.without.iter().map(|pattern| Filter::names([pattern])).collect::<Result<_>>()?,
        })
    }
}

/// A tool as selections know it.
#[derive(Debug, Clone, Copy)]
pub struct Known<'t> {
    /// Its name.
    pub name: &'t str,
    /// Whether it runs code, which no code can call.
    pub is_code: bool,
}

/// Words in lists that stand for tools.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Of {
    Only,
    Without,
    Category,
    Always,
    /// What code may call.
    Code,
}

/// What is wrong with a word, and what may have been meant.
struct Wrong(String, Option<String>);

impl AgentSpec {
    /// Finds out whether every word that stands for tools stands for one, once all tools are known.
    ///
    /// # Errors
    /// `Configuration` with the name that was probably meant.
    pub fn check_selection(&self, tools: &[Known<'_>]) -> Result<()> {
        let wrong = self.words().into_iter().find_map(|(of, word)| self.wrong(of, word, Some(tools)));
        let Some(Wrong(message, hint)) = wrong else { return Ok(()) };
        let error = Error::new(ErrorKind::Configuration, message);
        Err(match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        })
    }

    /// Gives all words that stand for tools, in the order of their lists.
    fn words(&self) -> Vec<(Of, &str)> {
        let offered = &self.offered;
        let mut words: Vec<(Of, &str)> = Vec::new();
        let lists =
            [(Of::Only, &offered.only), (Of::Without, &offered.without), (Of::Category, &offered.categories)];
        for (of, list) in lists {
            words.extend(list.iter().map(|word| (of, word.as_str())));
        }
        let always = self.router.iter().flat_map(|router| &router.always);
        words.extend(always.map(|word| (Of::Always, word.as_str())));
        for line in &self.tools {
            if let ToolEntry::Code(code) = &line.tool {
                words.extend(code.tools.iter().flatten().map(|word| (Of::Code, word.as_str())));
            }
        }
        words
    }

    fn wrong(&self, of: Of, word: &str, tools: Option<&[Known<'_>]>) -> Option<Wrong> {
        let is_pattern = of != Of::Always && word.contains(['*', '?', '[', '{']);
        let filter = match Filter::names([word]) {
            Ok(filter) => filter,
            Err(_) if of == Of::Always => Filter::default(),
            Err(error) => return Some(Wrong(error.message().to_owned(), error.hint().map(str::to_owned))),
        };
        let picks = |name: &str| if of == Of::Always { name == word } else { filter.picks(name, "") };
        let known: Vec<&str> = match of {
            Of::Category => {
                let said = self.tools.iter().map(|line| line.category.as_str());
                said.filter(|category| !category.is_empty()).collect()
            }
            Of::Code => tools?.iter().filter(|tool| !tool.is_code).map(|tool| tool.name).collect(),
            _ => tools?.iter().map(|tool| tool.name).collect(),
        };
        if known.iter().any(|name| picks(name)) {
            return None;
        }
        let what = match (of, is_pattern) {
            (Of::Category, _) => format!("no tool has the category `{word}`"),
            (Of::Code, false) => format!("no tool that code can call has the name `{word}`"),
            (_, false) => format!("no tool has the name `{word}`"),
            (_, true) => format!("`{word}` describes no tool"),
        };
        let near = nearest(word, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        let listed = || (!known.is_empty()).then(|| format!("known are {}", list_of(known.iter().copied())));
        Some(Wrong(what, near.or_else(listed)))
    }
}

/// Reports words that stand for no tool, as far as tools are known before anything is connected to, and before a program
/// adds others to what is not whole.
pub(super) fn check(spec: &AgentSpec, places: &Places<'_>, report: &mut Report<'_>, is_whole: bool) {
    let lines = is_whole.then(|| spec.tools.iter());
    let known: Option<Vec<Known<'_>>> = lines.and_then(|lines| lines.map(|line| named(&line.tool)).collect());
    let mut before = None;
    let mut number = 0;
    for (of, word) in spec.words() {
        number = if before == Some(of) { number + 1 } else { 0 };
        before = Some(of);
        if let Some(Wrong(message, hint)) = spec.wrong(of, word, known.as_deref()) {
            report.add_with(places.word(of, number), message, hint);
        }
    }
}

/// Gives a tool whose name its line says.
fn named(tool: &ToolEntry) -> Option<Known<'_>> {
    match tool {
        ToolEntry::Command(command) => Some(Known { name: &command.name, is_code: false }),
        ToolEntry::Code(code) => Some(Known { name: code.name(), is_code: true }),
        ToolEntry::Mcp { .. } | ToolEntry::Agent(_) => None,
    }
}
