//! Finds keys and passwords that are written in the file. A message never shows one.

use super::{Found, rules};
use crate::dag::yaml::{Content, Node};

/// How keys of well-known services begin, and how many characters follow at least.
const PREFIXES: [(&str, usize); 14] = [
    ("sk-", 20),
    ("sk_live_", 16),
    ("AKIA", 16),
    ("ASIA", 16),
    ("AIza", 30),
    ("ghp_", 30),
    ("gho_", 30),
    ("github_pat_", 30),
    ("glpat-", 16),
    ("hf_", 30),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("gsk_", 30),
    ("eyJhbGciOi", 30),
];

/// The line that private keys begin with.
const PRIVATE: &str = "PRIVATE KEY-----";

/// Endings of names whose value is a secret.
const NAMES: [&str; 9] = [
    "api_key",
    "apikey",
    "api-key",
    "password",
    "passwd",
    "secret",
    "access_token",
    "auth_token",
    "authorization",
];

/// The shortest value that counts as one.
const SHORTEST: usize = 8;

pub(super) fn check(node: &Node, found: &mut Found) {
    visit(node, None, found);
}

fn visit(node: &Node, key: Option<&str>, found: &mut Found) {
    match &node.content {
        Content::Map(fields) => {
            for field in fields {
                // A schema describes fields by the names that they have; it holds none of them.
                if field.key != "schema" {
                    visit(&field.node, Some(&field.key), found);
                }
            }
        }
        Content::List(items) => items.iter().for_each(|item| visit(item, key, found)),
        Content::String(text) => {
            let named = key.is_some_and(|key| NAMES.iter().any(|name| key.to_lowercase().ends_with(name)));
            let named = named && text.len() >= SHORTEST && !text.contains("${") && !text.contains(' ');
            if named || holds_key(text) {
                let hint =
                    "keep it in an environment variable, list that under `env`, and write `${env.NAME}`";
                found.add(&rules::SECRET, node.place, "this looks like a key or password", hint);
            }
        }
        _ => {}
    }
}

fn holds_key(text: &str) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    text.contains(PRIVATE)
        || text.split(|character| !is_part(character)).any(|word| {
            PREFIXES.iter().any(|(prefix, least)| {
                word.strip_prefix(prefix)
                    .is_some_and(|rest| rest.len() >= *least && rest.chars().any(|c| c.is_ascii_digit()))
            })
        })
}
