//! `motet complete --dry-run`: shows the request that would be sent, and sends nothing.

use motet::providers::driver::DryRun;
use motet::{ChatRequest, Delivery, Result, Runtime};
use serde_json::{Map, Value, json};

use crate::exit::Exit;
use crate::printer::Printer;

/// Shows the request as it would go over the wire.
pub(super) fn show(
    runtime: &Runtime,
    request: &ChatRequest,
    delivery: Delivery,
    printer: Printer,
) -> Result<Exit> {
    let shown = runtime.dry_run(request, delivery)?;
    if let Some(key) = shown.missing_key {
        printer.note(&format!("note: `{key}` is not set; a placeholder stands where the key would be"));
    }
    for warning in &shown.warnings {
        printer.note(&format!("warning: {warning}"));
    }
    printer.data(&shape(&shown), || text(&shown))?;
    Ok(Exit::Success)
}

fn shape(shown: &DryRun) -> Value {
    let headers: Map<String, Value> =
        shown.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({
        "method": shown.method,
        "url": shown.url,
        "headers": headers,
        "body": body(shown).unwrap_or_else(|| json!(shown.body)),
        "warnings": shown.warnings,
        "missing_key": shown.missing_key,
    })
}

fn text(shown: &DryRun) -> String {
    let mut text = format!("{} {}\n", shown.method, shown.url);
    for (name, value) in &shown.headers {
        text.push_str(&format!("{name}: {value}\n"));
    }
    let body = body(shown).and_then(|body| serde_json::to_string_pretty(&body).ok());
    text.push_str(&format!("\n{}\n", body.as_deref().unwrap_or(&shown.body)));
    text
}

/// Reads the body, whose fields keep their order.
fn body(shown: &DryRun) -> Option<Value> {
    serde_json::from_str(&shown.body).ok()
}
