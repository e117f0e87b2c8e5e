//! `motet chat`: a conversation at the terminal, or over standard input.

mod ask;
mod commands;
mod input;
mod show;
mod talk;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgMatches, Args};
use motet::core::conversation::ConversationId;
use motet::{Error, ErrorKind, ModelId, Result, Runtime, Tool};
use tokio::sync::Notify;

use self::input::{Input, Line};
use self::talk::Talk;
pub(super) use self::talk::conversations;
use super::{Row, arguments, model_id};
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::Printer;

pub(super) const ROW: Row = Row { name: "chat", build: Chat::augment_args, run };

/// Talks with a model, turn by turn
///
/// At a terminal: `/help` lists what can be done beside talking, Ctrl-C stops an answer or clears the line, twice it
/// leaves, and so does Ctrl-D. A line that ends with a backslash goes on in the next one, and so does all within ```.
/// Without a terminal, each line of standard input is a turn, and the command fails if one of them did.
#[derive(Args)]
struct Chat {
    /// Model as `provider:model`; the setting `model` where it is left out
    #[arg(long, short, value_parser = model_id)]
    model: Option<ModelId>,
    /// Instructions that stand above the conversation
    #[arg(long)]
    system: Option<String>,
    /// Name under which the conversation is kept in the store; goes on with it where it is there already
    #[arg(long, value_name = "NAME", value_parser = conversation_id)]
    conversation: Option<ConversationId>,
    /// Address that replaces the provider's own
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Tokens beyond which the beginning is summarised; 80 percent of the model's window where that is known
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u64).range(64..))]
    max_context: Option<u64>,
    /// Offers the model the tools of the servers that `.mcp.json` or the setting `mcp.file` names
    #[arg(long)]
    tools: bool,
    /// Shows each answer when it is whole
    #[arg(long)]
    no_stream: bool,
    /// File that keeps what was typed, for the arrow keys of later chats; nothing is kept where it is left out
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
}

pub(super) fn conversation_id(text: &str) -> Result<ConversationId, String> {
    text.parse().map_err(|error: Error| match error.hint() {
        Some(hint) => format!("{error}: {hint}"),
        None => error.to_string(),
    })
}

fn run(mut context: Context, matches: &ArgMatches) -> Result<Exit> {
    let args: Chat = arguments(matches)?;
    if let (Some(url), Some(model)) = (&args.base_url, &args.model) {
        context.set(&format!("providers.{}.base_url", model.provider()), url, "flag --base-url");
    } else if args.base_url.is_some() {
        return Err(Error::new(ErrorKind::Configuration, "`--base-url` needs `--model`")
            .with_hint("name the provider whose address it is, for example `--model custom:my-model`"));
    }
    let runtime = context.runtime()?;
    chat(&context, &runtime, args)
}

/// Gives the tools of all servers that can be reached, and tells of those that cannot.
async fn tools(runtime: &Runtime, printer: Printer) -> Result<Vec<Arc<dyn Tool>>> {
    let (tools, failures) = runtime.mcp_tools(None).await?;
    for error in failures {
        printer.note(&format!("warning: {error}"));
    }
    Ok(tools.tools())
}

/// Talks until there is nothing more to say.
fn chat(context: &Context, runtime: &Runtime, args: Chat) -> Result<Exit> {
    // Not the loop that commands share: there an interrupt ends the command, here it ends an answer.
    let engine = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(
        |error| Error::new(ErrorKind::Internal, "the async runtime cannot start").with_source(error),
    )?;
    // One listener for all of the chat, so that an interrupt between two waits is not lost and ends nothing.
    let interrupts = Arc::new(Notify::new());
    let told = Arc::clone(&interrupts);
    engine.spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            told.notify_one();
        }
    });
    let mut input = Input::open(args.history.as_deref(), Arc::clone(&interrupts))?;
    let interactive = input.is_terminal();
    let options = talk::Options {
        model: args.model,
        system: args.system,
        max_context: args.max_context,
        streams: !args.no_stream,
        interactive,
        interrupts,
    };
    let mut talk = engine.block_on(async {
        let tools = if args.tools { tools(runtime, context.printer).await? } else { Vec::new() };
        Talk::begin(runtime, context.printer, options, tools, args.conversation).await
    })?;
    if interactive {
        context.printer.note("Ctrl-D leaves, Ctrl-C stops an answer, /help lists the commands");
    }
    let exit = converse(&engine, &mut talk, &mut input);
    engine.shutdown_background();
    exit
}

fn converse(engine: &tokio::runtime::Runtime, talk: &mut Talk, input: &mut Input) -> Result<Exit> {
    loop {
        let prompt = engine.block_on(talk.prompt());
        let line = match input.next(engine, &prompt, talk.take_draft())? {
            Line::Said(line) => line,
            Line::End => break,
            Line::Interrupted => return Ok(Exit::Interrupted),
        };
        match engine.block_on(talk.hear(&line)) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => talk.tell_failure(&error),
        }
        if !input.is_terminal() && talk.failed == Some(Exit::Interrupted) {
            break;
        }
    }
    // At a terminal whoever talks has seen what failed.
    Ok(talk.failed.filter(|_| !input.is_terminal()).unwrap_or(Exit::Success))
}
