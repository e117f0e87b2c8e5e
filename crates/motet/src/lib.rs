//! Motet: one engine for LLM work. Facade and composition root: settings become a wired runtime.
