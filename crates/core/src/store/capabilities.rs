//! What a store can do, as it says of itself.

use serde::{Deserialize, Serialize};

/// What a store can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Name of the backend.
    pub name: &'static str,
    /// What an accepted write survives.
    pub durability: Durability,
    /// Whether several processes may use it at once.
    pub multi_process: bool,
}

/// What an accepted write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Nothing: it ends with the process.
    None,
    /// The death of the process.
    Process,
    /// The loss of power.
    Fsync,
}
