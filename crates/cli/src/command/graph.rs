//! `motet graph`: draws the tasks of a workflow and what waits for what.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{ArgMatches, Args, ValueEnum};
use motet::workflows::dag::draw::Drawing;
use motet::{Error, Result, RunId};
use serde_json::json;

use super::{Row, arguments};
use crate::context::Context;
use crate::exit::Exit;

pub(super) const ROW: Row = Row { name: "graph", build: Graph::augment_args, run };

/// Draws the tasks of a workflow and what waits for what
#[derive(Args)]
struct Graph {
    /// Workflow file
    file: PathBuf,
    /// Language of the drawing
    #[arg(long, value_enum, default_value_t = Format::Mermaid)]
    format: Format,
    /// Colours the tasks by how they stand in this run
    #[arg(long, value_name = "RUN")]
    run: Option<RunId>,
}

/// A language of drawings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For Markdown pages.
    Mermaid,
    /// For Graphviz.
    Dot,
    /// A picture that needs no other program.
    Svg,
}

fn run(context: Context, matches: &ArgMatches) -> Result<Exit> {
    let Graph { file, format, run } = arguments(matches)?;
    let runtime = context.runtime()?;
    let printer = context.printer;
    let file = runtime.read_workflow(&file).map_err(Error::from)?;
    context.block_on(|_| async move {
        let mut states = BTreeMap::new();
        if let Some(run) = &run {
            let report = runtime.report(run).await?;
            states =
                report.tasks.into_iter().map(|task| (task.name, task.state.shown(report.state))).collect();
        }
        let drawing = Drawing::new(&file.spec, &states);
        let (name, text) = match format {
            Format::Mermaid => ("mermaid", drawing.mermaid()),
            Format::Dot => ("dot", drawing.dot()),
            Format::Svg => ("svg", drawing.svg()),
        };
        printer.data(&json!({"format": name, "graph": text}), || text.clone())?;
        Ok(Exit::Success)
    })
}
