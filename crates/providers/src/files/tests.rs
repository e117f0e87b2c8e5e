//! Files within a scope and outside of it.

use std::fs;
use std::path::{Path, PathBuf};

use motet_core::ErrorKind;
use motet_core::method::FileScope;
use tempfile::TempDir;

use super::*;

struct Bench {
    _root: TempDir,
    base: PathBuf,
    outside: PathBuf,
    scope: FileScope,
}

/// A scope over `base`, with `outside` beside it; the files named are made below the common directory.
fn bench(files: &[&str]) -> Bench {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().canonicalize().unwrap();
    let (base, outside) = (directory.join("base"), directory.join("outside"));
    fs::create_dir(&base).unwrap();
    fs::create_dir(&outside).unwrap();
    for file in files {
        let path = directory.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    let scope = FileScope { base: base.clone(), allowed: Vec::new() };
    Bench { _root: root, base, outside, scope }
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    let error = result.expect_err("an error");
    assert!(error.hint().is_some(), "{error} has no hint");
    error.kind()
}

#[cfg(unix)]
fn link(target: &Path, link: &Path) {
    std::os::unix::fs::symlink(target, link).unwrap();
}

#[test]
fn relative_and_absolute_paths_within_the_base_are_resolved() {
    let bench = bench(&["base/a/b.txt"]);
    let real = bench.base.join("a/b.txt");
    for path in ["a/b.txt", "./a/../a/b.txt", real.to_str().unwrap()] {
        assert_eq!(resolve(&bench.scope, path).unwrap(), real);
    }
}

#[test]
fn paths_out_of_the_scope_are_refused_and_named() {
    let bench = bench(&["outside/a.txt"]);
    let absolute = bench.outside.join("a.txt");
    for path in ["../outside/a.txt", "../outside/missing.txt", "../nowhere/x", absolute.to_str().unwrap()] {
        let error = resolve(&bench.scope, path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Permission);
        assert!(
            error.message().contains(path) && error.message().contains(bench.base.to_str().unwrap()),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("`files.allow`"));
        assert_eq!(kind(resolve_for_write(&bench.scope, path)), ErrorKind::Permission);
    }
}

#[test]
fn an_allowed_directory_opens_what_is_below_it() {
    let mut bench = bench(&["outside/a.txt", "outsider/b.txt"]);
    bench.scope.allowed = vec![bench.base.join("missing"), bench.outside.clone()];
    assert!(resolve(&bench.scope, "../outside/a.txt").is_ok());
    assert!(resolve_for_write(&bench.scope, "../outside/new/c.txt").is_ok());
    assert_eq!(kind(resolve(&bench.scope, "../outsider/b.txt")), ErrorKind::Permission);
}

#[cfg(unix)]
#[test]
fn links_are_followed_before_the_scope_is_checked() {
    let bench = bench(&["base/a.txt", "outside/secret.txt"]);
    link(&bench.outside, &bench.base.join("door"));
    link(&bench.base.join("a.txt"), &bench.base.join("alias"));
    link(Path::new("nowhere"), &bench.base.join("dangling"));
    assert_eq!(resolve(&bench.scope, "alias").unwrap(), bench.base.join("a.txt"));
    assert_eq!(kind(resolve(&bench.scope, "door/secret.txt")), ErrorKind::Permission);
    assert_eq!(kind(resolve_for_write(&bench.scope, "door/new.txt")), ErrorKind::Permission);
    assert_eq!(kind(write_atomic(&bench.scope, "door/secret.txt", b"x")), ErrorKind::Permission);
    assert_eq!(kind(resolve(&bench.scope, "dangling")), ErrorKind::NotFound);
    assert_eq!(fs::read_to_string(bench.outside.join("secret.txt")).unwrap(), "outside/secret.txt");
}

#[test]
fn what_is_not_a_file_is_refused() {
    let bench = bench(&["base/a.txt", "base/directory/b.txt"]);
    for (path, expected) in [
        ("missing.txt", ErrorKind::NotFound),
        ("missing/../a.txt", ErrorKind::NotFound),
        ("directory", ErrorKind::InvalidRequest),
        ("a.txt/b", ErrorKind::InvalidRequest),
        ("", ErrorKind::InvalidRequest),
        ("a\0b", ErrorKind::InvalidRequest),
    ] {
        assert_eq!(kind(resolve(&bench.scope, path)), expected, "{path:?}");
    }
    assert_eq!(kind(resolve_for_write(&bench.scope, "directory")), ErrorKind::InvalidRequest);
    assert_eq!(kind(resolve_for_write(&bench.scope, "new/../../../x")), ErrorKind::NotFound);
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_or_pipe_is_not_read() {
    let scope = FileScope { base: "/dev".into(), allowed: Vec::new() };
    assert_eq!(kind(read_text(&scope, "zero", 10)), ErrorKind::InvalidRequest);
}

#[test]
fn a_base_that_does_not_exist_is_told() {
    let bench = bench(&[]);
    let scope = FileScope { base: bench.base.join("gone"), allowed: Vec::new() };
    assert_eq!(kind(resolve(&scope, "a.txt")), ErrorKind::NotFound);
    assert_eq!(kind(glob(&scope, &["*"])), ErrorKind::NotFound);
}

#[test]
fn text_is_read_without_its_byte_order_mark() {
    let bench = bench(&[]);
    fs::write(bench.base.join("a.txt"), "\u{feff}grün\r\n").unwrap();
    assert_eq!(read_text(&bench.scope, "a.txt", 100).unwrap(), "grün\r\n");
    fs::write(bench.base.join("empty.txt"), "").unwrap();
    assert_eq!(read_text(&bench.scope, "empty.txt", 0).unwrap(), "");
}

#[test]
fn bytes_that_are_no_text_are_told_by_their_offset() {
    let bench = bench(&[]);
    for (bytes, expected) in [
        (&b"ab\xffcd"[..], "`a.txt` is not UTF-8: byte 0xff at offset 2"),
        (&b"\xef\xbb\xbfa\xc3"[..], "`a.txt` is not UTF-8: byte 0xc3 at offset 4"),
    ] {
        fs::write(bench.base.join("a.txt"), bytes).unwrap();
        let error = read_text(&bench.scope, "a.txt", 100).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidRequest, expected));
    }
}

