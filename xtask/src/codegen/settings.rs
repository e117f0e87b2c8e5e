//! The reference of the settings, as the settings themselves tell it.

use anyhow::{Context, Result, ensure};

use crate::codegen::Motet;

/// Writes the reference of every setting.
pub(crate) fn generate(motet: &Motet) -> Result<String> {
    let markdown = motet
        .print(&["config", "show", "--reference"])
        .context("`motet config show --reference` must print the settings as Markdown")?;
    let is_markdown = markdown.lines().any(|line| line.starts_with(['#', '|']));
    ensure!(is_markdown, "`motet config show --reference` printed no Markdown: no title and no table");
    let body = markdown.trim_start();
    let title = if body.starts_with("# ") { "" } else { "# Settings\n\n" };
    Ok(format!(
        "<!-- Written by `cargo xtask codegen` from `motet config show --reference`; edit the settings in the code. -->\n\n\
         {title}{body}"
    ))
}
