//! A set of tools with what people want to know of them: where they come from, what they are for, whether they are
//! switched on, and how they do.
//!
//! Knows no model and no run; agents are given its tools, which are measured wherever they are called.

mod measured;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use globset::{Glob, GlobMatcher};
use motet_core::id::content_hash;
use motet_core::request::ToolSpec;
use motet_core::tool::{Effect, ToolSource};
use motet_core::{Error, ErrorKind, Result, RunContext, Tool, ToolContext, ToolOutput};
use serde::Serialize;
use serde_json::Value;

pub use measured::ToolMetrics;

use crate::schema::Schema;
use measured::{Measured, Meter};

/// Where tools come from that were added one by one.
const OWN: &str = "the program";

/// Tools by name; cheap to clone, and all clones are the same set.
///
/// ```
/// use motet_agents::tool_set::{Entry, Filter, Toolbox};
/// use motet_agents::{NoArguments, function};
///
/// let tools = Toolbox::new();
/// let now = function("now", "Tells the time.", |_: NoArguments, _| async { Ok("noon") });
/// tools.add(Entry::new(now).category("time").version("2"))?;
/// assert_eq!(tools.select(&Filter::categories(["ti*"])?).len(), 1);
/// tools.disable("now")?;
/// assert!(tools.tools().is_empty());
/// # Ok::<(), motet_core::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Toolbox(Arc<Mutex<Contents>>);

#[derive(Default)]
struct Contents {
    /// In the order in which they were added.
    tools: Vec<Kept>,
    sources: Vec<Source>,
    /// Meters outlive the tools of a source that come and go.
    meters: BTreeMap<String, Arc<Meter>>,
}

#[derive(Clone)]
struct Kept {
    tool: Arc<dyn Tool>,
    category: String,
    version: String,
    source: String,
    meter: Arc<Meter>,
}

#[derive(Clone)]
struct Source {
    source: Arc<dyn ToolSource>,
    category: String,
}

/// A tool to add, and what is said of it.
pub struct Entry {
    tool: Arc<dyn Tool>,
    category: String,
    version: String,
}

impl Entry {
    /// Describes a tool without category and version.
    pub fn new(tool: impl Tool + 'static) -> Self {
        Self::shared(Arc::new(tool))
    }

    /// Describes a tool that others use too.
    #[must_use]
    pub fn shared(tool: Arc<dyn Tool>) -> Self {
        Self { tool, category: String::new(), version: String::new() }
    }

    /// Says what the tool is for.
    #[must_use]
    pub fn category(mut self, category: impl Into<String>) -> Self {
        self.category = category.into();
        self
    }

    /// Says which version of it this is.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }
}

/// Picks tools by patterns such as `git_*`, in which `*` stands for any letters and `?` for one.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    names: Vec<GlobMatcher>,
    categories: Vec<GlobMatcher>,
}

impl Filter {
    /// Picks tools whose name one of the patterns describes.
    ///
    /// # Errors
    /// `Configuration` when a pattern is malformed.
    pub fn names(patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self> {
        Ok(Self { names: matchers(patterns)?, categories: Vec::new() })
    }

    /// Picks tools whose category one of the patterns describes.
    ///
    /// # Errors
    /// `Configuration` when a pattern is malformed.
    pub fn categories(patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self> {
        Ok(Self { names: Vec::new(), categories: matchers(patterns)? })
    }

    /// Picks only what another filter picks too.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.names.extend(other.names);
        self.categories.extend(other.categories);
        self
    }

    /// Tells whether it picks a tool. Patterns of one kind are alternatives; both kinds must agree.
    #[must_use]
    pub fn picks(&self, name: &str, category: &str) -> bool {
        let one = |matchers: &[GlobMatcher], text: &str| {
            matchers.is_empty() || matchers.iter().any(|matcher| matcher.is_match(text))
        };
        one(&self.names, name) && one(&self.categories, category)
    }
}

fn matchers(patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Vec<GlobMatcher>> {
    let one = |pattern: &str| {
        Glob::new(pattern).map(|glob| glob.compile_matcher()).map_err(|error| {
            let message = format!("`{pattern}` is not a pattern: {}", error.kind());
            Error::new(ErrorKind::Configuration, message).with_hint("write it such as `git_*`")
        })
    };
    patterns.into_iter().map(|pattern| one(pattern.as_ref())).collect()
}

/// What is known of a tool.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ToolInfo {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// What it is for; empty where nobody said.
    pub category: String,
    /// Which version of it this is; empty where nobody said.
    pub version: String,
    /// Where it comes from.
    pub source: String,
    /// What happens when it runs twice.
    pub effect: Effect,
    /// Whether it is switched on.
    pub enabled: bool,
    /// How its calls went.
    pub metrics: ToolMetrics,
}

/// What a look at the sources changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Refreshed {
    /// Names that are new.
    pub added: Vec<String>,
    /// Names that are gone.
    pub removed: Vec<String>,
}

