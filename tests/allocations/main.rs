//! How often memory is asked for, a call, a piece of a stream, and a round of an agent: what keeps the cost of a call from creeping up, without
//! a clock.
//!
//! A program of its own, as it counts by an allocator in place of the usual one. Only the client's thread is counted; the
//! mock has threads of its own.

#[cfg(test)]
mod tests;
