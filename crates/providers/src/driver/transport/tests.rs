//! Proxies, and connections that die.
