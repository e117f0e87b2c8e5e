//! Resolves, reads, writes, and lists the files that workflows name, within what a [`FileScope`] allows.
//!
//! Blocks on the file system: async callers run it in `tokio::task::spawn_blocking`. Knows nothing of workflows.
//!
//! Symbolic links are followed before the scope is checked, so a link cannot lead out of it. The check and the use are
//! two moments: the scope guards against mistaken and hostile *names*, not against programs that swap directories for
//! links in between.

mod glob;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use motet_core::method::FileScope;
use motet_core::{Error, ErrorKind, Result};

pub use glob::glob;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Gives the real path of a file to read; a relative path starts at the scope's base.
///
/// # Errors
/// `NotFound` when there is no such file, `Permission` when it lies outside the scope or may not be looked at, and
/// `InvalidRequest` when it is a directory, a pipe, a device, or not a path at all.
pub fn resolve(scope: &FileScope, path: impl AsRef<Path>) -> Result<PathBuf> {
    let path = path.as_ref();
    let real = resolve_any(scope, path)?;
    let metadata = fs::metadata(&real).map_err(|error| failure("look at", path, error))?;
    if metadata.is_file() {
        return Ok(real);
    }
    let what = if metadata.is_dir() { "a directory" } else { "not a regular file" };
    Err(Error::new(ErrorKind::InvalidRequest, format!("`{}` is {what}", path.display()))
        .with_hint("name a file, or list the files of a directory by a pattern such as `notes/*.md`"))
}

/// Gives the real path of a file to write, whether or not it exists; its directories need not exist either.
///
/// # Errors
/// `Permission` when it lies outside the scope, `InvalidRequest` when it is a directory or no path of a file.
pub fn resolve_for_write(scope: &FileScope, path: impl AsRef<Path>) -> Result<PathBuf> {
    let path = path.as_ref();
    let wanted = absolute(scope, path)?;
    let (real, rest) = existing_part(path, &wanted)?;
    roots(scope)?.check(path, &real)?;
    if !rest.as_os_str().is_empty() {
        return Ok(real.join(rest));
    }
    if real.is_dir() {
        return Err(Error::new(ErrorKind::InvalidRequest, format!("`{}` is a directory", path.display()))
            .with_hint("add the name of the file to write"));
    }
    Ok(real)
}

/// Reads a text file of at most `max_bytes` bytes; a byte order mark at its start is left out.
///
/// # Errors
/// As [`resolve`]; `LimitReached` when it is larger, `InvalidRequest` when it is not UTF-8.
pub fn read_text(scope: &FileScope, path: impl AsRef<Path>, max_bytes: u64) -> Result<String> {
    let path = path.as_ref();
    let mut bytes = read_bytes(scope, path, max_bytes)?;
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
        return text(path, bytes, BYTE_ORDER_MARK.len());
    }
    text(path, bytes, 0)
}

/// Reads a file of at most `max_bytes` bytes.
///
/// # Errors
/// As [`resolve`]; `LimitReached` when it is larger.
pub fn read_bytes(scope: &FileScope, path: impl AsRef<Path>, max_bytes: u64) -> Result<Vec<u8>> {
    let path = path.as_ref();
    let real = resolve(scope, path)?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large, even one that grows while it is read.
    File::open(&real)
        .and_then(|file| file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|error| failure("read", path, error))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > max_bytes) {
        return Err(Error::new(
            ErrorKind::LimitReached,
            format!("`{}` is larger than the {max_bytes} bytes that may be read", path.display()),
        )
        .with_hint("split the file, or name a smaller one"));
    }
    Ok(bytes)
}

/// Writes a file as a whole: readers see the old content or the new, and nothing in between, even after a crash.
///
/// Directories that do not exist are made; an existing file keeps its permissions. Gives the real path.
///
/// # Errors
/// As [`resolve_for_write`]; `Permission` and `ToolFailed` when the file system refuses.
pub fn write_atomic(scope: &FileScope, path: impl AsRef<Path>, bytes: &[u8]) -> Result<PathBuf> {
    let path = path.as_ref();
    let real = resolve_for_write(scope, path)?;
    let Some(directory) = real.parent() else {
        return Err(Error::new(ErrorKind::InvalidRequest, format!("`{}` is not a file", path.display()))
            .with_hint("write the path of a file"));
    };
    replace(&real, directory, bytes).map_err(|error| failure("write", path, error))?;
    Ok(real)
}

