//! `motet serve`: answers workers and commands on other machines from the store.

use clap::{ArgMatches, Args};
use motet::Result;
use motet_server::{Server, ServerConfig};
use serde_json::json;

use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;

pub(super) const ROW: Row = Row { name: "serve", build: Serve::augment_args, run };

/// Answers workers and commands on other machines from the store
///
/// They name it by its URL as their store: `--store URL`, or `--server URL` of a worker. Without `server.tokens` it listens on this machine's own
/// addresses alone. The first interrupt, or SIGTERM, lets calls end that have begun; the second one stops it at once.
#[derive(Args)]
struct Serve {
    /// Address and port to listen on; the setting `server.listen` where it is left out
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

fn run(mut context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Serve { listen } = arguments(matches)?;
    if let Some(listen) = listen {
        context.set("server.listen", listen, "flag --listen");
    }
    let runtime = context.runtime()?;
    let printer = context.printer;
    context.block_on_draining(|signals| async move {
        let config = ServerConfig::of(runtime.settings(), runtime.directory())?;
        let server = Server::bind(runtime.store().await?, &config).await?;
        let address = server.address();
        printer.data(&json!({"event": "listening", "address": address.to_string()}), || {
            format!("answers at http://{address}\n")
        })?;
        tokio::select! {
            served = server.serve(signals.drain) => served?,
            () = signals.now.cancelled() => {}
        }
        Ok(Exit::Success)
    })
}
