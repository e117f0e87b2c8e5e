//! The reference of the providers, as their rows tell it.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::codegen::Motet;

/// Writes a table of every provider, by name.
pub(crate) fn generate(motet: &Motet) -> Result<String> {
    let printed = motet.print(&["provider", "list", "--output", "json"])?;
    let printed: Value = serde_json::from_str(&printed).context("`motet provider list` must print JSON")?;
    let mut providers: Vec<&Value> = printed.as_array().into_iter().flatten().collect();
    providers.sort_by_key(|provider| provider["name"].as_str().unwrap_or_default().to_owned());
    let mut text = "<!-- Written by `cargo xtask codegen` from `motet provider list`; edit the rows in the code. -->\n\n\
         # Providers\n\n\
         Models are named `provider:model`. How providers are configured is in the guide\n\
         [providers](../guide/providers.md); any other server that speaks one of the formats is reached by `custom` or by a\n\
         name that the settings give it.\n\n\
         | Name | What it offers | Key | Format of chat | Can | Address |\n|---|---|---|---|---|---|\n"
        .to_owned();
    for provider in providers {
        let code = |name: &str| provider[name].as_str().map_or("-".to_owned(), |text| format!("`{text}`"));
        let can = provider["can"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let can = can.collect::<Vec<_>>().join(", ");
        let doc = provider["doc"].as_str().unwrap_or_default();
        let (name, key, dialect, url) = (code("name"), code("key"), code("dialect"), code("base_url"));
        writeln!(text, "| {name} | {doc} | {key} | {dialect} | {can} | {url} |")?;
    }
    Ok(text)
}
