//! Workflows: YAML task graphs with their workers, and the patterns in which agents work together.
