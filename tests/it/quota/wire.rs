//! Keys over the real wire.