impl fmt::Debug for Toolbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.list().into_iter().map(|tool| tool.name).collect();
        f.debug_struct("Toolbox").field("tools", &names).finish_non_exhaustive()
    }
}

impl Toolbox {
    /// Makes an empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a tool, switched on.
    ///
    /// # Errors
    /// `Configuration` when there is a tool of its name, with the places both come from.
    pub fn add(&self, entry: Entry) -> Result<()> {
        let mut contents = self.contents();
        let Entry { tool, category, version } = entry;
        let meter = contents.meter(&tool.spec().name);
        let kept = Kept { tool, category, version, source: OWN.to_owned(), meter };
        refuse_clash(contents.tools.iter().chain([&kept]))?;
        contents.tools.push(kept);
        Ok(())
    }

    /// Adds all tools of a source under a category, and remembers the source; see [`refresh`](Self::refresh).
    ///
    /// # Errors
    /// The source's error, and `Configuration` when a name is taken; then nothing is added.
    pub async fn add_source(&self, category: impl Into<String>, source: Arc<dyn ToolSource>) -> Result<()> {
        let source = Source { source, category: category.into() };
        let tools = source.source.tools().await?;
        let mut contents = self.contents();
        let added = contents.kept(&source, tools);
        refuse_clash(contents.tools.iter().chain(&added))?;
        contents.tools.extend(added);
        contents.sources.push(source);
        Ok(())
    }

    /// Asks every source which tools there are now. Switches and metrics of tools that stay, or come back, are kept.
    ///
    /// # Errors
    /// As [`add_source`](Self::add_source); then the set stays as it was.
    pub async fn refresh(&self) -> Result<Refreshed> {
        let sources = self.contents().sources.clone();
        let mut found = Vec::with_capacity(sources.len());
        for source in sources {
            let tools = source.source.tools().await?;
            found.push((source, tools));
        }
        let mut contents = self.contents();
        // A source that was added meanwhile was not asked.
        let is_asked = |kept: &&Kept| found.iter().any(|(source, _)| source.source.name() == kept.source);
        let mut tools: Vec<Kept> = contents.tools.iter().filter(|kept| !is_asked(kept)).cloned().collect();
        for (source, listed) in found {
            tools.extend(contents.kept(&source, listed));
        }
        refuse_clash(tools.iter())?;
        let before = std::mem::replace(&mut contents.tools, tools);
        Ok(Refreshed { added: missing(&contents.tools, &before), removed: missing(&before, &contents.tools) })
    }

    /// Switches a tool on.
    ///
    /// # Errors
    /// `NotFound` when there is none of this name.
    pub fn enable(&self, name: &str) -> Result<()> {
        self.find(name).map(|kept| kept.meter.switch(true))
    }

    /// Switches a tool off: it is not given out any more, and refuses to be called by those who have it.
    ///
    /// # Errors
    /// `NotFound` when there is none of this name.
    pub fn disable(&self, name: &str) -> Result<()> {
        self.find(name).map(|kept| kept.meter.switch(false))
    }

    /// Gives the tools that are switched on, for an agent; their calls are measured.
    #[must_use]
    pub fn tools(&self) -> Vec<Arc<dyn Tool>> {
        self.select(&Filter::default())
    }

    /// Gives those of [`tools`](Self::tools) that a filter picks.
    #[must_use]
    pub fn select(&self, filter: &Filter) -> Vec<Arc<dyn Tool>> {
        let contents = self.contents();
        let picked = contents
            .tools
            .iter()
            .filter(|kept| kept.meter.is_on() && filter.picks(&kept.tool.spec().name, &kept.category));
        picked.map(Kept::measured).collect()
    }

    /// Tells what is known of every tool, switched on or off.
    #[must_use]
    pub fn list(&self) -> Vec<ToolInfo> {
        self.contents().tools.iter().map(Kept::info).collect()
    }

