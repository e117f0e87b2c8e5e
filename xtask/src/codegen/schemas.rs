//! The schemas of the files that people write, as the readers' own tables tell them.

use anyhow::{Context, Result};

use crate::codegen::Motet;

/// Writes the schema of workflow files.
pub(crate) fn workflow(motet: &Motet) -> Result<String> {
    motet.print(&["schema", "workflow"]).context("`motet schema workflow` must print a JSON schema")
}
