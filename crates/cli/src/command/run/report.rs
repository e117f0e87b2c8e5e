//! The files into which a run's results are reported.

use std::io::BufWriter;
use std::path::{Path, PathBuf};

use motet::items_report::ReportForm;
use motet::{Error, ErrorKind, Result, RunId, Runtime};

/// Refuses files that no report can be written to, before anything runs.
pub(in crate::command) fn check(files: &[PathBuf]) -> Result<()> {
    for path in files {
        form(path)?;
        let directory = directory(path);
        if !directory.is_dir() {
            return Err(unwritable(path, std::io::ErrorKind::NotFound.into()));
        }
    }
    Ok(())
}

/// Writes the reports of a run, each whole or not at all.
pub(in crate::command) async fn write(runtime: &Runtime, run: &RunId, files: &[PathBuf]) -> Result<()> {
    for path in files {
        let failed = |error: std::io::Error| unwritable(path, error);
        let mut builder = tempfile::Builder::new();
        builder.prefix(".motet-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(directory(path)).map_err(failed)?;
        let mut out = BufWriter::new(file.as_file_mut());
        runtime.write_report(run, form(path)?, &mut out).await?;
        drop(out);
        file.as_file().sync_all().map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
    }
    Ok(())
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn form(path: &Path) -> Result<ReportForm> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_lowercase().as_str() {
        "json" => Ok(ReportForm::Json),
        "md" | "markdown" => Ok(ReportForm::Markdown),
        _ => {
            let message = format!("`{}` has no form that a report can be written in", path.display());
            Err(Error::new(ErrorKind::InvalidRequest, message)
                .with_hint("name a file that ends in .json or .md"))
        }
    }
}

fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("`{}` cannot be written: {error}", path.display()))
        .with_hint("name a file in a directory that exists and is writable")
        .with_source(error)
}