    /// Tells how the calls of a tool went.
    ///
    /// # Errors
    /// `NotFound` when there is none of this name.
    pub fn metrics(&self, name: &str) -> Result<ToolMetrics> {
        self.find(name).map(|kept| kept.meter.metrics())
    }

    /// Gives what models are given of a tool.
    ///
    /// # Errors
    /// `NotFound` when there is none of this name.
    pub fn spec(&self, name: &str) -> Result<ToolSpec> {
        self.find(name).map(|kept| kept.tool.spec().clone())
    }

    /// Calls a tool outside of any agent, with arguments that satisfy its schema.
    ///
    /// The idempotency key follows from the context's run and step, the name, and the arguments: a call that is meant
    /// twice needs a child context of its own.
    ///
    /// # Errors
    /// `NotFound` when there is none of this name; `InvalidRequest` when the arguments do not fit; the tool's own error.
    pub async fn call(&self, context: &RunContext, name: &str, arguments: Value) -> Result<ToolOutput> {
        let kept = self.find(name)?;
        let schema = Schema::compile(&kept.tool.spec().parameters).map_err(|problem| {
            Error::new(
                ErrorKind::Configuration,
                format!("the parameters of `{name}` are not a JSON schema: {problem}"),
            )
        })?;
        let arguments = schema.read(arguments).map_err(|findings| {
            let message = format!("the arguments of `{name}` do not match its schema: {findings}");
            Error::new(ErrorKind::InvalidRequest, message)
        })?;
        let hash = content_hash(&arguments)?;
        let idempotency_key = format!("{}/{}/{hash}", context.run_id(), context.key(name));
        let call = ToolContext { run: context, call_id: name, idempotency_key: &idempotency_key };
        kept.measured().call(arguments, &call).await
    }

    fn find(&self, name: &str) -> Result<Kept> {
        let contents = self.contents();
        if let Some(kept) = contents.tools.iter().find(|kept| kept.tool.spec().name == name) {
            return Ok(kept.clone());
        }
        let near = |kept: &&Kept| strsim::jaro_winkler(name, &kept.tool.spec().name);
        let nearest = contents.tools.iter().max_by(|one, other| near(one).total_cmp(&near(other)));
        let error = Error::new(ErrorKind::NotFound, format!("there is no tool `{name}`"));
        Err(match nearest {
            Some(kept) => error.with_hint(format!("the nearest name is `{}`", kept.tool.spec().name)),
            None => error.with_hint("there are no tools at all"),
        })
    }
}

impl Contents {
    fn meter(&mut self, name: &str) -> Arc<Meter> {
        Arc::clone(self.meters.entry(name.to_owned()).or_default())
    }

    fn kept(&mut self, source: &Source, tools: Vec<Arc<dyn Tool>>) -> Vec<Kept> {
        let keep = |tool: Arc<dyn Tool>| Kept {
            meter: self.meter(&tool.spec().name),
            tool,
            category: source.category.clone(),
            version: String::new(),
            source: source.source.name().to_owned(),
        };
        tools.into_iter().map(keep).collect()
    }
}

impl Kept {
    fn measured(&self) -> Arc<dyn Tool> {
        Arc::new(Measured::new(Arc::clone(&self.tool), Arc::clone(&self.meter)))
    }

    fn info(&self) -> ToolInfo {
        let spec = self.tool.spec();
        ToolInfo {
            name: spec.name.clone(),
            description: spec.description.clone(),
            category: self.category.clone(),
            version: self.version.clone(),
            source: self.source.clone(),
            effect: self.tool.effect(),
            enabled: self.meter.is_on(),
            metrics: self.meter.metrics(),
        }
    }
}

fn refuse_clash<'a>(tools: impl Iterator<Item = &'a Kept>) -> Result<()> {
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    for kept in tools {
        let name = kept.tool.spec().name.as_str();
        if let Some(other) = known.insert(name, &kept.source) {
            let message = format!("the tool `{name}` comes from `{other}` and from `{}`", kept.source);
            return Err(Error::new(ErrorKind::Configuration, message)
                .with_hint("give the tools of one of them another prefix"));
        }
    }
    Ok(())
}

/// Gives the names of tools that others do not hold.
fn missing(tools: &[Kept], others: &[Kept]) -> Vec<String> {
    let name = |kept: &Kept| kept.tool.spec().name.clone();
    tools.iter().map(name).filter(|one| !others.iter().any(|other| other.tool.spec().name == *one)).collect()
}

#[cfg(test)]
mod tests;
