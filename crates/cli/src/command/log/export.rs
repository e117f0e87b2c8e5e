//! `motet log export`: writes a run as a cassette.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use motet::recording::Redaction;
use motet::{Error, ErrorKind, Result, RunId, Runtime};
use serde_json::json;

use crate::context::Context;
use crate::exit::Exit;
use crate::printer::Printer;

/// Bytes that are printed at once.
const CHUNK: usize = 64 << 10;

#[derive(Args)]
pub(super) struct Export {
    /// Id of the run
    run: RunId,
    /// File to write; standard output where it is left out
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Masks what this regular expression matches, beside what the setting `record.redact` names; may be given several times
    #[arg(long, value_name = "REGEX")]
    redact: Vec<String>,
}

pub(super) fn run(context: Context, export: Export) -> Result<Exit> {
    let runtime = context.runtime()?;
    let printer = context.printer;
    let redaction = Redaction::of_settings(runtime.loaded(), &export.redact)?;
    context.block_on(|_| async move {
        let Export { run, to, .. } = export;
        match to {
            None => print(&runtime, &run, &redaction, printer).await?,
            Some(path) => {
                let records = write(&runtime, &run, &redaction, &path).await?;
                let file = path.display().to_string();
                printer.data(&json!({"run": run, "file": file, "records": records}), || {
                    format!("{file}: {records} records of run {run}\n")
                })?;
            }
        }
        Ok(Exit::Success)
    })
}

async fn print(runtime: &Runtime, run: &RunId, redaction: &Redaction, printer: Printer) -> Result<()> {
    let mut chunk = String::new();
    let mut line = |line: &str| {
        chunk.push_str(line);
        chunk.push('\n');
        if chunk.len() >= CHUNK {
            printer.text(&std::mem::take(&mut chunk))?;
        }
        Ok(())
    };
    runtime.export(run, redaction, &mut line).await?;
    printer.text(&chunk)
}

/// Writes the file whole or not at all, and readable for its owner alone: it holds what was asked and answered.
async fn write(runtime: &Runtime, run: &RunId, redaction: &Redaction, path: &Path) -> Result<u64> {
    let unwritable = |error: std::io::Error| {
        Error::new(ErrorKind::InvalidRequest, format!("`{}` cannot be written: {error}", path.display()))
            .with_source(error)
    };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Such a file is readable for its owner alone, has a name of its own, and is removed unless it is kept.
    let mut partial =
        tempfile::Builder::new().prefix(".motet-").tempfile_in(directory).map_err(unwritable)?;
    let mut file = BufWriter::new(partial.as_file_mut());
    let mut line = |line: &str| writeln!(file, "{line}").map_err(unwritable);
    let records = runtime.export(run, redaction, &mut line).await?;
    file.flush().map_err(unwritable)?;
    drop(file);
    partial.as_file().sync_all().map_err(unwritable)?;
    partial.persist(path).map_err(|error| unwritable(error.error))?;
    Ok(records)
}
