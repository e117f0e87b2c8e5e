//! A request as a call would send it, for people to look at.
//!
//! Holds data only; the connection masks its secrets.

use serde::Serialize;

/// A request as a call would send it, with its secrets masked.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DryRun {
    /// Verb.
    pub method: &'static str,
    /// Address without user and password.
    pub url: String,
    /// Headers; keys and other secrets are masked.
    pub headers: Vec<(String, String)>,
    /// Body as sent.
    pub body: String,
    /// What was asked for and left out or changed.
    pub warnings: Vec<String>,
    /// Environment variable of the key that a call would need, where there is none; a placeholder stands for it.
    pub missing_key: Option<&'static str>,
}
