//! `motet provider`: what providers there are.

use clap::{ArgMatches, Args, Subcommand};
use motet::Result;
use motet::runtime::ProviderInfo;

use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;
use crate::table::table;

pub(super) const ROW: Row = Row { name: "provider", build: Provider::augment_args, run };

/// Shows the providers that models can be named of
#[derive(Args)]
struct Provider {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Lists providers, their addresses, and whether their keys are set
    List,
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Provider { action: Action::List } = arguments(matches)?;
    let providers = context.runtime()?.providers();
    context.printer.data(&providers, || shown(&providers))?;
    Ok(Exit::Success)
}

fn shown(providers: &[ProviderInfo]) -> String {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let rows = providers.iter().map(|provider| {
        let ready = if provider.ready { "yes" } else { "no" };
        let (key, address) = (or_dash(&provider.key), or_dash(&provider.base_url));
        [provider.name.clone(), ready.to_owned(), key, address, provider.doc.clone()]
    });
    table(["NAME", "READY", "KEY", "ADDRESS", ""], rows)
}