fn replace(real: &Path, directory: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".motet-");
    // A temporary file is private; the finished one is as readable as any other new file.
    #[cfg(unix)]
    let mode: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    #[cfg(unix)]
    builder.permissions(mode);
    let mut file = builder.tempfile_in(directory)?;
    file.write_all(bytes)?;
    if let Ok(metadata) = fs::metadata(real) {
        file.as_file().set_permissions(metadata.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(real).map_err(|error| error.error)?;
    // The rename itself survives a power loss only when the directory is written too.
    #[cfg(unix)]
    File::open(directory)?.sync_all()?;
    Ok(())
}

/// Gives the real path of a file or directory that exists within the scope.
pub(crate) fn resolve_any(scope: &FileScope, path: &Path) -> Result<PathBuf> {
    let wanted = absolute(scope, path)?;
    let (real, rest) = existing_part(path, &wanted)?;
    // Whether anything exists outside the scope is not told.
    roots(scope)?.check(path, &real)?;
    if rest.as_os_str().is_empty() { Ok(real) } else { Err(missing(scope, path)) }
}

/// The real directories within which files may be touched.
pub(crate) struct Roots(Vec<PathBuf>);

/// Gives the real directories of a scope; a directory that the settings allow but that does not exist is left out.
pub(crate) fn roots(scope: &FileScope) -> Result<Roots> {
    let base = fs::canonicalize(&scope.base)
        .map_err(|error| failure("find the workflow's directory", &scope.base, error))?;
    let allowed = scope.allowed.iter().filter_map(|directory| fs::canonicalize(directory).ok());
    Ok(Roots(std::iter::once(base).chain(allowed).collect()))
}

impl Roots {
    /// Gives the workflow's directory.
    pub(crate) fn base(&self) -> &Path {
        self.0.first().map_or(Path::new("."), PathBuf::as_path)
    }

    /// Refuses a real path outside the scope; `named` is what the user wrote.
    pub(crate) fn check(&self, named: &Path, real: &Path) -> Result<()> {
        if self.0.iter().any(|root| real.starts_with(root)) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Permission,
            format!("`{}` lies outside the directory `{}`", named.display(), self.base().display()),
        )
        .with_hint("move it there, or list its directory in the setting `files.allow`"))
    }
}

/// Makes an error of a failed access; `what` is a verb.
pub(crate) fn failure(what: &str, path: &Path, error: io::Error) -> Error {
    let (kind, hint) = match error.kind() {
        io::ErrorKind::NotFound => (ErrorKind::NotFound, "check the path"),
        io::ErrorKind::PermissionDenied => (ErrorKind::Permission, "check the permissions of the file"),
        io::ErrorKind::InvalidInput => (ErrorKind::InvalidRequest, "check the path"),
        io::ErrorKind::NotADirectory => {
            (ErrorKind::InvalidRequest, "a part of the path is a file, not a directory")
        }
        _ => (ErrorKind::ToolFailed, "check the disk and the path"),
    };
    Error::new(kind, format!("cannot {what} `{}`: {error}", path.display()))
        .with_hint(hint)
        .with_source(error)
}

fn missing(scope: &FileScope, path: &Path) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no file `{}`", path.display()))
        .with_hint(format!("relative paths start at `{}`", scope.base.display()))
}

fn absolute(scope: &FileScope, path: &Path) -> Result<PathBuf> {
    if path.as_os_str().is_empty() {
        return Err(Error::new(ErrorKind::InvalidRequest, "the path of the file is empty")
            .with_hint("write the path of a file"));
    }
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            format!("the path `{}` contains a null character", path.display().to_string().escape_default()),
        )
        .with_hint("write the path without it"));
    }
    Ok(scope.base.join(path))
}

/// Splits a path into the real path of its deepest existing ancestor and the rest, which is plain names.
fn existing_part(named: &Path, wanted: &Path) -> Result<(PathBuf, PathBuf)> {
    let components: Vec<Component<'_>> = wanted.components().collect();
    for length in (1..=components.len()).rev() {
        let (ancestor, rest) = components.split_at(length);
        let ancestor: PathBuf = ancestor.iter().collect();
        match fs::canonicalize(&ancestor) {
            Ok(real) => return Ok((real, plain_names(named, rest)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failure("look at", named, error)),
        }
    }
    Err(failure("look at", named, io::ErrorKind::NotFound.into()))
}

fn plain_names(named: &Path, rest: &[Component<'_>]) -> Result<PathBuf> {
    // `missing/..` has no meaning that the file system could check, and it could climb out of the scope.
    if rest.iter().all(|component| matches!(component, Component::Normal(_))) {
        return Ok(rest.iter().collect());
    }
    Err(Error::new(
        ErrorKind::NotFound,
        format!("`{}` goes up from a directory that does not exist", named.display()),
    )
    .with_hint("write the path without `..`"))
}

fn text(path: &Path, bytes: Vec<u8>, skipped: usize) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let byte = error.as_bytes().get(offset).copied().unwrap_or_default();
        Error::new(
            ErrorKind::InvalidRequest,
            format!("`{}` is not UTF-8: byte 0x{byte:02x} at offset {}", path.display(), offset + skipped),
        )
        .with_hint("save the file as UTF-8")
        .with_source(error)
    })
}

#[cfg(test)]
mod tests;
