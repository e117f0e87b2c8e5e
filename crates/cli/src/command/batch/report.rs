//! The files of results: which forms there are, and how each is written.
//!
//! Reads results one by one from where they were laid aside, so that a report of any length takes little memory.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

use motet::batch::BatchSummary;
use motet::core::id::Millis;
use motet::{Error, ErrorKind, Result};
use serde_json::{Map, Value, json};

use super::outputs::Head;
use super::shape;

/// A form of files with results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One JSON object a line, as results come.
    Lines,
    /// One JSON object at the end.
    Json,
    /// For people, at the end.
    Markdown,
}

/// Tells the form by the end of a file's name.
pub(super) fn form(path: &Path) -> Option<Form> {
    let extension = path.extension()?.to_str()?.to_lowercase();
    match extension.as_str() {
        "jsonl" | "ndjson" => Some(Form::Lines),
        "json" => Some(Form::Json),
        "md" | "markdown" => Some(Form::Markdown),
        _ => None,
    }
}

/// What a report is made of.
pub(super) struct Parts<'a> {
    pub(super) head: &'a Head,
    /// The sums, or why there are none.
    pub(super) ended: Result<&'a BatchSummary, &'a Error>,
}

/// Writes a report as a whole: there is the old file or the new one, and nothing in between, even after a crash.
pub(super) fn write(
    path: &Path,
    form: Form,
    parts: &Parts<'_>,
    results: &mut dyn Iterator<Item = Result<Map<String, Value>>>,
) -> Result<()> {
    let failed = |error: std::io::Error| unwritable(path, error);
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".motet-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(directory).map_err(failed)?;
    let mut out = BufWriter::new(file.as_file_mut());
    match form {
        Form::Markdown => markdown(&mut out, parts, results, failed)?,
        Form::Json | Form::Lines => json(&mut out, parts, results, failed)?,
    }
    out.flush().map_err(failed)?;
    drop(out);
    if let Ok(metadata) = fs::metadata(path) {
        file.as_file().set_permissions(metadata.permissions()).map_err(failed)?;
    }
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

pub(super) fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("`{}` cannot be written: {error}", path.display()))
        .with_hint("name a file in a directory that exists and is writable")
        .with_source(error)
}

fn json(
    out: &mut dyn Write,
    parts: &Parts<'_>,
    results: &mut dyn Iterator<Item = Result<Map<String, Value>>>,
    failed: impl Fn(std::io::Error) -> Error,
) -> Result<()> {
    write!(out, "{}", opening(parts.head)).map_err(&failed)?;
    let mut separator = "\n";
    for result in results {
        write!(out, "{separator}{}", entry(result?)).map_err(&failed)?;
        separator = ",\n";
    }
    writeln!(out, "\n{}", closing(&parts.ended)).map_err(&failed)
}

/// Gives the beginning of the JSON object, up to its results.
pub(super) fn opening(head: &Head) -> String {
    let fields = json!({
        "batch_id": head.id,
        "created_at": head.created_at.to_string(),
        "parameters": head.parameters,
    });
    let mut text = fields.to_string();
    text.pop();
    text.push_str(",\"results\":{");
    text
}

/// Gives one result as a field of the object of results.
pub(super) fn entry(mut result: Map<String, Value>) -> String {
    let id = result.shift_remove("id").unwrap_or_default();
    result.shift_remove("index");
    format!("{id}:{}", Value::Object(result))
}

/// Gives the end of the JSON object.
pub(super) fn closing(ended: &Result<&BatchSummary, &Error>) -> String {
    match ended {
        Ok(summary) => format!("}},\"summary\":{}}}", shape::summary(summary)),
        Err(error) => format!("}},\"summary\":null,\"error\":{}}}", crate::printer::printed(error)),
    }
}

fn markdown(
    out: &mut dyn Write,
    parts: &Parts<'_>,
    results: &mut dyn Iterator<Item = Result<Map<String, Value>>>,
    failed: impl Fn(std::io::Error) -> Error,
) -> Result<()> {
    write!(out, "{}", heading(parts)).map_err(&failed)?;
    for result in results {
        write!(out, "{}", section(&result?)).map_err(&failed)?;
    }
    Ok(())
}

fn heading(parts: &Parts<'_>) -> String {
    let Parts { head, ended } = parts;
    let mut text = String::from("# Batch Processing Results\n\n");
    let mut line = |name: &str, value: &str| text.push_str(&format!("- **{name}**: {value}\n"));
    line("Batch ID", head.id.as_str());
    line("Date", &date(head.created_at));
    for (name, value) in [("Model", "model"), ("Prompt", "prompt"), ("Input", "input")] {
        if let Some(value) = head.parameters.get(value).and_then(Value::as_str) {
            line(name, &value.replace('\n', " "));
        }
    }
    match ended {
        Ok(summary) => {
            let mut counts = format!("{} successful, {} failed", summary.succeeded, summary.failed);
            for (count, what) in [(summary.cancelled, "cancelled"), (summary.not_started, "not started")] {
                if count > 0 {
                    counts.push_str(&format!(", {count} {what}"));
                }
            }
            line("Total", &format!("{} ({counts})", summary.total));
            let cost = match summary.cost {
                Some(cost) => cost.to_string(),
                None => format!("{} and {} of unknown cost", summary.known_cost, summary.unpriced),
            };
            line("Tokens", &summary.usage.total().to_string());
            line("Cost", &cost);
            line("Processing Time", &format!("{:.2} s", summary.elapsed.as_secs_f64()));
        }
        Err(error) => line("Broken off", &error.to_string()),
    }
    text.push_str("\n## Results\n");
    text
}

/// Writes a time as people do, in UTC.
fn date(time: Millis) -> String {
    time.to_string().replace('T', " ").split('.').next().unwrap_or_default().to_owned()
}

fn section(result: &Map<String, Value>) -> String {
    let text = |name: &str| result.get(name).and_then(Value::as_str);
    let mark = if text("status") == Some("success") { "\u{2705}" } else { "\u{274c}" };
    let id = text("id").unwrap_or_default().replace(['\n', '\r'], " ");
    let seconds = result.get("seconds").and_then(Value::as_f64).unwrap_or_default();
    let mut section = format!("\n### {mark} {id}\n\n");
    match (text("error"), result.get("json")) {
        (Some(error), _) => {
            section.push_str(&format!("Error: {error}\n"));
            if let Some(hint) = text("hint") {
                section.push_str(&format!("\nHint: {hint}\n"));
            }
        }
        (None, Some(value)) => {
            let pretty = serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string());
            section.push_str(&format!("```json\n{pretty}\n```\n"));
        }
        (None, None) => {
            section.push_str(text("content").unwrap_or_default().trim_end());
            section.push('\n');
        }
    }
    section.push_str(&format!("\n*{seconds:.2} s*\n"));
    section
}
