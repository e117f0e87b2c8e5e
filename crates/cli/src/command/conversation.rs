//! `motet conversation`: the conversations of the store.

use std::path::PathBuf;

use clap::{ArgMatches, Args, Subcommand, ValueEnum};
use motet::agents::conversation::{to_json, to_markdown};
use motet::core::conversation::{
    Conversation, ConversationFilter, ConversationHead, ConversationId, ConversationStore,
    no_such_conversation,
};
use motet::{Error, ErrorKind, Result};
use serde_json::json;

use super::chat::{conversation_id, conversations};
use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::table::table;

pub(super) const ROW: Row = Row { name: "conversation", build: Conversations::augment_args, run };

/// Looks at the conversations of the store, and changes them
#[derive(Args)]
struct Conversations {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Lists conversations, the one that was changed last first
    List {
        /// Only those whose name or title contains this text
        #[arg(long)]
        text: Option<String>,
        /// At most this many; 0 means all
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Shows a conversation
    Show {
        /// Its name
        #[arg(value_parser = conversation_id)]
        name: ConversationId,
    },
    /// Copies the first messages of a conversation into a new one
    Fork {
        /// Its name
        #[arg(value_parser = conversation_id)]
        name: ConversationId,
        /// Name of the new one
        #[arg(value_parser = conversation_id)]
        new: ConversationId,
        /// Number of messages to copy; all where it is left out
        #[arg(long)]
        messages: Option<u32>,
    },
    /// Writes a conversation as a file
    Export {
        /// Its name
        #[arg(value_parser = conversation_id)]
        name: ConversationId,
        /// Form of the file
        #[arg(long, default_value = "json")]
        format: Format,
        /// File to write; standard output where it is left out
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Gives a conversation a title
    Rename {
        /// Its name
        #[arg(value_parser = conversation_id)]
        name: ConversationId,
        /// Title for people
        title: String,
    },
    /// Removes a conversation with all it holds
    Delete {
        /// Its name
        #[arg(value_parser = conversation_id)]
        name: ConversationId,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// Can be read back
    Json,
    /// For people
    Markdown,
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let action = arguments::<Conversations>(matches)?.action;
    let runtime = context.runtime()?;
    let printer = context.printer;
    context.block_on(|_| async move {
        let store = runtime.store().await?;
        obey(conversations(&store)?, action, printer).await?;
        Ok(Exit::Success)
    })
}

async fn obey(store: &dyn ConversationStore, action: Action, printer: Printer) -> Result<()> {
    match action {
        Action::List { text, limit } => {
            let heads = store.list(&ConversationFilter { text, limit }).await?;
            printer.data(&heads, || listed(&heads))
        }
        Action::Show { name } => {
            let conversation = load(store, &name).await?;
            printer.data(&conversation, || to_markdown(&conversation))
        }
        Action::Fork { name, new, messages } => {
            let head = store.fork(&name, messages, new).await?;
            printer.data(&head, || format!("{} messages are in `{}`\n", head.messages, head.id))
        }
        Action::Export { name, format, to } => export(&load(store, &name).await?, format, to, printer),
        Action::Rename { name, title } => {
            store.rename(&name, &title).await?;
            printer.data(&json!({"renamed": name}), || format!("`{name}` is titled now\n"))
        }
        Action::Delete { name } => {
            if !store.delete(&name).await? {
                return Err(no_such_conversation(&name));
            }
            printer.data(&json!({"deleted": name}), || format!("`{name}` is gone\n"))
        }
    }
}

async fn load(store: &dyn ConversationStore, name: &ConversationId) -> Result<Conversation> {
    store.load(name).await?.ok_or_else(|| no_such_conversation(name))
}

fn export(conversation: &Conversation, format: Format, to: Option<PathBuf>, printer: Printer) -> Result<()> {
    let text = match format {
        Format::Json => to_json(conversation)? + "\n",
        Format::Markdown => to_markdown(conversation),
    };
    let Some(path) = to else { return printer.text(&text) };
    std::fs::write(&path, text).map_err(|error| {
        Error::new(ErrorKind::InvalidRequest, format!("`{}` cannot be written: {error}", path.display()))
    })
}

fn listed(heads: &[ConversationHead]) -> String {
    let rows = heads.iter().map(|head| {
        [
            head.id.to_string(),
            head.title.clone(),
            head.turns.to_string(),
            head.model.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            head.cost.map_or_else(|| "unknown".to_owned(), |cost| cost.to_string()),
            head.updated_at.to_string(),
        ]
    });
    table(["NAME", "TITLE", "TURNS", "MODEL", "COST", "CHANGED"], rows)
}
