//! How a new provider, pattern, or command begins: a file that compiles and does the least that is true.
//!
//! `%name%` stands for the name as it is, `%Name%` for the type, `%NAME%` for a variable, `%na-me%` for the name with
//! dashes.

/// Fills a template in for a name.
pub(crate) fn fill(template: &str, name: &str) -> String {
    template
        .replace("%name%", name)
        .replace("%Name%", &camel_case(name))
        .replace("%NAME%", &name.to_uppercase())
        .replace("%na-me%", &name.replace('_', "-"))
}

/// Gives the name of a type: `RoundRobin` for `round_robin`.
pub(crate) fn camel_case(name: &str) -> String {
    let capital = |word: &str| {
        let mut chars = word.chars();
        chars.next().map(|first| first.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
    };
    name.split('_').map(capital).collect()
}

/// A provider that speaks OpenAI Chat Completions and whose base URL the user gives.
pub(crate) const PROVIDER: &str = r#"//! %Name%.

use crate::dialect::Profile;
use crate::provider::ProviderRow;

pub(super) const ROW: ProviderRow = ProviderRow {
    name: "%na-me%",
    doc: "Models served by %Name%.",
    base_url: None,
    key_names: &["%NAME%_API_KEY"],
    key_required: true,
    profile: Profile { ..Profile::OPEN },
    ..ProviderRow::COMPATIBLE
};
"#;

/// What is left to do for a provider.
pub(crate) const PROVIDER_NEXT: &[&str] = &[
    "crates/providers/src/rows/%name%.rs: give `base_url` and `doc`; say in `profile` and `models` what its models take \
     and do not take, and set `embeddings`, `listing`, or `reranker` where it differs from most",
    "crates/providers/src/rows.rs: move the row in the table to where users should see it",
    "try it: `cargo run -p motet-cli -- complete --model %na-me%:MODEL hello`",
];

/// A command with one argument.
pub(crate) const COMMAND: &str = r#"//! `motet %na-me%`: say here in one line what it is for.

use clap::{ArgMatches, Args};
use motet::Result;
use serde_json::json;

use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;

pub(super) const ROW: Row = Row { name: "%na-me%", build: %Name%::augment_args, run };

/// Prints its input
#[derive(Args)]
struct %Name% {
    /// What to print
    input: String,
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let %Name% { input } = arguments(matches)?;
    context.printer.data(&json!({"input": input}), || format!("{input}\n"))?;
    Ok(Exit::Success)
}
"#;

/// What is left to do for a command.
pub(crate) const COMMAND_NEXT: &[&str] = &[
    "crates/cli/src/command/%name%.rs: give it its arguments, whose comments are its help, and its work in `run`",
    "crates/cli/src/command.rs: move the row in the table to where users should see it",
    "write its page of the reference with `cargo xtask codegen`, and try it: `cargo run -p motet-cli -- %na-me% hello`",
];

/// A pattern in which one agent answers.
pub(crate) const PATTERN: &str = r#"//! `%name%`: say here in one line how the agents work together.

use async_trait::async_trait;
use motet_agents::{Agent, Outcome};
use motet_core::RunContext;
use motet_core::error::{Error, ErrorKind, Result};
use motet_core::method::Parameter;
use serde_json::Map;

use super::{Interaction, Pattern, PatternCall, PatternOutcome, PatternResult};

/// One agent that answers.
pub struct %Name%;

const OPTIONS: &[Parameter] = &[];

#[async_trait]
impl Pattern for %Name% {
    fn name(&self) -> &'static str {
        "%name%"
    }

    fn doc(&self) -> &'static str {
        "One agent that answers"
    }

    fn options(&self) -> &'static [Parameter] {
        OPTIONS
    }

    async fn run(&self, context: &RunContext, call: PatternCall) -> Result<PatternResult> {
        let id = call.model.clone().ok_or_else(|| {
            Error::new(ErrorKind::Configuration, "`%name%` was given no model").with_hint("give `model`")
        })?;
        let model = call.models.model(&id).await?;
        let agent = Agent::builder("answerer", id).instructions("Do the task.").build()?;
        let turn = motet_agents::run(&context.child("answerer"), &agent, model, call.input.as_str()).await;
        let outcome = match &turn.outcome {
            Outcome::Completed => PatternOutcome::Completed,
            Outcome::LimitReached => PatternOutcome::LimitReached,
            _ => PatternOutcome::Failed,
        };
        let error = turn.error().map(|error| error.report());
        let output = turn.text;
        let said = Interaction { agent: "answerer".to_owned(), input: call.input, output: output.clone() };
        Ok(PatternResult {
            final_output: output,
            iterations: 1,
            interactions: vec![said],
            metadata: Map::new(),
            usage: turn.usage,
            cost: turn.cost,
            outcome,
            error,
        })
    }
}
"#;

/// What is left to do for a pattern.
pub(crate) const PATTERN_NEXT: &[&str] = &[
    "crates/workflows/src/pattern/%name%.rs: list its options in `OPTIONS`, and write how the agents take turns in `run`",
    "give each agent's run a child context of its own name, so that it resumes and replays",
    "test it in the same file with a scripted model: the turns, the outcome of a failing agent, and the sums",
    "try it: a task with `method: pattern/%name%` in a workflow file",
];
