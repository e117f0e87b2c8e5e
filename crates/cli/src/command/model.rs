//! `motet model`: what models a provider has.

use clap::{ArgMatches, Args, Subcommand};
use motet::core::id::Millis;
use motet::core::model_list::ModelInfo;
use motet::{Result, RunContext};

use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;
use crate::table::table;

pub(super) const ROW: Row = Row { name: "model", build: Model::augment_args, run };

/// Shows the models of a provider
#[derive(Args)]
struct Model {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Asks a provider which models it has
    List {
        /// Name of the provider
        provider: String,
    },
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Model { action: Action::List { provider } } = arguments(matches)?;
    let runtime = context.runtime()?;
    let models = context.block_on(|cancellation| async move {
        let run = RunContext::new().with_cancellation(cancellation);
        runtime.list_models(&run, &provider).await
    })?;
    context.printer.data(&models, || shown(&models))?;
    Ok(Exit::Success)
}

fn shown(models: &[ModelInfo]) -> String {
    let rows = models.iter().map(|model| {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        [model.id.clone(), number(model.context_window), number(model.max_output), day(model.created)]
    });
    table(["MODEL", "CONTEXT", "OUTPUT", "CREATED"], rows)
}

/// Shows seconds since 1970 as a day.
fn day(seconds: Option<u64>) -> String {
    let millis = seconds.and_then(|seconds| i64::try_from(seconds).ok()?.checked_mul(1_000)).map(Millis);
    let day = millis.map(|millis| millis.to_string());
    day.and_then(|day| Some(day.split_once('T')?.0.to_owned())).unwrap_or_else(|| "-".to_owned())
}
