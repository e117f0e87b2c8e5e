//! Which of our crates may use which: the layers of the workspace, read from the manifests.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// Every crate of the workspace with the crates of ours that its normal dependencies may name.
const ARROWS: &[(&str, &[&str])] = &[
    ("motet-core", &[]),
    ("motet-providers", &["motet-core"]),
    ("motet-persistence", &["motet-core"]),
    ("motet-agents", &["motet-core", "motet-providers"]),
    ("motet-workflows", &["motet-core", "motet-agents", "motet-providers"]),
    ("motet-programs", &["motet-core", "motet-agents"]),
    (
        "motet",
        &[
            "motet-core",
            "motet-providers",
            "motet-persistence",
            "motet-agents",
            "motet-workflows",
            "motet-programs",
        ],
    ),
    ("motet-server", &["motet"]),
    ("motet-cli", &["motet", "motet-server"]),
    ("motet-py", &["motet", "motet-server"]),
    ("xtask", &[]),
];

/// The crate that may use every other.
const TESTS: &str = "motet-tests";

#[test]
fn crates_depend_only_in_the_allowed_directions() {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap();
    let crates: BTreeMap<String, Vec<String>> = metadata
        .workspace_packages()
        .into_iter()
        .map(|package| (package.name.to_string(), uses(package)))
        .collect();
    assert!(crates.contains_key("motet-core"), "the workspace was not read: {crates:?}");
    let ours: BTreeMap<&str, Vec<&str>> = crates
        .iter()
        .map(|(name, uses)| {
            let uses = uses.iter().map(String::as_str).filter(|used| crates.contains_key(*used));
            (name.as_str(), uses.collect())
        })
        .collect();
    let violations = violations(&ours);
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

#[test]
fn a_forbidden_arrow_is_told_with_what_is_allowed() {
    let crates = BTreeMap::from([
        ("motet-core", vec!["motet-providers"]),
        ("motet-agents", vec!["motet-core", "motet-persistence"]),
        ("motet-tests", vec!["motet-core", "motet-agents"]),
    ]);
    assert_eq!(
        violations(&crates),
        [
            "`motet-agents` may not depend on `motet-persistence`; it may on motet-core, motet-providers",
            "`motet-core` may not depend on `motet-providers`; it may on none of ours",
        ]
    );
}

#[test]
fn a_crate_without_a_row_is_told() {
    assert_eq!(
        violations(&BTreeMap::from([("motet-new", vec![])])),
        ["`motet-new` has no row in `ARROWS`; decide which crates it may use"]
    );
}

fn violations(crates: &BTreeMap<&str, Vec<&str>>) -> Vec<String> {
    let mut violations = Vec::new();
    for (name, uses) in crates.iter().filter(|(name, _)| **name != TESTS) {
        let Some((_, allowed)) = ARROWS.iter().find(|(row, _)| row == name) else {
            violations.push(format!("`{name}` has no row in `ARROWS`; decide which crates it may use"));
            continue;
        };
        let list = if allowed.is_empty() { "none of ours".to_owned() } else { allowed.join(", ") };
        for used in uses.iter().filter(|used| !allowed.contains(used)) {
            violations.push(format!("`{name}` may not depend on `{used}`; it may on {list}"));
        }
    }
    violations
}

/// Names what a crate uses when it is built, which its tests may exceed.
fn uses(package: &Package) -> Vec<String> {
    let built =
        package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    built.map(|dependency| dependency.name.clone()).collect()
}
