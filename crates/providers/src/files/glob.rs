//! Lists files by patterns: `*`, `?`, `[…]`, `{…}` within a name, `**` for any number of directories.
//!
//! Never leaves the scope, and sees hidden names only where the pattern writes their dot.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use motet_core::method::FileScope;
use motet_core::{Error, ErrorKind, Result};

use super::{Roots, failure, resolve_any, roots};

const WILDCARDS: &[char] = &['*', '?', '[', '{', '\\'];

/// Gives the files that match any of the patterns, sorted, each once; a relative pattern starts at the scope's base.
///
/// Directories that are symbolic links are entered only where the pattern names them, so a loop of links ends.
///
/// # Errors
/// `NotFound` when no file matches, `InvalidRequest` when a pattern is malformed, `Permission` when a pattern or a
/// matching link leads out of the scope or a directory may not be listed.
pub fn glob<P: AsRef<str>>(scope: &FileScope, patterns: &[P]) -> Result<Vec<PathBuf>> {
    let roots = roots(scope)?;
    let mut found = BTreeSet::new();
    for pattern in patterns {
        let pattern = Pattern::parse(pattern.as_ref())?;
        let start = if pattern.start.as_os_str().is_empty() { Path::new(".") } else { &pattern.start };
        match resolve_any(scope, start) {
            Ok(directory) => pattern.search(&roots, directory, &mut found)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    if !found.is_empty() {
        return Ok(found.into_iter().collect());
    }
    let named: Vec<String> = patterns.iter().map(|pattern| format!("`{}`", pattern.as_ref())).collect();
    Err(Error::new(ErrorKind::NotFound, format!("no file matches {}", named.join(" or "))).with_hint(format!(
        "patterns start at `{}`; `**` goes through directories, and hidden files need their dot in the pattern",
        scope.base.display()
    )))
}

/// A pattern: a directory without wildcards, then what to match below it.
struct Pattern {
    start: PathBuf,
    parts: Vec<Part>,
}

enum Part {
    /// Any number of directories, none included.
    Directories,
    /// One name.
    Name { matcher: GlobMatcher, hidden: bool },
}

impl Pattern {
    fn parse(pattern: &str) -> Result<Self> {
        let invalid = |why: &str| {
            Error::new(ErrorKind::InvalidRequest, format!("`{pattern}` is not a pattern of files: {why}"))
                .with_hint("write patterns such as `notes/*.md` or `**/*.txt`")
        };
        let (directory, last) = pattern.rsplit_once('/').unwrap_or(("", pattern));
        if last.is_empty() || last == "." || last == ".." {
            return Err(invalid("it ends without the name of a file"));
        }
        let names: Vec<&str> = directory.split('/').collect();
        let plain = names.iter().take_while(|name| !name.contains(WILDCARDS)).count();
        let (plain, matched) = names.split_at(plain);
        let mut start = PathBuf::from(if pattern.starts_with('/') { "/" } else { "" });
        start.extend(plain.iter().filter(|name| !name.is_empty()));
        let mut parts = Vec::new();
        for name in matched.iter().copied().filter(|name| !name.is_empty() && *name != ".").chain([last]) {
            match name {
                ".." => return Err(invalid("`..` may not follow a wildcard")),
                "**" if matches!(parts.last(), Some(Part::Directories)) => {}
                "**" => parts.push(Part::Directories),
                name => parts.push(Part::name(name).map_err(|error| invalid(&error.kind().to_string()))?),
            }
        }
        if matches!(parts.last(), Some(Part::Directories)) {
            parts.push(Part::name("*").map_err(|error| invalid(&error.kind().to_string()))?);
        }
        Ok(Self { start, parts })
    }

    fn search(&self, roots: &Roots, start: PathBuf, found: &mut BTreeSet<PathBuf>) -> Result<()> {
        let mut open = vec![(start, self.parts.as_slice())];
        while let Some((directory, parts)) = open.pop() {
            let (Some(part), rest) = (parts.first(), parts.get(1..).unwrap_or_default()) else { continue };
            match part {
                Part::Directories => {
                    open.extend(subdirectories(&directory)?.into_iter().map(|below| (below, parts)));
                    open.push((directory, rest));
                }
                Part::Name { matcher, hidden } => {
                    for path in
                        entries(&directory)?.into_iter().filter(|path| part_matches(path, matcher, *hidden))
                    {
                        if rest.is_empty() {
                            found.extend(file(roots, path)?);
                        } else if path.is_dir() {
                            let real =
                                fs::canonicalize(&path).map_err(|error| failure("look at", &path, error))?;
                            roots.check(&path, &real)?;
                            open.push((real, rest));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

impl Part {
    fn name(name: &str) -> Result<Self, globset::Error> {
        let matcher = GlobBuilder::new(name).literal_separator(true).build()?.compile_matcher();
        Ok(Part::Name { matcher, hidden: name.starts_with('.') })
    }
}

fn part_matches(path: &Path, matcher: &GlobMatcher, hidden: bool) -> bool {
    path.file_name().is_some_and(|name| {
        (hidden || !name.as_encoded_bytes().starts_with(b".")) && matcher.is_match(Path::new(name))
    })
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(|error| failure("list", directory, error))
}

fn subdirectories(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut below = entries(directory)?;
    below.retain(|path| {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        !hidden && fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
    });
    Ok(below)
}

/// Gives a matching path if it is a file, and refuses one that is a link out of the scope.
fn file(roots: &Roots, path: PathBuf) -> Result<Option<PathBuf>> {
    if !path.is_file() {
        return Ok(None);
    }
    let real = fs::canonicalize(&path).map_err(|error| failure("look at", &path, error))?;
    roots.check(&path, &real)?;
    Ok(Some(path))
}
