//! The reference of the methods that tasks can call, as the methods themselves tell it.

use anyhow::{Context, Result};

use crate::codegen::Motet;

/// Writes the reference of every method.
pub(crate) fn generate(motet: &Motet) -> Result<String> {
    let markdown = motet
        .print(&["workflow", "methods", "--reference"])
        .context("`motet workflow methods --reference` must print the methods as Markdown")?;
    Ok(format!(
        "<!-- Written by `cargo xtask codegen` from `motet workflow methods --reference`; edit the methods in the code. -->\n\n\
         {markdown}"
    ))
}
