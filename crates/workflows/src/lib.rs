//! Workflows: YAML task graphs with their workers, and the patterns in which agents work together.
//!
//! Knows stores only through the contract in core, and opens none.

pub mod agent_file;
pub mod dag;
pub mod methods;
pub mod pattern;
