//! How a test says that it could not run here, so that it never passes for one that did.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

/// Reports that the calling test cannot run, and why; the test returns right after.
///
/// The reason is printed, and appended as one line to the file that the environment variable `MOTET_SKIPS` names.
/// `cargo xtask test` shows all reasons at its end and, where `CI=true`, fails unless they speak of the corpus.
///
/// # Panics
/// When the file cannot be written, as the skipped test would pass unnoticed.
#[expect(clippy::print_stderr, clippy::panic, reason = "the caller is a test")]
pub fn skip(why: &str) {
    eprintln!("skipped: {why}");
    let Some(path) = std::env::var_os("MOTET_SKIPS") else { return };
    if let Err(error) = append(Path::new(&path), why) {
        panic!("cannot report a skipped test to `{}`: {error}", path.display());
    }
}

fn append(path: &Path, why: &str) -> io::Result<()> {
    let line = format!("{}\n", why.lines().collect::<Vec<_>>().join(" "));
    OpenOptions::new().append(true).create(true).open(path)?.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_report_is_one_line_after_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("skips.txt");
        append(&path, "no python3\non the path").unwrap();
        append(&path, "no corpus").unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "no python3 on the path\nno corpus\n");
    }
}
