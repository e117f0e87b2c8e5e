//! Stores behind one contract: memory and SQLite.