#[test]
fn a_file_over_the_limit_is_refused() {
    let bench = bench(&[]);
    fs::write(bench.base.join("a.txt"), "12345").unwrap();
    assert_eq!(read_text(&bench.scope, "a.txt", 5).unwrap(), "12345");
    assert_eq!(kind(read_text(&bench.scope, "a.txt", 4)), ErrorKind::LimitReached);
}

#[test]
fn writing_makes_directories_and_leaves_nothing_else() {
    let bench = bench(&[]);
    let path = write_atomic(&bench.scope, "out/deep/a.txt", b"one").unwrap();
    assert_eq!(path, bench.base.join("out/deep/a.txt"));
    write_atomic(&bench.scope, "out/deep/a.txt", b"two").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn a_written_file_has_the_permissions_of_any_other() {
    use std::os::unix::fs::PermissionsExt;
    let bench = bench(&["base/plain.txt"]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    let path = write_atomic(&bench.scope, "new.txt", b"").unwrap();
    assert_eq!(mode(&path), mode(&bench.base.join("plain.txt")));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    write_atomic(&bench.scope, "new.txt", b"x").unwrap();
    assert_eq!(mode(&path) & 0o777, 0o640);
}

#[test]
fn a_write_that_fails_keeps_the_old_file() {
    let bench = bench(&["base/a.txt"]);
    assert_eq!(kind(write_atomic(&bench.scope, "a.txt/b", b"x")), ErrorKind::InvalidRequest);
    assert_eq!(fs::read_to_string(bench.base.join("a.txt")).unwrap(), "base/a.txt");
}

fn globbed(bench: &Bench, patterns: &[&str]) -> Vec<String> {
    let base = bench.base.parent().unwrap();
    let found = glob(&bench.scope, patterns).unwrap();
    found.iter().map(|path| path.strip_prefix(base).unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn patterns_list_files_sorted_and_once() {
    let bench = bench(&[
        "base/b.md",
        "base/a.md",
        "base/c.txt",
        "base/x/d.md",
        "base/x/y/e.md",
        "base/.hidden.md",
        "base/.git/f.md",
        "base/x/.g.md",
        "base/dir.md/h.txt",
    ]);
    for (patterns, expected) in [
        (&["*.md"][..], &["base/a.md", "base/b.md"][..]),
        (&["**/*.md"], &["base/a.md", "base/b.md", "base/x/d.md", "base/x/y/e.md"]),
        (&["**/**/e.md", "x/**"], &["base/x/d.md", "base/x/y/e.md"]),
        (&["?.{md,txt}", "a.md", "./a.md"], &["base/a.md", "base/b.md", "base/c.txt"]),
        (&["[!b].md"], &["base/a.md"]),
        (&["x/**/e.md", "*/d.md"], &["base/x/d.md", "base/x/y/e.md"]),
        (&[".*"], &["base/.hidden.md"]),
        (&[".git/*", "x/.g.md"], &["base/.git/f.md", "base/x/.g.md"]),
    ] {
        assert_eq!(globbed(&bench, patterns), expected, "{patterns:?}");
    }
    let absolute = format!("{}/*.txt", bench.base.display());
    assert_eq!(globbed(&bench, &[&absolute]), ["base/c.txt"]);
}

#[test]
fn patterns_that_match_nothing_are_an_error() {
    let bench = bench(&["base/a.md"]);
    let error = glob(&bench.scope, &["*.txt", "missing/*"]).unwrap_err();
    assert_eq!(error.message(), "no file matches `*.txt` or `missing/*`");
    assert_eq!((error.kind(), error.hint().is_some()), (ErrorKind::NotFound, true));
}

#[test]
fn patterns_that_are_none_are_refused() {
    let bench = bench(&["base/a.md"]);
    for pattern in ["", "a/", "..", "a[", "{a", "*/../a.md", "{x/y,z}"] {
        let error = glob(&bench.scope, &[pattern]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{pattern}: {error}");
        assert!(error.message().contains(&format!("`{pattern}`")) && error.hint().is_some(), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn patterns_never_leave_the_scope() {
    let bench = bench(&["base/a.md", "base/x/b.md", "outside/c.md"]);
    assert_eq!(kind(glob(&bench.scope, &["../outside/*.md"])), ErrorKind::Permission);
    assert_eq!(kind(glob(&bench.scope, &[format!("{}/*", bench.outside.display())])), ErrorKind::Permission);
    link(&bench.outside, &bench.base.join("door"));
    link(&bench.base, &bench.base.join("x/loop"));
    assert_eq!(globbed(&bench, &["**/*.md"]), ["base/a.md", "base/x/b.md"]);
    assert_eq!(kind(glob(&bench.scope, &["door/*.md"])), ErrorKind::Permission);
    assert_eq!(kind(glob(&bench.scope, &["d*/*.md"])), ErrorKind::Permission);
    link(&bench.outside.join("c.md"), &bench.base.join("z.md"));
    assert_eq!(kind(glob(&bench.scope, &["*.md"])), ErrorKind::Permission);
}
