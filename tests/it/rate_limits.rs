//! Limits by the settings, and limits that processes share on a real Redis server.

mod settings;
mod shared;
