//! Dialects, provider rows, the HTTP driver, built-in models, and the Python task provider.
